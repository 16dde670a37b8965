package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

type tenantQuery struct {
	wire.Page
	latchkey.TenantFilter
}

func (f *Face) tenantRoutes() []Route {
	scope := directory.ScopeUsers
	one := "/v1/projects/{project}/tenants/{tenant}"
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/tenants", ID: "createTenant", Tag: tagTenants, Scope: scope,
			Summary: "Add a tenant", Body: latchkey.TenantRequest{}, Answer: latchkey.Tenant{}, Status: http.StatusCreated,
			serve: f.managed(scope, f.createTenant),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/tenants", ID: "listTenants", Tag: tagTenants, Scope: scope,
			Summary: "List tenants, or search among them",
			About: "Oldest first. With filters, the server looks at a bounded number of tenants for each page: one may hold fewer than pageSize, even none, " +
				"while there is a nextPageToken; the list ends where that is absent.",
			Query: tenantQuery{}, Answer: latchkey.TenantList{}, serve: f.managed(scope, f.listTenants),
		},
		{
			Method: "GET", Pattern: one, ID: "getTenant", Tag: tagTenants, Scope: scope,
			Summary: "One tenant", Answer: latchkey.Tenant{}, serve: f.managed(scope, f.getTenant),
		},
		{
			Method: "PATCH", Pattern: one, ID: "changeTenant", Tag: tagTenants, Scope: scope,
			Summary: "Change a tenant; disabling ends the sessions in which it is the current one",
			Body:    latchkey.TenantRequest{}, Answer: latchkey.Tenant{}, serve: f.managed(scope, f.changeTenant),
		},
		{
			Method: "DELETE", Pattern: one, ID: "deleteTenant", Tag: tagTenants, Scope: scope,
			Summary: "Remove a tenant and its roles, and end the sessions in which it is the current one",
			About:   "Its members stay users of the project.", Answer: nothing{}, serve: f.managed(scope, deleting(pathTenant, f.d.Directory.DeleteTenant)),
		},
	}
}

func tenantChange(b latchkey.TenantRequest, unknown wire.Unknown) directory.TenantChange {
	return directory.TenantChange{Name: b.Name, Status: (*directory.Status)(b.Status), Attributes: b.Attributes, Unreadable: unknown}
}

func renderTenant(t directory.Tenant) latchkey.Tenant {
	return latchkey.Tenant{
		ID: t.ID.String(), Name: t.Name, Status: string(t.Status), Attributes: t.Attributes, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

func (f *Face) createTenant(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.TenantRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	t, err := f.d.Directory.CreateTenant(r.Context(), c.project, tenantChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, renderTenant(t))
}

func (f *Face) listTenants(w http.ResponseWriter, r *http.Request, c caller) error {
	var q tenantQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	query := directory.TenantQuery{Project: c.project, Text: q.TenantFilter.Query, Status: directory.Status(q.Status), Limit: q.Size}
	if err := cursor(q.Page, query.After[:]); err != nil {
		return err
	}
	tenants, next, err := f.d.Directory.Tenants(r.Context(), query)
	if err != nil {
		return err
	}
	out := latchkey.TenantList{Tenants: make([]latchkey.Tenant, len(tenants))}
	for i, t := range tenants {
		out.Tenants[i] = renderTenant(t)
	}
	if !next.IsZero() {
		out.NextPageToken = wire.EncodePage(next[:])
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) getTenant(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := pathTenant(r)
	if err != nil {
		return err
	}
	t, err := f.d.Directory.Tenant(r.Context(), c.project, id)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderTenant(t))
}

func (f *Face) changeTenant(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.TenantRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	id, err := pathTenant(r)
	if err != nil {
		return unknown.With(err)
	}
	t, err := f.d.Directory.ChangeTenant(r.Context(), c.project, id, tenantChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderTenant(t))
}
