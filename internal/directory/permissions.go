package directory

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

const badPermission = "The permission can't be stored like this."

// CreatePermission adds a permission to the catalogue. A name that is taken, and a full
// catalogue, is fault.Conflict. unreadable is what a face couldn't read of the request: see
// RoleChange.
func (s *Service) CreatePermission(ctx context.Context, p id.Project, name, description string, o audit.Origin, unreadable ...fault.Field) (Permission, error) {
	now := s.now()
	bad := problems(slices.Clone(unreadable))
	checkWord(&bad, "/name", name)
	checkDescription(&bad, description)
	if err := bad.refusal(badPermission); err != nil {
		return Permission{}, err
	}
	made := Permission{Project: p, Name: name, Description: description, CreatedAt: millis(now)}
	return made, s.permissions.Insert(ctx, made, audit.New(p, now, audit.PermissionCreated, o).With("name", name))
}

// Permissions lists permissions by name, ascending.
func (s *Service) Permissions(ctx context.Context, p id.Project, after string, limit int) ([]Permission, error) {
	return s.permissions.List(ctx, p, after, limit)
}

// DescribePermission replaces the description of a permission. The name is what programs
// go by, and stays. unreadable is as in CreatePermission.
func (s *Service) DescribePermission(ctx context.Context, p id.Project, name, description string, o audit.Origin, unreadable ...fault.Field) (Permission, error) {
	bad := problems(slices.Clone(unreadable))
	checkDescription(&bad, description)
	if err := bad.refusal(badPermission); err != nil {
		return Permission{}, err
	}
	return s.permissions.Describe(ctx, p, name, description, audit.New(p, s.now(), audit.PermissionUpdated, o).With("name", name))
}

// stripStep is how many roles one call of the store looks at. Thousands may have a
// permission; the store lets refreshes pass.
const stripStep = 100

// DeletePermission removes a permission, also from every role that has it. When it is cut
// off, some roles have it a while longer: it can be repeated, and what is left is done
// where the store is swept.
func (s *Service) DeletePermission(ctx context.Context, p id.Project, name string, o audit.Origin) error {
	if err := s.permissions.Delete(ctx, p, name, audit.New(p, s.now(), audit.PermissionDeleted, o).With("name", name)); err != nil {
		return err
	}
	for {
		if n, err := s.permissions.Strip(ctx, stripStep); err != nil || n < stripStep {
			return err
		}
	}
}
