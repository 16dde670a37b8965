package storetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// level is that of the project, of one of the tenants, or of an unknown one.
func (g *game) level() id.Tenant {
	if g.chance(2) {
		return id.Tenant{}
	}
	return g.tenant()
}

// role is one of the roles, a deleted one maybe, or an unknown one.
func (g *game) role() id.Role {
	if len(g.roles) == 0 || g.chance(16) {
		return id.Role(g.id())
	}
	return choose(g, g.roles)
}

// permitted is a list of permissions, which may be there.
func (g *game) permitted() []string {
	var names []string
	for _, name := range []string{"read", "share", "write"} {
		if g.chance(2) {
			names = append(names, name)
		}
	}
	return names
}

func (g *game) addRole() {
	if len(g.roles) == 6 {
		return
	}
	now := g.now()
	r := directory.Role{
		ID: id.Role(g.id()), Project: g.project, Tenant: g.level(), Name: choose(g, []string{"editor", "viewer", "Editor"}), Permissions: g.permitted(),
		CreatedAt: now, UpdatedAt: now,
	}
	if g.chance(4) && len(g.roles) > 0 {
		r.ID = choose(g, g.roles) // there is such a one, or was
	}
	// One that is wrong in two ways may be refused for either.
	g.vague = true
	_, err := g.same(fmt.Sprintf("add a role %q %q", r.Name, r.Permissions), func(s Store) (any, error) {
		return nil, s.Roles().Insert(g.ctx, r, g.event(audit.RoleCreated))
	})
	if err == nil && !slices.Contains(g.roles, r.ID) {
		g.roles = append(g.roles, r.ID)
	}
}

func (g *game) changeRole() {
	r, name, permissions, what := g.role(), choose(g, []string{"editor", "viewer", "author"}), g.permitted(), g.pick(4)
	g.vague = true
	g.same(fmt.Sprint("change a role ", what), func(s Store) (any, error) {
		return s.Roles().Change(g.ctx, g.project, r, func(r directory.Role) (directory.Role, []audit.Event, error) {
			switch what {
			case 0:
				r.Name = name
			case 1:
				r.Permissions = permissions
			case 2:
				r.Description, r.Permissions = name, nil
			case 3:
				return r, nil, fault.New(fault.Contradiction, "no")
			}
			return r, []audit.Event{g.event(audit.RoleUpdated)}, nil
		})
	})
}

func (g *game) deleteRole() {
	if r := g.role(); g.chance(3) {
		g.same("delete a role", func(s Store) (any, error) {
			return nil, s.Roles().Delete(g.ctx, g.project, r, g.event(audit.RoleDeleted))
		})
	}
}

func (g *game) permissions() {
	name := choose(g, []string{"read", "share", "write"})
	switch g.pick(5) {
	case 4:
		limit := g.pick(4)
		g.same(fmt.Sprint("strip ", limit), func(s Store) (any, error) { return s.Permissions().Strip(g.ctx, limit) })
	case 0:
		g.same("delete permission "+name, func(s Store) (any, error) {
			return nil, s.Permissions().Delete(g.ctx, g.project, name, g.event(audit.PermissionDeleted))
		})
	case 1:
		g.same("describe permission "+name, func(s Store) (any, error) {
			return s.Permissions().Describe(g.ctx, g.project, name, "to "+name, g.event(audit.PermissionUpdated))
		})
	default:
		p := directory.Permission{Project: g.project, Name: name, CreatedAt: g.now()}
		g.same("add permission "+name, func(s Store) (any, error) {
			return nil, s.Permissions().Insert(g.ctx, p, g.event(audit.PermissionCreated))
		})
	}
}

// some returns some of the roles: more than once, deleted and unknown ones as well.
func (g *game) some() []id.Role {
	var roles []id.Role
	for range g.pick(4) {
		roles = append(roles, g.role())
	}
	return roles
}

func (g *game) grants() directory.Grants {
	grants := directory.Grants{Roles: g.some()}
	for _, t := range g.tenants {
		if g.chance(2) {
			grants.Memberships = append(grants.Memberships, directory.Membership{Tenant: t, Roles: g.some()})
		}
	}
	return grants
}

// grantMore replaces what a user is granted, or adds to it.
func (g *game) grantMore() {
	u, grants, replace := g.user(), g.grants(), g.chance(2)
	got, _ := g.same(fmt.Sprintf("grant %+v", grants), func(s Store) (any, error) {
		return s.Users().Change(g.ctx, g.project, u, func(u directory.User) (directory.User, []audit.Event, error) {
			if replace {
				u.Grants = directory.Grants{}
			}
			u.Roles = append(u.Roles, grants.Clone().Roles...)
			u.Memberships = append(u.Memberships, grants.Clone().Memberships...)
			return u, nil, nil
		})
	})
	g.log = append(g.log, fmt.Sprintf("%+v", got.(directory.User).Grants))
}

