package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

func signInChange(b latchkey.SignInUser) directory.UserChange {
	return directory.UserChange{
		LoginIDs: b.LoginIDs, Name: b.Name, Email: b.Email, Phone: b.Phone, Attributes: b.Attributes, GrantChange: grantChange(b.Roles, b.Tenants),
	}
}

type userQuery struct {
	wire.Page
	latchkey.UserFilter
}

func (f *Face) userRoutes() []Route {
	scope := directory.ScopeUsers
	one := "/v1/projects/{project}/users/{user}"
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/users", ID: "createUser", Tag: tagUsers, Scope: scope,
			Summary: "Add a user", Body: latchkey.UserRequest{}, Answer: latchkey.User{}, Status: http.StatusCreated,
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.createUser),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/users", ID: "listUsers", Tag: tagUsers, Scope: scope,
			Summary: "List users, search among them, or find one by login id",
			About: "Oldest first. With filters, the server looks at a bounded number of users for each page: one may hold fewer than pageSize, even none, " +
				"while there is a nextPageToken; the list ends where that is absent.",
			Query: userQuery{}, Answer: latchkey.UserList{}, serve: f.managed(scope, f.listUsers),
		},
		{
			Method: "GET", Pattern: one, ID: "getUser", Tag: tagUsers, Scope: scope,
			Summary: "One user", Answer: latchkey.User{}, serve: f.managed(scope, f.getUser),
		},
		{
			Method: "PATCH", Pattern: one, ID: "changeUser", Tag: tagUsers, Scope: scope,
			Summary: "Change a user; disabling ends all sessions of the user", Body: latchkey.UserRequest{}, Answer: latchkey.User{},
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.changeUser),
		},
		{
			Method: "DELETE", Pattern: one, ID: "deleteUser", Tag: tagUsers, Scope: scope,
			Summary: "Remove a user and end all sessions of the user", Answer: nothing{},
			serve: f.managed(scope, deleting(pathUser, f.d.Directory.DeleteUser)),
		},
	}
}

func pathUser(r *http.Request) (id.User, error) {
	u, err := id.ParseUser(r.PathValue("user"))
	if err != nil {
		return u, fault.New(fault.NotFound, "This project has no such user.")
	}
	return u, nil
}

func userChange(b latchkey.UserRequest, unknown wire.Unknown) directory.UserChange {
	return directory.UserChange{
		LoginIDs: b.LoginIDs, Name: b.Name, Email: b.Email, Phone: b.Phone, Status: (*directory.Status)(b.Status), Attributes: b.Attributes,
		GrantChange: grantChange(b.Roles, b.Tenants), Unreadable: unknown,
	}
}

func grantChange(roles *[]string, tenants *[]latchkey.MembershipRequest) directory.GrantChange {
	out := directory.GrantChange{Roles: roles}
	if tenants != nil {
		places := make([]directory.MembershipChange, len(*tenants))
		for i, m := range *tenants {
			places[i] = directory.MembershipChange(m)
		}
		out.Tenants = &places
	}
	return out
}

// answerUser answers with one user.
func (f *Face) answerUser(w http.ResponseWriter, r *http.Request, status int, u directory.User) error {
	users, err := f.renderUsers(r.Context(), u.Project, u)
	if err != nil {
		return err
	}
	return wire.JSON(w, status, users[0])
}

