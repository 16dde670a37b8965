package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

type override = latchkey.TenantSettings

func ttl(d time.Duration) override      { return override{SessionTokenTTL: wire(d)} }
func absolute(d time.Duration) override { return override{AbsoluteTimeout: wire(d)} }
func idle(d time.Duration) override     { return override{IdleTimeout: wire(d)} }
func stepUp(d time.Duration) override   { return override{StepUpTTL: wire(d)} }
func sessions(n int) override           { return override{MaxSessions: &n} }
func onLimit(s string) override         { return override{OnLimit: &s} }

func wire(d time.Duration) *latchkey.Duration { return new(latchkey.Duration(d)) }

// One row for each setting and each pair of a laxer, an equal, a stricter and a missing
// value in the project and the tenant.
func TestMergePairs(t *testing.T) {
	for _, c := range []struct {
		name    string
		project func(*Policy)
		tenant  override
		want    func(*Policy)
	}{
		{"nothing", nil, override{}, nil},

		{"token: tenant stricter", nil, ttl(5 * time.Minute), func(p *Policy) { p.SessionTokenTTL, p.RotationLimit = 5*time.Minute, 9 }},
		{"token: equal", nil, ttl(10 * time.Minute), nil},
		{"token: tenant laxer", nil, ttl(time.Hour), nil},
		{"token: fixed limit", func(p *Policy) { p.AutoLimit, p.RotationLimit = false, 6 }, ttl(time.Minute), func(p *Policy) { p.SessionTokenTTL = time.Minute }},

		{"absolute: tenant stricter", nil, absolute(time.Hour), func(p *Policy) { p.AbsoluteTimeout = time.Hour }},
		{"absolute: equal", nil, absolute(28 * day), nil},
		{"absolute: tenant laxer", nil, absolute(60 * day), nil},
		{"absolute: under the token", nil, absolute(3 * time.Minute), func(p *Policy) {
			p.AbsoluteTimeout, p.SessionTokenTTL, p.RotationLimit = 3*time.Minute, 3*time.Minute, 15
		}},

		{"idle: only the tenant", nil, idle(time.Hour), func(p *Policy) { p.IdleTimeout = time.Hour }},
		{"idle: only the project", func(p *Policy) { p.IdleTimeout = time.Hour }, override{}, nil},
		{"idle: tenant has none", func(p *Policy) { p.IdleTimeout = time.Hour }, idle(0), nil},
		{"idle: neither", nil, idle(0), nil},
		{"idle: tenant stricter", func(p *Policy) { p.IdleTimeout = 2 * time.Hour }, idle(time.Hour), func(p *Policy) { p.IdleTimeout = time.Hour }},
		{"idle: tenant laxer", func(p *Policy) { p.IdleTimeout = time.Hour }, idle(2 * time.Hour), nil},
		{"idle: under the token", nil, idle(5 * time.Minute), func(p *Policy) {
			p.IdleTimeout, p.SessionTokenTTL, p.RotationLimit = 5*time.Minute, 5*time.Minute, 9
		}},

		{"step-up: tenant stricter", nil, stepUp(time.Minute), func(p *Policy) { p.StepUpTTL = time.Minute }},
		{"step-up: equal", nil, stepUp(10 * time.Minute), nil},
		{"step-up: tenant laxer", nil, stepUp(time.Hour), nil},

		{"sessions: only the tenant", nil, sessions(3), func(p *Policy) { p.MaxSessions = 3 }},
		{"sessions: only the project", func(p *Policy) { p.MaxSessions = 3 }, override{}, nil},
		{"sessions: tenant has none", func(p *Policy) { p.MaxSessions = 3 }, sessions(0), nil},
		{"sessions: neither", nil, sessions(0), nil},
		{"sessions: tenant stricter", func(p *Policy) { p.MaxSessions = 3 }, sessions(1), func(p *Policy) { p.MaxSessions = 1 }},
		{"sessions: tenant laxer", func(p *Policy) { p.MaxSessions = 3 }, sessions(9), nil},

		{"on limit: tenant denies", func(p *Policy) { p.MaxSessions = 3 }, onLimit("deny"), func(p *Policy) { p.DenyOverLimit = true }},
		{"on limit: tenant ends", func(p *Policy) { p.MaxSessions, p.DenyOverLimit = 3, true }, onLimit("endOldest"), nil},
		{"on limit: both deny", func(p *Policy) { p.MaxSessions, p.DenyOverLimit = 3, true }, onLimit("deny"), nil},
		{"on limit: neither denies", func(p *Policy) { p.MaxSessions = 3 }, onLimit("endOldest"), nil},
		// Kept although it means nothing yet: a third part may bring the limit.
		{"on limit: no limit", nil, onLimit("deny"), func(p *Policy) { p.DenyOverLimit = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			project := Of(Defaults())
			if c.project != nil {
				c.project(&project)
			}
			want := project
			if c.want != nil {
				c.want(&want)
			}
			if got := Merge(project, c.tenant); got != want {
				t.Errorf("%+v\nwant %+v", got, want)
			}
		})
	}
}

