package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type roleQuery struct {
	wire.Page
	latchkey.RoleFilter
}

func (f *Face) roleRoutes() []Route {
	scope := directory.ScopeUsers
	one := "/v1/projects/{project}/roles/{role}"
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/roles", ID: "createRole", Tag: tagRoles, Scope: scope,
			Summary: "Add a role", Body: latchkey.RoleRequest{}, Answer: latchkey.Role{}, Status: http.StatusCreated,
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.createRole),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/roles", ID: "listRoles", Tag: tagRoles, Scope: scope,
			Summary: "List the roles of the project, or those of a tenant", Query: roleQuery{}, Answer: latchkey.RoleList{},
			serve: f.managed(scope, f.listRoles),
		},
		{
			Method: "GET", Pattern: one, ID: "getRole", Tag: tagRoles, Scope: scope,
			Summary: "One role", Answer: latchkey.Role{}, serve: f.managed(scope, f.getRole),
		},
		{
			Method: "PATCH", Pattern: one, ID: "changeRole", Tag: tagRoles, Scope: scope,
			Summary: "Change a role, for all who have it",
			About:   "Tokens that name the role are outdated from then on: verifiers that follow the revocation feed ask for newer ones.",
			Body:    latchkey.RoleChange{}, Answer: latchkey.Role{}, Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.changeRole),
		},
		{
			Method: "DELETE", Pattern: one, ID: "deleteRole", Tag: tagRoles, Scope: scope,
			Summary: "Remove a role; whoever had it has it no more", Answer: nothing{}, serve: f.managed(scope, deleting(pathRole, f.d.Directory.DeleteRole)),
		},
	}
}

func pathRole(r *http.Request) (id.Role, error) {
	role, err := id.ParseRole(r.PathValue("role"))
	if err != nil {
		return role, fault.New(fault.NotFound, "This project has no such role.")
	}
	return role, nil
}

func renderRole(r directory.Role) latchkey.Role {
	out := latchkey.Role{
		ID: r.ID.String(), Name: r.Name, Description: r.Description, Permissions: list(r.Permissions), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if !r.Tenant.IsZero() {
		out.Tenant = r.Tenant.String()
	}
	return out
}

func (f *Face) createRole(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.RoleRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	change := directory.RoleChange{Name: &body.Name, Description: &body.Description, Permissions: &body.Permissions, Unreadable: unknown}
	role, err := f.d.Directory.CreateRole(r.Context(), c.project, body.Tenant, change, c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, renderRole(role))
}

func (f *Face) listRoles(w http.ResponseWriter, r *http.Request, c caller) error {
	var q roleQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	query := directory.RoleQuery{Project: c.project, Name: q.Name, Limit: q.Size + 1}
	var err error
	if q.Tenant != "" {
		if query.Tenant, err = id.ParseTenant(q.Tenant); err != nil {
			return fault.New(fault.Invalid, "The filter can't be read.").
				WithFields(fault.Field{Pointer: "?tenant", Code: "format", Detail: "A tenant id (ten_…) is wanted."})
		}
	}
	if err := cursor(q.Page, query.After[:]); err != nil {
		return err
	}
	roles, err := f.d.Directory.Roles(r.Context(), query)
	if err != nil {
		return err
	}
	out := latchkey.RoleList{Roles: []latchkey.Role{}}
	for i, role := range roles {
		if i == q.Size {
			last := roles[i-1].ID
			out.NextPageToken = wire.EncodePage(last[:])
			break
		}
		out.Roles = append(out.Roles, renderRole(role))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) getRole(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := pathRole(r)
	if err != nil {
		return err
	}
	role, err := f.d.Directory.Role(r.Context(), c.project, id)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderRole(role))
}

func (f *Face) changeRole(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.RoleChange
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	id, err := pathRole(r)
	if err != nil {
		return unknown.With(err)
	}
	change := directory.RoleChange{Name: body.Name, Description: body.Description, Permissions: body.Permissions, Unreadable: unknown}
	role, err := f.d.Directory.ChangeRole(r.Context(), c.project, id, change, c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderRole(role))
}
