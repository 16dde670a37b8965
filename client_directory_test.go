package latchkey

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// each request for tenants, roles, permissions and grants as it is on the wire.
func TestDirectoryRequestsOnTheWire(t *testing.T) {
	ctx := context.Background()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		call func(c *Client) error
		want string
	}{
		"search": {func(c *Client) error {
			return drain(c.Users(ctx, UserFilter{Query: "a b", Tenant: "ten_1", Role: "staff", Status: "enabled", CreatedFrom: at, CreatedTo: at}))
		}, `GET M/users?createdFrom=2026-01-02T03%3A04%3A05Z&createdTo=2026-01-02T03%3A04%3A05Z&pageSize=200&query=a+b&role=staff&status=enabled&tenant=ten_1 K `},
		"create user": {func(c *Client) error {
			_, err := c.CreateUser(ctx, UserRequest{LoginIDs: &[]string{"a"}, Attributes: json.RawMessage(`{"b":null}`), Roles: &[]string{}, Tenants: &[]MembershipRequest{{Tenant: "ten_1"}}})
			return err
		}, `POST M/users K {"loginIds":["a"],"attributes":{"b":null},"roles":[],"tenants":[{"tenant":"ten_1"}]}`},
		"roles of a user":    {func(c *Client) error { return second(c.SetUserRoles(ctx, "usr_1", "a", "b")) }, `PUT M/users/usr_1/roles K {"roles":["a","b"]}`},
		"no roles of a user": {func(c *Client) error { return second(c.SetUserRoles(ctx, "usr_1")) }, `PUT M/users/usr_1/roles K {"roles":[]}`},
		"membership":         {func(c *Client) error { return second(c.SetMembership(ctx, "usr_1", "ten_1", "a")) }, `PUT M/users/usr_1/tenants/ten_1 K {"roles":["a"]}`},
		"a bare membership":  {func(c *Client) error { return second(c.SetMembership(ctx, "usr_1", "ten_1")) }, `PUT M/users/usr_1/tenants/ten_1 K {}`},
		"no membership":      {func(c *Client) error { return c.DeleteMembership(ctx, "usr_1", "ten_1") }, `DELETE M/users/usr_1/tenants/ten_1 K `},
		"batch": {func(c *Client) error {
			return second(c.UserBatch(ctx, UserBatch{Create: []UserRequest{{LoginIDs: &[]string{"a"}}}, Delete: []string{"usr_1"}}))
		}, `POST M/users/batch K {"create":[{"loginIds":["a"]}],"delete":["usr_1"]}`},
		"tenants": {func(c *Client) error { return drain(c.Tenants(ctx, TenantFilter{Query: "a", Status: "disabled"})) }, `GET M/tenants?pageSize=200&query=a&status=disabled K `},
		"tenant":  {func(c *Client) error { return second(c.Tenant(ctx, "ten_1")) }, `GET M/tenants/ten_1 K `},
		"create tenant": {func(c *Client) error {
			return second(c.CreateTenant(ctx, TenantRequest{Name: new("A"), Attributes: json.RawMessage(`{"a":1}`)}))
		}, `POST M/tenants K {"name":"A","attributes":{"a":1}}`},
		"change tenant": {func(c *Client) error {
			return second(c.ChangeTenant(ctx, "ten_1", TenantRequest{Status: new("disabled")}))
		}, `PATCH M/tenants/ten_1 K {"status":"disabled"}`},
		"delete tenant": {func(c *Client) error { return c.DeleteTenant(ctx, "ten_1") }, `DELETE M/tenants/ten_1 K `},
		"roles":         {func(c *Client) error { return drain(c.Roles(ctx, RoleFilter{Tenant: "ten_1", Name: "a"})) }, `GET M/roles?name=a&pageSize=200&tenant=ten_1 K `},
		"role":          {func(c *Client) error { return second(c.Role(ctx, "role_1")) }, `GET M/roles/role_1 K `},
		"create role":   {func(c *Client) error { return second(c.CreateRole(ctx, RoleRequest{Name: "a"})) }, `POST M/roles K {"name":"a"}`},
		"change role": {func(c *Client) error {
			return second(c.ChangeRole(ctx, "role_1", RoleChange{Permissions: &[]string{}}))
		}, `PATCH M/roles/role_1 K {"permissions":[]}`},
		"delete role":   {func(c *Client) error { return c.DeleteRole(ctx, "role_1") }, `DELETE M/roles/role_1 K `},
		"permissions":   {func(c *Client) error { return drain(c.Permissions(ctx)) }, `GET M/permissions?pageSize=200 K `},
		"permission":    {func(c *Client) error { return second(c.CreatePermission(ctx, PermissionRequest{Name: "a"})) }, `POST M/permissions K {"name":"a"}`},
		"describe":      {func(c *Client) error { return second(c.DescribePermission(ctx, "a/b c:d", "")) }, `PATCH M/permissions/a%2Fb%20c:d K {"description":""}`},
		"no permission": {func(c *Client) error { return c.DeletePermission(ctx, "a/../b") }, `DELETE M/permissions/a%2F..%2Fb K `},
	} {
		server := play(answers(200, "application/json", `{}`))
		if err := test.call(testClient(t, testKey, server)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := server.calls[0]
		line := got.Method + " " + got.URL + " " + strings.TrimPrefix(got.Authorization, "Bearer ") + " " + got.Body
		line = strings.NewReplacer(testKey, "K", "https://auth.example.com/v1/projects/prj_0testtesttest", "M").Replace(line)
		if line != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, line, test.want)
		}
	}
}

// What can't be the name of a permission can't lead elsewhere either.
func TestNamesOfPermissionsStayInTheirPlace(t *testing.T) {
	server := play(answersJSON(struct{}{}))
	c := testClient(t, testKey, server)
	for _, bad := range []string{"", ".", "..", "/", "a/", "../a", " a", "a?b", "a#b", "a%2F", "a\\b", "a\nb", "ä", strings.Repeat("a", 61), testToken, testKey, "rt_a"} {
		if err := c.DeletePermission(t.Context(), bad); err == nil || bad != "" && bad != "." && strings.Contains(err.Error(), bad) && len(bad) > 2 {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := c.DescribePermission(t.Context(), bad, ""); err == nil {
			t.Errorf("%q was sent", bad)
		}
	}
	if len(server.calls) > 0 {
		t.Errorf("sent %v", server.calls[0])
	}
}
