package native

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

type accessKeyQuery struct {
	wire.Page
	latchkey.AccessKeyFilter
}

func (f *Face) accessKeyRoutes() []Route {
	scope := directory.ScopeUsers
	path := "/v1/projects/{project}/access-keys"
	refusals := []latchkey.Code{latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge, latchkey.CodeContradiction}
	return []Route{
		{
			Method: "POST", Pattern: path, ID: "createAccessKey", Tag: tagAccess, Scope: scope,
			Summary: "Make an access key; its secret is shown this once", Body: latchkey.AccessKeyRequest{}, Answer: latchkey.NewAccessKey{},
			Status: http.StatusCreated, Codes: append(refusals, latchkey.CodeConflict), Lints: true, serve: f.managed(scope, f.createAccessKey),
		},
		{
			Method: "GET", Pattern: path, ID: "listAccessKeys", Tag: tagAccess, Scope: scope,
			Summary: "List access keys", Query: accessKeyQuery{}, Answer: latchkey.AccessKeyList{}, serve: f.managed(scope, f.listAccessKeys),
		},
		{
			Method: "GET", Pattern: path + "/{accessKey}", ID: "getAccessKey", Tag: tagAccess, Scope: scope,
			Summary: "One access key", Answer: latchkey.AccessKey{}, serve: f.managed(scope, f.getAccessKey),
		},
		{
			Method: "PATCH", Pattern: path + "/{accessKey}", ID: "changeAccessKey", Tag: tagAccess, Scope: scope,
			Summary: "Change an access key, disable or enable it", About: "Tokens that were got with it show the change within a moment, or are refused.",
			Body: latchkey.AccessKeyRequest{}, Answer: latchkey.AccessKey{}, Codes: refusals, Lints: true,
			serve: f.managed(scope, f.changeAccessKey),
		},
		{
			Method: "POST", Pattern: path + "/{accessKey}/rotate", ID: "rotateAccessKey", Tag: tagAccess, Scope: scope,
			Summary: "Give an access key a new secret", About: "The old one, and the tokens that were got with it, end at once. To replace a secret without an interruption make a second key.",
			Body: nothing{}, Answer: latchkey.NewAccessKey{}, serve: f.managed(scope, f.rotateAccessKey),
		},
		{
			Method: "DELETE", Pattern: path + "/{accessKey}", ID: "deleteAccessKey", Tag: tagAccess, Scope: scope,
			Summary: "Delete an access key", About: "It, and the tokens that were got with it, end at once.", Answer: nothing{},
			serve: f.managed(scope, deleting(pathAccessKey, f.d.Directory.DeleteAccessKey)),
		},
		{
			Method: "POST", Pattern: "/{project}/access-keys/exchange", ID: "exchangeAccessKey", Tag: tagAccess,
			Summary: "Exchange an access key for a session token",
			About:   "Authorization: Bearer lk_ak_…. The token has no session behind it and no refresh token: exchange again before it ends.",
			Body:    latchkey.ExchangeBody{}, Answer: latchkey.MachineToken{},
			Codes: []latchkey.Code{
				latchkey.CodeInvalidRequest, latchkey.CodeTooLarge, latchkey.CodeUnauthenticated, latchkey.CodeForbidden, latchkey.CodeRateLimited,
				latchkey.CodeClaimsTooLarge,
			}, Lints: true, serve: f.public(f.exchangeAccessKey),
		},
	}
}

// accessKeyChange reads a request. Of a new key everything counts, of a change all but
// the user.
func accessKeyChange(b latchkey.AccessKeyRequest, unknown wire.Unknown) (directory.AccessKeyChange, error) {
	c := directory.AccessKeyChange{
		Name: b.Name, Description: b.Description, Status: (*directory.Status)(b.Status), Claims: b.Claims, Attributes: b.Attributes,
		GrantChange: grantChange(b.Roles, b.Tenants), ExpiresAt: b.ExpiresAt, Unreadable: slices.Clone(unknown),
	}
	if b.Networks != nil {
		networks, bad := readNetworks(*b.Networks)
		c.Networks, c.Unreadable = &networks, append(c.Unreadable, bad...)
	}
	if !b.NeverExpires {
		return c, nil
	}
	if b.ExpiresAt != nil {
		return c, fault.New(fault.Contradiction, "The access key can't expire and never expire.").WithFields(
			fault.Field{Pointer: "/neverExpires", Code: "contradiction", Detail: "expiresAt is given, too."})
	}
	c.ExpiresAt = new(time.Time)
	return c, nil
}

func (f *Face) createAccessKey(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.AccessKeyRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	change, err := accessKeyChange(body, unknown)
	if err != nil {
		return unknown.With(err)
	}
	var owner id.User
	if body.User != "" {
		if owner, err = id.ParseUser(body.User); err != nil {
			change.Unreadable = append(change.Unreadable, fault.Field{Pointer: "/user", Code: "format", Detail: "The id of a user (usr_…) is wanted."})
		}
	}
	fits, err := f.d.Tokens.AccessKeyFits(r.Context(), c.project)
	if err != nil {
		return err
	}
	k, clear, err := f.d.Directory.CreateAccessKey(r.Context(), c.project, owner, change, fits, c.origin)
	if err = f.linted(unknown.With(err), nil); err != nil {
		return err
	}
	rendered, err := f.renderAccessKeys(r.Context(), c.project, k)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, latchkey.NewAccessKey{Key: rendered[0], Secret: clear.Reveal()})
}

