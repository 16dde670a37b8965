package directory

import (
	"fmt"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Known is what a project has, as one transaction sees it. Errors are those of the store.
type Known interface {
	// HasTenant reports whether the project has the tenant.
	HasTenant(t id.Tenant) (bool, error)

	// HasRole reports whether the project has the role at the level: zero for its own.
	HasRole(r id.Role, level id.Tenant) (bool, error)
}

// Settle returns the grants as they are to be stored when somebody who had old is to have
// g. What g names must exist, and a role must be one of the project or, inside a tenant,
// of that tenant. What old had at the same place and has been deleted since is left out in
// silence, since nobody asked for it just now. Everything else that is wrong, repetitions
// and too much as well, is fault.Invalid with the place of each, such as /roles/1,
// /tenants/0/tenant and /tenants/0/roles/2. Grants that stay the same are not looked up.
func (g Grants) Settle(old Grants, known Known) (Grants, error) {
	if g.Equal(old) {
		return g, nil
	}
	s := settling{known: known}
	var out Grants
	out.Roles = s.roles("/roles", g.Roles, old.Roles, id.Tenant{})
	// The first bound is for the number of look-ups, which delay other transactions.
	if s.fits("/tenants", len(g.Memberships), MaxMemberships+len(old.Memberships), "memberships") {
		for i, m := range g.Memberships {
			at := fmt.Sprintf("/tenants/%d", i)
			had, _ := old.In(m.Tenant)
			if !s.tenant(at+"/tenant", m.Tenant, g.Memberships[:i], had) {
				continue
			}
			out.Memberships = append(out.Memberships, Membership{m.Tenant, s.roles(at+"/roles", m.Roles, had.Roles, m.Tenant)})
		}
		s.fits("/tenants", len(out.Memberships), MaxMemberships, "memberships")
	}
	switch {
	case s.failed != nil:
		return Grants{}, s.failed
	case len(s.bad) > 0:
		return Grants{}, fault.New(fault.Invalid, "This can't be granted.").WithFields(s.bad...)
	}
	return out, nil
}

// settling collects what is wrong.
type settling struct {
	known  Known
	bad    []fault.Field
	failed error // the first error of known
}

func (s *settling) refuse(at, code, detail string) {
	s.bad = append(s.bad, fault.Field{Pointer: at, Code: code, Detail: detail})
}

func (s *settling) fits(at string, n, most int, what string) bool {
	if n > most {
		s.refuse(at, "size", fmt.Sprintf("At most %d %s are possible.", most, what))
	}
	return n <= most
}

// there keeps the first error of a look-up.
func (s *settling) there(found bool, err error) bool {
	if err != nil && s.failed == nil {
		s.failed = err
	}
	return found && err == nil
}

// tenant reports whether a membership stays.
func (s *settling) tenant(at string, t id.Tenant, before []Membership, had Membership) bool {
	switch {
	case slices.ContainsFunc(before, func(m Membership) bool { return m.Tenant == t }):
		s.refuse(at, "duplicate", "This tenant is given twice.")
	case s.there(s.known.HasTenant(t)):
		return true
	case had.Tenant != t || t.IsZero():
		s.refuse(at, "unknown", "This project has no such tenant.")
	}
	return false
}

// roles returns the roles that stay at a level.
func (s *settling) roles(at string, wanted, had []id.Role, level id.Tenant) []id.Role {
	if !s.fits(at, len(wanted), MaxRoles+len(had), "roles") {
		return nil
	}
	var out []id.Role
	for i, r := range wanted {
		where := fmt.Sprintf("%s/%d", at, i)
		switch {
		case slices.Contains(wanted[:i], r):
			s.refuse(where, "duplicate", "This role is given twice.")
		case s.role(r, level):
			out = append(out, r)
		case !slices.Contains(had, r):
			s.refuse(where, "unknown", "There is no such role that may be granted here.")
		}
	}
	s.fits(at, len(out), MaxRoles, "roles")
	return out
}

// role reports whether there is a role that may be granted at a level.
func (s *settling) role(r id.Role, level id.Tenant) bool {
	if s.there(s.known.HasRole(r, id.Tenant{})) {
		return true
	}
	return !level.IsZero() && s.there(s.known.HasRole(r, level))
}
