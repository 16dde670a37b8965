package session_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// terms is a store that has nothing but terms.
type terms struct {
	session.BulkStore
	list  []session.Term
	asked []session.TermQuery
	after func(step int) error
}

func (s *terms) Terms(ctx context.Context, q session.TermQuery) ([]session.Term, id.Session, error) {
	s.asked = append(s.asked, q)
	if s.after != nil {
		if err := s.after(len(s.asked)); err != nil {
			return nil, id.Session{}, err
		}
	}
	from, _ := slices.BinarySearchFunc(s.list, q.After, func(t session.Term, at id.Session) int { return t.ID.Compare(at) })
	if !q.After.IsZero() {
		from++
	}
	to := min(from+q.Limit, len(s.list))
	if to == len(s.list) {
		return s.list[from:to], id.Session{}, nil
	}
	return s.list[from:to], s.list[to-1].ID, nil
}

// foreseer is a Service on terms at a time.
func foreseer(t *testing.T, s *terms, now time.Time) *session.Service {
	t.Helper()
	slices.SortFunc(s.list, func(a, b session.Term) int { return a.ID.Compare(b.ID) })
	o := newOffice(t)
	service, err := session.New(session.Deps{Store: o.store.Sessions(), Bulk: s, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func deciding(change func(*policy.Policy), tenants map[id.Tenant]latchkey.TenantSettings) policy.Rules {
	p := policy.Of(policy.Defaults())
	if change != nil {
		change(&p)
	}
	return policy.Rules{Project: p, Tenants: tenants}
}

func TestForesee(t *testing.T) {
	now := opening
	strict, other := id.NewTenant(now), id.NewTenant(now)
	term := func(age, quiet time.Duration, tenants ...id.Tenant) session.Term {
		made := now.Add(-age)
		return session.Term{ID: id.NewSession(made), User: id.NewUser(made), Tenants: tenants, State: session.State{
			CreatedAt: made, AbsoluteAt: made.Add(28 * day), RotatedAt: now.Add(-quiet),
		}}
	}
	young, old, idle, member, both := term(time.Hour, 0), term(10*day, 0), term(5*day, 2*day), term(9*day, 3*day, strict), term(8*day, 3*day, other, strict)
	everybody := []session.Term{young, old, idle, member, both}
	hour, week := latchkey.Duration(time.Hour), latchkey.Duration(7*day)
	override := func(s latchkey.TenantSettings) map[id.Tenant]latchkey.TenantSettings {
		return map[id.Tenant]latchkey.TenantSettings{strict: s}
	}
	for name, c := range map[string]struct {
		change                                session.PolicyChange
		ended, shortened, extended, unchanged []session.Term
	}{
		"nothing": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(nil, nil)}, nil, nil, nil, everybody},
		"absolute timeout of a week": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 7 * day }, nil)},
			[]session.Term{old, member, both}, []session.Term{young, idle}, nil, nil},
		"idle timeout of two and a half days": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.IdleTimeout = 60 * time.Hour }, nil)},
			[]session.Term{member, both}, []session.Term{young, old, idle}, nil, nil},
		"exactly at its end": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.IdleTimeout = 2 * day }, nil)},
			[]session.Term{idle, member, both}, []session.Term{young, old}, nil, nil},
		"what is over already": {session.PolicyChange{
			Before: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 9 * day }, nil), After: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 7 * day }, nil)},
			[]session.Term{both}, []session.Term{young, idle}, nil, nil},
		"laxer": {session.PolicyChange{Before: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 9 * day }, nil), After: deciding(nil, nil)},
			nil, nil, []session.Term{young, idle, both}, nil},
		"more than the session has": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 90 * day }, nil)},
			nil, nil, nil, everybody},
		"other settings": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.SessionTokenTTL, p.MaxSessions = time.Minute, 1 }, nil)},
			nil, nil, nil, everybody},
		"an override": {session.PolicyChange{Before: deciding(nil, nil), After: deciding(nil, override(latchkey.TenantSettings{IdleTimeout: &hour}))},
			[]session.Term{member, both}, nil, nil, []session.Term{young, old, idle}},
		"the members alone": {session.PolicyChange{Members: strict, Before: deciding(nil, nil), After: deciding(nil, override(latchkey.TenantSettings{AbsoluteTimeout: new(latchkey.Duration(8*day + 1))}))},
			[]session.Term{member}, []session.Term{both}, nil, nil},
		"an override that has no effect": {session.PolicyChange{
			Before: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 20 * day }, nil),
			After:  deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 20 * day }, override(latchkey.TenantSettings{AbsoluteTimeout: new(latchkey.Duration(21 * day))}))},
			nil, nil, nil, everybody},
		"an override taken away": {session.PolicyChange{Before: deciding(nil, override(latchkey.TenantSettings{AbsoluteTimeout: new(latchkey.Duration(9 * day))})), After: deciding(nil, nil)},
			nil, nil, []session.Term{both}, []session.Term{young, old, idle}},
		"the project under an override": {session.PolicyChange{
			Before: deciding(nil, override(latchkey.TenantSettings{AbsoluteTimeout: &week})),
			After:  deciding(func(p *policy.Policy) { p.AbsoluteTimeout = 6 * day }, override(latchkey.TenantSettings{AbsoluteTimeout: &week}))},
			[]session.Term{old}, []session.Term{young, idle}, nil, nil},
	} {
		got, err := foreseer(t, &terms{list: slices.Clone(everybody)}, now).Foresee(t.Context(), id.NewProject(now), c.change)
		if err != nil {
			t.Fatal(err)
		}
		for sort, pair := range map[string]struct {
			got  session.Fates
			want []session.Term
		}{"ended": {got.Ended, c.ended}, "shortened": {got.Shortened, c.shortened}, "extended": {got.Extended, c.extended}, "unchanged": {got.Unchanged, c.unchanged}} {
			if pair.got.Count != len(pair.want) || len(pair.got.First) != len(pair.want) {
				t.Errorf("%s, %s: %d, want %d", name, sort, pair.got.Count, len(pair.want))
				continue
			}
			for _, f := range pair.got.First {
				i := slices.IndexFunc(pair.want, func(w session.Term) bool { return w.ID == f.Session })
				if i < 0 || pair.want[i].User != f.User {
					t.Errorf("%s, %s: session %v", name, sort, f.Session)
				}
			}
		}
		if live := len(c.ended) + len(c.shortened) + len(c.extended) + len(c.unchanged); got.Live() != live {
			t.Errorf("%s: %d live, want %d", name, got.Live(), live)
		}
	}
}