func (g *game) search() {
	q := directory.UserQuery{Project: g.project, Limit: 99, Text: choose(g, []string{"", "", "ada", "ADA", "a", "usr", "grace"})}
	if g.chance(2) {
		q.Tenant = g.tenant()
	}
	if g.chance(3) {
		q.Role = g.role()
	}
	if g.chance(4) {
		q.Status = choose(g, []directory.Status{directory.Enabled, directory.Disabled})
	}
	if u := g.user(); g.chance(8) {
		q.Text = u.String()
	}
	g.same(fmt.Sprintf("search %+v", q), func(s Store) (any, error) {
		list, _, err := s.Holders().Search(g.ctx, q)
		return list, err
	})
}

// batch edits some users, the same one twice maybe.
func (g *game) batch() {
	var edits []directory.UserEdit
	for range g.pick(4) {
		u, login, what, grants, e := g.user(), g.login(), g.pick(5), g.grants(), g.event(audit.UserUpdated)
		edits = append(edits, directory.UserEdit{User: u, Edit: func(old directory.User) (directory.User, []audit.Event, error) {
			switch {
			case what == 0:
				return directory.User{}, []audit.Event{e}, nil
			case what == 1:
				return old, nil, fault.New(fault.Contradiction, "no")
			case what == 2:
				return old, []audit.Event{e}, nil
			case old.ID.IsZero():
				old = directory.User{Status: directory.Enabled, CreatedAt: e.At, UpdatedAt: e.At}
			}
			old.ID, old.LoginIDs, old.Grants = u, []string{login}, grants.Clone()
			return old, []audit.Event{e}, nil
		}})
	}
	g.same(fmt.Sprint("batch of ", len(edits)), func(s Store) (any, error) {
		errs, err := s.Batches().Apply(g.ctx, g.project, edits)
		var kinds []string
		for _, err := range errs {
			kinds = append(kinds, refusal(err))
		}
		return kinds, err
	})
	list, err := g.a.Users().List(g.ctx, g.project, id.User{}, 99)
	ok(g, err)
	g.users = nil
	for _, u := range list {
		g.users = append(g.users, u.ID)
	}
}

// override gives a tenant settings, which may be those that it has, or takes them away.
func (g *game) override() {
	tenant, limit := g.tenant(), g.pick(3)
	g.same(fmt.Sprint("override ", limit), func(s Store) (any, error) {
		return s.Tenants().Change(g.ctx, g.project, tenant, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
			t.Settings.MaxSessions, t.Attributes = nil, nil
			if limit > 0 {
				t.Settings.MaxSessions, t.Attributes = &limit, json.RawMessage(fmt.Sprintf(`{"limit":%d}`, limit))
			}
			return t, []audit.Event{g.event(audit.TenantSettings)}, nil
		})
	})
	g.follow()
}

// follow learns the version of a project that others have changed.
func (g *game) follow() {
	v, err := g.same("Projects.Version", func(s Store) (any, error) { return s.Projects().Version(g.ctx, g.project) })
	ok(g, err)
	g.version = v.(int64)
}

func (g *game) sweepGrants() {
	if limit := choose(g, []int{0, 1, 2, 99}); g.chance(3) {
		g.same(fmt.Sprint("sweep grants ", limit), func(s Store) (any, error) { return s.Tenants().Sweep(g.ctx, limit) })
	}
}

// compareGrants looks at everything that decides what somebody may do.
func (g *game) compareGrants() {
	for _, level := range append([]id.Tenant{{}}, g.tenants...) {
		g.same("Roles.List", func(s Store) (any, error) {
			return s.Roles().List(g.ctx, directory.RoleQuery{Project: g.project, Tenant: level, Limit: 99})
		})
	}
	g.same("Permissions.List", func(s Store) (any, error) { return s.Permissions().List(g.ctx, g.project, "", 99) })
	g.same("Tenants.Overrides", func(s Store) (any, error) { return s.Tenants().Overrides(g.ctx, g.project) })
	for _, u := range g.users {
		g.same("Holders.Holder", func(s Store) (any, error) { return s.Holders().Holder(g.ctx, g.project, u) })
	}
	for _, r := range g.roles {
		for _, level := range append([]id.Tenant{{}}, g.tenants...) {
			g.same("Holders.Search", func(s Store) (any, error) {
				list, _, err := s.Holders().Search(g.ctx, directory.UserQuery{Project: g.project, Tenant: level, Role: r, Limit: 99})
				return list, err
			})
		}
	}
}
