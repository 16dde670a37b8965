package directory

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// UserQuery selects users. Zero members don't restrict.
type UserQuery struct {
	Project     id.Project
	Text        string // part of a login id, name, e-mail address or phone number, without regard to case
	Status      Status
	Tenant      id.Tenant // members of it
	Role        id.Role   // who has it, in the project or in any tenant; with Tenant: in that tenant
	CreatedFrom time.Time // inclusive
	CreatedTo   time.Time // exclusive
	After       id.User
	Limit       int // at least 1
}

// HolderStore reads users together with what they are granted.
type HolderStore interface {
	// Search returns at most q.Limit users with an ID greater than q.After, ascending,
	// and where to go on, zero when it has seen all. It looks at a bounded number of
	// users, so there may be fewer than q.Limit, even none, although there are more.
	Search(ctx context.Context, q UserQuery) ([]User, id.User, error)

	// Holder returns a user with what their grants lead to, all of one instant;
	// fault.NotFound for a user that the project doesn't have.
	Holder(ctx context.Context, p id.Project, u id.User) (Holder, error)
}
