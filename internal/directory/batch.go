package directory

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// UserEdit is what is to become of one user.
type UserEdit struct {
	User id.User

	// Edit gets the user as they are, a zero one when there is none, and returns what is
	// to be there: another zero one for nobody. What comes back like it went in isn't
	// written. An error refuses this edit and is returned as it is. Edit may be called
	// more than once and must be pure.
	Edit func(old User) (User, []audit.Event, error)
}

// BatchStore edits many users at the cost of few transactions.
type BatchStore interface {
	// Apply does each edit as UserStore.Insert, Change and Delete would, with the same
	// refusals, in order, and returns for each edit that was tried its refusal or nil.
	// Some edits share a transaction, but not all of many, so that others get their
	// turn: an error of the store itself ends the batch and is the second result, and
	// then the edits of the first result are done for good and those behind it are not.
	// Unknown project: fault.NotFound.
	Apply(ctx context.Context, p id.Project, edits []UserEdit) ([]error, error)
}

// Clone returns a user that shares nothing with u.
func (u User) Clone() User {
	u.LoginIDs, u.Attributes, u.Grants = slices.Clone(u.LoginIDs), slices.Clone(u.Attributes), u.Grants.Clone()
	return u
}

// Equal reports whether two users are the same in everything.
func (u User) Equal(v User) bool {
	return u.ID == v.ID && u.Project == v.Project && u.Status == v.Status && u.Epoch == v.Epoch && !u.Outdated(v) &&
		u.CreatedAt.Equal(v.CreatedAt) && u.UpdatedAt.Equal(v.UpdatedAt)
}
