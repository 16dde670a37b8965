package native

import (
	"context"
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func (f *Face) grantRoutes() []Route {
	scope := directory.ScopeUsers
	membership := "/v1/projects/{project}/users/{user}/tenants/{tenant}"
	return []Route{
		{
			Method: "PUT", Pattern: "/v1/projects/{project}/users/{user}/roles", ID: "setUserRoles", Tag: tagUsers, Scope: scope,
			Summary: "Replace the roles that a user has in the project", Body: latchkey.UserRoles{}, Answer: latchkey.User{},
			serve: f.managed(scope, f.setUserRoles),
		},
		{
			Method: "PUT", Pattern: membership, ID: "setMembership", Tag: tagUsers, Scope: scope,
			Summary: "Make a user a member of a tenant, with these roles there", About: "Repeating it is no error.",
			Body: latchkey.MembershipRoles{}, Answer: latchkey.User{}, serve: f.managed(scope, f.setMembership),
		},
		{
			Method: "DELETE", Pattern: membership, ID: "deleteMembership", Tag: tagUsers, Scope: scope,
			Summary: "Take a user out of a tenant", Answer: nothing{}, serve: f.managed(scope, f.deleteMembership),
		},
	}
}

func (f *Face) setUserRoles(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.UserRoles
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	u, err := pathUser(r)
	if err != nil {
		return unknown.With(err)
	}
	change := directory.UserChange{GrantChange: directory.GrantChange{Roles: &body.Roles}, Unreadable: unknown}
	changed, err := f.d.Directory.ChangeUser(r.Context(), c.project, u, change, c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return f.answerUser(w, r, http.StatusOK, changed)
}

func pathMembership(r *http.Request) (id.User, id.Tenant, error) {
	u, err := pathUser(r)
	if err != nil {
		return u, id.Tenant{}, err
	}
	t, err := pathTenant(r)
	return u, t, err
}

func (f *Face) setMembership(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.MembershipRoles
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	u, t, err := pathMembership(r)
	if err != nil {
		return err
	}
	changed, err := f.d.Directory.SetMembership(r.Context(), c.project, u, t, body.Roles, c.origin)
	if err != nil {
		return err
	}
	return f.answerUser(w, r, http.StatusOK, changed)
}

func (f *Face) deleteMembership(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	u, t, err := pathMembership(r)
	if err != nil {
		return err
	}
	if _, err := f.d.Directory.EndMembership(r.Context(), c.project, u, t, c.origin); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}

// renderUsers shows users with the names of what they are granted, which are looked up
// together. What was deleted since it was granted isn't shown.
func (f *Face) renderUsers(ctx context.Context, p id.Project, users ...directory.User) ([]latchkey.User, error) {
	resolved, err := f.d.Directory.Resolve(ctx, p, users...)
	if err != nil {
		return nil, err
	}
	names := namesOf(resolved)
	out := make([]latchkey.User, len(users))
	for i, u := range users {
		out[i] = names.user(u)
	}
	return out, nil
}

// maxUsers bounds what an answer shows of users, in bytes, roughly: an extreme user can take
// a few hundred KiB, and clients don't read answers of any size.
const maxUsers = 4 << 20

// fitting returns how many of the users an answer can show, at least one.
func fitting(users []latchkey.User) int {
	size := 0
	for i, u := range users {
		size += userSize(u)
		if size > maxUsers && i > 0 {
			return i
		}
	}
	return len(users)
}

// userSize is about what a user takes in an answer, in bytes.
func userSize(u latchkey.User) int {
	const member = 48 // names, quotes and an identifier
	size := 6*member + len(u.Attributes) + len(u.Name) + len(u.Email)
	for _, login := range u.LoginIDs {
		size += len(login)
	}
	roles := func(list []latchkey.RoleName) {
		for _, r := range list {
			size += member + len(r.Name)
		}
	}
	roles(u.Roles)
	for _, m := range u.Tenants {
		size += member + len(m.Name)
		roles(m.Roles)
	}
	return size
}

// grantNames are what tenants and roles are called.
type grantNames struct {
	tenants map[id.Tenant]string
	roles   map[id.Role]string
}

func namesOf(r directory.Resolved) grantNames {
	n := grantNames{map[id.Tenant]string{}, map[id.Role]string{}}
	for _, t := range r.Tenants {
		n.tenants[t.ID] = t.Name
	}
	for _, role := range r.Roles {
		n.roles[role.ID] = role.Name
	}
	return n
}

func (n grantNames) user(u directory.User) latchkey.User {
	out := latchkey.User{
		ID: u.ID.String(), LoginIDs: list(u.LoginIDs), Name: u.Name, Email: u.Email, Phone: u.Phone, Status: string(u.Status),
		Attributes: u.Attributes, Roles: n.held(u.Roles), Tenants: n.memberships(u.Memberships), CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	return out
}

func (n grantNames) memberships(list []directory.Membership) []latchkey.Membership {
	out := []latchkey.Membership{}
	for _, m := range list {
		if name, there := n.tenants[m.Tenant]; there {
			out = append(out, latchkey.Membership{Tenant: m.Tenant.String(), Name: name, Roles: n.held(m.Roles)})
		}
	}
	return out
}

func (n grantNames) held(roles []id.Role) []latchkey.RoleName {
	out := []latchkey.RoleName{}
	for _, r := range roles {
		if name, there := n.roles[r]; there {
			out = append(out, latchkey.RoleName{ID: r.String(), Name: name})
		}
	}
	return out
}

func pathTenant(r *http.Request) (id.Tenant, error) {
	t, err := id.ParseTenant(r.PathValue("tenant"))
	if err != nil {
		return t, fault.New(fault.NotFound, "This project has no such tenant.")
	}
	return t, nil
}
