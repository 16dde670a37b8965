package memory

import (
	"context"
	"maps"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type holders struct{ *Store }

// HasTenant and HasRole are directory.Known.
func (p *project) HasTenant(t id.Tenant) (bool, error) {
	_, ok := p.tenants[t]
	return ok, nil
}

func (p *project) HasRole(r id.Role, level id.Tenant) (bool, error) {
	found, ok := p.roles[r]
	return ok && found.Tenant == level, nil
}

// resolve returns what grants lead to: each thing once, and nothing for what is gone.
func (p *project) resolve(g directory.Grants) directory.Resolved {
	var r directory.Resolved
	for _, place := range g.Places() {
		if role, ok := p.roles[place.Role]; ok && place.Tenant.IsZero() {
			r.Roles = append(r.Roles, copyRole(role))
		}
		if t, ok := p.tenants[place.Tenant]; ok && place.Role.IsZero() {
			r.Tenants = append(r.Tenants, copyTenant(t))
		}
	}
	return r
}

func (s holders) Holder(ctx context.Context, p id.Project, u id.User) (directory.Holder, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Holder{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Holder{}, err
	}
	found, err := owner.user(u)
	if err != nil {
		return directory.Holder{}, err
	}
	return directory.Holder{User: copyUser(found), Resolved: owner.resolve(found.Grants)}, nil
}

func (s holders) Resolve(ctx context.Context, p id.Project, g directory.Grants) (directory.Resolved, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Resolved{}, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return directory.Resolved{}, nil
	}
	return owner.resolve(g), nil
}

// Search looks at all users: what bounds there are is another store's own.
func (s holders) Search(ctx context.Context, q directory.UserQuery) ([]directory.User, id.User, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, id.User{}, err
	}
	defer tx.end()
	owner, ok := tx.projects[q.Project]
	if !ok {
		return nil, id.User{}, nil
	}
	_, isTenant := owner.tenants[q.Tenant]
	_, isRole := owner.roles[q.Role]
	if !isTenant && !q.Tenant.IsZero() || !isRole && !q.Role.IsZero() {
		return nil, id.User{}, nil
	}
	var all []directory.User
	for _, u := range ascending(maps.Keys(owner.users), q.After, len(owner.users)) {
		if q.Matches(owner.users[u]) {
			all = append(all, copyUser(owner.users[u]))
		}
	}
	page, more := first(all, q.Limit)
	if !more {
		return page, id.User{}, nil
	}
	return page, page[len(page)-1].ID, nil
}
