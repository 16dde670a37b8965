package storetest

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// world is a store with a clock, a project in it, and what makes tests short.
type world struct {
	Store
	ctx     context.Context
	clock   *Clock
	project directory.Project
	open    opener
	seen    map[id.Event]bool
	read    int64 // the feed up to there
}

var origin = audit.Origin{Actor: audit.CLI, IP: "192.0.2.7", RequestID: "req-1"}

func newWorld(t *testing.T, open opener) *world {
	t.Helper()
	clock := NewClock()
	w := &world{Store: open(t, clock.Now), ctx: t.Context(), clock: clock, open: open, seen: map[id.Event]bool{}}
	w.project = w.newProject(t)
	w.news(t)
	return w
}

func (w *world) newProject(t *testing.T) directory.Project {
	t.Helper()
	now := w.clock.Now()
	p := directory.Project{
		ID: id.NewProject(now), Name: "acme", Status: directory.Enabled, Settings: policy.Defaults(), Version: 1, CreatedAt: now, SealedMAC: []byte("sealed"),
	}
	ok(t, w.Projects().Insert(w.ctx, p, w.event(p.ID, audit.ProjectCreated)))
	return p
}

func (w *world) event(p id.Project, kind audit.Type) audit.Event {
	return audit.New(p, session.Instant(w.clock.Now()), kind, origin).With("from", "test")
}

// news returns the project's events since the last call, without identifiers.
func (w *world) news(t testing.TB) []audit.Event {
	t.Helper()
	return w.newsOf(t, id.Session{})
}

// newsOf returns only those of a session.
func (w *world) newsOf(t testing.TB, s id.Session) []audit.Event {
	t.Helper()
	all, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Session: s, Limit: 100_000})
	ok(t, err)
	all = slices.DeleteFunc(all, func(e audit.Event) bool {
		old := w.seen[e.ID]
		w.seen[e.ID] = true
		return old
	})
	return unnumbered(all)
}

// told fails unless exactly these events were written since the last call of news or
// told.
func (w *world) told(t testing.TB, want ...audit.Event) {
	t.Helper()
	same(t, "the events", unnumbered(want), w.news(t))
}

// version returns the project's version now.
func (w *world) version(t testing.TB) int64 {
	t.Helper()
	v, err := w.Projects().Version(w.ctx, w.project.ID)
	ok(t, err)
	return v
}

// newUser adds an enabled user of the project.
func (w *world) newUser(t testing.TB) directory.User {
	t.Helper()
	u, e := w.user(), w.event(w.project.ID, audit.UserCreated)
	ok(t, w.Users().Insert(w.ctx, u, e))
	w.seen[e.ID] = true
	return u
}

func (w *world) user() directory.User {
	now := session.Instant(w.clock.Now())
	u := id.NewUser(now)
	return directory.User{
		ID: u, Project: w.project.ID, LoginIDs: []string{u.String() + "@example.org"}, Name: "Ada", Email: "ada@example.org",
		Phone: "+4915112345678", Status: directory.Enabled, CreatedAt: now, UpdatedAt: now,
	}
}

// change changes a user of the project.
func (w *world) change(t testing.TB, u id.User, change func(*directory.User)) directory.User {
	t.Helper()
	changed, err := w.Users().Change(w.ctx, w.project.ID, u, func(u directory.User) (directory.User, []audit.Event, error) {
		change(&u)
		return u, nil, nil
	})
	ok(t, err)
	return changed
}

var home = session.Context{Network: netip.MustParsePrefix("192.0.2.0/24"), Agent: "Firefox on Linux"}

// row is a session to be inserted.
func (w *world) row(u id.User) session.Row {
	now := session.Instant(w.clock.Now())
	newest := id.NewRefresh()
	return session.Row{
		ID: id.NewSession(now), Project: w.project.ID, User: u,
		State: session.State{
			Newest: newest, RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(28 * 24 * time.Hour), Context: home,
		},
		Profile: session.Profile{
			AuthTime: now, AMR: []string{"pwd", "otp"}, Audience: []string{"https://api.example.org"},
			Claims: json.RawMessage(`{"plan":"pro","seats":3}`), NSec: json.RawMessage(`{"theme":"dark"}`),
			SigningKey: id.NewKey(now), Device: session.Device{Name: "Ada's laptop", IP: "192.0.2.7", UserAgent: "Mozilla/5.0"},
		},
		Trace: session.Trace{}.Add(session.Entry{At: now, Rule: session.Create, Issued: newest, Context: home}),
	}
}

