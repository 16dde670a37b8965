package latchkey

import (
	"slices"
	"time"
)

// Requirement is what a route asks of a token besides being valid. The zero value asks
// nothing. Whatever is set must be met.
type Requirement struct {
	AMR    []string      // all of these authentication methods, such as "mfa"
	StepUp bool          // a stepped-up session
	MaxAge time.Duration // the sign-in is at most so long ago; 0: any time. Refreshes don't count as sign-ins.

	NotImpersonated bool // the user is there in person: nobody acts in their place

	Tenant      string   // the user is a member of this tenant, current or not
	Roles       []string // all of these, in the project or in the tenant in question
	Permissions []string // all of these, in the project or in the tenant in question

	// Strict refuses when it isn't known that the token wasn't revoked: the feed has been
	// silent longer than MaxSilence, or the Verifier follows none.
	Strict bool
}

// unmet returns why the claims don't meet r, "" when they do. Strict isn't looked at: it
// asks nothing of the claims. It allocates nothing.
func (r *Requirement) unmet(c *Claims, now time.Time) Reason {
	for _, method := range r.AMR {
		if !slices.Contains(c.AMR, method) {
			return ReasonMethods
		}
	}
	if r.StepUp && !c.SteppedUp {
		return ReasonStepUp
	}
	// No clock skew is granted: a minute more or less of age is of no consequence to a
	// rule that counts in minutes at least. Without auth_time no age is young enough.
	if r.MaxAge != 0 && (c.AuthTime.IsZero() || now.Sub(c.AuthTime) > r.MaxAge) {
		return ReasonAge
	}
	if r.NotImpersonated && c.Impersonated() {
		return ReasonImpersonated
	}
	return r.ungranted(c)
}

func (r *Requirement) ungranted(c *Claims) Reason {
	tenant := c.CurrentTenant
	if r.Tenant != "" {
		tenant = r.Tenant
		if _, member := c.Tenants[tenant]; !member && c.CurrentTenant != tenant {
			return ReasonTenant
		}
	}
	for _, role := range r.Roles {
		if !c.hasRole(role, tenant) {
			return ReasonRole
		}
	}
	for _, permission := range r.Permissions {
		if !c.hasPermission(permission, tenant) {
			return ReasonPermission
		}
	}
	return ""
}
