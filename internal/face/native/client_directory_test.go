package native_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

func exerciseDirectory(t *testing.T, c *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	// A name that has to be escaped in a path.
	const write = "invoice/all: write"
	for _, name := range []string{"invoice.list", write} {
		_, err := c.CreatePermission(ctx, latchkey.PermissionRequest{Name: name})
		must(t, err)
	}
	described, err := c.DescribePermission(ctx, write, "Write invoices")
	must(t, err)
	if described.Name != write || described.Description != "Write invoices" {
		t.Errorf("described: %+v", described)
	}
	tenant, err := c.CreateTenant(ctx, latchkey.TenantRequest{Name: new("Globex"), Attributes: json.RawMessage(`{"plan":"free","seats":3}`)})
	must(t, err)
	staff, err := c.CreateRole(ctx, latchkey.RoleRequest{Name: "staff", Permissions: []string{"invoice.list"}})
	must(t, err)
	owner, err := c.CreateRole(ctx, latchkey.RoleRequest{Tenant: tenant.ID, Name: "owner", Permissions: []string{write, "invoice.list"}})
	must(t, err)
	if _, err := c.CreateRole(ctx, latchkey.RoleRequest{Name: "staff"}); latchkey.CodeOf(err) != latchkey.CodeConflict {
		t.Errorf("the same role again: %v", err)
	}
	exerciseGrants(t, c, tenant, staff, owner)

	tenant, err = c.ChangeTenant(ctx, tenant.ID, latchkey.TenantRequest{Attributes: json.RawMessage(`{"seats":null}`)})
	must(t, err)
	found, err := c.Tenant(ctx, tenant.ID)
	must(t, err)
	if string(tenant.Attributes) != `{"plan":"free"}` || string(found.Attributes) != `{"plan":"free"}` {
		t.Errorf("attributes: %s, %s", tenant.Attributes, found.Attributes)
	}
	if n := len(all(t, c.Tenants(ctx, latchkey.TenantFilter{Query: "GLOB", Status: "enabled"}))); n != 1 {
		t.Errorf("%d tenants, want 1", n)
	}
	owner, err = c.ChangeRole(ctx, owner.ID, latchkey.RoleChange{Name: new("boss"), Permissions: &[]string{write}})
	must(t, err)
	same, err := c.Role(ctx, owner.ID)
	must(t, err)
	if same.Name != "boss" || fmt.Sprint(same.Permissions) != fmt.Sprint([]string{write}) || same.Tenant != tenant.ID {
		t.Errorf("changed: %+v", same)
	}
	if roles := all(t, c.Roles(ctx, latchkey.RoleFilter{Tenant: tenant.ID})); len(roles) != 1 || roles[0].ID != owner.ID {
		t.Errorf("roles of the tenant: %+v", roles)
	}
	must(t, c.DeletePermission(ctx, write))
	for p, err := range c.Permissions(ctx) {
		if must(t, err); p.Name == write {
			t.Errorf("%s is still there", write)
		}
	}
	must(t, c.DeleteRole(ctx, staff.ID))
	must(t, c.DeleteTenant(ctx, tenant.ID))
	if _, err := c.Role(ctx, owner.ID); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("a role of a deleted tenant: %v", err)
	}
}

func exerciseGrants(t *testing.T, c *latchkey.Client, tenant latchkey.Tenant, staff, owner latchkey.Role) {
	t.Helper()
	ctx := t.Context()
	u, err := c.CreateUser(ctx, latchkey.UserRequest{
		LoginIDs: &[]string{"erin@example.com"}, Attributes: json.RawMessage(`{"badge":7}`), Roles: &[]string{"staff"},
		Tenants: &[]latchkey.MembershipRequest{{Tenant: tenant.ID, Roles: []string{"owner"}}},
	})
	must(t, err)
	if len(u.Roles) != 1 || u.Roles[0] != (latchkey.RoleName{ID: staff.ID, Name: "staff"}) || len(u.Tenants) != 1 || u.Tenants[0].Name != tenant.Name ||
		len(u.Tenants[0].Roles) != 1 || u.Tenants[0].Roles[0].ID != owner.ID || string(u.Attributes) != `{"badge":7}` {
		t.Errorf("created: %+v", u)
	}
	for name, filter := range map[string]latchkey.UserFilter{
		"query": {Query: "ERIN@"}, "tenant": {Tenant: tenant.ID}, "role": {Role: "staff"}, "role there": {Tenant: tenant.ID, Role: "owner"},
		"everything": {Query: "erin", Tenant: tenant.ID, Role: owner.ID, Status: "enabled", CreatedFrom: u.CreatedAt, CreatedTo: u.CreatedAt.Add(1e6)},
	} {
		if users := all(t, c.Users(ctx, filter)); len(users) != 1 || users[0].ID != u.ID {
			t.Errorf("%s found %+v", name, users)
		}
	}
	u, err = c.SetMembership(ctx, u.ID, tenant.ID, "staff")
	must(t, err)
	if len(u.Tenants) != 1 || len(u.Tenants[0].Roles) != 1 || u.Tenants[0].Roles[0].ID != staff.ID {
		t.Errorf("the membership: %+v", u.Tenants)
	}
	u, err = c.SetUserRoles(ctx, u.ID)
	must(t, err)
	must(t, c.DeleteMembership(ctx, u.ID, tenant.ID))
	if u, err = c.User(ctx, u.ID); err != nil || len(u.Roles) != 0 || len(u.Tenants) != 0 {
		t.Errorf("nothing is left: %+v, %v", u, err)
	}
	result, err := c.UserBatch(ctx, latchkey.UserBatch{
		Create: []latchkey.UserRequest{{LoginIDs: &[]string{"erin@example.com"}}, {LoginIDs: &[]string{"frank@example.com"}, Email: new("frank")}},
		Delete: []string{u.ID},
	})
	must(t, err)
	if result.Created != 1 || result.Deleted != 1 || result.Refused != 1 || result.Create[0].User == nil || result.Create[1].Problem == nil ||
		result.Create[1].Problem.Errors[0].Pointer != "/create/1/email" {
		t.Errorf("the batch: %+v", result)
	}
}
