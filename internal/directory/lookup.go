package directory

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// lookup finds the tenants and roles of a project that a request names, each once: the
// thousand users of a batch mostly name the same few. It is for one request, since what it
// has found becomes old, and for one goroutine.
type lookup struct {
	s *Service
	p id.Project

	tenants map[id.Tenant]bool
	byID    map[id.Role]found
	byName  map[named]found
}

type named struct {
	level id.Tenant
	name  string
}

type found struct {
	role  Role
	there bool
}

func (s *Service) look(p id.Project) *lookup {
	return &lookup{s: s, p: p, tenants: map[id.Tenant]bool{}, byID: map[id.Role]found{}, byName: map[named]found{}}
}

// tenant finds a tenant by the text of its id.
func (l *lookup) tenant(ctx context.Context, text string) (id.Tenant, bool, error) {
	t, err := id.ParseTenant(text)
	if err != nil {
		return t, false, nil
	}
	there, known := l.tenants[t]
	if !known {
		_, err := l.s.tenants.Find(ctx, l.p, t)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return t, false, err
		}
		there = err == nil
		l.tenants[t] = there
	}
	return t, there, nil
}

// role finds a role as it may be said at a level: by id, or by the name of a role of the
// level or else of the project.
func (l *lookup) role(ctx context.Context, level id.Tenant, text string) (Role, bool, error) {
	if r, err := id.ParseRole(text); err == nil {
		f, known := l.byID[r]
		if !known {
			if f, err = l.byRoleID(ctx, r); err != nil {
				return Role{}, false, err
			}
			l.byID[r] = f
		}
		return f.role, f.there, nil
	}
	for _, at := range []id.Tenant{level, {}} {
		key := named{at, text}
		f, known := l.byName[key]
		if !known {
			var err error
			if f, err = l.byRoleName(ctx, key); err != nil {
				return Role{}, false, err
			}
			l.byName[key] = f
		}
		if f.there || at.IsZero() {
			return f.role, f.there, nil
		}
	}
	return Role{}, false, nil
}

func (l *lookup) byRoleID(ctx context.Context, r id.Role) (found, error) {
	role, err := l.s.roles.Find(ctx, l.p, r)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return found{}, err
	}
	return found{role, err == nil}, nil
}

func (l *lookup) byRoleName(ctx context.Context, key named) (found, error) {
	if !word(key.name) {
		return found{}, nil // no role has such a name
	}
	list, err := l.s.roles.List(ctx, RoleQuery{Project: l.p, Tenant: key.level, Name: key.name, Limit: 1})
	if err != nil || len(list) == 0 {
		return found{}, err
	}
	return found{list[0], true}, nil
}

// RoleAt returns the role that is said at a level, as in a GrantChange: by id, which isn't
// looked up, or by name; false when there is none.
func (s *Service) RoleAt(ctx context.Context, p id.Project, level id.Tenant, text string) (id.Role, bool, error) {
	if r, err := id.ParseRole(text); err == nil {
		return r, true, nil
	}
	r, there, err := s.look(p).role(ctx, level, text)
	return r.ID, there, err
}

// Resolve finds the tenants and roles that the grants of these users name.
func (s *Service) Resolve(ctx context.Context, p id.Project, users ...User) (Resolved, error) {
	var all Grants
	roles, tenants := map[id.Role]bool{}, map[id.Tenant]bool{}
	note := func(list []id.Role) {
		for _, r := range list {
			if !roles[r] {
				roles[r], all.Roles = true, append(all.Roles, r)
			}
		}
	}
	for _, u := range users {
		note(u.Roles)
		for _, m := range u.Memberships {
			note(m.Roles)
			if !tenants[m.Tenant] {
				tenants[m.Tenant], all.Memberships = true, append(all.Memberships, Membership{Tenant: m.Tenant})
			}
		}
	}
	if all.None() {
		return Resolved{}, nil
	}
	return s.holders.Resolve(ctx, p, all)
}
