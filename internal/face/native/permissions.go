package native

import (
	"net/http"
	"strings"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

type permissionQuery struct {
	wire.Page
}

// nameCursor begins the cursor of this list, which unlike others goes by name.
const nameCursor = "name:"

// after reads the name behind which the page begins.
func (q permissionQuery) after() (string, error) {
	cursor, err := q.Cursor()
	if err != nil || cursor == nil {
		return "", err
	}
	name, ok := strings.CutPrefix(string(cursor), nameCursor)
	if !ok {
		return "", badPage()
	}
	return name, nil
}

func (f *Face) permissionRoutes() []Route {
	scope := directory.ScopeUsers
	all, one := "/v1/projects/{project}/permissions", "/v1/projects/{project}/permissions/{permission}"
	return []Route{
		{
			Method: "POST", Pattern: all, ID: "createPermission", Tag: tagRoles, Scope: scope,
			Summary: "Add a permission to the catalogue", Body: latchkey.PermissionRequest{}, Answer: latchkey.Permission{}, Status: http.StatusCreated,
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.createPermission),
		},
		{
			Method: "GET", Pattern: all, ID: "listPermissions", Tag: tagRoles, Scope: scope,
			Summary: "List the catalogue of permissions", Query: permissionQuery{}, Answer: latchkey.PermissionList{},
			serve: f.managed(scope, f.listPermissions),
		},
		{
			Method: "PATCH", Pattern: one, ID: "describePermission", Tag: tagRoles, Scope: scope,
			Summary: "Replace the description of a permission", Body: latchkey.PermissionChange{}, Answer: latchkey.Permission{},
			serve: f.managed(scope, f.describePermission),
		},
		{
			Method: "DELETE", Pattern: one, ID: "deletePermission", Tag: tagRoles, Scope: scope,
			Summary: "Remove a permission, also from every role that has it", Answer: nothing{}, serve: f.managed(scope, f.deletePermission),
		},
	}
}

func renderPermission(p directory.Permission) latchkey.Permission {
	return latchkey.Permission{Name: p.Name, Description: p.Description, CreatedAt: p.CreatedAt}
}

func (f *Face) createPermission(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.PermissionRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	p, err := f.d.Directory.CreatePermission(r.Context(), c.project, body.Name, body.Description, c.origin, unknown...)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, renderPermission(p))
}

func (f *Face) listPermissions(w http.ResponseWriter, r *http.Request, c caller) error {
	var q permissionQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	after, err := q.after()
	if err != nil {
		return err
	}
	page, err := f.d.Directory.Permissions(r.Context(), c.project, after, q.Size+1)
	if err != nil {
		return err
	}
	out := latchkey.PermissionList{Permissions: []latchkey.Permission{}}
	for i, p := range page {
		if i == q.Size {
			out.NextPageToken = wire.EncodePage([]byte(nameCursor + page[i-1].Name))
			break
		}
		out.Permissions = append(out.Permissions, renderPermission(p))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) describePermission(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.PermissionChange
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	p, err := f.d.Directory.DescribePermission(r.Context(), c.project, r.PathValue("permission"), body.Description, c.origin, unknown...)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderPermission(p))
}

func (f *Face) deletePermission(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	if err := f.d.Directory.DeletePermission(r.Context(), c.project, r.PathValue("permission"), c.origin); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}