// Two tenants, each setting from another part; a limit of one and the reaction of another.
func TestMergeSeveral(t *testing.T) {
	project := Of(Defaults())
	want := project
	want.SessionTokenTTL, want.AbsoluteTimeout, want.IdleTimeout = 5*time.Minute, time.Hour, 30*time.Minute
	want.StepUpTTL, want.MaxSessions, want.DenyOverLimit, want.RotationLimit = 2*time.Minute, 4, true, 9
	got := Merge(project,
		override{SessionTokenTTL: wire(5 * time.Minute), AbsoluteTimeout: wire(day), MaxSessions: new(4)},
		override{AbsoluteTimeout: wire(time.Hour), IdleTimeout: wire(30 * time.Minute), OnLimit: new("deny")},
		override{SessionTokenTTL: wire(8 * time.Minute), StepUpTTL: wire(2 * time.Minute), MaxSessions: new(0)})
	if got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// generator draws policies and overrides, valid or not, from few values, so that they
// often meet.
type generator struct{ *rand.Rand }

func (g generator) span() time.Duration {
	return []time.Duration{time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour, day, 28 * day}[g.IntN(7)]
}

func (g generator) policy() Policy {
	s := Defaults()
	s.SessionTokenTTL, s.AbsoluteTimeout, s.StepUpTTL = *wire(g.span()), *wire(g.span()), *wire(g.span())
	s.IdleTimeout = *wire(g.span() * time.Duration(g.IntN(2)))
	s.MaxSessions, s.RefreshRateLimit = g.IntN(4), latchkey.RateLimit(g.IntN(2)*7)
	s.OnLimit = []string{"endOldest", "deny"}[g.IntN(2)]
	return Of(s)
}

func (g generator) override() override {
	var t override
	spans := []**latchkey.Duration{&t.SessionTokenTTL, &t.AbsoluteTimeout, &t.IdleTimeout, &t.StepUpTTL}
	for _, at := range spans {
		if g.IntN(2) == 0 {
			*at = wire(g.span())
		}
	}
	if g.IntN(4) == 0 {
		t.IdleTimeout = wire(0)
	}
	if g.IntN(2) == 0 {
		t.MaxSessions = new(g.IntN(4))
	}
	if g.IntN(2) == 0 {
		t.OnLimit = new([]string{"endOldest", "deny"}[g.IntN(2)])
	}
	return t
}

// eachDraw runs f with many drawn policies, each with up to four overrides.
func eachDraw(t *testing.T, f func(g generator, p Policy, tenants []override) error) {
	t.Helper()
	const seed = 4
	g := generator{rand.New(rand.NewPCG(seed, seed))}
	for range 20_000 {
		p, tenants := g.policy(), make([]override, g.IntN(5))
		for i := range tenants {
			tenants[i] = g.override()
		}
		if err := f(g, p, tenants); err != nil {
			t.Fatalf("project %+v, tenants %v: %v", p, tenants, err)
		}
	}
}

func TestMergeCommutes(t *testing.T) {
	eachDraw(t, func(g generator, p Policy, tenants []override) error {
		want, shuffled := Merge(p, tenants...), slices.Clone(tenants)
		g.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := Merge(p, shuffled...); got != want {
			return fmt.Errorf("%+v, in another order %+v", want, got)
		}
		return nil
	})
}

func TestMergeAssociates(t *testing.T) {
	eachDraw(t, func(g generator, p Policy, tenants []override) error {
		cut := g.IntN(len(tenants) + 1)
		want := Merge(p, tenants...)
		if got := Merge(Merge(p, tenants[:cut]...), tenants[cut:]...); got != want {
			return fmt.Errorf("%+v at once, %+v in two steps", want, got)
		}
		return nil
	})
}

func TestMergeIsIdempotent(t *testing.T) {
	eachDraw(t, func(_ generator, p Policy, tenants []override) error {
		want := Merge(p, tenants...)
		if got := Merge(want, tenants...); got != want {
			return fmt.Errorf("%+v once, %+v twice", want, got)
		}
		if got := Merge(p, append(slices.Clone(tenants), tenants...)...); got != want {
			return fmt.Errorf("%+v once, %+v with each tenant twice", want, got)
		}
		return nil
	})
}

// laxer says in what a is laxer than b. RotationLimit isn't among it: see Merge.
func laxer(a, b Policy) string {
	none := func(n, limit int64) bool { return limit != 0 && (n == 0 || n > limit) }
	switch {
	case a.SessionTokenTTL > b.SessionTokenTTL:
		return "tokens live longer"
	case a.AbsoluteTimeout > b.AbsoluteTimeout:
		return "sessions live longer"
	case none(int64(a.IdleTimeout), int64(b.IdleTimeout)):
		return "sessions may be idle for longer"
	case a.StepUpTTL > b.StepUpTTL:
		return "step-ups live longer"
	case none(int64(a.MaxSessions), int64(b.MaxSessions)):
		return "more sessions"
	case b.DenyOverLimit && !a.DenyOverLimit:
		return "sign-ins over the limit pass"
	case a.ReuseWindow != b.ReuseWindow, a.ForeignReplay != b.ForeignReplay, a.Rotate != b.Rotate:
		return "another setting changed"
	}
	return ""
}

// The merged policy is never laxer than the project's, nor than what any tenant makes of
// the laxest project there could be; and tokens end with their session.
func TestMergeIsNeverLaxer(t *testing.T) {
	eachDraw(t, func(_ generator, p Policy, tenants []override) error {
		merged := Merge(p, tenants...)
		if why := laxer(merged, p); why != "" {
			return fmt.Errorf("%+v is laxer than the project: %s", merged, why)
		}
		laxest := p
		laxest.SessionTokenTTL, laxest.AbsoluteTimeout, laxest.StepUpTTL = 730*day, 730*day, 730*day
		laxest.IdleTimeout, laxest.MaxSessions, laxest.DenyOverLimit = 0, 0, false
		for i, tenant := range tenants {
			if why := laxer(merged, Merge(laxest, tenant)); why != "" {
				return fmt.Errorf("%+v is laxer than tenant %d: %s", merged, i, why)
			}
		}
		if merged.SessionTokenTTL > merged.AbsoluteTimeout || merged.IdleTimeout > 0 && merged.SessionTokenTTL > merged.IdleTimeout {
			return fmt.Errorf("%+v: tokens outlive their session", merged)
		}
		return nil
	})
}

// Valid settings without a tenant mean the same merged and unmerged, so that a user
// without tenants never depends on which of the two was asked.
func TestMergeOfNothing(t *testing.T) {
	eachDraw(t, func(_ generator, p Policy, _ []override) error {
		contradicts := p.SessionTokenTTL > p.AbsoluteTimeout || p.IdleTimeout > 0 && p.SessionTokenTTL > p.IdleTimeout
		if got := Merge(p); got != p && !contradicts {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

// An automatic limit is the one that Of gives for the merged life of tokens.
func TestMergeFollowsTokenLife(t *testing.T) {
	eachDraw(t, func(_ generator, p Policy, tenants []override) error {
		merged := Merge(p, tenants...)
		s := Defaults()
		s.SessionTokenTTL = latchkey.Duration(merged.SessionTokenTTL)
		if want := Of(s).RotationLimit; p.AutoLimit && merged.RotationLimit != want {
			return fmt.Errorf("limit %d, want %d", merged.RotationLimit, want)
		}
		if !p.AutoLimit && merged.RotationLimit != p.RotationLimit {
			return fmt.Errorf("limit %d, the project said %d", merged.RotationLimit, p.RotationLimit)
		}
		return nil
	})
}
