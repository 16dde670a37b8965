package session_test

import (
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/latchkey-dev/latchkey/internal/session"
)

// I5: what a session takes doesn't depend on how often it was refreshed. State has no
// part that could grow, and is comparable; the trace is bounded, see TestTraceSize.
func TestSizeIsBounded(t *testing.T) {
	s := reflect.TypeFor[session.State]()
	for f := range s.Fields() {
		switch f.Type.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func:
			t.Errorf("%s can grow", f.Name)
		}
	}
	if !s.Comparable() {
		t.Error("states can't be compared")
	}
	if size := unsafe.Sizeof(session.State{}); size > 400 {
		t.Errorf("a state takes %d bytes", size)
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		given  []change
		want   session.Status
		reason session.Reason
	}{
		{"active", nil, session.Active, ""},
		{"ended", do(closed(session.Logout)), session.Over, session.Logout},
		{"ended and run out", do(closed(session.Reused), after(30*day)), session.Over, session.Reused},
		{"user deleted", do(func(e *exchange) { e.UserKnown = false }), session.Over, session.UserDeleted},
		{"user disabled", do(func(e *exchange) { e.UserEnabled = false }), session.Over, session.UserDisabled},
		{"user deleted and disabled", do(func(e *exchange) { e.Subject = session.Subject{} }), session.Over, session.UserDeleted},
		{"epoch of the user", do(func(e *exchange) { e.Subject.UserEpoch++ }), session.Over, session.Superseded},
		{"epoch of the project", do(func(e *exchange) { e.Subject.ProjectEpoch++ }), session.Over, session.Superseded},
		{"a session newer than the epoch", do(func(e *exchange) { e.State.UserEpoch++ }), session.Active, ""},
		{"the last millisecond", do(after(27*day - ms)), session.Active, ""},
		{"absolute time over", do(after(27 * day)), session.Expired, ""},
		{"idle time over", do(func(e *exchange) { e.IdleAt = e.now }), session.Expired, ""},
		{"idle time not over", do(func(e *exchange) { e.IdleAt = e.now.Add(ms) }), session.Active, ""},
	}
	for _, tt := range tests {
		e := ordinary()
		for _, c := range tt.given {
			c(&e)
		}
		got, reason := session.Row{State: e.State}.Status(e.Subject, e.now)
		if got != tt.want || reason != tt.reason {
			t.Errorf("%s: %s, %q", tt.name, got, reason)
		}
		// Whatever a session looks like from outside, it refreshes accordingly.
		if _, v := session.Decide(e.State, e.Subject, e.Request, e.now); v.Issues() != (got == session.Active) {
			t.Errorf("%s: %s, but a refresh is decided by %s", tt.name, got, v.Rule)
		}
	}
}

func TestOverAt(t *testing.T) {
	at := func(n int) time.Time { return rotatedAt.Add(time.Duration(n) * time.Hour) }
	tests := []struct {
		name          string
		s             session.State
		expires, over time.Time
	}{
		{"absolute", session.State{AbsoluteAt: at(3)}, at(3), at(3)},
		{"idle first", session.State{AbsoluteAt: at(3), IdleAt: at(2)}, at(2), at(2)},
		{"idle later", session.State{AbsoluteAt: at(3), IdleAt: at(4)}, at(3), at(3)},
		{"ended", session.State{AbsoluteAt: at(3), EndedAt: at(1)}, at(3), at(1)},
		{"ended, when it had run out", session.State{AbsoluteAt: at(3), EndedAt: at(5)}, at(3), at(3)},
	}
	for _, tt := range tests {
		if e, o := tt.s.ExpiresAt(), tt.s.OverAt(); e != tt.expires || o != tt.over {
			t.Errorf("%s: %v, %v", tt.name, e, o)
		}
	}
}

func TestInstant(t *testing.T) {
	now := time.Now()
	if got := session.Instant(now); got != time.UnixMilli(now.UnixMilli()).UTC() || got.Location() != time.UTC {
		t.Errorf("%v became %v", now, got)
	}
	if !session.Instant(time.Time{}).IsZero() || session.Instant(time.Time{}) != (time.Time{}) {
		t.Error("never became a time")
	}
}

func TestLastSeen(t *testing.T) {
	later := rotatedAt.Add(time.Hour)
	for _, tt := range []struct {
		s    session.State
		want time.Time
	}{
		{session.State{RotatedAt: rotatedAt}, rotatedAt},
		{session.State{RotatedAt: rotatedAt, ReplayedAt: later}, later},
		{session.State{RotatedAt: later, ReplayedAt: rotatedAt}, later}, // a clock was set back
	} {
		if got := tt.s.LastSeen(); got != tt.want {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
}
