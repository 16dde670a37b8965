package session_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// A mutant breaks one rule of the protocol. The model must find that out, by the
// invariant that the rule is there for. A mutant that survives says that a rule isn't
// needed, or that the model sees too little.
type mutant struct {
	name  string
	world bounds
	kill  string // the invariant
	protocol
}

// before mutates what Decide is given.
func before(change func(*session.State, *session.Subject, *session.Request, time.Time)) protocol {
	p := genuine()
	p.decide = func(s session.State, u session.Subject, r session.Request, now time.Time) (session.State, session.Verdict) {
		was := s
		change(&s, &u, &r, now)
		given := s
		s, v := session.Decide(s, u, r, now)
		// What Decide left alone is left alone.
		if s.ReplayedAt == given.ReplayedAt {
			s.ReplayedAt = was.ReplayedAt
		}
		if s.Confirmed == given.Confirmed && !v.Made() {
			s.Confirmed = was.Confirmed
		}
		if s.EndedAt.Equal(given.EndedAt) {
			s.EndedAt = was.EndedAt
		}
		return s, v
	}
	return p
}

// instead mutates what Decide returns: was is the state before.
func instead(change func(was session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict)) protocol {
	p := genuine()
	p.decide = func(was session.State, u session.Subject, r session.Request, now time.Time) (session.State, session.Verdict) {
		s, v := session.Decide(was, u, r, now)
		change(was, r, now, &s, &v)
		return s, v
	}
	return p
}

func restarting(change func(*session.State)) protocol {
	p := genuine()
	p.restart = func(s session.State) session.State {
		change(&s)
		return s
	}
	return p
}

// mint makes a new N in place of what was decided.
func mint(s *session.State, v *session.Verdict, rule session.Rule, r session.Request, now time.Time) {
	v.Rule = rule
	s.Newest, s.RotatedAt, s.ReplayedAt, s.Confirmed = r.Next, now, time.Time{}, false
	if rule != session.Recover {
		s.Parent = r.Token
	}
}

func accuse(was session.State, now time.Time, s *session.State, v *session.Verdict) {
	*s, v.Rule = was, session.Theft
	s.EndedAt, s.EndReason = now, session.Reused
}

func isSibling(s session.State, r session.Request) bool {
	return r.Parent == s.Parent && !s.Parent.IsZero() && r.Token != s.Newest
}

func small(b bounds) bounds {
	b.window, b.patience, b.flight = 3, 1, 2
	return b
}

func remembering(b bounds) bounds {
	b.old = true
	return b
}

func TestMutants(t *testing.T) {
	var all []mutant
	for _, part := range [][]mutant{
		windowMutants(), quietMutants(), staleMutants(), lineageMutants(), siblingMutants(), theftMutants(), readMutants(),
		confirmMutants(), endMutants(), crashMutants(),
	} {
		all = append(all, part...)
	}
	began, worlds := time.Now(), 0
	sound := map[bounds]bool{}
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel(tt.world, tt.protocol)
			b, schedule := m.explore()
			worlds += len(m.worlds)
			switch b.invariant {
			case "":
				t.Fatalf("it survives in %d worlds", len(m.worlds))
			case tt.kill:
				t.Logf("killed by %s: %s\n%s", b.invariant, b.how, schedule)
			default:
				t.Errorf("killed by %s (%s), not by %s\n%s", b.invariant, b.how, tt.kill, schedule)
			}
			// The same worlds are sound when the rule is in force.
			if !sound[tt.world] {
				sound[tt.world] = true
				if b, schedule := newModel(tt.world, genuine()).explore(); b.invariant != "" {
					t.Errorf("the protocol fails here too: %s\n%s", b.how, schedule)
				}
			}
		})
	}
	t.Logf("%d mutants, %d worlds, %.1f s", len(all), worlds, time.Since(began).Seconds())
}