func (f *Face) listAccessKeys(w http.ResponseWriter, r *http.Request, c caller) error {
	var q accessKeyQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	query := directory.AccessKeyQuery{Project: c.project, Status: directory.Status(q.Status), Text: q.Query, Limit: q.Size}
	if err := cursor(q.Page, query.After[:]); err != nil {
		return err
	}
	if q.User != "" {
		var err error
		if query.User, err = id.ParseUser(q.User); err != nil {
			return fault.New(fault.Invalid, "The query can't be read.").WithFields(
				fault.Field{Pointer: "/user", Code: "format", Detail: "The id of a user (usr_…) is wanted."})
		}
	}
	keys, next, err := f.d.Directory.AccessKeys(r.Context(), query)
	if err != nil {
		return err
	}
	out := latchkey.AccessKeyList{}
	if out.Keys, err = f.renderAccessKeys(r.Context(), c.project, keys...); err != nil {
		return err
	}
	if !next.IsZero() {
		out.NextPageToken = wire.EncodePage(next[:])
	}
	return wire.JSON(w, http.StatusOK, out)
}

func pathAccessKey(r *http.Request) (id.AccessKey, error) {
	k, err := id.ParseAccessKey(r.PathValue("accessKey"))
	if err != nil {
		return k, fault.New(fault.NotFound, "This project has no such access key.")
	}
	return k, nil
}

func (f *Face) answerAccessKey(w http.ResponseWriter, r *http.Request, k directory.AccessKey) error {
	rendered, err := f.renderAccessKeys(r.Context(), k.Project, k)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, rendered[0])
}

func (f *Face) getAccessKey(w http.ResponseWriter, r *http.Request, c caller) error {
	k, err := pathAccessKey(r)
	if err != nil {
		return err
	}
	found, err := f.d.Directory.AccessKey(r.Context(), c.project, k)
	if err != nil {
		return err
	}
	return f.answerAccessKey(w, r, found)
}

func (f *Face) changeAccessKey(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.AccessKeyRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	k, err := pathAccessKey(r)
	if err != nil {
		return unknown.With(err)
	}
	if body.User != "" {
		return unknown.With(fault.New(fault.Invalid, "The access key can't be changed like this.").WithFields(
			fault.Field{Pointer: "/user", Code: "unknown", Detail: "Whose key it is never changes: make another one."}))
	}
	change, err := accessKeyChange(body, unknown)
	if err != nil {
		return unknown.With(err)
	}
	fits, err := f.d.Tokens.AccessKeyFits(r.Context(), c.project)
	if err != nil {
		return err
	}
	changed, err := f.d.Directory.ChangeAccessKey(r.Context(), c.project, k, change, fits, c.origin)
	if err = f.linted(unknown.With(err), nil); err != nil {
		return err
	}
	return f.answerAccessKey(w, r, changed)
}

func (f *Face) rotateAccessKey(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	k, err := pathAccessKey(r)
	if err != nil {
		return err
	}
	changed, clear, err := f.d.Directory.RotateAccessKey(r.Context(), c.project, k, c.origin)
	if err != nil {
		return err
	}
	rendered, err := f.renderAccessKeys(r.Context(), c.project, changed)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.NewAccessKey{Key: rendered[0], Secret: clear.Reveal()})
}

// renderAccessKeys shows access keys with the names of what they are granted.
func (f *Face) renderAccessKeys(ctx context.Context, p id.Project, keys ...directory.AccessKey) ([]latchkey.AccessKey, error) {
	holders := make([]directory.User, len(keys))
	for i, k := range keys {
		holders[i].Grants = k.Grants
	}
	resolved, err := f.d.Directory.Resolve(ctx, p, holders...)
	if err != nil {
		return nil, err
	}
	names := namesOf(resolved)
	out := make([]latchkey.AccessKey, len(keys))
	for i, k := range keys {
		out[i] = names.accessKey(k)
	}
	return out, nil
}

func (n grantNames) accessKey(k directory.AccessKey) latchkey.AccessKey {
	out := latchkey.AccessKey{
		ID: k.ID.String(), Name: k.Name, Description: k.Description, Status: string(k.Status), User: k.User.String(),
		Roles: n.held(k.Roles), Tenants: n.memberships(k.Memberships), Claims: k.Claims, Attributes: k.Attributes, Networks: []string{},
		CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt),
	}
	for _, network := range k.Networks {
		out.Networks = append(out.Networks, network.String())
	}
	return out
}

func (f *Face) exchangeAccessKey(w http.ResponseWriter, r *http.Request) error {
	var body latchkey.ExchangeBody
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	project, err := pathProject(r)
	if err != nil {
		return err
	}
	bearer, given, err := wire.Bearer(r)
	if err != nil {
		return err
	}
	if !given {
		return fault.New(fault.Unauthenticated, "An access key is wanted: Authorization: Bearer lk_ak_…")
	}
	in := token.Exchange{NSec: body.Claims}
	if body.Tenant != "" {
		if in.Tenant, err = id.ParseTenant(body.Tenant); err != nil {
			return fault.New(fault.Invalid, "The access key can't be exchanged like this.").WithFields(
				fault.Field{Pointer: "/tenant", Code: "format", Detail: "The id of a tenant (ten_…) is wanted."})
		}
	}
	client := f.d.Proxies.Client(r)
	opened, err := f.d.Directory.OpenAccessKey(r.Context(), project, bearer, client.IP, func() error { return f.admit(f.d.Limiter, client) })
	if err != nil {
		return err
	}
	got, err := f.d.Tokens.Exchange(r.Context(), opened, in)
	if err = f.linted(err, got.Flagged); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.MachineToken{
		SessionToken: got.Text.Reveal(), SessionExpiresAt: got.ExpiresAt, AccessKey: opened.Key.ID.String(), ServerTime: got.At,
	})
}
