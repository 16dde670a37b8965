package session_test

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// protocol is what the model runs: the real functions, or mutants of them.
type protocol struct {
	decide  func(session.State, session.Subject, session.Request, time.Time) (session.State, session.Verdict)
	arrived func(session.State, id.Refresh, time.Duration, time.Time) (session.State, bool)
	restart func(session.State) session.State // what a crash leaves; nil: everything
	// readNewest: the session token of an answer without a refresh token names N, not
	// the token that was presented.
	readNewest bool
}

func genuine() protocol {
	return protocol{decide: session.Decide, arrived: session.Arrived}
}

var modelNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rid and prt are the ids of the token in a role.
func rid(t role) id.Refresh { return id.Refresh{0: 0xA0, 11: byte(t) + 1} }

func (w *world) prt(t role) id.Refresh {
	switch t {
	case newest, unborn:
		if w.is(orphan) {
			return id.Refresh{}
		}
		return rid(parent)
	case parent, elder:
		return rid(grand)
	case dead, grand:
		return rid(dead)
	}
	return rid(parent)
}

// state is what the server stores in this world.
func (m *model) state(w *world) session.State {
	s := session.State{
		Newest:     rid(newest),
		RotatedAt:  m.ago[w.rotate],
		Confirmed:  w.is(confirmed),
		CreatedAt:  m.ago[0],
		AbsoluteAt: m.end,
	}
	if !w.is(orphan) {
		s.Parent = rid(parent)
	}
	if w.replay < uint8(m.window) {
		s.ReplayedAt = m.ago[w.replay]
	}
	if w.is(ended) {
		s.EndedAt, s.EndReason = m.ago[0], session.Ended
	}
	return s
}

// refresh lets the server decide about a token that was presented in a request of an
// age.
func (m *model) refresh(w *world, t role, age uint8, readOnly bool) (session.State, session.Verdict) {
	r := session.Request{
		Token: rid(t), Parent: w.prt(t), Next: rid(unborn), ReadOnly: readOnly, Policy: m.policy,
	}
	if m.linger > 0 {
		r.ComposedAt = m.ago[age]
	}
	u := session.Subject{UserKnown: true, UserEnabled: true}
	if w.is(outdated) {
		u.UserEpoch = 1
	}
	return m.decide(m.state(w), u, r, modelNow)
}

func (b bounds) policy() policy.Policy {
	return policy.Policy{
		SessionTokenTTL: time.Minute, AbsoluteTimeout: 1000 * time.Hour, ReuseWindow: time.Duration(b.window) * b.tick,
		RotationLimit: 1000, Rotate: true,
	}
}

// store makes s the server's state, and gives every token its new role.
func (m *model) store(w *world, s session.State) moves {
	var v moves
	v.places = [3]int{0, 1, 2}
	live := func(t role) bool { return t >= newest && t < siblingEnd }
	for t := range v.roles {
		t := role(t)
		switch {
		case t == nothing:
			v.roles[t] = nothing
		case rid(t) == s.Newest:
			v.roles[t] = newest
		case rid(t) == s.Parent:
			v.roles[t] = parent
		case !s.Parent.IsZero() && w.prt(t) == s.Parent && live(t):
			v.roles[t] = t
			if t == newest {
				v.roles[t] = m.free(w)
			}
		case !m.old || t == dead:
			v.roles[t] = dead
		case s.Parent == rid(parent) || w.is(orphan) && s.Parent.IsZero():
			v.roles[t] = t // the generation hasn't changed
		case t == parent:
			v.roles[t] = grand
		case live(t):
			v.roles[t] = elder
		default:
			v.roles[t] = dead
		}
	}
	if s.Newest != rid(newest) || !(s.Parent == rid(parent) || s.Parent.IsZero()) {
		w.rename(v.roles)
		w.mint = 0
		w.set(known|proven, false)
	}
	w.rotate, w.replay = m.since(s.RotatedAt), m.since(s.ReplayedAt)
	w.set(orphan, s.Parent.IsZero())
	w.set(confirmed, s.Confirmed)
	w.set(ended, !s.EndedAt.IsZero())
	return v
}

// free is a role for a token that becomes an older sibling.
func (m *model) free(w *world) role {
	for t := sibling; t < siblingEnd; t++ {
		if w.jar != t && w.flight[0].token() != t && w.flight[1].token() != t && w.flight[2].token() != t {
			return t
		}
	}
	panic("more siblings than requests")
}

func (m *model) since(at time.Time) uint8 {
	return uint8(min(modelNow.Sub(at)/m.tick, time.Duration(2*m.window)))
}
