package main

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
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

// furnishTenant makes permissions, roles and the demo tenant, unless an earlier run has:
// what somebody has changed since stays. It reports whether the tenant is fresh.
func furnishTenant(ctx context.Context, app *server.App, p id.Project) (t id.Tenant, fresh bool, err error) {
	there, _, err := app.Directory.Tenants(ctx, directory.TenantQuery{Project: p, Limit: 1})
	if err != nil {
		return id.Tenant{}, false, err
	}
	if len(there) > 0 {
		return there[0].ID, false, nil
	}
	if err := furnishRoles(ctx, app, p); err != nil {
		return id.Tenant{}, false, err
	}
	name := demoTenant
	made, err := app.Directory.CreateTenant(ctx, p, directory.TenantChange{Name: &name}, byCLI)
	return made.ID, true, err
}

// furnishUser makes the demo user as administrator of the tenant. One who is there from an
// earlier run becomes that of a fresh tenant.
func furnishUser(ctx context.Context, app *server.App, p id.Project, t id.Tenant, fresh bool) (directory.User, error) {
	roles := []string{"admin"}
	u, err := app.Directory.UserByLogin(ctx, p, demoUser)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		logins, name := []string{demoUser}, "Alice Example"
		change := directory.UserChange{LoginIDs: &logins, Name: &name}
		change.Tenants = &[]directory.MembershipChange{{Tenant: t.String(), Roles: roles}}
		return app.Directory.CreateUser(ctx, p, change, byCLI)
	case err == nil && fresh:
		return app.Directory.SetMembership(ctx, p, u.ID, t, roles, byCLI)
	}
	return u, err
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
