package session_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func ageRows() []row {
	absolute := func(left time.Duration) change { return func(e *exchange) { e.AbsoluteAt = e.now.Add(left) } }
	idleFor := func(left time.Duration) change { return func(e *exchange) { e.IdleAt = e.now.Add(left) } }
	old := func(age time.Duration) change {
		return func(e *exchange) { e.CreatedAt, e.Policy.AbsoluteTimeout = e.now.Add(-age), time.Hour }
	}
	wide := func(e *exchange) { e.Policy.ReuseWindow = 2 * time.Minute }
	return []row{
		{"absolute: the last millisecond", do(absolute(ms)), verdict(session.Rotate), rotated},
		{"absolute: over", do(absolute(0)), verdict(session.RanOut), kept},
		{"absolute: over inside the window", do(after(time.Second), absolute(0)), verdict(session.RanOut), kept},
		{"absolute: over, the parent of P", do(absolute(0), presentGrand), verdict(session.RanOut), kept},
		{"absolute: over, read", do(absolute(0), readOnly), verdict(session.RanOut), kept},
		{"absolute: shortened, the last millisecond", do(old(time.Hour - ms)), verdict(session.Rotate), rotated},
		{"absolute: shortened, over", do(old(time.Hour)), verdict(session.RanOut), kept},
		{"idle: the last millisecond", do(idleFor(ms), idle), verdict(session.Rotate), moved},
		{"idle: over", do(idleFor(0), idle), verdict(session.RanOut), kept},
		{"idle: over, though switched off since", do(idleFor(-time.Hour)), verdict(session.RanOut), kept},
		{"idle: switched off", do(idleFor(time.Hour)), verdict(session.Rotate), func(e *exchange) { rotated(e); e.IdleAt = time.Time{} }},
		{"idle: a replay doesn't move it", do(idleFor(time.Hour), idle, after(time.Second), idleFor(time.Hour)), verdict(session.Replay), again},
		{"f: not said", do(), verdict(session.Rotate), rotated},
		{"f: in time", do(composed(window / 2)), verdict(session.Rotate), rotated},
		{"f: stale", do(composed(window/2 + ms)), verdict(session.Stale), kept},
		{"f: stale, inside the window", do(after(time.Second), composed(window/2+ms)), verdict(session.Stale), kept},
		{"f: stale, the parent of P", do(presentGrand, composed(time.Hour)), verdict(session.Stale), kept},
		{"f: stale, read", do(readOnly, composed(time.Hour)), verdict(session.Stale), kept},
		{"f: half of a wide window", do(wide, composed(time.Minute)), verdict(session.Rotate), rotated},
		{"f: over half of a wide window", do(wide, composed(time.Minute+ms)), verdict(session.Stale), kept},
		{"f: no window, in time", do(noWindow, composed(session.MinStale)), verdict(session.Rotate), rotated},
		{"f: no window, stale", do(noWindow, composed(session.MinStale+ms)), verdict(session.Stale), kept},
		{"f: a client whose clock is ahead", do(composed(-time.Hour)), verdict(session.Rotate), rotated},
	}
}

// full has as many rotations as are allowed, five minutes ago.
func full(e *exchange) { counted(5, 5*time.Minute)(e) }

func counted(n int, age time.Duration) change {
	return func(e *exchange) { e.LimitFrom, e.LimitCount = e.now.Add(-age), n }
}

func limitRows() []row {
	wait := func(d time.Duration) session.Verdict { return session.Verdict{Rule: session.Limited, RetryAfter: d} }
	one := func(e *exchange) { rotated(e); e.LimitCount++ }
	anew := func(e *exchange) { rotated(e); e.LimitFrom, e.LimitCount = e.now, 1 }
	return []row{
		{"limit: the last one", do(counted(4, 5*time.Minute)), verdict(session.Rotate), one},
		{"limit: one too many", do(full), wait(10 * time.Minute), kept},
		{"limit: P", do(full, presentP), wait(10 * time.Minute), kept},
		{"limit: an older sibling", do(full, presentSibling), wait(10 * time.Minute), kept},
		{"limit: lowered since", do(counted(50, 5*time.Minute)), wait(10 * time.Minute), kept},
		{"limit: at once", do(counted(5, 0)), wait(policy.LimitWindow), kept},
		{"limit: the last millisecond", do(counted(5, policy.LimitWindow-ms)), wait(ms), kept},
		{"limit: a new span", do(counted(5, policy.LimitWindow)), verdict(session.Rotate), anew},
		{"limit: a clock set back by an hour", do(counted(5, -time.Hour)), verdict(session.Rotate), anew},
		{"limit: a clock an hour ahead", do(counted(5, time.Hour)), verdict(session.Rotate), anew},
		{"limit: a replay isn't counted", do(after(time.Second), full), verdict(session.Replay), again},
		{"limit: a thief is found out all the same", do(full, presentGrand), verdict(session.Theft), caught},
		{"limit: without rotation", do(full, neverRotate), wait(10 * time.Minute), kept},
		{"limit: without rotation, P", do(full, neverRotate, presentP), wait(10 * time.Minute), kept},
		{"limit: without rotation, the last one", do(counted(4, 5*time.Minute), neverRotate), verdict(session.Replay), func(e *exchange) { again(e); e.LimitCount++ }},
		{"limit: without rotation, a replay", do(after(time.Second), full, neverRotate), verdict(session.Replay), again},
		{"limit: without rotation, read", do(full, neverRotate, readOnly), verdict(session.Read), kept},
	}
}

