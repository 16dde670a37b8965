package storetest

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func refreshChecks() []check {
	return []check{
		{"every rule is written as it was decided", refreshRules},
		{"a long random life is what Decide makes of it", refreshLife},
		{"an old version decides nothing", refreshVersion},
		{"is refused once the session doesn't live (attack 24)", refreshOver},
		{"a repeat gets the same token after reopening the row (attack 22)", refreshRepeat},
		{"the window doesn't slide (attack 23)", refreshSlide},
		{"a grandparent is theft (attack 23)", refreshGrandparent},
		{"the rotation limit is kept exactly", refreshLimit},
	}
}

// decide runs a refresh and fails unless verdict, row and events are what Apply makes
// of what is stored.
func (w *world) decide(t testing.TB, f session.Refresh) (session.Row, session.Verdict) {
	t.Helper()
	before, subject := w.find(t, f.Session)
	want, verdict, events, err := session.Apply(before, subject, f, w.clock.Now())
	ok(t, err)
	row, got, err := w.Sessions().Rotate(w.ctx, f)
	ok(t, err)
	verdict.Behind = got.Behind // which only the store knows
	same(t, "the verdict", verdict, got)
	same(t, "the returned session", want, row)
	stored, _ := w.find(t, f.Session)
	same(t, "the stored session", want, stored)
	if stored.State != want.State {
		t.Fatalf("equal states must be ==: want %#v, got %#v", want.State, stored.State)
	}
	same(t, "the events", unnumbered(events), w.newsOf(t, f.Session))
	return row, got
}

func refreshRules(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	first := row.Newest
	step := func(rule session.Rule, wait time.Duration, token, parent id.Refresh, with ...func(*session.Request)) session.Row {
		t.Helper()
		w.clock.Move(wait)
		f := w.refresh(t, row.ID, token, parent)
		for _, change := range with {
			change(&f.Request)
		}
		row, v := w.decide(t, f)
		same(t, "the rule", rule, v.Rule)
		return row
	}
	row = step(session.Replay, time.Second, first, id.Refresh{})
	row = step(session.Rotate, window, first, id.Refresh{})
	second := row.Newest
	row = step(session.Replay, time.Second, first, id.Refresh{})
	step(session.Read, window, second, first, func(r *session.Request) { r.ReadOnly = true })
	step(session.Stale, 0, second, first, func(r *session.Request) { r.ComposedAt = w.clock.Now().Add(-time.Hour) })
	step(session.Limited, 0, second, first, func(r *session.Request) { r.Policy.RotationLimit = 1 })
	row = step(session.Recover, 0, first, id.Refresh{})
	same(t, "the recoveries", 1, row.Recoveries)
	row = step(session.Adopt, window, second, first)
	same(t, "the parent", second, row.Parent)
	row = step(session.Replay, time.Second, row.Newest, row.Parent, func(r *session.Request) { r.Context.Agent = "curl" })
	same(t, "the foreign replays", 1, row.ForeignReplays)
	row = step(session.Theft, window, first, id.Refresh{})
	same(t, "the reason", session.Reused, row.EndReason)
	step(session.Revoked, time.Second, row.Newest, row.Parent)
	row = w.signIn(t, row.User)
	step(session.RanOut, 28*24*time.Hour, row.Newest, id.Refresh{})
}

// life is a random life of sessions.
type life struct {
	*rand.Rand
	known []link // tokens that were handed out, oldest first
}

type link struct{ token, parent id.Refresh }

func refreshLife(t *testing.T, w *world) {
	l := life{Rand: rand.New(rand.NewPCG(2, 71))}
	u := w.newUser(t)
	seen := map[session.Rule]int{}
	var row session.Row
	for range 250 {
		if seen[session.Create] == 0 || !row.EndedAt.IsZero() || !w.clock.Now().Before(row.ExpiresAt()) {
			row = w.signIn(t, u.ID)
			l.known = []link{{token: row.Newest}}
			seen[session.Create]++
		}
		w.clock.Move(l.wait())
		if l.IntN(8) == 0 {
			w.confirm(t, row.ID, l.known[len(l.known)-1].token)
		}
		var v session.Verdict
		row, v = w.decide(t, l.request(t, w, row))
		seen[v.Rule]++
		if v.Issues() {
			l.known = append(l.known, link{row.Newest, row.Parent})
		}
		if len(row.Trace.Entries) > session.TraceLimit {
			t.Fatalf("a trace of %d entries", len(row.Trace.Entries))
		}
	}
	for _, rule := range []session.Rule{session.Replay, session.Rotate, session.Recover, session.Adopt, session.Theft, session.Stale, session.Limited, session.Read} {
		if seen[rule] == 0 {
			t.Errorf("rule %q never came up", rule)
		}
	}
}

func (l life) wait() time.Duration {
	waits := []time.Duration{0, time.Millisecond, time.Second, window - time.Millisecond, window, window + time.Millisecond, time.Hour, -time.Minute}
	return waits[l.IntN(len(waits))]
}

