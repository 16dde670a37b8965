package policy

import (
	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Rules are what a project and its tenants decide together.
type Rules struct {
	Project Policy
	Tenants map[id.Tenant]latchkey.TenantSettings // those that are enabled and override anything
}

// For returns the policy of a session whose user is a member of tenants.
func (r Rules) For(tenants []id.Tenant) Policy {
	if len(r.Tenants) == 0 {
		return r.Project
	}
	var overrides []latchkey.TenantSettings
	for _, t := range tenants {
		if o, ok := r.Tenants[t]; ok {
			overrides = append(overrides, o)
		}
	}
	if len(overrides) == 0 {
		return r.Project
	}
	return Merge(r.Project, overrides...)
}
