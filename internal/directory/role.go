package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Limits of the catalogue of a project.
const (
	MaxPermissions     = 1000 // of a project
	MaxProjectRoles    = 1000 // of a project, at its own level
	MaxTenantRoles     = 100  // of one tenant
	MaxRolePermissions = 200  // of one role
)

// Permission is the name of something that may be done. Applications check it by name.
type Permission struct {
	Project     id.Project
	Name        string // unique in the project; never changes
	Description string
	CreatedAt   time.Time
}

// StillLost is what Insert says of a name that Strip isn't done with.
func StillLost() error {
	return fault.New(fault.Conflict, "A permission with this name was deleted a moment ago and is still being taken from roles. Try again soon.")
}

// PermissionStore keeps the catalogue of permissions.
type PermissionStore interface {
	// Insert adds p. A name that is taken, or that Strip isn't done with, or
	// MaxPermissions: fault.Conflict.
	Insert(ctx context.Context, p Permission, e audit.Event) error

	// List returns at most limit permissions with a name greater than after, ascending.
	List(ctx context.Context, p id.Project, after string, limit int) ([]Permission, error)

	// Describe replaces the description; fault.NotFound for an unknown name.
	Describe(ctx context.Context, p id.Project, name, description string, e audit.Event) (Permission, error)

	// Delete takes a permission out of the catalogue: no role can get it any more. Those
	// that have it keep it until Strip takes it from them; until then deleting it again
	// does nothing. fault.NotFound for an unknown name.
	Delete(ctx context.Context, p id.Project, name string, e audit.Event) error

	// Strip takes deleted permissions from the roles that have them, of all projects, in
	// the order of the roles, and tells verifiers of each role's name in the transaction
	// that changes it: once in each, however many roles are called so (Role.Namesakes). It looks at no
	// more than limit roles, so that others get their turn, and goes on next time where
	// it has stopped, also after a crash. It returns how many it has looked at, and one
	// more for each permission that is done. Fewer than limit: none is left.
	Strip(ctx context.Context, limit int) (int, error)
}

// Role is a named list of permissions. One without tenant may be granted in the project and
// in every tenant; one of a tenant only there.
type Role struct {
	ID          id.Role
	Project     id.Project
	Tenant      id.Tenant // zero: of the project
	Name        string    // unique at its level
	Description string
	Permissions []string // sorted, without repetition; nil for none
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Listed refuses permissions of r that old didn't have and that aren't in the catalogue:
// fault.Invalid with the place of each. An error of listed is returned as it is.
func (r Role) Listed(old Role, listed func(name string) (bool, error)) error {
	var bad []fault.Field
	for i, name := range r.Permissions {
		if slices.Contains(old.Permissions, name) {
			continue
		}
		switch known, err := listed(name); {
		case err != nil:
			return err
		case !known:
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/permissions/%d", i), Code: "unknown", Detail: "This project has no such permission."})
		}
	}
	if len(bad) > 0 {
		return fault.New(fault.Invalid, "A role can only have permissions of the project.").WithFields(bad...)
	}
	return nil
}

// RoleQuery selects roles of one level.
type RoleQuery struct {
	Project id.Project
	Tenant  id.Tenant // zero: those of the project itself
	Name    string    // "" for any
	After   id.Role
	Limit   int // at least 1
}

// RoleStore keeps roles.
type RoleStore interface {
	// Insert adds r. fault.NotFound for a tenant that isn't there; fault.Conflict for a
	// name that is taken at the level and when the level is full; fault.Invalid, with the
	// place of each below /permissions, for permissions that aren't in the catalogue.
	Insert(ctx context.Context, r Role, e audit.Event) error

	// Find returns fault.NotFound for a role that the project doesn't have.
	Find(ctx context.Context, p id.Project, r id.Role) (Role, error)

	// List returns at most q.Limit roles with an ID greater than q.After, ascending.
	List(ctx context.Context, q RoleQuery) ([]Role, error)

	// Change is like UserStore.Change, with the refusals of Insert; ID, Project, Tenant
	// and CreatedAt stay. Verifiers are told of the name that the role had, by one entry
	// however many hold it, when name or permissions change: Role.Revocation.
	Change(ctx context.Context, p id.Project, r id.Role, change func(Role) (Role, []audit.Event, error)) (Role, error)

	// Delete removes the role and tells verifiers. Grants that name it stay behind,
	// meaningless. Unknown role: fault.NotFound.
	Delete(ctx context.Context, p id.Project, r id.Role, e audit.Event) error
}
