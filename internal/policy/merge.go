package policy

import (
	"time"

	"github.com/latchkey-dev/latchkey"
)

// Merge returns the policy of a session whose user is a member of tenants with these
// settings: of the project and all of them, the strictest value counts for each setting.
// A tenant can't make anything laxer. The order of tenants, and naming one twice, makes
// no difference.
//
// A token never lives longer than the merged session may, even where the two lifetimes
// come from different parts, neither of which contradicts itself: no tenant knows of the
// others, so SessionTokenTTL is capped here instead of being refused.
//
// An automatic RotationLimit follows the merged SessionTokenTTL and may grow by that. It
// counts what an honest client needs; with the project's number the shorter tokens of a
// stricter tenant would lock its own members out.
func Merge(p Policy, tenants ...latchkey.TenantSettings) Policy {
	for _, t := range tenants {
		p = p.tighten(t)
	}
	p.SessionTokenTTL = min(p.SessionTokenTTL, p.AbsoluteTimeout)
	if p.IdleTimeout > 0 {
		// A client refreshes when its token ends: by then the session must not be idle.
		p.SessionTokenTTL = min(p.SessionTokenTTL, p.IdleTimeout)
	}
	if p.AutoLimit {
		p.RotationLimit = automaticLimit(p.SessionTokenTTL)
	}
	return p
}

func (p Policy) tighten(t latchkey.TenantSettings) Policy {
	p.SessionTokenTTL = shorter(p.SessionTokenTTL, t.SessionTokenTTL)
	p.AbsoluteTimeout = shorter(p.AbsoluteTimeout, t.AbsoluteTimeout)
	p.StepUpTTL = shorter(p.StepUpTTL, t.StepUpTTL)
	if t.IdleTimeout != nil {
		p.IdleTimeout = lower(p.IdleTimeout, t.IdleTimeout.Std())
	}
	if t.MaxSessions != nil {
		p.MaxSessions = lower(p.MaxSessions, *t.MaxSessions)
	}
	if t.OnLimit != nil && *t.OnLimit == "deny" {
		// Also where no part so far has a limit: another one may bring it.
		p.DenyOverLimit = true
	}
	return p
}

func shorter(have time.Duration, override *latchkey.Duration) time.Duration {
	if override == nil {
		return have
	}
	return min(have, override.Std())
}

// lower returns the lower of two limits. Zero is none, so it gives way to any other.
func lower[T int | time.Duration](a, b T) T {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}
