package session_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func confirmMutants() []mutant {
	theft := small(robbed())
	arrived := func(f func(session.State, id.Refresh, time.Duration, time.Time) (session.State, bool)) protocol {
		p := genuine()
		p.arrived = f
		return p
	}
	named := genuine()
	named.readNewest = true
	return []mutant{
		{"g: P doesn't die", theft, "I2", before(func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.Confirmed = false
		})},
		{"g: older siblings don't die", theft, "I2", before(func(s *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			if isSibling(*s, *r) {
				s.Confirmed = false
			}
		})},
		{"g: a confirmation counts at once", lone(), "I1", instead(func(was session.State, r session.Request, now time.Time, s *session.State, v *session.Verdict) {
			if v.Issues() && was.Confirmed && r.Token != was.Newest {
				accuse(was, now, s, v)
			}
		})},
		{"g: a new token counts as confirmed", lone(), "I1", instead(func(was session.State, _ session.Request, _ time.Time, s *session.State, v *session.Verdict) {
			if v.Made() {
				s.Confirmed = was.Confirmed
			}
		})},
		{"g: a confirmation is kept from inside the window", tardily(), "I1", arrived(func(s session.State, token id.Refresh, _ time.Duration, now time.Time) (session.State, bool) {
			return session.Arrived(s, token, 0, now)
		})},
		{"g: any token confirms N", lone(), "I1", arrived(func(s session.State, _ id.Refresh, window time.Duration, now time.Time) (session.State, bool) {
			return session.Arrived(s, s.Newest, window, now)
		})},
		{"g: an answer without a refresh token confirms N", lone(), "I1", named},
	}
}

func endMutants() []mutant {
	return []mutant{
		{"i: an end isn't checked", lone(), "I4", before(func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.EndedAt = time.Time{}
		})},
		{"i: an end isn't checked inside the window", lone(), "I4", instead(func(was session.State, _ session.Request, _ time.Time, _ *session.State, v *session.Verdict) {
			if v.Rule == session.Revoked && !was.ReplayedAt.IsZero() {
				v.Rule = session.Replay
			}
		})},
		{"i: an epoch isn't checked", lone(), "I4", before(func(_ *session.State, u *session.Subject, _ *session.Request, _ time.Time) {
			u.UserEpoch = 0
		})},
	}
}

// What a restart must find again, or I7 is broken.
func crashMutants() []mutant {
	return []mutant{
		{"crash: an end is forgotten", lone(), "I4", restarting(func(s *session.State) { s.EndedAt = time.Time{} })},
		{"crash: the window is forgotten", lone(), "I3", restarting(func(s *session.State) { s.RotatedAt = time.Time{} })},
		{"crash: the quiet time is forgotten", lone(), "I1", restarting(func(s *session.State) { s.ReplayedAt = time.Time{} })},
		{"crash: a confirmation is forgotten", small(robbed()), "I2", restarting(func(s *session.State) { s.Confirmed = false })},
		{"crash: a rotation is forgotten", remembering(lone()), "I1", restarting(func(s *session.State) {
			if !s.Parent.IsZero() {
				s.Newest, s.Parent = s.Parent, rid(grand)
			}
		})},
	}
}

// Rules that the model doesn't show, because they don't depend on an order of events,
// are held by the table of decisions.
func TestTableMutants(t *testing.T) {
	type decision = func(*session.State, *session.Subject, *session.Request, time.Time)
	for name, change := range map[string]decision{
		"k: foreign replays go unnoticed": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Policy.ForeignReplay = policy.AllowForeign
		},
		"k: foreign replays never end a session": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Policy.ForeignReplay = min(r.Policy.ForeignReplay, policy.AlertForeign)
		},
		"k: the first foreign replay ends the session": func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.ForeignReplays++
		},
		"k: only networks are compared": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Context.Agent = ""
		},
		"k: only agents are compared": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Context.Network = home.Network
		},
		"limit: none": func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.LimitCount = 0
		},
		"limit: one less": func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.LimitCount++
		},
		"limit: the span never ends": func(s *session.State, _ *session.Subject, _ *session.Request, now time.Time) {
			s.LimitFrom = now
		},
		"absolute: not checked": func(s *session.State, _ *session.Subject, _ *session.Request, now time.Time) {
			s.AbsoluteAt = now.Add(time.Hour)
		},
		"absolute: a shorter one spares old sessions": func(s *session.State, _ *session.Subject, _ *session.Request, now time.Time) {
			s.CreatedAt = now
		},
		"idle: not checked": func(s *session.State, _ *session.Subject, _ *session.Request, _ time.Time) {
			s.IdleAt = time.Time{}
		},
		"idle: not moved": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Policy.IdleTimeout = 0
		},
		"i: a disabled user": func(_ *session.State, u *session.Subject, _ *session.Request, _ time.Time) {
			u.UserEnabled = true
		},
		"i: a deleted user": func(_ *session.State, u *session.Subject, _ *session.Request, _ time.Time) {
			u.UserKnown = true
		},
		"i: the epoch of the project": func(_ *session.State, u *session.Subject, _ *session.Request, _ time.Time) {
			u.ProjectEpoch = 0
		},
		"never: it rotates all the same": func(_ *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			r.Policy.Rotate = true
		},
		"never: no limit": func(s *session.State, _ *session.Subject, r *session.Request, _ time.Time) {
			if !r.Policy.Rotate {
				s.LimitCount = 0
			}
		},
		"never: foreign refreshes go unnoticed": func(s *session.State, _ *session.Subject, r *session.Request, now time.Time) {
			if !r.Policy.Rotate && now.Sub(s.RotatedAt) >= r.Policy.ReuseWindow {
				r.Policy.ForeignReplay = policy.AllowForeign
			}
		},
		"f: a short window makes slow requests stale": func(_ *session.State, _ *session.Subject, r *session.Request, now time.Time) {
			if now.Sub(r.ComposedAt) > r.Policy.ReuseWindow/2 {
				r.ComposedAt = now.Add(-time.Hour)
			}
		},
	} {
		if len(failures(before(change))) == 0 {
			t.Errorf("%s: the table of decisions doesn't notice", name)
		}
	}
}
