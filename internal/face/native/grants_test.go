package native_test

import (
	"context"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// cli is who makes what a test starts with.
var cli = audit.Origin{Actor: audit.CLI}

// grants are what a site has for users to be granted: a tenant of which its user is a
// member with a role of the tenant's own, and a role of the project.
type grants struct {
	project    id.Project
	tenant     id.Tenant
	own        id.Role // of the tenant: member
	role       id.Role // of the project: auditor
	permission string
}

func (w *world) newGrants(t testing.TB, p id.Project) grants {
	t.Helper()
	ctx, by := context.Background(), cli
	g := grants{project: p, permission: "invoice:read"}
	_, err := w.directory.CreatePermission(ctx, p, g.permission, "", by)
	must(t, err)
	tenant, err := w.directory.CreateTenant(ctx, p, directory.TenantChange{Name: new("ACME"), Attributes: []byte(`{"plan":"pro"}`)}, by)
	must(t, err)
	g.tenant = tenant.ID
	own, err := w.directory.CreateRole(ctx, p, tenant.ID.String(), directory.RoleChange{Name: new("member")}, by)
	must(t, err)
	role, err := w.directory.CreateRole(ctx, p, "", directory.RoleChange{Name: new("auditor"), Permissions: &[]string{g.permission}}, by)
	must(t, err)
	g.own, g.role = own.ID, role.ID
	return g
}

// member makes a user who is a member of the tenant, with its role.
func (g grants) member(t testing.TB, w *world, login string) id.User {
	t.Helper()
	u, err := w.directory.CreateUser(context.Background(), g.project, directory.UserChange{
		LoginIDs:    &[]string{login},
		GrantChange: directory.GrantChange{Tenants: &[]directory.MembershipChange{{Tenant: g.tenant.String(), Roles: []string{"member"}}}},
	}, cli)
	must(t, err)
	return u.ID
}