func policyRows() []row {
	told := session.Verdict{Rule: session.Replay, Foreign: true}
	refreshed := func(e *exchange) { again(e); e.LimitFrom, e.LimitCount = e.now, 1 }
	idled := func(e *exchange) { refreshed(e); e.IdleAt = e.now.Add(time.Hour) }
	second := func(e *exchange) { e.ForeignReplays = 1 }
	return []row{
		{"never: N", do(neverRotate), verdict(session.Replay), refreshed},
		{"never: N, with an idle timeout", do(neverRotate, idle), verdict(session.Replay), idled},
		{"never: P of the time before", do(neverRotate, presentP), verdict(session.Replay), refreshed},
		{"never: P, confirmed", do(neverRotate, presentP, confirm), verdict(session.Theft), caught},
		{"never: the parent of P", do(neverRotate, presentGrand), verdict(session.Theft), caught},
		{"never: from abroad, unnoticed", do(neverRotate, from(abroad, policy.AllowForeign)), verdict(session.Replay), refreshed},
		{"never: from abroad", do(neverRotate, idle, from(abroad, policy.EndForeign)), told, func(e *exchange) { idled(e); e.ForeignReplays++ }},
		{
			"never: from abroad, the second", do(neverRotate, second, from(abroad, policy.EndForeign)),
			session.Verdict{Rule: session.Theft, Foreign: true}, func(e *exchange) { refreshed(e); e.ForeignReplays++; caught(e) },
		},
		{"always again: soon after a refresh", do(replayed(10*time.Minute - ms)), verdict(session.Read), kept},
		{"a rotation takes the context over", do(from(abroad, policy.EndForeign)), verdict(session.Rotate), rotated},
		{"a rotation moves the idle time", do(idle), verdict(session.Rotate), moved},
	}
}

// The count is exact: n rotations in a span, then none until the span is over, whatever
// happened between.
func TestLimitIsExact(t *testing.T) {
	e := ordinary()
	s, began := e.State, e.now
	for i, now := 0, e.now; i < 3*e.Policy.RotationLimit; now = now.Add(window) {
		r := e.Request
		r.Token, r.Parent, r.Next[1] = s.Newest, s.Parent, byte(i)
		next, v := session.Decide(s, e.Subject, r, now)
		span := i / e.Policy.RotationLimit
		opens := began.Add(time.Duration(span) * policy.LimitWindow)
		switch {
		case v.Rule == session.Rotate && !now.Before(opens):
			i++
		case v.Rule != session.Limited || !now.Before(opens) || now.Add(v.RetryAfter) != opens || next != s:
			t.Fatalf("rotation %d at %v: %+v, the span opens at %v", i, now.Sub(began), v, opens.Sub(began))
		}
		s = next
	}
}

func TestArrived(t *testing.T) {
	tests := []struct {
		name  string
		given []change
		want  bool
	}{
		{"after the window", do(after(window)), true},
		{"in the last millisecond of the window", do(after(window - ms)), false},
		{"a clock set back", do(after(-time.Hour)), false},
		{"no window", do(noWindow, after(0)), true},
		{"in the quiet time", do(after(window), replayed(window-ms)), true},
		{"P", do(presentP), false},
		{"an older sibling", do(presentSibling), false},
		{"the first token of a session", do(presentFirst), true},
		{"once more", do(confirm), false},
		{"an ended session", do(closed(session.Logout)), false},
	}
	for _, tt := range tests {
		e := ordinary()
		for _, c := range tt.given {
			c(&e)
		}
		want := e.State
		if tt.want {
			want.Confirmed = true
		}
		got, ok := session.Arrived(e.State, e.Token, e.Policy.ReuseWindow, e.now)
		if got != want || ok != tt.want {
			t.Errorf("%s: %v, %+v", tt.name, ok, got)
		}
	}
}
