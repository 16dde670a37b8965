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

func admissionChecks() []check {
	return []check{
		{"ending the others ends them and nobody else's", admissionOthers},
		{"over the limit the oldest end", admissionOldest},
		{"over the limit a sign-in is denied", admissionDeny},
		{"only sessions that live count", admissionCounts},
		{"what a stricter policy has ended doesn't count", admissionStricter},
		{"the limit and ending the others go together", admissionBoth},
		{"64 concurrent sign-ins keep the limit", admissionOldestRace},
		{"64 concurrent sign-ins are denied over the limit", admissionDenyRace},
		{"of 64 concurrent sign-ins that end the others one is left", admissionOthersRace},
	}
}

func admissionOthers(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	old := []session.Row{w.signIn(t, u.ID), w.signIn(t, u.ID)}
	acted := w.row(u.ID) // somebody acts as the user: ended like any other
	acted.Actor = "support"
	acted, err := w.insert(t, acted, session.Admission{})
	ok(t, err)
	w.news(t)
	old = append(old, acted)
	bystander := w.signIn(t, v.ID)
	row := w.row(u.ID)
	got, err := w.insert(t, row, session.Admission{EndOthers: true})
	ok(t, err)
	row.UserEpoch = 1
	same(t, "the session", row, got)
	w.told(t, w.created(row))
	for _, r := range old {
		same(t, "an older session", "superseded", w.status(t, r.ID))
		w.decided(t, w.newest(t, r), session.Revoked)
	}
	same(t, "the new session", "active", w.status(t, row.ID))
	same(t, "another user's session", "active", w.status(t, bystander.ID))
	// What comes later isn't touched.
	same(t, "a later session", int64(1), w.signIn(t, u.ID).UserEpoch)
	same(t, "the new session", "active", w.status(t, row.ID))
}

func admissionOldest(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	bystander := w.signIn(t, v.ID)
	var rows []session.Row
	for range 5 {
		w.clock.Move(time.Second)
		rows = append(rows, w.signIn(t, u.ID))
	}
	w.clock.Move(window)
	// Refreshing an old session doesn't make it young.
	rows[0] = w.decided(t, w.newest(t, rows[0]), session.Rotate)
	w.news(t)
	row := w.row(u.ID)
	got, err := w.insert(t, row, session.Admission{Max: 4})
	ok(t, err)
	same(t, "the session", row, got)
	w.told(t, w.created(row), w.ended(rows[0], session.OverLimit), w.ended(rows[1], session.OverLimit))
	for i, old := range rows {
		got, _ := w.find(t, old.ID)
		if i < 2 {
			old = endedAt(old, session.OverLimit, w.clock.Now())
		}
		same(t, "an older session", old, got)
	}
	same(t, "another user's session", "active", w.status(t, bystander.ID))
	w.decided(t, w.newest(t, rows[0]), session.Revoked)
}

func admissionDeny(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	w.signIn(t, v.ID)
	deny := session.Admission{Max: 2, Deny: true}
	for range 2 {
		_, err := w.insert(t, w.row(u.ID), deny)
		ok(t, err)
	}
	w.news(t)
	row := w.row(u.ID)
	_, err := w.insert(t, row, deny)
	refused(t, err, fault.Conflict)
	w.absent(t, row)
	n, err := w.Bulk().Count(w.ctx, session.Filter{Project: u.Project, User: u.ID, Status: session.Active})
	ok(t, err)
	same(t, "the number of live sessions", 2, n)
}

func admissionCounts(t *testing.T, w *world) {
	u := w.newUser(t)
	short := w.row(u.ID)
	short.AbsoluteAt = w.clock.Now().Add(time.Minute)
	idle := w.row(u.ID)
	idle.IdleAt = w.clock.Now().Add(time.Minute)
	for _, row := range []session.Row{short, idle} {
		_, err := w.insert(t, row, session.Admission{})
		ok(t, err)
	}
	w.signIn(t, u.ID)
	_, err := w.Bulk().EndAll(w.ctx, u.Project, u.ID, short.ID, w.ending())
	ok(t, err)
	over := w.signIn(t, u.ID)
	_, err = w.Sessions().End(w.ctx, u.Project, over.ID, w.ending())
	ok(t, err)
	deny := session.Admission{Max: 1, Deny: true}
	_, err = w.insert(t, w.row(u.ID), deny) // short lives, kept by its epoch
	refused(t, err, fault.Conflict)
	w.clock.Move(time.Minute)
	_, err = w.insert(t, w.row(u.ID), deny)
	ok(t, err)
	_, err = w.insert(t, w.row(u.ID), deny)
	refused(t, err, fault.Conflict)
	// A project's end frees places, too.
	_, err = w.Bulk().EndAll(w.ctx, u.Project, id.User{}, id.Session{}, w.ending())
	ok(t, err)
	_, err = w.insert(t, w.row(u.ID), deny)
	ok(t, err)
}