func (l life) request(t testing.TB, w *world, row session.Row) session.Refresh {
	tokens := l.known[max(0, len(l.known)-3):]
	from := tokens[l.IntN(len(tokens))]
	if l.IntN(40) == 0 {
		from = link{id.NewRefresh(), from.token}
	}
	f := w.refresh(t, row.ID, from.token, from.parent)
	contexts := []session.Context{
		home, home, home, {}, {Agent: strings.Repeat("ä", 128)},
		{Network: netip.MustParsePrefix("2001:db8:1::/48"), Agent: home.Agent},
		{Network: netip.MustParsePrefix("::ffff:192.0.2.0/120")},
	}
	f.Request.Context = contexts[l.IntN(len(contexts))]
	f.Request.ReadOnly = l.IntN(10) == 0
	if l.IntN(10) == 0 {
		f.Request.ComposedAt = w.clock.Now().Add(-time.Duration(l.IntN(60)) * time.Second)
	}
	f.Request.Policy.ForeignReplay = policy.ForeignReplay(l.IntN(3))
	f.Request.Policy.Rotate = l.IntN(10) != 0
	if l.IntN(4) == 0 {
		f.Request.Policy.IdleTimeout = time.Hour
	}
	if l.IntN(4) == 0 {
		f.Request.Policy.RotationLimit = 2
	}
	return f
}

func refreshVersion(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	w.write(t, w.event(w.project.ID, audit.SettingsChanged))
	w.news(t)
	_, _, err := w.Sessions().Rotate(w.ctx, f)
	isErrVersion(t, err)
	// What would be theft isn't either: the token was checked with an old key.
	f.Request.Token = id.NewRefresh()
	_, _, err = w.Sessions().Rotate(w.ctx, f)
	isErrVersion(t, err)
	got, _ := w.find(t, row.ID)
	same(t, "the session", row, got)
	w.told(t)
	w.decided(t, w.newest(t, row), session.Rotate)
}

func refreshOver(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		row := w.signIn(t, w.newUser(t).ID)
		kill(row)
		w.news(t)
		for range 2 {
			got, v := w.decide(t, w.newest(t, row))
			rule, reason := session.Revoked, strings.TrimSpace(name)
			if name == "expired" {
				rule, reason = session.RanOut, ""
			}
			same(t, name+": the rule", rule, v.Rule)
			same(t, name+": the reason", session.Reason(reason), got.EndReason)
		}
	}
	// Enabling the user again doesn't bring back what a refresh found dead.
	row := w.signIn(t, w.newUser(t).ID)
	w.change(t, row.User, func(u *directory.User) { u.Status = directory.Disabled })
	w.decided(t, w.newest(t, row), session.Revoked)
	w.change(t, row.User, func(u *directory.User) { u.Status = directory.Enabled })
	w.decided(t, w.newest(t, row), session.Revoked)
}

func refreshRepeat(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	made := w.decided(t, f, session.Rotate)
	for range 5 {
		w.clock.Move(window / 10)
		f.Request.Next, f.SigningKey = id.NewRefresh(), id.NewKey(w.clock.Now())
		again := w.decided(t, f, session.Replay)
		same(t, "the token", made.Newest, again.Newest)
		same(t, "its parent", made.Parent, again.Parent)
		same(t, "the time of rotation", made.RotatedAt, again.RotatedAt)
		same(t, "the signing key", made.SigningKey, again.SigningKey)
	}
}

func refreshSlide(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.clock.Move(window)
	stolen := w.newest(t, row)
	row = w.decided(t, stolen, session.Rotate)
	for range 19 { // the thief repeats and repeats
		w.clock.Move(time.Second)
		again := w.decided(t, stolen, session.Replay)
		same(t, "the time of rotation", row.RotatedAt, again.RotatedAt)
	}
	// The last answer to that has a window to arrive, and no longer.
	w.clock.Move(window)
	w.decided(t, w.newest(t, row), session.Rotate)
	w.clock.Move(window)
	w.decided(t, stolen, session.Theft)
}

func refreshGrandparent(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	old := w.newest(t, row)
	for range 2 {
		w.clock.Move(window)
		row = w.decided(t, w.newest(t, row), session.Rotate)
	}
	w.clock.Move(time.Second) // even inside the window
	w.decided(t, old, session.Theft)
	w.decided(t, w.newest(t, row), session.Revoked)
}

func refreshLimit(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	refresh := func(rule session.Rule) session.Verdict {
		t.Helper()
		w.clock.Move(window)
		f := w.newest(t, row)
		f.Request.Policy.RotationLimit = 3
		got, v := w.decide(t, f)
		same(t, "the rule", rule, v.Rule)
		row = got
		return v
	}
	for range 3 {
		refresh(session.Rotate)
	}
	v := refresh(session.Limited)
	same(t, "the wait", policy.LimitWindow-3*window, v.RetryAfter)
	w.clock.Move(v.RetryAfter - 2*window)
	refresh(session.Limited)
	refresh(session.Rotate)
}
