package latchkey

import (
	"encoding/json"
	"time"
)

// Tenant is a customer organisation of the application, of which users are members.
type Tenant struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Status     string          `json:"status" enum:"enabled,disabled"`
	Attributes json.RawMessage `json:"attributes,omitempty" description:"What the application keeps of the tenant. Tokens show it only through a template."`
	CreatedAt  time.Time       `json:"createdAt"`
	UpdatedAt  time.Time       `json:"updatedAt"`
}

// TenantRequest adds or changes a tenant. Members that are nil stay as they are.
type TenantRequest struct {
	Name       *string         `json:"name,omitempty" description:"1 to 200 characters; two tenants may have the same."`
	Status     *string         `json:"status,omitempty" enum:"enabled,disabled" description:"A disabled tenant gives its members nothing, and sessions in which it is the current one end."`
	Attributes json.RawMessage `json:"attributes,omitempty" description:"JSON merge patch (RFC 7396): null takes an attribute out. The result has at most 50 members of 8 KiB in all, their names 1 to 60 characters."`
}

// TenantFilter says which tenants to list: those that match every member that is set.
type TenantFilter struct {
	Query  string `query:"query" maxLength:"200" description:"Part of the name in upper or lower case, or the id."`
	Status string `query:"status" enum:"enabled,disabled"`
}

// TenantList is a page of tenants.
type TenantList struct {
	Tenants       []Tenant `json:"tenants" description:"Oldest first."`
	NextPageToken string   `json:"nextPageToken,omitempty" description:"Absent on the last page. While it is there, a page of a filtered list may hold fewer tenants than pageSize, even none."`
}

// Role is a named list of permissions.
type Role struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant,omitempty" description:"Id of the tenant that it belongs to; absent for a role of the project."`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Permissions []string  `json:"permissions"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// RoleRequest adds a role.
type RoleRequest struct {
	Tenant      string   `json:"tenant,omitempty" description:"Id of the tenant that it is to belong to: it can be granted there only. None given: a role of the project, which can be granted everywhere."`
	Name        string   `json:"name" required:"true" description:"1 to 60 ASCII letters, digits, spaces and . _ : / - with a letter or digit at both ends; unique in the tenant, or among the project's."`
	Description string   `json:"description,omitempty" maxLength:"500"`
	Permissions []string `json:"permissions,omitempty" description:"Names from the catalogue. At most 200."`
}

// RoleChange changes a role. Members that are nil stay as they are.
type RoleChange struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty" maxLength:"500"`
	Permissions *[]string `json:"permissions,omitempty" description:"All that it has from then on."`
}

// RoleFilter says which roles to list.
type RoleFilter struct {
	Tenant string `query:"tenant" description:"Tenant id: the roles that belong to it. None given: those of the project."`
	Name   string `query:"name" description:"Only the role of this name."`
}

// RoleList is a page of roles.
type RoleList struct {
	Roles         []Role `json:"roles" description:"Oldest first."`
	NextPageToken string `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}

// Permission is the name of something that may be done. Applications check it by name.
type Permission struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// PermissionRequest adds a permission to the catalogue.
type PermissionRequest struct {
	Name        string `json:"name" required:"true" description:"1 to 60 ASCII letters, digits, spaces and . _ : / - with a letter or digit at both ends. It never changes."`
	Description string `json:"description,omitempty" maxLength:"500"`
}

// PermissionChange replaces the description of a permission.
type PermissionChange struct {
	Description string `json:"description" required:"true" maxLength:"500"`
}

// PermissionList is a page of the catalogue of permissions.
type PermissionList struct {
	Permissions   []Permission `json:"permissions" description:"By name, in the order of bytes."`
	NextPageToken string       `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}
