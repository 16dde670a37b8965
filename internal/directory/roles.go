package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// RoleChange is what a caller says of a role. Members that are nil stay as they are.
type RoleChange struct {
	Name        *string
	Description *string
	Permissions *[]string // all that it has from then on

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// apply returns r with the change made; what is wrong with what was said is told in bad.
func (c RoleChange) apply(r Role, bad *problems) Role {
	if c.Name != nil {
		r.Name = *c.Name
		checkWord(bad, "/name", r.Name)
	}
	if c.Description != nil {
		r.Description = *c.Description
		checkDescription(bad, r.Description)
	}
	if c.Permissions != nil {
		if r.Permissions = slices.Sorted(slices.Values(*c.Permissions)); len(r.Permissions) == 0 {
			r.Permissions = nil
		}
		checkRolePermissions(bad, *c.Permissions)
	}
	return r
}

func checkRolePermissions(bad *problems, names []string) {
	if len(names) > MaxRolePermissions {
		bad.add("/permissions", "size", "A role has at most %d permissions.", MaxRolePermissions)
		return
	}
	seen := map[string]bool{}
	for i, name := range names {
		if seen[name] {
			bad.add(fmt.Sprintf("/permissions/%d", i), "duplicate", "This permission is given twice.")
		}
		seen[name] = true
	}
}

// checkCatalogue tells which permissions aren't in the catalogue. The store looks again in
// its transaction; here it is done so that all that is wrong is told at once.
func (s *Service) checkCatalogue(ctx context.Context, p id.Project, names *[]string, bad *problems) error {
	if names == nil || len(*names) == 0 || len(*names) > MaxRolePermissions {
		return nil
	}
	known := map[string]bool{}
	for after := ""; ; {
		page, err := s.permissions.List(ctx, p, after, MaxPermissions)
		if err != nil {
			return err
		}
		for _, one := range page {
			known[one.Name], after = true, one.Name
		}
		if len(page) < MaxPermissions {
			break
		}
	}
	for i, name := range *names {
		if !known[name] {
			bad.add(fmt.Sprintf("/permissions/%d", i), "unknown", "There is no such permission; make it first.")
		}
	}
	return nil
}

const badRole = "The role can't be stored like this."

// CreateRole adds a role, which belongs to the tenant of this id, or to the project when
// tenant is "". A name is needed. fault.Conflict for a name that is taken at the level or
// when the level is full.
func (s *Service) CreateRole(ctx context.Context, p id.Project, tenant string, c RoleChange, o audit.Origin) (Role, error) {
	now := s.now()
	if c.Name == nil {
		c.Name = new(string)
	}
	bad := problems(slices.Clone(c.Unreadable))
	r := c.apply(Role{ID: id.NewRole(now), Project: p, CreatedAt: millis(now), UpdatedAt: millis(now)}, &bad)
	if tenant != "" {
		t, found, err := s.look(p).tenant(ctx, tenant)
		if err != nil {
			return Role{}, err
		}
		if r.Tenant = t; !found {
			bad.add("/tenant", "unknown", noTenant)
		}
	}
	err := s.checkCatalogue(ctx, p, c.Permissions, &bad)
	if err == nil {
		err = bad.refusal(badRole)
	}
	if err != nil {
		return Role{}, err
	}
	e := r.event(audit.New(p, now, audit.RoleCreated, o)).With("permissions", texts(r.Permissions))
	return r, s.roles.Insert(ctx, r, e)
}

// Role returns a role; fault.NotFound when the project has none such.
func (s *Service) Role(ctx context.Context, p id.Project, r id.Role) (Role, error) {
	return s.roles.Find(ctx, p, r)
}

// Roles lists the roles of one level, ascending.
func (s *Service) Roles(ctx context.Context, q RoleQuery) ([]Role, error) {
	return s.roles.List(ctx, q)
}

// ChangeRole changes a role. Whoever has it has what it brings from then on: verifiers are
// told in the same transaction to ask for newer tokens.
func (s *Service) ChangeRole(ctx context.Context, p id.Project, r id.Role, c RoleChange, o audit.Origin) (Role, error) {
	now := s.now()
	bad := problems(slices.Clone(c.Unreadable))
	c.apply(Role{}, &bad)
	err := s.checkCatalogue(ctx, p, c.Permissions, &bad)
	if err == nil {
		err = bad.refusal(badRole)
	}
	if err != nil {
		return Role{}, err
	}
	return s.roles.Change(ctx, p, r, func(old Role) (Role, []audit.Event, error) {
		changed := c.apply(old, new(problems)) // there are none
		if changed.Name == old.Name && changed.Description == old.Description && slices.Equal(changed.Permissions, old.Permissions) {
			return old, nil, nil
		}
		changed.UpdatedAt = millis(now)
		e := changed.event(audit.New(p, now, audit.RoleUpdated, o))
		if changed.Name != old.Name {
			e = e.With("formerName", old.Name)
		}
		if added := without(changed.Permissions, old.Permissions); len(added) > 0 {
			e = e.With("added", texts(added))
		}
		if removed := without(old.Permissions, changed.Permissions); len(removed) > 0 {
			e = e.With("removed", texts(removed))
		}
		return changed, []audit.Event{e}, nil
	})
}

// DeleteRole removes a role; whoever had it has it no more.
func (s *Service) DeleteRole(ctx context.Context, p id.Project, r id.Role, o audit.Origin) error {
	old, err := s.roles.Find(ctx, p, r)
	if err != nil {
		return err
	}
	return s.roles.Delete(ctx, p, r, old.event(audit.New(p, s.now(), audit.RoleDeleted, o)))
}

// event says in an event which role is concerned.
func (r Role) event(e audit.Event) audit.Event {
	if !r.Tenant.IsZero() {
		e = e.With("tenant", r.Tenant.String())
	}
	return e.With("role", r.ID.String()).With("name", r.Name)
}

// without returns what is in list and not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// texts is a list as events hold it.
func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
