package directory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// UserQuery selects users. Zero members don't restrict.
type UserQuery struct {
	Project     id.Project
	Text        string // part of a login id, name, e-mail address or phone number, or the whole id; see Fold
	Status      Status
	Tenant      id.Tenant // members of it
	Role        id.Role   // who has it, in the project or in any tenant; with Tenant: in that tenant
	CreatedFrom time.Time // inclusive
	CreatedTo   time.Time // exclusive
	After       id.User
	Limit       int // at least 1
}

// Fold returns text as searches compare it: without regard to case, by the simple mapping
// of Unicode, which is that of no particular language. Everything else has to be the same,
// accents and their spelling too: "ö" is found by neither "o" nor "oe", "ß" not by "ss".
func Fold(text string) string { return strings.ToLower(text) }

// Matches reports whether the query selects u by everything but After and Limit.
func (q UserQuery) Matches(u User) bool {
	return u.Project == q.Project && (q.Status == "" || u.Status == q.Status) &&
		(q.CreatedFrom.IsZero() || !u.CreatedAt.Before(q.CreatedFrom)) &&
		(q.CreatedTo.IsZero() || u.CreatedAt.Before(q.CreatedTo)) &&
		u.Grants.has(q.Tenant, q.Role) && u.says(Fold(q.Text))
}

// has reports whether the grants name a tenant and a role, the role in that tenant if both
// are given. Zero ones don't restrict.
func (g Grants) has(t id.Tenant, r id.Role) bool {
	in := func(m Membership) bool {
		return (t.IsZero() || m.Tenant == t) && (r.IsZero() || slices.Contains(m.Roles, r))
	}
	return t.IsZero() && (r.IsZero() || slices.Contains(g.Roles, r)) || slices.ContainsFunc(g.Memberships, in)
}

// says reports whether the user is meant by a folded text.
func (u User) says(text string) bool {
	if one, err := id.ParseUser(text); err == nil {
		return u.ID == one
	}
	return text == "" || slices.ContainsFunc(u.Texts(), func(s string) bool { return strings.Contains(Fold(s), text) })
}

// Texts are what a search for a part of a text looks at.
func (u User) Texts() []string { return append(slices.Clip(u.LoginIDs), u.Name, u.Email, u.Phone) }

// Matches reports whether the query selects t by everything but After and Limit.
func (q TenantQuery) Matches(t Tenant) bool {
	return t.Project == q.Project && (q.Status == "" || t.Status == q.Status) && t.says(Fold(q.Text))
}

func (t Tenant) says(text string) bool {
	if one, err := id.ParseTenant(text); err == nil {
		return t.ID == one
	}
	return text == "" || strings.Contains(Fold(t.Name), text)
}

// HolderStore reads users together with what they are granted.
type HolderStore interface {
	// Search returns at most q.Limit users with an ID greater than q.After, ascending,
	// and where to go on, zero when it has seen all. It looks at a bounded number of
	// users, so there may be fewer than q.Limit, even none, although there are more.
	// A page that is full, or that a bound ended, may be the last one all the same. A
	// deleted tenant or role has nobody.
	Search(ctx context.Context, q UserQuery) ([]User, id.User, error)

	// Holder returns a user with what their grants lead to, all of one instant;
	// fault.NotFound for a user that the project doesn't have.
	Holder(ctx context.Context, p id.Project, u id.User) (Holder, error)

	// Resolve returns what grants lead to, all of one instant and each thing once; nothing
	// for a project that isn't there.
	Resolve(ctx context.Context, p id.Project, g Grants) (Resolved, error)
}