func admissionStricter(t *testing.T, w *world) {
	u := w.newUser(t)
	old, idle := w.signIn(t, u.ID), w.signIn(t, u.ID)
	w.clock.Move(time.Hour)
	old = w.decided(t, w.newest(t, old), session.Rotate)
	strict := rules()
	strict.IdleTimeout = 30 * time.Minute
	deny := session.Admission{Max: 2, Deny: true}
	_, err := w.insert(t, w.row(u.ID), deny)
	refused(t, err, fault.Conflict)
	deny.Policy = strict
	young, err := w.insert(t, w.row(u.ID), deny)
	ok(t, err) // beside old
	_, err = w.insert(t, w.row(u.ID), deny)
	refused(t, err, fault.Conflict)
	strict.AbsoluteTimeout = 30 * time.Minute
	_, err = w.insert(t, w.row(u.ID), session.Admission{Max: 1, Policy: strict})
	ok(t, err)
	// The one that was in the way has ended; who had run out already isn't touched.
	same(t, "the young session", "session_limit", w.status(t, young.ID))
	same(t, "the old session", "active", w.status(t, old.ID))
	same(t, "the idle session", "active", w.status(t, idle.ID))
}

func admissionBoth(t *testing.T, w *world) {
	u := w.newUser(t)
	w.signIn(t, u.ID)
	for range 3 {
		row := w.row(u.ID)
		_, err := w.insert(t, row, session.Admission{EndOthers: true, Max: 1, Deny: true})
		ok(t, err)
		w.told(t, w.created(row)) // none had to end for the limit
	}
	denied := w.row(u.ID)
	_, err := w.insert(t, denied, session.Admission{Max: 1, Deny: true})
	refused(t, err, fault.Conflict)
	w.absent(t, denied)
}

// race lets 64 sign-ins of one user go at once.
func (w *world) race(t *testing.T, u directory.User, a session.Admission) []error {
	version := w.version(t)
	return together(64, func(int) error {
		row := w.row(u.ID)
		_, err := w.Sessions().Insert(w.ctx, row, version, a, w.created(row))
		return err
	})
}

func admissionOldestRace(t *testing.T, w *world) {
	u := w.newUser(t)
	for _, err := range w.race(t, u, session.Admission{Max: 5}) {
		ok(t, err)
	}
	w.hasSessions(t, u, 5, 64)
	ends, err := w.Events().List(w.ctx, audit.Query{Project: u.Project, Types: []audit.Type{audit.SessionEnded}, Limit: 99})
	ok(t, err)
	same(t, "the number of ends", 64-5, len(ends))
}

func admissionDenyRace(t *testing.T, w *world) {
	u := w.newUser(t)
	allowed := 0
	for _, err := range w.race(t, u, session.Admission{Max: 5, Deny: true}) {
		if err == nil {
			allowed++
			continue
		}
		refused(t, err, fault.Conflict)
	}
	same(t, "the number of sign-ins", 5, allowed)
	w.hasSessions(t, u, 5, 5)
	same(t, "the number of events", 5, len(w.news(t)))
}

func admissionOthersRace(t *testing.T, w *world) {
	u := w.newUser(t)
	for _, err := range w.race(t, u, session.Admission{EndOthers: true}) {
		ok(t, err)
	}
	w.hasSessions(t, u, 1, 64)
	found, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user's epoch", int64(64), found.Epoch)
}

func (w *world) hasSessions(t *testing.T, u directory.User, active, all int) {
	t.Helper()
	for status, want := range map[session.Status]int{session.Active: active, "": all} {
		n, err := w.Bulk().Count(w.ctx, session.Filter{Project: u.Project, User: u.ID, Status: status})
		ok(t, err)
		same(t, "the number of sessions "+string(status), want, n)
	}
}
