package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type tenants struct{ *Store }

func (p *project) tenant(t id.Tenant) (directory.Tenant, error) {
	found, ok := p.tenants[t]
	if !ok {
		return directory.Tenant{}, fault.New(fault.NotFound, "This project has no such tenant.")
	}
	return found, nil
}

func (s tenants) Insert(ctx context.Context, t directory.Tenant, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	p, err := tx.find(t.Project)
	if err != nil {
		return err
	}
	if _, taken := p.tenants[t.ID]; taken {
		return fault.New(fault.Conflict, "There is a tenant with this id already.")
	}
	for _, row := range p.sessions {
		if row.Tenant == t.ID { // of one with this id that was deleted
			t.Epoch = max(t.Epoch, row.TenantEpoch+1)
		}
	}
	p.tenants[t.ID] = copyTenant(t)
	delete(p.lost, directory.Place{Tenant: t.ID})
	if t.Overrides() {
		p.Version++
	}
	tx.log(e)
	return nil
}

func (s tenants) Find(ctx context.Context, p id.Project, t id.Tenant) (directory.Tenant, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Tenant{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Tenant{}, err
	}
	found, err := owner.tenant(t)
	return copyTenant(found), err
}

// List looks at all tenants: what bounds there are is another store's own.
func (s tenants) List(ctx context.Context, q directory.TenantQuery) ([]directory.Tenant, id.Tenant, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, id.Tenant{}, err
	}
	defer tx.end()
	owner, ok := tx.projects[q.Project]
	if !ok {
		return nil, id.Tenant{}, nil
	}
	var all []directory.Tenant
	for _, t := range ascending(maps.Keys(owner.tenants), q.After, len(owner.tenants)) {
		if q.Matches(owner.tenants[t]) {
			all = append(all, copyTenant(owner.tenants[t]))
		}
	}
	page, more := first(all, q.Limit)
	if !more {
		return page, id.Tenant{}, nil
	}
	return page, page[len(page)-1].ID, nil
}

// first returns at most limit of all, and whether there are more.
func first[T any](all []T, limit int) (page []T, more bool) {
	if limit < 1 {
		return nil, false
	}
	return all[:min(limit, len(all))], limit < len(all)
}

func (s tenants) Overrides(ctx context.Context, p id.Project) ([]directory.Tenant, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, ok := tx.projects[p]
	if !ok {
		return nil, nil
	}
	var all []directory.Tenant
	for _, t := range ascending(maps.Keys(owner.tenants), id.Tenant{}, len(owner.tenants)) {
		if found := owner.tenants[t]; found.Status == directory.Enabled && found.Overrides() {
			all = append(all, copyTenant(found))
		}
	}
	return all, nil
}

func (s tenants) Change(ctx context.Context, p id.Project, t id.Tenant, change func(directory.Tenant) (directory.Tenant, []audit.Event, error)) (directory.Tenant, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Tenant{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Tenant{}, err
	}
	old, err := owner.tenant(t)
	if err != nil {
		return directory.Tenant{}, err
	}
	changed, written, err := change(copyTenant(old))
	if err != nil {
		return directory.Tenant{}, err
	}
	changed.ID, changed.Project, changed.CreatedAt = old.ID, old.Project, old.CreatedAt
	owner.tenants[t] = copyTenant(changed)
	if changed.Reversions(old) {
		owner.Version++
	}
	tx.outdate(owner, changed.Entries(old, owner.life(), tx.now)...)
	if changed.Opens(old) {
		tx.revoke(changed.Opened(owner.members(t), owner.life(), tx.now)...)
	}
	tx.log(written...)
	return copyTenant(changed), nil
}

// members returns who is a member of a tenant, ascending.
func (p *project) members(t id.Tenant) []id.User {
	var list []id.User
	for _, u := range ascending(maps.Keys(p.users), id.User{}, len(p.users)) {
		if _, member := p.users[u].In(t); member {
			list = append(list, u)
		}
	}
	return list
}

func (s tenants) Delete(ctx context.Context, p id.Project, t id.Tenant, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	old, err := owner.tenant(t)
	if err != nil {
		return err
	}
	delete(owner.tenants, t)
	maps.DeleteFunc(owner.roles, func(_ id.Role, r directory.Role) bool { return r.Tenant == t })
	owner.lost[directory.Place{Tenant: t}] = true
	if old.Overrides() {
		owner.Version++
	}
	tx.outdate(owner, old.Gone(owner.life(), tx.now)...)
	tx.log(e)
	return nil
}

// Sweep takes roles before tenants, each in their order.
func (s tenants) Sweep(ctx context.Context, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	removed := 0
	for _, p := range tx.projects {
		for _, lost := range slices.SortedFunc(maps.Keys(p.lost), directory.Place.Compare) {
			for _, u := range ascending(maps.Keys(p.users), id.User{}, len(p.users)) {
				found := p.users[u]
				if removed == limit {
					return removed, nil
				}
				if slices.Contains(found.Places(), lost) {
					found.Grants = found.Without(lost.Tenant, lost.Role)
					p.users[u] = found
					removed++
				}
			}
			delete(p.lost, lost)
		}
	}
	return removed, nil
}
