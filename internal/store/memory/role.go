package memory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

type roles struct{ *Store }

func (p *project) role(r id.Role) (directory.Role, error) {
	found, ok := p.roles[r]
	if !ok {
		return directory.Role{}, fault.New(fault.NotFound, "This project has no such role.")
	}
	return found, nil
}

// accept returns what a new or changed role is refused for. old is zero for a new one.
func (p *project) accept(old, r directory.Role) error {
	for _, other := range p.roles {
		if other.ID != r.ID && other.Tenant == r.Tenant && other.Name == r.Name {
			return fault.New(fault.Conflict, "There is a role with this name already.")
		}
	}
	return r.Listed(old, func(name string) (bool, error) {
		_, listed := p.permissions[name]
		return listed, nil
	})
}

// full returns fault.Conflict when a level has all the roles that it may have.
func (p *project) full(level id.Tenant) error {
	most, there := directory.MaxProjectRoles, 0
	if !level.IsZero() {
		most = directory.MaxTenantRoles
	}
	for _, r := range p.roles {
		if r.Tenant == level {
			there++
		}
	}
	if there >= most {
		return fault.New(fault.Conflict, "There are %d roles already: no more are possible.", most)
	}
	return nil
}

func (s roles) Insert(ctx context.Context, r directory.Role, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	p, err := tx.find(r.Project)
	if err != nil {
		return err
	}
	if !r.Tenant.IsZero() {
		if _, err := p.tenant(r.Tenant); err != nil {
			return err
		}
	}
	if err := p.accept(directory.Role{}, r); err != nil {
		return err
	}
	if err := p.full(r.Tenant); err != nil {
		return err
	}
	if _, taken := p.roles[r.ID]; taken {
		return fault.New(fault.Conflict, "There is a role with this id already.")
	}
	p.roles[r.ID] = copyRole(r)
	delete(p.lost, directory.Place{Role: r.ID})
	tx.log(e)
	return nil
}

func (s roles) Find(ctx context.Context, p id.Project, r id.Role) (directory.Role, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Role{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Role{}, err
	}
	found, err := owner.role(r)
	return copyRole(found), err
}

func (s roles) List(ctx context.Context, q directory.RoleQuery) ([]directory.Role, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[q.Project]
	if !ok {
		return nil, nil
	}
	var all []directory.Role
	for _, r := range ascending(maps.Keys(owner.roles), q.After, len(owner.roles)) {
		if found := owner.roles[r]; found.Tenant == q.Tenant && (q.Name == "" || found.Name == q.Name) {
			all = append(all, copyRole(found))
		}
	}
	page, _ := first(all, q.Limit)
	return page, nil
}

func (s roles) Change(ctx context.Context, p id.Project, r id.Role, change func(directory.Role) (directory.Role, []audit.Event, error)) (directory.Role, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Role{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Role{}, err
	}
	old, err := owner.role(r)
	if err != nil {
		return directory.Role{}, err
	}
	changed, written, err := change(copyRole(old))
	if err != nil {
		return directory.Role{}, err
	}
	changed.ID, changed.Project, changed.Tenant, changed.CreatedAt = old.ID, old.Project, old.Tenant, old.CreatedAt
	if err := owner.accept(old, changed); err != nil {
		return directory.Role{}, err
	}
	owner.roles[r] = copyRole(changed)
	if changed.Outdated(old) {
		tx.outdate(owner, old.Revocation(owner.life(), tx.now))
	}
	tx.log(written...)
	return copyRole(changed), nil
}

func (s roles) Delete(ctx context.Context, p id.Project, r id.Role, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	old, err := owner.role(r)
	if err != nil {
		return err
	}
	delete(owner.roles, r)
	owner.lost[directory.Place{Role: r}] = true
	tx.outdate(owner, old.Revocation(owner.life(), tx.now))
	tx.log(e)
	return nil
}

type permissions struct{ *Store }

func (s permissions) Insert(ctx context.Context, p directory.Permission, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p.Project)
	if err != nil {
		return err
	}
	if _, lost := owner.stripped[p.Name]; lost {
		return directory.StillLost()
	}
	if _, taken := owner.permissions[p.Name]; taken {
		return fault.New(fault.Conflict, "There is a permission with this name already.")
	}
	if len(owner.permissions) >= directory.MaxPermissions {
		return fault.New(fault.Conflict, "There are %d permissions already: no more are possible.", directory.MaxPermissions)
	}
	owner.permissions[p.Name] = copyPermission(p)
	tx.log(e)
	return nil
}

func (s permissions) List(ctx context.Context, p id.Project, after string, limit int) ([]directory.Permission, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return nil, nil
	}
	var all []directory.Permission
	for _, found := range owner.permissions {
		if found.Name > after {
			all = append(all, found)
		}
	}
	slices.SortFunc(all, func(a, b directory.Permission) int { return strings.Compare(a.Name, b.Name) })
	page, _ := first(all, limit)
	return page, nil
}

func (p *project) permission(name string) (directory.Permission, error) {
	found, ok := p.permissions[name]
	if !ok {
		return directory.Permission{}, fault.New(fault.NotFound, "This project has no such permission.")
	}
	return found, nil
}

func (s permissions) Describe(ctx context.Context, p id.Project, name, description string, e audit.Event) (directory.Permission, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Permission{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Permission{}, err
	}
	found, err := owner.permission(name)
	if err != nil {
		return directory.Permission{}, err
	}
	found.Description = description
	owner.permissions[name] = found
	tx.log(e)
	return found, nil
}

func (s permissions) Delete(ctx context.Context, p id.Project, name string, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	if _, lost := owner.stripped[name]; lost {
		return nil
	}
	if _, err := owner.permission(name); err != nil {
		return err
	}
	delete(owner.permissions, name)
	owner.stripped[name] = id.Role{}
	tx.log(e)
	return nil
}

func (s permissions) Strip(ctx context.Context, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	done := 0
	for _, p := range tx.projects {
		for _, name := range slices.Sorted(maps.Keys(p.stripped)) {
			if done >= limit {
				return done, nil
			}
			looked := tx.strip(p, name, limit-done)
			if done += looked; done < limit {
				delete(p.stripped, name)
				done++
			}
		}
	}
	return done, nil
}

// strip takes a permission from those of the next roles that have it, tells verifiers of
// each name once, and returns at how many it has looked.
func (tx transaction) strip(p *project, name string, limit int) int {
	roles := ascending(maps.Keys(p.roles), p.stripped[name], limit)
	told := map[string]bool{}
	var entries []revocation.Entry
	for _, r := range roles {
		p.stripped[name] = r
		found := copyRole(p.roles[r])
		if !slices.Contains(found.Permissions, name) {
			continue
		}
		found.Permissions = slices.DeleteFunc(found.Permissions, func(have string) bool { return have == name })
		p.roles[r] = found
		if !told[found.Name] {
			told[found.Name] = true
			entries = append(entries, found.Namesakes(p.life(), tx.now))
		}
	}
	tx.outdate(p, entries...)
	return len(roles)
}
