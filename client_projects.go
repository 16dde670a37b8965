package latchkey

import (
	"context"
	"net/http"
)

// Project returns the client's project. Scope settings.
func (c *Client) Project(ctx context.Context) (Project, error) {
	return manageCall[Project](ctx, c, http.MethodGet, nil)
}

// ChangeProject renames the project, disables or enables it. Disabling ends its sessions
// for good and refuses sign-ins; the management API goes on. Scope settings.
func (c *Client) ChangeProject(ctx context.Context, r ProjectRequest) (Project, error) {
	return manageRepeated[Project](ctx, c, http.MethodPatch, r)
}

// DeleteProject deletes the client's project for good, with everything in it; confirm is
// its id. From then on all management calls are CodeNotFound. Scope settings.
func (c *Client) DeleteProject(ctx context.Context, confirm string) error {
	_, err := managed[struct{}](ctx, c, http.MethodDelete, DeleteProjectRequest{Confirm: confirm},
		func(op *operation) { op.repeat, op.gone = always, true }, nil)
	return err
}
