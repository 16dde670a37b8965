package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// GrantChange is what a caller says of grants; each list replaces the one there is, and
// nil leaves it. A role is said by its id or by its name: in a tenant that is the tenant's
// role of this name, or else the project's.
type GrantChange struct {
	Roles   *[]string
	Tenants *[]MembershipChange
}

// MembershipChange is what a caller says of a membership.
type MembershipChange struct {
	Tenant string // its id
	Roles  []string
}

// none reports whether nothing is said.
func (c GrantChange) none() bool { return c.Roles == nil && c.Tenants == nil }

// granting is a GrantChange whose references have been found. Members that are nil stay.
type granting struct {
	roles       *[]id.Role
	memberships *[]Membership
}

// to returns the grants after the change.
func (g granting) to(old Grants) Grants {
	out := old.Clone()
	if g.roles != nil {
		out.Roles = slices.Clone(*g.roles)
	}
	if g.memberships != nil {
		out.Memberships = Grants{Memberships: *g.memberships}.Clone().Memberships
	}
	return out
}

const noTenant = "This project has no such tenant; the id of one (ten_…) is wanted."

// grants finds what c names. References that lead nowhere, and more than anybody can be
// granted, are told in bad, by their place in the request.
func (l *lookup) grants(ctx context.Context, c GrantChange, bad *problems) (granting, error) {
	var out granting
	if c.Roles != nil {
		roles, err := l.roles(ctx, id.Tenant{}, *c.Roles, "/roles", bad)
		if err != nil {
			return out, err
		}
		out.roles = &roles
	}
	if c.Tenants == nil {
		return out, nil
	}
	if len(*c.Tenants) > MaxMemberships {
		bad.add("/tenants", "size", "At most %d memberships are possible.", MaxMemberships)
		return out, nil
	}
	var memberships []Membership
	for i, m := range *c.Tenants {
		at := fmt.Sprintf("/tenants/%d", i)
		t, found, err := l.tenant(ctx, m.Tenant)
		if err != nil {
			return out, err
		}
		if !found {
			bad.add(at+"/tenant", "unknown", noTenant)
			continue
		}
		if slices.ContainsFunc(memberships, func(other Membership) bool { return other.Tenant == t }) {
			bad.add(at+"/tenant", "duplicate", "This tenant is given twice.")
		}
		roles, err := l.roles(ctx, t, m.Roles, at+"/roles", bad)
		if err != nil {
			return out, err
		}
		memberships = append(memberships, Membership{Tenant: t, Roles: roles})
	}
	out.memberships = &memberships
	return out, nil
}

// roles finds the roles that are granted at a level.
func (l *lookup) roles(ctx context.Context, level id.Tenant, names []string, pointer string, bad *problems) ([]id.Role, error) {
	if len(names) > MaxRoles {
		bad.add(pointer, "size", "At most %d roles are possible at one level.", MaxRoles)
		return nil, nil
	}
	var roles []id.Role
	for i, name := range names {
		at := fmt.Sprintf("%s/%d", pointer, i)
		role, found, err := l.role(ctx, level, name)
		switch {
		case err != nil:
			return nil, err
		case !found:
			bad.add(at, "unknown", "There is no such role here; the id or the name of one is wanted.")
		case !role.Tenant.IsZero() && role.Tenant != level:
			bad.add(at, "unknown", "This role belongs to a tenant and can be granted in that tenant only.")
		case slices.Contains(roles, role.ID):
			bad.add(at, "duplicate", "This role is given twice.")
		default:
			roles = append(roles, role.ID)
		}
	}
	return roles, nil
}

// tidy returns a copy in which every list is sorted, and nil when it is empty: grants that
// mean the same are equal.
func (g Grants) tidy() Grants {
	g = g.Clone()
	sorted := func(roles []id.Role) []id.Role {
		slices.SortFunc(roles, id.Role.Compare)
		if len(roles) == 0 {
			return nil
		}
		return roles
	}
	g.Roles = sorted(g.Roles)
	for i, m := range g.Memberships {
		g.Memberships[i].Roles = sorted(m.Roles)
	}
	slices.SortFunc(g.Memberships, func(a, b Membership) int { return a.Tenant.Compare(b.Tenant) })
	if len(g.Memberships) == 0 {
		g.Memberships = nil
	}
	return g
}