// signIn adds a session without limits. Its event is no news: that is told without asking
// the store, which would make hundreds of sign-ins slow.
func (w *world) signIn(t testing.TB, u id.User) session.Row {
	t.Helper()
	row := w.row(u)
	e := w.created(row)
	row, err := w.Sessions().Insert(w.ctx, row, w.version(t), session.Admission{}, e)
	ok(t, err)
	w.seen[e.ID] = true
	return row
}

func (w *world) insert(t testing.TB, row session.Row, a session.Admission) (session.Row, error) {
	t.Helper()
	return w.Sessions().Insert(w.ctx, row, w.version(t), a, w.created(row))
}

func (w *world) created(row session.Row) audit.Event {
	return w.event(row.Project, audit.SessionCreated).Of(row.ID, row.User)
}

func (w *world) find(t testing.TB, s id.Session) (session.Row, session.Subject) {
	t.Helper()
	row, subject, err := w.Sessions().Find(w.ctx, w.project.ID, s)
	ok(t, err)
	return row, subject
}

// status returns how a session looks now: "active", "expired" or its end's reason.
func (w *world) status(t testing.TB, s id.Session) string {
	t.Helper()
	row, subject := w.find(t, s)
	status, reason := row.Status(subject, session.Instant(w.clock.Now()))
	if status == session.Over {
		return string(reason)
	}
	return string(status)
}

// window is W in these tests.
const window = 20 * time.Second

// rules are the default policy, with a rotation limit that isn't in the way.
func rules() policy.Policy {
	p := policy.Of(policy.Defaults())
	p.ReuseWindow, p.RotationLimit = window, 100_000
	return p
}

// refresh presents a token of the session.
func (w *world) refresh(t testing.TB, s id.Session, token, parent id.Refresh) session.Refresh {
	t.Helper()
	return session.Refresh{
		Project: w.project.ID, Session: s, Version: w.version(t), SigningKey: id.NewKey(w.clock.Now()), Origin: origin,
		Request: session.Request{Token: token, Parent: parent, Next: id.NewRefresh(), Context: home, Policy: rules()},
	}
}

// newest presents the newest token of the row.
func (w *world) newest(t testing.TB, row session.Row) session.Refresh {
	t.Helper()
	return w.refresh(t, row.ID, row.Newest, row.Parent)
}

// decided runs a refresh and fails unless its rule is the wanted one.
func (w *world) decided(t testing.TB, f session.Refresh, rule session.Rule) session.Row {
	t.Helper()
	row, v, err := w.Sessions().Rotate(w.ctx, f)
	ok(t, err)
	if v.Rule != rule {
		t.Fatalf("the refresh was decided as %q, want %q", v.Rule, rule)
	}
	return row
}

func (w *world) ending() session.Ending { return session.Ending{Reason: session.Ended, Origin: origin} }

// ended is the event of one session's end now.
func (w *world) ended(row session.Row, why session.Reason) audit.Event {
	return audit.New(row.Project, session.Instant(w.clock.Now()), audit.SessionEnded, origin).
		Of(row.ID, row.User).With("reason", string(why))
}

// endedMany is the event of many sessions' end now.
func (w *world) endedMany(u id.User, why session.Reason, count int) audit.Event {
	return audit.New(w.project.ID, session.Instant(w.clock.Now()), audit.SessionsEnded, origin).
		Of(id.Session{}, u).With("reason", string(why)).With("count", float64(count))
}

// endedAt returns row as it is when it has ended.
func endedAt(row session.Row, why session.Reason, now time.Time) session.Row {
	row.EndedAt, row.EndReason = now, why
	row.Trace = row.Trace.Add(session.Entry{At: now, Rule: session.End})
	return row
}
