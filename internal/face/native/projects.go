package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func (f *Face) projectRoutes() []Route {
	scope, path := directory.ScopeSettings, "/v1/projects/{project}"
	return []Route{
		{
			Method: "GET", Pattern: path, ID: "getProject", Tag: tagSettings, Scope: scope,
			Summary: "The project: its name, and whether it is in use", Answer: latchkey.Project{}, serve: f.managed(scope, f.getProject),
		},
		{
			Method: "PATCH", Pattern: path, ID: "changeProject", Tag: tagSettings, Scope: scope,
			Summary: "Rename the project, disable or enable it",
			About:   "Disabling ends all sessions for good: verifiers are told, refreshes answer session_revoked, and sign-ins conflict until the project is enabled again. Everything else goes on.",
			Body:    latchkey.ProjectRequest{}, Answer: latchkey.Project{}, serve: f.managed(scope, f.changeProject),
		},
		{
			Method: "DELETE", Pattern: path, ID: "deleteProject", Tag: tagSettings, Scope: scope,
			Summary: "Delete the project, with everything in it",
			About:   "Its sessions end as if it were disabled. Management calls answer not_found from then on; verifiers find its keys and revocations until its last token has expired. Then everything that it has is removed.",
			Body:    deleteProjectRequest{}, Answer: latchkey.Project{}, serve: f.managed(scope, f.deleteProject),
		},
	}
}

// deleteProjectRequest is the body of a DELETE, which documents leave out unless they are told.
type deleteProjectRequest struct{ latchkey.DeleteProjectRequest }

// ForceRequestBody makes the document describe the body.
func (deleteProjectRequest) ForceRequestBody() {}

func renderProject(p directory.Project) latchkey.Project {
	return latchkey.Project{ID: p.ID.String(), Name: p.Name, Status: string(p.Status), CreatedAt: p.CreatedAt, DeletedAt: optional(p.DeletedAt)}
}

func (f *Face) getProject(w http.ResponseWriter, r *http.Request, c caller) error {
	p, err := f.d.Directory.Project(r.Context(), c.project)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderProject(p))
}

func (f *Face) changeProject(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.ProjectRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	change := directory.ProjectChange{Name: body.Name, Status: (*directory.Status)(body.Status)}
	p, err := f.d.Directory.ChangeProject(r.Context(), c.project, change, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderProject(p))
}

func (f *Face) deleteProject(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.DeleteProjectRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	if body.Confirm != c.project.String() {
		return fault.New(fault.Invalid, "The project wasn't deleted.").WithFields(
			fault.Field{Pointer: "/confirm", Code: "confirm", Detail: "The project's id is wanted here, so that nothing is deleted by mistake."})
	}
	p, err := f.d.Directory.DeleteProject(r.Context(), c.project, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderProject(p))
}
