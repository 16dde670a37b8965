package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func sessionChecks() []check {
	return []check{
		{"come back as they went in", sessionInsert},
		{"get their epochs from the store", sessionEpochs},
		{"need a user of the project", sessionNeedsUser},
		{"need an enabled user", sessionNeedsEnabledUser},
		{"need the project's version", sessionNeedsVersion},
		{"an id is taken once", sessionTaken},
		{"unknown ones are not found", sessionUnknown},
		{"are found with their subject", sessionSubject},
		{"are confirmed after the window", sessionConfirm},
		{"are not confirmed when they don't live", sessionConfirmOver},
		{"get other claims", sessionClaims},
		{"don't get other claims when they don't live", sessionClaimsOver},
		{"end once", sessionEnd},
		{"ending one that doesn't live changes nothing", sessionEndOver},
	}
}

func sessionInsert(t *testing.T, w *world) {
	u := w.newUser(t)
	now := w.clock.Now()
	full := filled[session.Row](t)
	full.ID, full.Project, full.User = id.NewSession(now), w.project.ID, u.ID
	full.UserEpoch, full.ProjectEpoch, full.EndReason = 0, 0, session.KeyRevoked
	full.Tenant, full.TenantEpoch = id.Tenant{}, 0
	full.Trace = session.Trace{}.Add(session.Entry{At: now, Rule: session.Create, Issued: full.Newest, Context: full.Context}).
		Add(session.Entry{At: now, Rule: session.Replay, Foreign: true, Token: full.Newest, Issued: full.Newest}).
		Add(session.Entry{At: now, Rule: session.End})
	bare := session.Row{
		ID: id.NewSession(now), Project: w.project.ID, User: u.ID,
		State: session.State{Newest: id.NewRefresh(), RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(time.Minute)},
	}
	for _, row := range []session.Row{full, bare} {
		first, second := w.created(row), w.created(row).With("second", true)
		got, err := w.Sessions().Insert(w.ctx, row, w.version(t), session.Admission{}, first, second)
		ok(t, err)
		same(t, "the returned session", row, got)
		w.told(t, first, second)
		got, _ = w.find(t, row.ID)
		same(t, "the stored session", row, got)
		if got.State != row.State {
			t.Fatalf("equal states must be ==: want %#v, got %#v", row.State, got.State)
		}
	}
}

func sessionEpochs(t *testing.T, w *world) {
	u := w.newUser(t)
	for range 3 {
		_, err := w.Bulk().EndAll(w.ctx, w.project.ID, u.ID, id.Session{}, w.ending())
		ok(t, err)
	}
	for range 2 {
		_, err := w.Bulk().EndAll(w.ctx, w.project.ID, id.User{}, id.Session{}, w.ending())
		ok(t, err)
	}
	row := w.row(u.ID)
	row.UserEpoch, row.ProjectEpoch = 99, 99 // would outlive every revocation
	got, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	row.UserEpoch, row.ProjectEpoch = 3, 2
	same(t, "the returned session", row, got)
	got, _ = w.find(t, row.ID)
	same(t, "the stored session", row, got)
}

// absent fails if a refused insert left something.
func (w *world) absent(t *testing.T, row session.Row) {
	t.Helper()
	_, _, err := w.Sessions().Find(w.ctx, row.Project, row.ID)
	refused(t, err, fault.NotFound)
	w.told(t)
}

func sessionNeedsUser(t *testing.T, w *world) {
	other := w.newProject(t)
	stranger := w.user()
	stranger.Project = other.ID
	ok(t, w.Users().Insert(w.ctx, stranger, w.event(other.ID, audit.UserCreated)))
	gone := w.newUser(t)
	ok(t, w.Users().Delete(w.ctx, w.project.ID, gone.ID, w.event(w.project.ID, audit.UserDeleted)))
	w.news(t)
	for _, u := range []id.User{id.NewUser(w.clock.Now()), stranger.ID, gone.ID} {
		row := w.row(u)
		_, err := w.insert(t, row, session.Admission{EndOthers: true})
		refused(t, err, fault.NotFound)
		w.absent(t, row)
	}
	row := w.row(w.newUser(t).ID)
	row.Project = id.NewProject(w.clock.Now())
	_, err := w.Sessions().Insert(w.ctx, row, 1, session.Admission{}, w.created(row))
	refused(t, err, fault.NotFound)
	w.absent(t, row)
}

