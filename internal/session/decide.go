package session

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// Rule names the rule that decided a request.
type Rule uint8

// The rules of refresh rotation. Create, Confirm and End never come out of Decide:
// they are what else a trace shows.
const (
	Create  Rule = iota // the session was made
	Replay              // inside the reuse window, or without rotation: N is handed out again
	Rotate              // N was presented: it becomes P and gets a child
	Recover             // P came back and nobody has used N: a sibling of N is made
	Adopt               // an older sibling of N came first: it becomes P and gets a child
	Theft               // a token that can't be in its only holder's hands
	Stale               // the request was composed too long ago to be judged
	Revoked             // the session, its user or its project was ended
	RanOut              // the absolute or idle time is over
	Limited             // too many rotations, or refreshes without rotation
	Read                // a session token only; the lineage is untouched
	Confirm             // N is known to have arrived
	End                 // the session was ended on request
)

// MinStale is the least age at which a request counts as stale. Below it a network's
// ordinary delay would be refused when the reuse window is short or off. So under a
// window of twice MinStale, composedAt alone doesn't protect a holder whose network
// delivers requests that were given up.
const MinStale = 10 * time.Second

// Request is one refresh, as Decide sees it. The presented token's signature or MAC
// has been checked: what isn't authentic never gets here.
type Request struct {
	Token      id.Refresh // rid of the presented token, never zero
	Parent     id.Refresh // its prt
	Next       id.Refresh // a fresh id, for the token that may be made
	ComposedAt time.Time  // when the client says that it composed the request; zero: not said
	Context    Context
	ReadOnly   bool // rotate=never, from an authenticated caller
	Policy     policy.Policy
}

// Verdict is what Decide found.
type Verdict struct {
	Rule       Rule
	Foreign    bool          // Replay or Theft: the context differs from that of the rotation
	At         time.Time     // when it was decided, by the store's clock
	Age        time.Duration // since the last rotation
	RetryAfter time.Duration // Limited: when the next rotation is allowed

	// Behind is how far the store's clock is behind an instant that it has shown
	// before. It is the store's to say, not Decide's; zero unless the clock was set back.
	Behind time.Duration

	// Granted says that the user has grants, which a token must show. It is Apply's to
	// say, like Moved: that the session has changed to Move.Tenant.
	Granted, Moved bool
}

// Issues reports whether the verdict hands out tokens.
func (v Verdict) Issues() bool {
	switch v.Rule {
	case Replay, Rotate, Recover, Adopt, Read:
		return true
	}
	return false
}

// Made reports whether the verdict made a new refresh token: Request.Next is N now.
func (v Verdict) Made() bool { return v.Rule == Rotate || v.Rule == Recover || v.Rule == Adopt }

// Decide says what one refresh means and how it changes the state. It is pure: every
// store runs it inside the transaction of the refresh, and the model checker explores
// it exhaustively. Time goes in once, so one decision knows one now.
//
// The only holder of a session is never taken for a thief, whatever the network
// loses, delays or puts in another order, if clients give up a request, and drop its
// answer, less than half of the reuse window after composing it.
//
// Key-bound sessions will be refused here, before the lineage is looked at, when the
// proof of the key is missing or by another key: without a change of state, since a
// thief without the key can do nothing with the token.
func Decide(s State, u Subject, r Request, now time.Time) (State, Verdict) {
	v := Verdict{At: now, Age: now.Sub(s.RotatedAt)}
	switch {
	case !s.EndedAt.IsZero():
		v.Rule = Revoked
	case u.dead(s) != "":
		v.Rule = Revoked
		s.EndedAt, s.EndReason = now, u.dead(s)
	case !now.Before(s.RunsOut(r.Policy)):
		v.Rule = RanOut
	case !r.ComposedAt.IsZero() && now.Sub(r.ComposedAt) > max(r.Policy.ReuseWindow/2, MinStale):
		// Half, because such a request may carry a token that was replaced in its
		// holder's jar only half a window after it was replaced here.
		v.Rule = Stale
	default:
		return s.lineage(r, v, now)
	}
	return s, v
}