// It goes on in steps, shows the first of each sort alone, and looks at nothing that is
// made later.
func TestForeseeSteps(t *testing.T) {
	const many = 2345
	s := &terms{}
	for i := range many {
		made := opening.Add(time.Duration(i-many+1) * time.Millisecond)
		s.list = append(s.list, session.Term{ID: id.NewSession(made), State: session.State{CreatedAt: made, AbsoluteAt: made.Add(day), RotatedAt: made}})
	}
	later := opening.Add(time.Millisecond)
	s.list = append(s.list, session.Term{ID: id.NewSession(later), State: session.State{CreatedAt: later, AbsoluteAt: later.Add(day), RotatedAt: later}})
	change := session.PolicyChange{Before: deciding(nil, nil), After: deciding(func(p *policy.Policy) { p.AbsoluteTimeout = time.Second }, nil)}
	got, err := foreseer(t, s, opening).Foresee(t.Context(), id.NewProject(opening), change)
	if err != nil || got.Live() != many || got.Shortened.Count != 1000 || got.Ended.Count != many-1000 || len(s.asked) != 12 {
		t.Fatalf("%d ended, %d shortened in %d steps, %v", got.Ended.Count, got.Shortened.Count, len(s.asked), err)
	}
	for _, f := range []session.Fates{got.Ended, got.Shortened} {
		if len(f.First) != session.MaxSample || !slices.IsSortedFunc(f.First, func(a, b session.Fate) int { return a.Session.Compare(b.Session) }) {
			t.Errorf("a sample of %d", len(f.First))
		}
	}
	for _, q := range s.asked {
		if q.Tenants || q.Limit < 100 || q.Limit > 5000 {
			t.Errorf("a step asked %+v", q)
		}
	}
}