func sessionNeedsEnabledUser(t *testing.T, w *world) {
	u := w.newUser(t)
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Disabled })
	row := w.row(u.ID)
	_, err := w.insert(t, row, session.Admission{EndOthers: true})
	refused(t, err, fault.Conflict)
	w.absent(t, row)
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the epoch", int64(0), got.Epoch)
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Enabled })
	_, err = w.insert(t, row, session.Admission{})
	ok(t, err)
}

func sessionNeedsVersion(t *testing.T, w *world) {
	u := w.newUser(t)
	for _, version := range []int64{0, 2, -1} {
		row := w.row(u.ID)
		_, err := w.Sessions().Insert(w.ctx, row, version, session.Admission{EndOthers: true}, w.created(row))
		isErrVersion(t, err)
		w.absent(t, row)
	}
}

func sessionTaken(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	first := w.signIn(t, u.ID)
	second := w.row(v.ID)
	second.ID = first.ID
	_, err := w.insert(t, second, session.Admission{EndOthers: true})
	refused(t, err, fault.Conflict)
	got, _ := w.find(t, first.ID)
	same(t, "the first session", first, got)
	w.told(t)
	still, err := w.Users().Find(w.ctx, v.Project, v.ID)
	ok(t, err)
	same(t, "the epoch", int64(0), still.Epoch)
}

func sessionUnknown(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	other := w.newProject(t)
	for _, at := range []struct {
		project id.Project
		session id.Session
	}{{w.project.ID, id.NewSession(w.clock.Now())}, {other.ID, row.ID}, {id.NewProject(w.clock.Now()), row.ID}} {
		_, _, err := w.Sessions().Find(w.ctx, at.project, at.session)
		refused(t, err, fault.NotFound)
		f := w.newest(t, row)
		f.Project, f.Session = at.project, at.session
		_, _, err = w.Sessions().Rotate(w.ctx, f)
		refused(t, err, fault.NotFound)
		_, err = w.Sessions().Confirm(w.ctx, at.project, at.session, row.Newest, 0)
		refused(t, err, fault.NotFound)
		_, err = w.Sessions().SetClaims(w.ctx, at.project, at.session, 0, nil, nil, w.event(w.project.ID, audit.SessionClaims))
		refused(t, err, fault.NotFound)
		_, err = w.Sessions().End(w.ctx, at.project, at.session, w.ending())
		refused(t, err, fault.NotFound)
	}
	got, _ := w.find(t, row.ID)
	same(t, "the session", row, got)
	w.told(t)
}

func sessionSubject(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	want := session.Subject{UserKnown: true, UserEnabled: true}
	check := func(status string) {
		t.Helper()
		_, got := w.find(t, row.ID)
		same(t, "the subject", want, got)
		same(t, "the status", status, w.status(t, row.ID))
	}
	check("active")
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Disabled })
	want.UserEnabled = false
	check("user_disabled")
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Enabled })
	want.UserEnabled = true
	check("active")
	w.change(t, u.ID, func(u *directory.User) { u.Epoch = 5 })
	want.UserEpoch = 5
	check("superseded")
	_, err := w.Bulk().EndAll(w.ctx, w.project.ID, id.User{}, id.Session{}, w.ending())
	ok(t, err)
	want.ProjectEpoch = 1
	check("superseded")
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
	_, subject := w.find(t, row.ID)
	same(t, "whether the user is known", false, subject.UserKnown)
	same(t, "the status", "user_deleted", w.status(t, row.ID))
}