// lineage decides for a session that lives.
func (s State) lineage(r Request, v Verdict, now time.Time) (State, Verdict) {
	inWindow, quiet := v.Age < r.Policy.ReuseWindow, s.quiet(r.Policy, now)
	switch {
	case !s.live(r, inWindow || quiet):
		return s.theft(v, now)
	case r.ReadOnly:
		v.Rule = Read
		return s, v
	case inWindow:
		return s.replay(r, v, now)
	case quiet && r.Policy.Rotate:
		v.Rule = Read
		return s, v
	}
	if wait := s.limit(r.Policy, now); wait > 0 {
		v.Rule, v.RetryAfter = Limited, wait
		return s, v
	}
	if !r.Policy.Rotate {
		// N isn't replaced, but a refresh still shows that the session isn't idle.
		s.IdleAt = s.idleAt(now, r.Policy)
		return s.replay(r, v, now)
	}
	return s.mint(r, v, now)
}

// live reports whether the only holder may still have the token: N itself; P, while
// nothing shows that N arrived; and an older sibling of N, likewise, since the answer
// that carried it may be the one that arrived. Confirmed doesn't count while requests
// that were composed before N arrived may still be on their way.
func (s State) live(r Request, underway bool) bool {
	if r.Token == s.Newest {
		return true
	}
	isChild := r.Parent == s.Parent && !s.Parent.IsZero()
	return (r.Token == s.Parent || isChild) && (underway || !s.Confirmed)
}

// quiet reports whether N was handed out again so late that, though the window is over,
// that answer or a request composed before it came may still be on its way. Such a
// request carries P; if N were replaced now, that would be a token two generations old,
// and its only holder would look like a thief. Whoever comes in the quiet time gets a
// session token only. It isn't prolonged by that, so it is over when the window has
// been over for as long as it was open.
func (s State) quiet(p policy.Policy, now time.Time) bool {
	return !s.ReplayedAt.IsZero() && now.Sub(s.ReplayedAt) < p.ReuseWindow
}

// mint replaces N by a child of the presented token, which is live; or, when that is P,
// by another child of P.
func (s State) mint(r Request, v Verdict, now time.Time) (State, Verdict) {
	switch r.Token {
	case s.Newest:
		v.Rule = Rotate
	case s.Parent:
		v.Rule = Recover
		s.Recoveries++
	default:
		v.Rule = Adopt
	}
	s.Parent, s.Newest = r.Token, r.Next
	s.RotatedAt, s.ReplayedAt, s.Confirmed, s.Context = now, time.Time{}, false, r.Context
	s.IdleAt = s.idleAt(now, r.Policy)
	return s, v
}

// replay hands out N again to whoever holds a live token inside the window, so that
// racing requests, reordered answers and repeated requests converge on one token. That
// includes an older sibling of N: adopting it here would be a second rotation in one
// window. RotatedAt stays: a window that slid would let two holders live side by side.
func (s State) replay(r Request, v Verdict, now time.Time) (State, Verdict) {
	v.Rule = Replay
	s.ReplayedAt = now
	if r.Policy.ForeignReplay == policy.AllowForeign || !r.Context.foreign(s.Context) {
		return s, v
	}
	v.Foreign = true
	s.ForeignReplays++
	if r.Policy.ForeignReplay == policy.EndForeign && s.ForeignReplays > 1 {
		return s.theft(v, now)
	}
	return s, v
}

// theft ends the session: two holders are proven.
func (s State) theft(v Verdict, now time.Time) (State, Verdict) {
	v.Rule = Theft
	s.EndedAt, s.EndReason = now, Reused
	return s, v
}

// limit counts a rotation, or a refresh outside the reuse window without one, and
// returns how long the next has to wait, zero when this one is allowed. The span is anchored at its first rotation; a clock set back
// starts a new one rather than locking the session out.
func (s *State) limit(p policy.Policy, now time.Time) time.Duration {
	age := now.Sub(s.LimitFrom)
	if s.LimitFrom.IsZero() || age < 0 || age >= policy.LimitWindow {
		s.LimitFrom, s.LimitCount = now, 1
		return 0
	}
	if s.LimitCount >= p.RotationLimit {
		return policy.LimitWindow - age
	}
	s.LimitCount++
	return 0
}

func (s State) idleAt(now time.Time, p policy.Policy) time.Time {
	idle := s.idle(p)
	if idle == 0 {
		return time.Time{}
	}
	return now.Add(idle)
}

// Arrived confirms N when token is N, after the window. Inside the window it changes
// nothing: an answer with an older token may still be on its way to the same holder
// and replace N there, and calling that theft would log out an honest user.
func Arrived(s State, token id.Refresh, window time.Duration, now time.Time) (State, bool) {
	if s.Confirmed || token != s.Newest || !s.EndedAt.IsZero() || now.Sub(s.RotatedAt) < window {
		return s, false
	}
	s.Confirmed = true
	return s, true
}