// However many ask at once, one step is taken at a time, and as long as it took nobody
// takes another one.
func TestForeseeLeavesHalfOfTheTime(t *testing.T) {
	const callers, steps, took = 5, 6, 3 * time.Millisecond
	bubbletest.Run(t, func(t *testing.T) {
		s := &terms{}
		for range steps * 200 {
			s.list = append(s.list, session.Term{ID: id.NewSession(opening), State: session.State{CreatedAt: opening, AbsoluteAt: opening.Add(day), RotatedAt: opening}})
		}
		var free time.Time // when the next step may begin
		s.after = func(int) error {
			if now := time.Now(); now.Before(free) {
				t.Errorf("a step began %v too early", free.Sub(now))
			}
			free = time.Now().Add(2 * took)
			time.Sleep(took) // the step's work, on the bubble's clock
			return nil
		}
		service := foreseer(t, s, opening)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				if got, err := service.Foresee(t.Context(), id.Project{}, session.PolicyChange{Before: deciding(nil, nil), After: deciding(nil, nil)}); err != nil || got.Live() != steps*200 {
					t.Errorf("%d live, %v", got.Live(), err)
				}
			})
		}
		start := time.Now()
		all.Wait()
		if lasted, want := time.Since(start), 2*took*callers*steps; lasted != want || len(s.asked) != callers*steps {
			t.Errorf("%d steps in %v, want %v", len(s.asked), lasted, want)
		}
	})
}

// Who waits for their turn, or pauses, stops as soon as their context ends.
func TestForeseeStopsBetweenSteps(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := &terms{}
		for range 1000 {
			s.list = append(s.list, session.Term{ID: id.NewSession(opening), State: session.State{AbsoluteAt: opening.Add(day)}})
		}
		s.after = func(int) error { time.Sleep(time.Second); return nil } // the step's work, on the bubble's clock
		service := foreseer(t, s, opening)
		var all sync.WaitGroup
		for _, after := range []time.Duration{1500 * time.Millisecond, 1700 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			all.Go(func() {
				start := time.Now()
				_, err := service.Foresee(ctx, id.Project{}, session.PolicyChange{Before: deciding(nil, nil), After: deciding(nil, nil)})
				// The one that waits comes to its turn when the other one has left it.
				if lasted := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || lasted > 2500*time.Millisecond {
					t.Errorf("stopped with %v after %v", err, lasted)
				}
			})
		}
		all.Wait()
	})
}

func TestForeseeStops(t *testing.T) {
	broken := errors.New("broken")
	made := func() *terms {
		s := &terms{}
		for range 5000 {
			s.list = append(s.list, session.Term{ID: id.NewSession(opening), State: session.State{AbsoluteAt: opening.Add(day)}})
		}
		return s
	}
	s := made()
	s.after = func(step int) error {
		if step == 2 {
			return broken
		}
		return nil
	}
	if got, err := foreseer(t, s, opening).Foresee(t.Context(), id.Project{}, session.PolicyChange{}); !errors.Is(err, broken) || got.Live() != 0 {
		t.Errorf("%d, %v after a failure", got.Live(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = made()
	s.after = func(int) error { cancel(); return nil }
	if _, err := foreseer(t, s, opening).Foresee(ctx, id.Project{}, session.PolicyChange{}); !errors.Is(err, context.Canceled) || len(s.asked) != 1 {
		t.Errorf("%v after %d steps", err, len(s.asked))
	}
}

// What Decide says of a session at any time is what RunsOut says, under any policy: a
// dry-run would lie otherwise.
func TestRunsOutIsWhatDecideSays(t *testing.T) {
	const seed = 11
	g := rand.New(rand.NewPCG(seed, seed))
	span := func() time.Duration {
		return []time.Duration{5 * time.Minute, time.Hour, day, 7 * day, 28 * day}[g.IntN(5)] + time.Duration(g.IntN(3)-1)*time.Millisecond
	}
	for range 20_000 {
		s := session.State{Newest: id.NewRefresh(), CreatedAt: opening}
		s.AbsoluteAt = s.CreatedAt.Add(span())
		s.RotatedAt = s.CreatedAt.Add(span() * time.Duration(g.IntN(2)))
		if g.IntN(2) == 0 {
			s.ReplayedAt = s.RotatedAt.Add(span())
		}
		if g.IntN(2) == 0 {
			s.IdleAt = s.LastSeen().Add(span())
		}
		if g.IntN(3) == 0 {
			s.IdleLimit = span()
		}
		p := policy.Of(policy.Defaults())
		p.AbsoluteTimeout, p.IdleTimeout, p.Rotate = span(), span()*time.Duration(g.IntN(2)), g.IntN(2) == 0
		out := s.RunsOut(p)
		for _, now := range []time.Time{out.Add(-time.Millisecond), out, out.Add(span())} {
			_, v := session.Decide(s, session.Subject{UserKnown: true, UserEnabled: true}, session.Request{Token: s.Newest, Next: id.NewRefresh(), Policy: p}, now)
			if over := !now.Before(out); (v.Rule == session.RanOut) != over {
				t.Fatalf("%v after its end: %v\n%+v\n%+v", now.Sub(out), v.Rule, s, p)
			}
		}
	}
}
