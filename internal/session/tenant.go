package session

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// Move is a change of the current tenant, made together with a refresh: whoever may
// refresh may move, and the tokens of that refresh are of the new tenant already.
type Move struct {
	// Tenant is where the session goes. Zero: it is in none from now on, since its user
	// has left the one where it is. If they haven't, that is fault.Conflict.
	Tenant id.Tenant

	// ClaimsEpoch is that of the row from which the rest was worked out. If it has
	// changed, nothing happens and the caller works it out again.
	ClaimsEpoch int64

	Claims     json.RawMessage // replace the session's; nil: none
	Audience   []string        // replace the session's
	Acted      Acted
	AbsoluteAt time.Time     // the session ends no later than then; zero: no change
	IdleLimit  time.Duration // at most; 0: no change
}

// settled returns the row of a session that was refreshed, in the tenant where it has to
// be. A user who has left the current tenant is in none, or in the only one that is left.
func (r Row) settled(u Subject, f Refresh, v Verdict, now time.Time) (Row, bool, error) {
	if f.Move != nil {
		return r.moved(u, *f.Move, v, f.Request.Policy, now)
	}
	if r.left(u) {
		if f.Acts {
			return r, false, ErrLeft
		}
		r.Tenant, r.TenantEpoch = id.Tenant{}, 0
		claims := r.Claims
		if r.Claims, r.Audience = r.Acted.Without(r.Claims, r.Audience); !slices.Equal(r.Claims, claims) {
			r.ClaimsEpoch++
		}
		r.Acted = Acted{}
	}
	if r.Tenant.IsZero() && f.AutoTenant {
		r.Tenant, r.TenantEpoch = u.Sole, u.SoleEpoch
	}
	return r, false, nil
}

// left reports whether the user has left the tenant where the session is.
func (r Row) left(u Subject) bool { return !r.Tenant.IsZero() && !u.Member }

func (r Row) moved(u Subject, m Move, v Verdict, p policy.Policy, now time.Time) (Row, bool, error) {
	leaves := m.Tenant.IsZero()
	switch {
	case leaves && !r.left(u):
		return r, false, fault.New(fault.Conflict, "The user's tenants have changed in the meantime.")
	case !leaves && !u.Open:
		return r, false, NoTenant()
	case r.ClaimsEpoch != m.ClaimsEpoch:
		return r, false, fault.New(fault.Conflict, "The claims have changed in the meantime.")
	}
	if !leaves && !v.Made() {
		// Refreshes that make no token aren't counted, but each move is told to every
		// verifier: nobody may go to and fro as often as they like.
		if wait := r.limit(p, now); wait > 0 {
			return r, false, fault.New(fault.RateLimited, "The session has changed its tenant too often; try again later.").After(wait)
		}
	}
	if !slices.Equal(r.Claims, m.Claims) {
		// Whoever is about to write other claims has read those from before.
		r.ClaimsEpoch++
	}
	r.Tenant, r.TenantEpoch = m.Tenant, u.OpenEpoch
	r.Claims, r.Audience, r.Acted = m.Claims, m.Audience, m.Acted
	if m.AbsoluteAt = Instant(m.AbsoluteAt); !m.AbsoluteAt.IsZero() && m.AbsoluteAt.Before(r.AbsoluteAt) {
		r.AbsoluteAt = m.AbsoluteAt
	}
	if m.IdleLimit > 0 && (r.IdleLimit == 0 || m.IdleLimit < r.IdleLimit) {
		r.IdleLimit = m.IdleLimit
		if at := r.LastSeen().Add(m.IdleLimit); r.IdleAt.IsZero() || at.Before(r.IdleAt) {
			r.IdleAt = at
		}
	}
	// That a user has left a tenant was told to verifiers when it happened.
	return r, !leaves, nil
}

// ErrLeft is returned by a store for a session whose user has left its tenant, when the
// project's sign-in actions are to be asked what becomes of it: nothing has happened, and
// the caller comes back with the Move.
var ErrLeft = errors.New("the user has left the session's tenant")

// NoTenant is the refusal of a tenant that isn't there, that is disabled, or that the user
// isn't a member of. It is the same for all three: a user mustn't learn which customers
// there are.
func NoTenant() error {
	return fault.Wrap(fault.NotFound, ErrNoTenant, "You are not in such a tenant.")
}

// ErrNoTenant is the cause of NoTenant, which tells it from that of an unknown session.
var ErrNoTenant = errors.New("no tenant of the user")