// maxNoted bounds how many single grants an event names, in each direction.
const maxNoted = 100

// grantEvent says in an event which grants came and which went, by id: each is a role of
// the project, a membership, or a role in a tenant.
func grantEvent(e audit.Event, old, changed Grants) audit.Event {
	note := func(name string, list []any) {
		if n := len(list); n > maxNoted {
			e = e.With(name+"Count", float64(n))
			list = list[:maxNoted]
		}
		if len(list) > 0 {
			e = e.With(name, list)
		}
	}
	note("added", beyond(changed, old))
	note("removed", beyond(old, changed))
	return e
}

// beyond lists the single grants that g has and other hasn't.
func beyond(g, other Grants) []any {
	var out []any
	for _, r := range g.Roles {
		if !slices.Contains(other.Roles, r) {
			out = append(out, map[string]any{"role": r.String()})
		}
	}
	for _, m := range g.Memberships {
		known, member := other.In(m.Tenant)
		if !member {
			out = append(out, map[string]any{"tenant": m.Tenant.String()})
		}
		for _, r := range m.Roles {
			if !slices.Contains(known.Roles, r) {
				out = append(out, map[string]any{"tenant": m.Tenant.String(), "role": r.String()})
			}
		}
	}
	return out
}

// SetMembership makes a user a member of a tenant with these roles there, in place of the
// ones they had. fault.NotFound for an unknown user or tenant.
func (s *Service) SetMembership(ctx context.Context, p id.Project, u id.User, t id.Tenant, roles []string, o audit.Origin) (User, error) {
	if _, err := s.tenants.Find(ctx, p, t); err != nil {
		return User{}, err
	}
	var bad problems
	granted, err := s.look(p).roles(ctx, t, roles, "/roles", &bad)
	if err == nil {
		err = bad.refusal("The membership can't be like this.")
	}
	if err != nil {
		return User{}, err
	}
	return s.regrant(ctx, p, u, o, func(g Grants) (Grants, error) {
		i := slices.IndexFunc(g.Memberships, func(m Membership) bool { return m.Tenant == t })
		if i < 0 {
			// Whether that is one too many is for the store to say: it knows which of the
			// others are in tenants that were deleted.
			g.Memberships = append(g.Memberships, Membership{Tenant: t, Roles: granted})
			return g, nil
		}
		g.Memberships[i].Roles = granted
		return g, nil
	})
}

// EndMembership takes a user out of a tenant. Who isn't a member: fault.NotFound.
func (s *Service) EndMembership(ctx context.Context, p id.Project, u id.User, t id.Tenant, o audit.Origin) (User, error) {
	return s.regrant(ctx, p, u, o, func(g Grants) (Grants, error) {
		if _, member := g.In(t); !member {
			return g, fault.New(fault.NotFound, "The user isn't a member of such a tenant.")
		}
		g.Memberships = slices.DeleteFunc(g.Memberships, func(m Membership) bool { return m.Tenant == t })
		return g, nil
	})
}

// regrant changes what a user is granted. change gets a copy.
func (s *Service) regrant(ctx context.Context, p id.Project, u id.User, o audit.Origin, change func(Grants) (Grants, error)) (User, error) {
	now := s.now()
	return s.users.Change(ctx, p, u, func(old User) (User, []audit.Event, error) {
		grants, err := change(old.Grants.Clone())
		if err != nil {
			return old, nil, err
		}
		changed, events := old.granted(grants, now, o)
		return changed, events, nil
	})
}

// granted returns the user with other grants, and the event that says so unless they are
// the same.
func (u User) granted(g Grants, now time.Time, o audit.Origin) (User, []audit.Event) {
	if g = g.tidy(); g.Equal(u.Grants.tidy()) {
		return u, nil
	}
	e := grantEvent(audit.New(u.Project, now, audit.UserGranted, o).Of(id.Session{}, u.ID), u.Grants, g)
	u.Grants, u.UpdatedAt = g, millis(now)
	return u, []audit.Event{e}
}
