package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// TenantChange is what a caller says of a tenant. Members that are nil stay as they are.
type TenantChange struct {
	Name       *string
	Status     *Status
	Attributes json.RawMessage // a JSON merge patch

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// apply returns t with the change made; what is wrong with the result is told in bad.
func (c TenantChange) apply(t Tenant, bad *problems) Tenant {
	if c.Name != nil {
		t.Name = *c.Name
	}
	if t.Name == "" || !plain(t.Name, maxName) {
		bad.add("/name", "format", "A name of 1 to %d characters without control characters is wanted.", maxName)
	}
	if c.Status != nil {
		t.Status = *c.Status
		checkStatus(bad, t.Status)
	}
	t.Attributes = mergeAttributes(t.Attributes, c.Attributes, "/attributes", bad)
	return t
}

func checkStatus(bad *problems, s Status) {
	if s != Enabled && s != Disabled {
		bad.add("/status", "format", "enabled or disabled is wanted.")
	}
}

const badTenant = "The tenant can't be stored like this."

// CreateTenant adds a tenant. A name is needed.
func (s *Service) CreateTenant(ctx context.Context, p id.Project, c TenantChange, o audit.Origin) (Tenant, error) {
	now := s.now()
	bad := problems(slices.Clone(c.Unreadable))
	t := c.apply(Tenant{ID: id.NewTenant(now), Project: p, Status: Enabled, CreatedAt: millis(now), UpdatedAt: millis(now)}, &bad)
	if err := bad.refusal(badTenant); err != nil {
		return Tenant{}, err
	}
	e := audit.New(p, now, audit.TenantCreated, o).With("tenant", t.ID.String()).With("name", t.Name)
	return t, s.tenants.Insert(ctx, t, e)
}

// Tenant returns a tenant; fault.NotFound when the project has none such.
func (s *Service) Tenant(ctx context.Context, p id.Project, t id.Tenant) (Tenant, error) {
	return s.tenants.Find(ctx, p, t)
}

// Tenants lists tenants as TenantStore.List does.
func (s *Service) Tenants(ctx context.Context, q TenantQuery) ([]Tenant, id.Tenant, error) {
	return s.tenants.List(ctx, q)
}

// ChangeTenant changes a tenant. Disabling ends every session in which it is the current
// tenant, in the same transaction; enabling again doesn't bring them back.
func (s *Service) ChangeTenant(ctx context.Context, p id.Project, t id.Tenant, c TenantChange, o audit.Origin) (Tenant, error) {
	if len(c.Unreadable) > 0 {
		return Tenant{}, s.refuseTenant(ctx, p, t, c)
	}
	now := s.now()
	return s.tenants.Change(ctx, p, t, func(old Tenant) (Tenant, []audit.Event, error) {
		var bad problems
		changed := c.apply(old, &bad)
		if err := bad.refusal(badTenant); err != nil {
			return old, nil, err
		}
		if changed.Name == old.Name && changed.Status == old.Status && bytes.Equal(changed.Attributes, old.Attributes) {
			return old, nil, nil
		}
		changed.UpdatedAt = millis(now)
		kind := audit.TenantUpdated
		switch {
		case old.Status != changed.Status && changed.Status == Disabled:
			kind = audit.TenantDisabled
			changed.Epoch++
		case old.Status != changed.Status:
			kind = audit.TenantEnabled
		}
		return changed, []audit.Event{audit.New(p, now, kind, o).With("tenant", t.String()).With("name", changed.Name)}, nil
	})
}

// refuseTenant tells all that is wrong with a change that was unreadable in part.
func (s *Service) refuseTenant(ctx context.Context, p id.Project, t id.Tenant, c TenantChange) error {
	old, err := s.tenants.Find(ctx, p, t)
	if err != nil {
		return err
	}
	bad := problems(slices.Clone(c.Unreadable))
	c.apply(old, &bad)
	return bad.refusal(badTenant)
}

// DeleteTenant removes a tenant with its own roles. Sessions in which it is the current
// tenant are refused from then on; its members stay users of the project.
func (s *Service) DeleteTenant(ctx context.Context, p id.Project, t id.Tenant, o audit.Origin) error {
	return s.tenants.Delete(ctx, p, t, audit.New(p, s.now(), audit.TenantDeleted, o).With("tenant", t.String()))
}
