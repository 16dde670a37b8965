package main

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/server"
)

// demoTenant is the tenant that dev makes, with the demo user as its administrator.
const demoTenant = "Acme"

// demoRoles are the roles of the demo project, with their permissions.
func demoRoles() []struct {
	name        string
	permissions []string
} {
	return []struct {
		name        string
		permissions []string
	}{{"admin", []string{"orders:read", "orders:write"}}, {"member", []string{"orders:read"}}}
}

// furnishTenant makes permissions, roles, and the demo tenant with the user as member,
// unless an earlier run has: what somebody has changed since stays.
func furnishTenant(ctx context.Context, app *server.App, u directory.User) (id.Tenant, error) {
	there, _, err := app.Directory.Tenants(ctx, directory.TenantQuery{Project: u.Project, Limit: 1})
	if err != nil {
		return id.Tenant{}, err
	}
	if len(there) > 0 {
		return there[0].ID, nil
	}
	if err := furnishRoles(ctx, app, u.Project); err != nil {
		return id.Tenant{}, err
	}
	name := demoTenant
	t, err := app.Directory.CreateTenant(ctx, u.Project, directory.TenantChange{Name: &name}, byCLI)
	if err != nil {
		return id.Tenant{}, err
	}
	_, err = app.Directory.SetMembership(ctx, u.Project, u.ID, t.ID, []string{"admin"}, byCLI)
	return t.ID, err
}

func furnishRoles(ctx context.Context, app *server.App, p id.Project) error {
	known := map[string]bool{}
	have, err := app.Directory.Permissions(ctx, p, "", directory.MaxPermissions)
	if err != nil {
		return err
	}
	for _, permission := range have {
		known[permission.Name] = true
	}
	roles, err := app.Directory.Roles(ctx, directory.RoleQuery{Project: p, Limit: directory.MaxProjectRoles})
	if err != nil {
		return err
	}
	for _, r := range roles {
		known["role "+r.Name] = true
	}
	for _, role := range demoRoles() {
		for _, name := range role.permissions {
			if known[name] {
				continue
			}
			if _, err := app.Directory.CreatePermission(ctx, p, name, "", byCLI); err != nil {
				return err
			}
			known[name] = true
		}
		if known["role "+role.name] {
			continue // of a run that was cut off
		}
		change := directory.RoleChange{Name: &role.name, Permissions: &role.permissions}
		if _, err := app.Directory.CreateRole(ctx, p, "", change, byCLI); err != nil {
			return err
		}
	}
	return nil
}
