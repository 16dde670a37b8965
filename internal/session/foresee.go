package session

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// Term is what tells how long a session lives under a policy.
type Term struct {
	ID      id.Session
	User    id.User
	Tenants []id.Tenant // that the user is a member of; nil unless TermQuery.Tenants
	State               // of which only that is set which RunsOut looks at
}

// Term returns the term of the session, whose user is a member of tenants.
func (r Row) Term(tenants []id.Tenant) Term {
	return Term{ID: r.ID, User: r.User, Tenants: tenants, State: State{
		CreatedAt: r.CreatedAt, AbsoluteAt: r.AbsoluteAt, IdleAt: r.IdleAt, IdleLimit: r.IdleLimit, RotatedAt: r.RotatedAt, ReplayedAt: r.ReplayedAt,
	}}
}

// TermQuery selects terms of a project's sessions.
type TermQuery struct {
	Project id.Project
	Tenants bool       // whether Term.Tenants are wanted
	After   id.Session // greater than this one
	Limit   int        // sessions to look at, at least 1
}

// PolicyChange is a change of what a project or one of its tenants decides.
type PolicyChange struct {
	Before, After policy.Rules

	// Members restricts what is looked at to sessions of the tenant's members; zero:
	// those of everybody.
	Members id.Tenant
}

// Fate is what a change of policy means for one session that isn't refreshed meanwhile.
type Fate struct {
	Session    id.Session
	User       id.User
	EndsAt     time.Time // under the policy of before
	WouldEndAt time.Time
}

// Foreseen is what a change of policy would do to the sessions that live now. Each of them
// is in one of the counts.
type Foreseen struct {
	Ended, Shortened, Extended, Unchanged Fates
}

// Fates are sessions with the same sort of fate.
type Fates struct {
	Count int
	First []Fate // the oldest sessions, MaxSample at most
}

// MaxSample bounds Fates.First.
const MaxSample = 20

func (f *Fates) add(fate Fate) {
	if f.Count++; len(f.First) < MaxSample {
		f.First = append(f.First, fate)
	}
}

// Live is how many sessions were looked at that live.
func (f Foreseen) Live() int {
	return f.Ended.Count + f.Shortened.Count + f.Extended.Count + f.Unchanged.Count
}

// stride is how many sessions one step of Foresee looks at, in about a millisecond.
const stride = 200

// Foresee says what a change of policy would do to the sessions that live now, and does
// nothing. It looks at every session, and stops when ctx ends.
//
// The steps of all calls together leave half of a core's time to others: however many
// ask at once, refreshes don't wait long for them, and each call takes the longer.
func (s *Service) Foresee(ctx context.Context, p id.Project, c PolicyChange) (Foreseen, error) {
	now := s.now()
	// What is made from now on isn't looked at: sign-ins could keep the call going.
	end := id.FirstSession(Instant(now).Add(time.Millisecond))
	q := TermQuery{Project: p, Tenants: c.tenants(), Limit: stride}
	var out Foreseen
	for {
		terms, next, err := s.terms(ctx, q)
		if err != nil {
			return Foreseen{}, err
		}
		for _, t := range terms {
			if t.ID.Compare(end) < 0 {
				out.add(t, c, now)
			}
		}
		if next.IsZero() || next.Compare(end) >= 0 {
			return out, nil
		}
		q.After = next
	}
}

// terms takes one step, when it is its turn, and ends its turn after a pause as long as
// the step. Without the pause the steps, which never wait for anything, would share the
// cores with refreshes to equal parts, and every refresh would wait for several of them
// on its way. The time of day tells how long a step took, so on a busy machine the
// pauses grow with the steps.
func (s *Service) terms(ctx context.Context, q TermQuery) ([]Term, id.Session, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, id.Session{}, ctx.Err()
	}
	defer func() { <-s.turn }()
	start := time.Now()
	terms, next, err := s.bulk.Terms(ctx, q)
	if err != nil {
		return nil, id.Session{}, err
	}
	pause := time.NewTimer(time.Since(start))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	return terms, next, ctx.Err()
}

// tenants reports whether it matters whose members users are.
func (c PolicyChange) tenants() bool {
	return len(c.Before.Tenants) > 0 || len(c.After.Tenants) > 0 || !c.Members.IsZero()
}

// add judges one session by the rule by which Decide lets it run out.
func (f *Foreseen) add(t Term, c PolicyChange, now time.Time) {
	if !c.Members.IsZero() && !slices.Contains(t.Tenants, c.Members) {
		return
	}
	fate := Fate{Session: t.ID, User: t.User, EndsAt: t.RunsOut(c.Before.For(t.Tenants)), WouldEndAt: t.RunsOut(c.After.For(t.Tenants))}
	switch {
	case !now.Before(fate.EndsAt): // over already, though nobody has tried to refresh it
	case !now.Before(fate.WouldEndAt):
		f.Ended.add(fate)
	case fate.WouldEndAt.Before(fate.EndsAt):
		f.Shortened.add(fate)
	case fate.WouldEndAt.After(fate.EndsAt):
		f.Extended.add(fate)
	default:
		f.Unchanged.add(fate)
	}
}
