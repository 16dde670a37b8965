package directory

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// UserEdit is what is to become of one user.
type UserEdit struct {
	User id.User

	// Edit gets the user as they are, a zero one when there is none, and returns what is
	// to be there: another zero one for nobody. What comes back like it went in isn't
	// written. An error refuses this edit and is returned as it is. Edit may be called
	// more than once and must be pure.
	Edit func(old User) (User, []audit.Event, error)

	// Wide tells verifiers by one entry for the whole project, instead of one for the
	// user, that tokens say what is no longer so: one for all such edits that share a
	// transaction. Of sessions that end they are told as always.
	Wide bool
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

	// Stored returns those of the users that the project has, and who has any of the
	// login ids, all of one instant. What isn't there isn't in the maps. Unknown project:
	// fault.NotFound.
	Stored(ctx context.Context, p id.Project, users []id.User, logins []string) (map[id.User]User, map[string]id.User, error)
}

// Wide takes the entries that only outdate tokens out of a change's, and reports whether
// there were any: the project's Outdated stands for them.
func Wide(entries []revocation.Entry) (rest []revocation.Entry, outdated bool) {
	n := len(entries)
	rest = slices.DeleteFunc(entries, func(e revocation.Entry) bool { return e.Kind == revocation.Epoch })
	return rest, len(rest) < n
}

// Outdated is what verifiers are told when any token of the project may say what is no
// longer so at now.
func Outdated(p id.Project, l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(p, revocation.Epoch, p.String(), now)
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
