package directory

import "github.com/latchkey-dev/latchkey/internal/id"

// Tenants returns the tenants of the grants' memberships, deleted and disabled ones
// included.
func (g Grants) Tenants() []id.Tenant {
	list := make([]id.Tenant, len(g.Memberships))
	for i, m := range g.Memberships {
		list[i] = m.Tenant
	}
	return list
}
