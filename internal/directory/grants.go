package directory

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Limits of what somebody is granted.
const (
	MaxMemberships = 50 // tenants of one user or access key
	MaxRoles       = 50 // roles at one level of one user or access key
)

// Grants are what a user or an access key may do, by reference: roles in the project, and
// memberships. A role or tenant that was deleted is still named here until the grants
// change the next time; it gives nothing, and its identifier never comes again.
type Grants struct {
	Roles       []id.Role    `json:"roles,omitempty"` // of the project, granted in the project; nil for none
	Memberships []Membership `json:"tenants,omitempty"`
}

// Membership is a place in a tenant, with the roles there: of the project or of the tenant.
type Membership struct {
	Tenant id.Tenant `json:"tenant"`
	Roles  []id.Role `json:"roles,omitempty"`
}

// None reports whether nothing is granted.
func (g Grants) None() bool { return len(g.Roles) == 0 && len(g.Memberships) == 0 }

// Clone returns grants that share nothing with g.
func (g Grants) Clone() Grants {
	out := Grants{Roles: slices.Clone(g.Roles), Memberships: slices.Clone(g.Memberships)}
	for i, m := range out.Memberships {
		out.Memberships[i].Roles = slices.Clone(m.Roles)
	}
	return out
}

// Equal reports whether two grants say the same in the same order.
func (g Grants) Equal(h Grants) bool {
	return slices.Equal(g.Roles, h.Roles) && slices.EqualFunc(g.Memberships, h.Memberships, func(a, b Membership) bool {
		return a.Tenant == b.Tenant && slices.Equal(a.Roles, b.Roles)
	})
}

// Without returns the grants after a tenant, a role, or both were deleted; zero ones take
// nothing away.
func (g Grants) Without(t id.Tenant, r id.Role) Grants {
	rest := func(roles []id.Role) []id.Role {
		return slices.DeleteFunc(roles, func(have id.Role) bool { return have == r })
	}
	out := g.Clone()
	out.Roles = rest(out.Roles)
	out.Memberships = slices.DeleteFunc(out.Memberships, func(m Membership) bool { return m.Tenant == t })
	for i, m := range out.Memberships {
		out.Memberships[i].Roles = rest(m.Roles)
	}
	return out
}

// Place is where somebody is granted something: a tenant, a role, or a role in a tenant.
type Place struct {
	Tenant id.Tenant // zero: anywhere
	Role   id.Role   // zero: whatever role
}

// Places returns each place of the grants once, ascending: every tenant, every role in
// it, and every role anywhere. It is what an index from the place to its holders needs.
func (g Grants) Places() []Place {
	var places []Place
	for _, r := range g.Roles {
		places = append(places, Place{Role: r})
	}
	for _, m := range g.Memberships {
		places = append(places, Place{Tenant: m.Tenant})
		for _, r := range m.Roles {
			places = append(places, Place{Role: r}, Place{m.Tenant, r})
		}
	}
	slices.SortFunc(places, Place.Compare)
	return slices.Compact(places)
}

// Compare orders places by tenant, then by role.
func (p Place) Compare(q Place) int {
	return cmp.Or(p.Tenant.Compare(q.Tenant), p.Role.Compare(q.Role))
}

// In returns the membership in a tenant.
func (g Grants) In(t id.Tenant) (Membership, bool) {
	i := slices.IndexFunc(g.Memberships, func(m Membership) bool { return m.Tenant == t })
	if i < 0 {
		return Membership{}, false
	}
	return g.Memberships[i], true
}

// Resolved is what grants lead to, read at one instant: every tenant and role that they
// name and that exists, in no particular order, disabled tenants included.
type Resolved struct {
	Tenants []Tenant
	Roles   []Role
}

// Holder is a user with what their grants lead to.
type Holder struct {
	User User
	Resolved
}

// Authorization is what a token may say of somebody: names instead of references, each list
// sorted and without repetition.
type Authorization struct {
	Roles       []string
	Permissions []string
	Tenants     []TenantAuthorization // ascending by id; enabled ones only
}

// TenantAuthorization is the part of one tenant.
type TenantAuthorization struct {
	ID          id.Tenant
	Name        string
	Attributes  json.RawMessage
	Roles       []string
	Permissions []string
}

// In returns the part of a tenant; false when there is none.
func (a Authorization) In(t id.Tenant) (TenantAuthorization, bool) {
	i := slices.IndexFunc(a.Tenants, func(p TenantAuthorization) bool { return p.ID == t })
	if i < 0 {
		return TenantAuthorization{}, false
	}
	return a.Tenants[i], true
}

// Sole returns the only tenant, and zero when there are none or several.
func (a Authorization) Sole() id.Tenant {
	if len(a.Tenants) != 1 {
		return id.Tenant{}
	}
	return a.Tenants[0].ID
}

// Authorize says what the grants mean. A role counts where it is granted, if it may be
// there: a tenant's own role in that tenant only. What doesn't exist gives nothing, and
// neither does a disabled tenant.
func (r Resolved) Authorize(g Grants) Authorization {
	var a Authorization
	a.Roles, a.Permissions = r.names(g.Roles, id.Tenant{})
	for _, m := range g.Memberships {
		t, ok := r.tenant(m.Tenant)
		if !ok || t.Status != Enabled {
			continue
		}
		part := TenantAuthorization{ID: t.ID, Name: t.Name, Attributes: t.Attributes}
		part.Roles, part.Permissions = r.names(m.Roles, t.ID)
		a.Tenants = append(a.Tenants, part)
	}
	slices.SortFunc(a.Tenants, func(x, y TenantAuthorization) int { return x.ID.Compare(y.ID) })
	return a
}

func (r Resolved) tenant(t id.Tenant) (Tenant, bool) {
	i := slices.IndexFunc(r.Tenants, func(have Tenant) bool { return have.ID == t })
	if i < 0 {
		return Tenant{}, false
	}
	return r.Tenants[i], true
}

// names returns the names of the roles that may be granted at a level, and the permissions
// that they bring.
func (r Resolved) names(granted []id.Role, level id.Tenant) (roles, permissions []string) {
	for _, role := range r.Roles {
		if slices.Contains(granted, role.ID) && (role.Tenant.IsZero() || role.Tenant == level) {
			roles, permissions = append(roles, role.Name), append(permissions, role.Permissions...)
		}
	}
	slices.Sort(roles)
	slices.Sort(permissions)
	return slices.Compact(roles), slices.Compact(permissions)
}