func (f *Face) createUser(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.UserRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	u, err := f.d.Directory.CreateUser(r.Context(), c.project, userChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return f.answerUser(w, r, http.StatusCreated, u)
}

func (f *Face) listUsers(w http.ResponseWriter, r *http.Request, c caller) error {
	var q userQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	var found []directory.User
	var next id.User
	var err error
	if q.LoginID != "" {
		found, err = f.userByLogin(r.Context(), c.project, q.UserFilter)
	} else {
		found, next, err = f.searchUsers(r.Context(), c.project, q)
	}
	if err != nil {
		return err
	}
	out := latchkey.UserList{}
	if out.Users, err = f.renderUsers(r.Context(), c.project, found...); err != nil {
		return err
	}
	if n := fitting(out.Users); n < len(out.Users) {
		out.Users, next = out.Users[:n], found[n-1].ID
	}
	if !next.IsZero() {
		out.NextPageToken = wire.EncodePage(next[:])
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) userByLogin(ctx context.Context, p id.Project, q latchkey.UserFilter) ([]directory.User, error) {
	if q != (latchkey.UserFilter{LoginID: q.LoginID}) {
		return nil, fault.New(fault.Invalid, "The filter can't be read.").WithFields(
			fault.Field{Pointer: "?loginId", Code: "contradiction", Detail: "A login id stands alone; leave it out, or the other filters."})
	}
	u, err := f.d.Directory.UserByLogin(ctx, p, q.LoginID)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return []directory.User{u}, err
}

func (f *Face) searchUsers(ctx context.Context, p id.Project, q userQuery) ([]directory.User, id.User, error) {
	out := directory.UserQuery{
		Project: p, Text: q.UserFilter.Query, Status: directory.Status(q.Status), CreatedFrom: q.CreatedFrom, CreatedTo: q.CreatedTo, Limit: q.Size,
	}
	if err := cursor(q.Page, out.After[:]); err != nil {
		return nil, id.User{}, err
	}
	var bad []fault.Field
	var err error
	if q.Tenant != "" {
		if out.Tenant, err = id.ParseTenant(q.Tenant); err != nil {
			bad = append(bad, fault.Field{Pointer: "?tenant", Code: "format", Detail: "A tenant id (ten_…) is wanted."})
		}
	}
	if q.Role != "" {
		var known bool
		if out.Role, known, err = f.d.Directory.RoleAt(ctx, p, out.Tenant, q.Role); err != nil {
			return nil, id.User{}, err
		}
		if !known {
			bad = append(bad, fault.Field{Pointer: "?role", Code: "unknown", Detail: "There is no such role here; the id (role_…) or the name of one is wanted."})
		}
	}
	if len(bad) > 0 {
		return nil, id.User{}, fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	return f.d.Directory.Users(ctx, out)
}

// cursor reads the identifier in a page token into at, if there is one.
func cursor(page wire.Page, at []byte) error {
	b, err := page.Cursor()
	if err != nil {
		return err
	}
	if b != nil && len(b) != len(at) {
		return badPage()
	}
	copy(at, b)
	return nil
}

func (f *Face) getUser(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := pathUser(r)
	if err != nil {
		return err
	}
	u, err := f.d.Directory.User(r.Context(), c.project, id)
	if err != nil {
		return err
	}
	return f.answerUser(w, r, http.StatusOK, u)
}

func (f *Face) changeUser(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.UserRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	id, err := pathUser(r)
	if err != nil {
		return unknown.With(err)
	}
	u, err := f.d.Directory.ChangeUser(r.Context(), c.project, id, userChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return f.answerUser(w, r, http.StatusOK, u)
}

// signer is the user of a sign-in: named by an id or a login id, or described.
type signer struct {
	name   string
	change *directory.UserChange
}

// readSigner reads who is to be signed in.
func (c caller) readSigner(ref latchkey.UserReference) (signer, wire.Unknown, error) {
	var s signer
	if json.Unmarshal(ref.RawMessage, &s.name) == nil {
		return s, nil, nil
	}
	if !bytes.HasPrefix(ref.RawMessage, []byte("{")) {
		return s, nil, fault.New(fault.Invalid, "The user can't be read.").WithFields(
			fault.Field{Pointer: "/user", Code: "type", Detail: "A user id, a login id or a user object is wanted."})
	}
	var body latchkey.SignInUser
	unknown, err := wire.DecodeRawKnown(ref.RawMessage, "/user", &body)
	if err != nil {
		return s, nil, err
	}
	change := signInChange(body)
	s.change = &change
	if !c.key.May(directory.ScopeUsers) {
		err = fault.New(fault.Forbidden, "The management key lacks the scope %q, which a user object needs; give a user id or a login id.", directory.ScopeUsers)
	}
	return s, unknown, err
}

// resolve finds the user of a sign-in, or creates or updates one.
func (f *Face) resolve(ctx context.Context, c caller, ref latchkey.UserReference, in token.SignIn) (id.User, error) {
	who, unknown, err := c.readSigner(ref)
	if err != nil || len(unknown) > 0 {
		return id.User{}, f.refusedSignIn(ctx, c, ref, in, nil)
	}
	if who.change == nil {
		return f.resolveName(ctx, c, who.name)
	}
	// Before a user is made or changed for a sign-in that is refused anyway.
	if f.d.Tokens.CheckSignIn(ctx, in) != nil {
		return id.User{}, f.refusedSignIn(ctx, c, ref, in, nil)
	}
	u, err := f.d.Directory.Upsert(ctx, c.project, *who.change, c.origin)
	return u.ID, below("/user", err)
}

// refusedSignIn tells all that is wrong with a sign-in that is refused for its unknown
// members, or for errs. It changes nothing.
func (f *Face) refusedSignIn(ctx context.Context, c caller, ref latchkey.UserReference, in token.SignIn, unknown wire.Unknown, errs ...error) error {
	who, more, err := c.readSigner(ref)
	errs = append(errs, err, f.d.Tokens.CheckSignIn(ctx, in))
	if who.change != nil && err == nil {
		errs = append(errs, below("/user", f.d.Directory.CheckUpsert(ctx, c.project, *who.change)))
	}
	return append(unknown, more...).With(errs...)
}

func (f *Face) resolveName(ctx context.Context, c caller, text string) (id.User, error) {
	if u, err := id.ParseUser(text); err == nil {
		return u, nil
	}
	u, err := f.d.Directory.UserByLogin(ctx, c.project, text)
	return u.ID, err
}

// below moves the fields of a refusal below pointer: the part of the request they are
// about is nested there.
func below(pointer string, err error) error {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		for i := range refusal.Fields {
			refusal.Fields[i].Pointer = pointer + refusal.Fields[i].Pointer
		}
	}
	return err
}
