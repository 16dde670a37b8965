package latchkey

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// Users yields the users that match, oldest first. Scope users. It asks for the next
// page when the one before is used up, and ends after the first error.
func (c *Client) Users(ctx context.Context, filter UserFilter) iter.Seq2[User, error] {
	return each(func(p PageRequest) ([]User, string, error) {
		page, err := c.UsersPage(ctx, filter, p)
		return page.Users, page.NextPageToken, err
	})
}

// UsersPage returns one page of Users.
func (c *Client) UsersPage(ctx context.Context, filter UserFilter, p PageRequest) (UserList, error) {
	return manageList[UserList](ctx, c, p, filter, "users")
}

// User returns one user. Scope users.
func (c *Client) User(ctx context.Context, userID string) (User, error) {
	return manageCall[User](ctx, c, http.MethodGet, nil, "users", userID)
}

// CreateUser adds a user. Scope users. CodeConflict when a login id is taken.
func (c *Client) CreateUser(ctx context.Context, r UserRequest) (User, error) {
	return manageCall[User](ctx, c, http.MethodPost, r, "users")
}

// ChangeUser changes a user; disabling ends all the user's sessions. Scope users.
func (c *Client) ChangeUser(ctx context.Context, userID string, r UserRequest) (User, error) {
	return manageCall[User](ctx, c, http.MethodPatch, r, "users", userID)
}

// DeleteUser removes a user and ends all the user's sessions. Scope users.
func (c *Client) DeleteUser(ctx context.Context, userID string) error {
	return manageGone(ctx, c, "users", userID)
}

// SetUserRoles replaces the roles that a user has in the project: ids, or names of roles of
// the project; none takes all away. Scope users.
func (c *Client) SetUserRoles(ctx context.Context, userID string, roles ...string) (User, error) {
	if roles == nil {
		roles = []string{}
	}
	return manageRepeated[User](ctx, c, http.MethodPut, UserRoles{roles}, "users", userID, "roles")
}

// SetMembership makes a user a member of a tenant, with these roles in place of those they
// had there: ids, or names of roles of the tenant or else of the project. Scope users.
func (c *Client) SetMembership(ctx context.Context, userID, tenantID string, roles ...string) (User, error) {
	return manageRepeated[User](ctx, c, http.MethodPut, MembershipRoles{roles}, "users", userID, "tenants", tenantID)
}

// DeleteMembership takes a user out of a tenant. Scope users.
func (c *Client) DeleteMembership(ctx context.Context, userID, tenantID string) error {
	return manageGone(ctx, c, "users", userID, "tenants", tenantID)
}

// UserBatch adds and removes up to 1000 users in one call. Scope users. One that is refused
// leaves the others alone: the error is nil then, and the result says which and why. An
// error without a Code may mean that some or all of it was done.
func (c *Client) UserBatch(ctx context.Context, b UserBatch) (UserBatchResult, error) {
	return manageCall[UserBatchResult](ctx, c, http.MethodPost, b, "users", "batch")
}

// Tenants yields the tenants that match, oldest first. Scope users. It asks for the next
// page when the one before is used up, and ends after the first error.
func (c *Client) Tenants(ctx context.Context, filter TenantFilter) iter.Seq2[Tenant, error] {
	return each(func(p PageRequest) ([]Tenant, string, error) {
		page, err := c.TenantsPage(ctx, filter, p)
		return page.Tenants, page.NextPageToken, err
	})
}

// TenantsPage returns one page of Tenants.
func (c *Client) TenantsPage(ctx context.Context, filter TenantFilter, p PageRequest) (TenantList, error) {
	return manageList[TenantList](ctx, c, p, filter, "tenants")
}

// Tenant returns one tenant. Scope users.
func (c *Client) Tenant(ctx context.Context, tenantID string) (Tenant, error) {
	return manageCall[Tenant](ctx, c, http.MethodGet, nil, "tenants", tenantID)
}

// CreateTenant adds a tenant. Scope users.
func (c *Client) CreateTenant(ctx context.Context, r TenantRequest) (Tenant, error) {
	return manageCall[Tenant](ctx, c, http.MethodPost, r, "tenants")
}

// ChangeTenant changes a tenant; disabling ends the sessions in which it is the current
// one. Scope users.
func (c *Client) ChangeTenant(ctx context.Context, tenantID string, r TenantRequest) (Tenant, error) {
	return manageCall[Tenant](ctx, c, http.MethodPatch, r, "tenants", tenantID)
}

