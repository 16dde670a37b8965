package native_test

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type tappedHolders struct {
	directory.HolderStore
	*tap
}

func (s tappedHolders) Search(ctx context.Context, q directory.UserQuery) ([]directory.User, id.User, error) {
	if err := s.call("holders.Search"); err != nil {
		return nil, id.User{}, err
	}
	return s.HolderStore.Search(ctx, q)
}

func (s tappedHolders) Holder(ctx context.Context, p id.Project, u id.User) (directory.Holder, error) {
	if err := s.call("holders.Holder"); err != nil {
		return directory.Holder{}, err
	}
	return s.HolderStore.Holder(ctx, p, u)
}

func (s tappedHolders) Resolve(ctx context.Context, p id.Project, g directory.Grants) (directory.Resolved, error) {
	if err := s.call("holders.Resolve"); err != nil {
		return directory.Resolved{}, err
	}
	return s.HolderStore.Resolve(ctx, p, g)
}

type tappedBatches struct {
	directory.BatchStore
	*tap
}

func (s tappedBatches) Apply(ctx context.Context, p id.Project, edits []directory.UserEdit) ([]error, error) {
	if err := s.call("batches.Apply"); err != nil {
		return nil, err
	}
	return s.BatchStore.Apply(ctx, p, edits)
}

type tappedTenants struct {
	directory.TenantStore
	*tap
}

func (s tappedTenants) Insert(ctx context.Context, t directory.Tenant, e audit.Event) error {
	if err := s.call("tenants.Insert"); err != nil {
		return err
	}
	return s.TenantStore.Insert(ctx, t, e)
}

func (s tappedTenants) Find(ctx context.Context, p id.Project, t id.Tenant) (directory.Tenant, error) {
	if err := s.call("tenants.Find"); err != nil {
		return directory.Tenant{}, err
	}
	return s.TenantStore.Find(ctx, p, t)
}

func (s tappedTenants) List(ctx context.Context, q directory.TenantQuery) ([]directory.Tenant, id.Tenant, error) {
	if err := s.call("tenants.List"); err != nil {
		return nil, id.Tenant{}, err
	}
	return s.TenantStore.List(ctx, q)
}

func (s tappedTenants) Change(ctx context.Context, p id.Project, t id.Tenant, change func(directory.Tenant) (directory.Tenant, []audit.Event, error)) (directory.Tenant, error) {
	if err := s.call("tenants.Change"); err != nil {
		return directory.Tenant{}, err
	}
	return s.TenantStore.Change(ctx, p, t, change)
}

func (s tappedTenants) Delete(ctx context.Context, p id.Project, t id.Tenant, e audit.Event) error {
	if err := s.call("tenants.Delete"); err != nil {
		return err
	}
	return s.TenantStore.Delete(ctx, p, t, e)
}

type tappedRoles struct {
	directory.RoleStore
	*tap
}

func (s tappedRoles) Insert(ctx context.Context, r directory.Role, e audit.Event) error {
	if err := s.call("roles.Insert"); err != nil {
		return err
	}
	return s.RoleStore.Insert(ctx, r, e)
}

func (s tappedRoles) Find(ctx context.Context, p id.Project, r id.Role) (directory.Role, error) {
	if err := s.call("roles.Find"); err != nil {
		return directory.Role{}, err
	}
	return s.RoleStore.Find(ctx, p, r)
}

func (s tappedRoles) List(ctx context.Context, q directory.RoleQuery) ([]directory.Role, error) {
	if err := s.call("roles.List"); err != nil {
		return nil, err
	}
	return s.RoleStore.List(ctx, q)
}

func (s tappedRoles) Change(ctx context.Context, p id.Project, r id.Role, change func(directory.Role) (directory.Role, []audit.Event, error)) (directory.Role, error) {
	if err := s.call("roles.Change"); err != nil {
		return directory.Role{}, err
	}
	return s.RoleStore.Change(ctx, p, r, change)
}

func (s tappedRoles) Delete(ctx context.Context, p id.Project, r id.Role, e audit.Event) error {
	if err := s.call("roles.Delete"); err != nil {
		return err
	}
	return s.RoleStore.Delete(ctx, p, r, e)
}

type tappedPermissions struct {
	directory.PermissionStore
	*tap
}

func (s tappedPermissions) Insert(ctx context.Context, p directory.Permission, e audit.Event) error {
	if err := s.call("permissions.Insert"); err != nil {
		return err
	}
	return s.PermissionStore.Insert(ctx, p, e)
}

func (s tappedPermissions) List(ctx context.Context, p id.Project, after string, limit int) ([]directory.Permission, error) {
	if err := s.call("permissions.List"); err != nil {
		return nil, err
	}
	return s.PermissionStore.List(ctx, p, after, limit)
}

func (s tappedPermissions) Describe(ctx context.Context, p id.Project, name, description string, e audit.Event) (directory.Permission, error) {
	if err := s.call("permissions.Describe"); err != nil {
		return directory.Permission{}, err
	}
	return s.PermissionStore.Describe(ctx, p, name, description, e)
}

func (s tappedPermissions) Delete(ctx context.Context, p id.Project, name string, e audit.Event) error {
	if err := s.call("permissions.Delete"); err != nil {
		return err
	}
	return s.PermissionStore.Delete(ctx, p, name, e)
}
