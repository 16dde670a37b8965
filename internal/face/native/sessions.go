package native

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// aboutPages is said of lists whose filters may select hardly anything: one answer looks
// at a bounded number of entries.
const aboutPages = "A page may hold fewer entries than pageSize, even none, while nextPageToken is set: go on until it is absent."

type sessionQuery struct {
	wire.Page
	latchkey.SessionFilter
}

func (f *Face) sessionRoutes() []Route {
	scope := directory.ScopeSessions
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/sessions", ID: "createSession", Tag: tagSessions, Scope: scope,
			Summary: "Sign a user in: the application has authenticated them",
			About:   "Tokens that the project delivers by cookie are in setCookie, to be forwarded to the browser, and not in the answer.",
			Body:    latchkey.SignInRequest{}, Answer: latchkey.TokenSet{},
			Codes: []latchkey.Code{latchkey.CodeOutOfRange, latchkey.CodeContradiction, latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge,
				latchkey.CodeSignInDenied, latchkey.CodeInsufficient, latchkey.CodeConflict},
			Lints: true, serve: f.managed(scope, f.signIn),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions", ID: "listSessions", Tag: tagSessions, Scope: scope,
			Summary: "List sessions, newest first", About: aboutPages, Query: sessionQuery{}, Answer: latchkey.SessionList{},
			serve: f.managed(scope, f.listSessions),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions/{sid}", ID: "getSession", Tag: tagSessions, Scope: scope,
			Summary: "One session", Answer: latchkey.Session{}, serve: f.managed(scope, f.getSession),
		},
		{
			Method: "PATCH", Pattern: "/v1/projects/{project}/sessions/{sid}", ID: "changeSessionClaims", Tag: tagSessions, Scope: scope,
			Summary: "Change the custom claims of a live session; its next refresh carries them",
			Body:    latchkey.ClaimsPatch{}, Answer: latchkey.Session{},
			Codes: []latchkey.Code{latchkey.CodeSessionRevoked, latchkey.CodeSessionExpired, latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge, latchkey.CodeConflict},
			Lints: true, serve: f.managed(scope, f.changeClaims),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions/{sid}/trace", ID: "traceSession", Tag: tagSessions, Scope: scope,
			Summary: "Every decision taken for a session, and why", Answer: latchkey.Trace{}, serve: f.managed(scope, f.trace),
		},
	}
}