// DeleteTenant removes a tenant with its own roles, and ends the sessions in which it is
// the current one. Its members stay users of the project. Scope users.
func (c *Client) DeleteTenant(ctx context.Context, tenantID string) error {
	return manageGone(ctx, c, "tenants", tenantID)
}

// Roles yields the roles of the project, or of a tenant, oldest first. Scope users. It asks
// for the next page when the one before is used up, and ends after the first error.
func (c *Client) Roles(ctx context.Context, filter RoleFilter) iter.Seq2[Role, error] {
	return each(func(p PageRequest) ([]Role, string, error) {
		page, err := c.RolesPage(ctx, filter, p)
		return page.Roles, page.NextPageToken, err
	})
}

// RolesPage returns one page of Roles.
func (c *Client) RolesPage(ctx context.Context, filter RoleFilter, p PageRequest) (RoleList, error) {
	return manageList[RoleList](ctx, c, p, filter, "roles")
}

// Role returns one role. Scope users.
func (c *Client) Role(ctx context.Context, roleID string) (Role, error) {
	return manageCall[Role](ctx, c, http.MethodGet, nil, "roles", roleID)
}

// CreateRole adds a role. Scope users. CodeConflict when the name is taken.
func (c *Client) CreateRole(ctx context.Context, r RoleRequest) (Role, error) {
	return manageCall[Role](ctx, c, http.MethodPost, r, "roles")
}

// ChangeRole changes a role, for all who have it. Scope users.
func (c *Client) ChangeRole(ctx context.Context, roleID string, r RoleChange) (Role, error) {
	return manageCall[Role](ctx, c, http.MethodPatch, r, "roles", roleID)
}

// DeleteRole removes a role; whoever had it has it no more. Scope users.
func (c *Client) DeleteRole(ctx context.Context, roleID string) error {
	return manageGone(ctx, c, "roles", roleID)
}

// Permissions yields the catalogue of permissions, by name. Scope users. It asks for the
// next page when the one before is used up, and ends after the first error.
func (c *Client) Permissions(ctx context.Context) iter.Seq2[Permission, error] {
	return each(func(p PageRequest) ([]Permission, string, error) {
		page, err := c.PermissionsPage(ctx, p)
		return page.Permissions, page.NextPageToken, err
	})
}

// PermissionsPage returns one page of Permissions.
func (c *Client) PermissionsPage(ctx context.Context, p PageRequest) (PermissionList, error) {
	return manageList[PermissionList](ctx, c, p, nil, "permissions")
}

// CreatePermission adds a permission to the catalogue. Scope users. CodeConflict when the
// name is taken.
func (c *Client) CreatePermission(ctx context.Context, r PermissionRequest) (Permission, error) {
	return manageCall[Permission](ctx, c, http.MethodPost, r, "permissions")
}

// DescribePermission replaces the description of a permission. Scope users.
func (c *Client) DescribePermission(ctx context.Context, name, description string) (Permission, error) {
	var out Permission
	op, err := c.onPermission(http.MethodPatch, name, PermissionChange{description})
	if err != nil {
		return out, err
	}
	err = c.call(ctx, op, &out)
	return out, err
}

// DeletePermission removes a permission, also from every role that has it. Scope users.
func (c *Client) DeletePermission(ctx context.Context, name string) error {
	op, err := c.onPermission(http.MethodDelete, name, nil)
	if err != nil {
		return err
	}
	op.gone = true
	return c.call(ctx, op, nil)
}

// onPermission is a call for a permission, which has a name and no id. It may be repeated.
func (c *Client) onPermission(method, name string, body any) (operation, error) {
	op, err := c.managing(method, body, "permissions")
	if err != nil {
		return op, err
	}
	if !isName(name) || isCredential(name) {
		return op, errors.New("latchkey: the name of a permission is empty or malformed; it wasn't sent")
	}
	op.url += "/" + url.PathEscape(name)
	op.repeat = always
	return op, nil
}

// isName reports whether s can be the name of a role or permission. Anything else in a path
// could lead to another resource.
func isName(s string) bool {
	plain := func(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }
	if s == "" || len(s) > 60 || !plain(s[0]) || !plain(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !plain(c) && !strings.ContainsRune(" ._:/-", rune(c)) {
			return false
		}
	}
	return true
}