func windowMutants() []mutant {
	theft := small(robbed())
	return []mutant{
		{"a: the window is measured from the last replay", theft, "I2", instead(func(_ session.State, _ session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay {
				s.RotatedAt = now
			}
		})},
		{"a: a replay makes a new token", lone(), "I3", instead(func(_ session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay {
				mint(s, v, session.Recover, r, now)
			}
		})},
		{"a: N is replaced inside the window", lone(), "I3", instead(func(was session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay && r.Token == was.Newest {
				mint(s, v, session.Rotate, r, now)
			}
		})},
		{"a: P is theft inside the window", lone(), "I6", instead(func(was session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay && r.Token == was.Parent {
				accuse(was, now, s, v)
			}
		})},
		{"a: P gets no refresh token inside the window", lone(), "I6", instead(func(was session.State, r session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay && r.Token == was.Parent {
				*s, v.Rule = was, session.Read
			}
		})},
	}
}

func quietMutants() []mutant {
	return []mutant{
		{"a: no quiet time", lone(), "I1", before(func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.ReplayedAt = time.Time{}
		})},
		{"a: a quiet time of half a window", lone(), "I1", before(func(s *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			if !s.ReplayedAt.IsZero() {
				s.ReplayedAt = s.ReplayedAt.Add(-r.Policy.ReuseWindow / 2)
			}
		})},
		{"a: the quiet time goes on with every read", lone(), "I2", instead(func(_ session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Read && !r.ReadOnly {
				s.ReplayedAt = now
			}
		})},
		{"a: N is replayed in the quiet time", lone(), "I1", instead(func(_ session.State, r session.Request, _ time.Time, _ *session.State, v *session.Verdict) {
			if v.Rule == session.Read && !r.ReadOnly {
				v.Rule = session.Replay
			}
		})},
	}
}

func staleMutants() []mutant {
	lingering := lingering()
	lingering.flight = 2
	return []mutant{
		{"f: stale isn't checked", lingering, "I1", before(func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.ComposedAt = time.Time{}
		})},
		{"f: stale only after a whole window", lingering, "I1", before(func(_ *session.State, _ *session.Subject, r *session.Request, now time.Time) {
			if now.Sub(r.ComposedAt) <= r.Policy.ReuseWindow {
				r.ComposedAt = time.Time{}
			}
		})},
		{"f: stale ends the session", lingering, "I1", instead(func(_ session.State, _ session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Stale {
				s.EndedAt = now
			}
		})},
	}
}

func lineageMutants() []mutant {
	theft := small(robbed())
	return []mutant{
		{"b: a rotation keeps P", theft, "I2", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Rotate && !was.Parent.IsZero() {
				s.Parent = was.Parent
			}
		})},
		{"b: a rotation doesn't start a window", lone(), "I3", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Rotate {
				s.RotatedAt = was.RotatedAt
			}
		})},
		{"c: no recovery", lone(), "I1", instead(func(was session.State, _ session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Recover {
				accuse(was, now, s, v)
			}
		})},
		{"c: a recovery makes N the parent", lone(), "I2", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Recover {
				s.Parent = was.Newest
			}
		})},
		{"c: a recovery doesn't start a window", lone(), "I3", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Recover {
				s.RotatedAt = was.RotatedAt
			}
		})},
	}
}

func siblingMutants() []mutant {
	return []mutant{
		{"d: no adoption", tardily(), "I1", instead(func(was session.State, _ session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Adopt {
				accuse(was, now, s, v)
			}
		})},
		{"d: adoption inside the window", tardily(), "I3", instead(func(was session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Replay && isSibling(was, r) {
				mint(s, v, session.Adopt, r, now)
			}
		})},
		{"d: an adoption keeps P", small(robbed()), "I2", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Adopt {
				s.Parent = was.Parent
			}
		})},
	}
}

func theftMutants() []mutant {
	theft := small(robbed())
	accept := func(old id.Refresh) protocol {
		return before(func(s *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			if r.Token == old && !s.Parent.IsZero() {
				r.Token = s.Parent
			}
		})
	}
	return []mutant{
		{"e: the parent of P is accepted", remembering(theft), "I2", accept(rid(grand))},
		{"e: siblings of P are accepted", remembering(theft), "I2", accept(rid(elder))},
		{"e: theft doesn't end the session", theft, "I4", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Rule == session.Theft {
				*s = was
			}
		})},
	}
}

func readMutants() []mutant {
	return []mutant{
		{"j: a read moves the lineage", lone(), "J", before(func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.ReadOnly = false
		})},
		{"j: a read accepts any token", small(robbed()), "J", instead(func(was session.State, r session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if r.ReadOnly && v.Rule == session.Theft {
				*s, v.Rule = was, session.Read
			}
		})},
	}
}