func (f *Face) signIn(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.SignInRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	in := token.SignIn{
		Project: c.project, AMR: body.AMR, Claims: body.Claims, NSec: body.NSec, Audience: body.Audience,
		Lifetime: body.Lifetime.Std(), EndOthers: body.RevokeOthers, Actor: body.Actor, Origin: c.origin,
	}
	var tenantErr, deviceErr error
	in.Tenant, tenantErr = c.enters(body)
	in.Device, in.Context, deviceErr = readDevice(body.Device)
	if len(unknown) > 0 || tenantErr != nil || deviceErr != nil {
		return f.linted(f.refusedSignIn(r.Context(), c, body.User, in, unknown, tenantErr, deviceErr), nil)
	}
	if in.User, err = f.resolve(r.Context(), c, body.User, in); err != nil {
		return f.linted(err, nil)
	}
	project, err := f.d.Tokens.Settings(r.Context(), c.project)
	if err != nil {
		return err
	}
	set, err := f.d.Tokens.SignIn(r.Context(), in)
	if err = f.linted(err, set.Flagged); err != nil {
		return err
	}
	f.d.Counter.SessionCreated()
	answer := f.tokenSet(set)
	if err := f.forward(project, &answer); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

// enters returns the tenant in which a session is to begin, and the refusal of a key that
// mayn't let somebody act as the user.
func (c caller) enters(body latchkey.SignInRequest) (id.Tenant, error) {
	if body.Actor != "" && !c.key.May(directory.ScopeImpersonate) {
		return id.Tenant{}, fault.New(fault.Forbidden, "The key doesn't have the scope impersonate.").
			WithFields(fault.Field{Pointer: "/actor", Code: "unknown", Detail: "Leave it out, or use a key that has the scope."})
	}
	if body.Tenant == "" {
		return id.Tenant{}, nil
	}
	t, err := id.ParseTenant(body.Tenant)
	if err != nil {
		return t, fault.New(fault.Invalid, "The tenant can't be read.").
			WithFields(fault.Field{Pointer: "/tenant", Code: "format", Detail: "A tenant id (ten_…) is wanted."})
	}
	return t, nil
}

// maxDeviceName is what is kept of a device's name, in bytes.
const maxDeviceName = 100

// readDevice turns what the application says of the device into what is stored and what
// later requests are compared with.
func readDevice(d latchkey.DeviceRequest) (session.Device, session.Context, error) {
	var ip netip.Addr
	if d.IP != "" {
		var err error
		if ip, err = netip.ParseAddr(d.IP); err != nil || ip.Zone() != "" {
			return session.Device{}, session.Context{}, fault.New(fault.Invalid, "The device can't be read.").
				WithFields(fault.Field{Pointer: "/device/ip", Code: "format", Detail: "An IP address is wanted."})
		}
		ip = ip.Unmap()
	}
	client := wire.Describe(ip, d.UserAgent)
	device := session.Device{Name: wire.Printable(d.Name, maxDeviceName), UserAgent: client.UserAgent}
	if ip.IsValid() {
		device.IP = ip.String()
	}
	if device.Name == "" {
		device.Name = client.Agent
	}
	return device, session.Context{Network: client.Network, Agent: client.Agent}, nil
}

func (f *Face) list(ctx context.Context, filter session.Filter, page wire.Page) (latchkey.SessionList, error) {
	if err := cursor(page, filter.After[:]); err != nil {
		return latchkey.SessionList{}, err
	}
	filter.Limit = page.Size
	found, next, err := f.d.Sessions.List(ctx, filter)
	if err != nil {
		return latchkey.SessionList{}, err
	}
	out := latchkey.SessionList{Sessions: make([]latchkey.Session, len(found))}
	for i := range found {
		out.Sessions[i] = renderSession(found[i])
	}
	if !next.IsZero() {
		out.NextPageToken = wire.EncodePage(next[:])
	}
	return out, nil
}

func badPage() error {
	return fault.New(fault.Invalid, "The page token isn't one that this list returned.").
		WithFields(fault.Field{Pointer: "?pageToken", Code: "format", Detail: "Use the nextPageToken of the previous answer as it is."})
}

func (f *Face) listSessions(w http.ResponseWriter, r *http.Request, c caller) error {
	var q sessionQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	filter := session.Filter{Project: c.project, Status: session.Status(q.State), CreatedFrom: q.CreatedFrom, CreatedTo: q.CreatedTo}
	var bad []fault.Field
	if q.User != "" {
		var err error
		if filter.User, err = id.ParseUser(q.User); err != nil {
			bad = append(bad, fault.Field{Pointer: "?user", Code: "format", Detail: "A user id (usr_…) is wanted."})
		}
	}
	if q.Tenant != "" {
		var err error
		if filter.Tenant, err = id.ParseTenant(q.Tenant); err != nil {
			bad = append(bad, fault.Field{Pointer: "?tenant", Code: "format", Detail: "A tenant id (ten_…) is wanted."})
		}
	}
	if q.IP != "" {
		var err error
		if filter.IP, err = parseNetwork(q.IP); err != nil {
			bad = append(bad, fault.Field{Pointer: "?ip", Code: "format", Detail: "An address or a network such as 192.0.2.0/24 is wanted."})
		}
	}
	if len(bad) > 0 {
		return fault.New(fault.Invalid, "The filter can't be read.").WithFields(bad...)
	}
	out, err := f.list(r.Context(), filter, q.Page)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, out)
}

// parseNetwork reads a network, or an address as the network of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("not a network: %.50q", s)
	}
	return p, nil
}

func pathSession(r *http.Request) (id.Session, error) {
	sid, err := id.ParseSession(r.PathValue("sid"))
	if err != nil {
		return sid, fault.New(fault.NotFound, "This project has no such session.")
	}
	return sid, nil
}

func (f *Face) find(r *http.Request, c caller) (session.Found, error) {
	sid, err := pathSession(r)
	if err != nil {
		return session.Found{}, err
	}
	return f.d.Sessions.Get(r.Context(), c.project, sid)
}

func (f *Face) getSession(w http.ResponseWriter, r *http.Request, c caller) error {
	found, err := f.find(r, c)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderSession(found))
}

func (f *Face) trace(w http.ResponseWriter, r *http.Request, c caller) error {
	found, err := f.find(r, c)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderTrace(found))
}

func (f *Face) changeClaims(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.ClaimsPatch
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	sid, err := pathSession(r)
	if err != nil {
		return unknown.With(err)
	}
	project, err := f.d.Tokens.Settings(r.Context(), c.project)
	if err != nil {
		return err
	}
	fits, err := f.d.Tokens.Fits(r.Context(), c.project)
	if err != nil {
		return err
	}
	change := session.ClaimsChange{Claims: body.Claims, NSec: body.NSec, Lint: claim.LintPolicy(project.Settings.ClaimLint), Unreadable: unknown}
	found, err := f.d.Sessions.ChangeClaims(r.Context(), c.project, sid, change, fits, c.origin)
	if err = f.linted(unknown.With(err), found.Flagged); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderSession(found))
}

// linted counts what the linter of claims did, and gives its refusal the status of a
// request that is well made but isn't obeyed (RFC 9110, 15.5.21).
func (f *Face) linted(err error, flagged []claim.Finding) error {
	switch {
	case claim.Rejected(err):
		f.d.Counter.ClaimsFlagged(claim.LintReject)
		return wire.WithStatus(http.StatusUnprocessableEntity, err)
	case err == nil && len(flagged) > 0:
		f.d.Counter.ClaimsFlagged(claim.LintWarn)
	}
	return err
}
