package native

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

type signInBody struct {
	User         userRef           `json:"user" required:"true" description:"A user id, a login id, or a user object to create or update (found by its login ids), for which the key needs the scope users too."`
	AMR          []string          `json:"amr" required:"true" description:"How the user signed in: oauth, email, sms, whatsapp, webauthn, totp, fed, pwd. mfa is added by the server."`
	Claims       json.RawMessage   `json:"claims,omitempty" description:"Secure custom claims: an object; top level in tokens."`
	NSec         json.RawMessage   `json:"nsec,omitempty" description:"Claims that an untrusted client asked for: an object; nsec in tokens."`
	Audience     []string          `json:"audience,omitempty" description:"Added to the aud claim."`
	Device       deviceBody        `json:"device,omitzero" description:"The user's device, since the application speaks for it."`
	Lifetime     latchkey.Duration `json:"lifetime,omitzero" description:"Shorter than the project's absoluteTimeout."`
	RevokeOthers bool              `json:"revokeOthers,omitempty" description:"End the user's other sessions in the same transaction."`
}

type deviceBody struct {
	IP        string `json:"ip,omitempty" maxLength:"45"`
	UserAgent string `json:"userAgent,omitempty" maxLength:"1024"`
	Name      string `json:"name,omitempty" maxLength:"100"`
}

type sessionQuery struct {
	wire.Page
	User        string    `query:"user" description:"User id."`
	State       string    `query:"state" enum:"active,ended,expired"`
	CreatedFrom time.Time `query:"createdFrom"`
	CreatedTo   time.Time `query:"createdTo"`
	IP          string    `query:"ip" description:"Address or network (CIDR) of the device."`
}

type claimsBody struct {
	Claims json.RawMessage `json:"claims,omitempty" description:"JSON merge patch for the secure custom claims: null takes a claim out."`
	NSec   json.RawMessage `json:"nsec,omitempty" description:"The same for the claims in nsec."`
}

func (f *Face) sessionRoutes() []Route {
	scope := directory.ScopeSessions
	return []Route{
		{
			Method: "POST", Pattern: "/v1/projects/{project}/sessions", ID: "createSession", Tag: tagSessions, Scope: scope,
			Summary: "Sign a user in: the application has authenticated them", Body: signInBody{}, Answer: latchkey.TokenSet{},
			Codes: []latchkey.Code{latchkey.CodeOutOfRange, latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge, latchkey.CodeConflict},
			serve: f.managed(scope, f.signIn),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions", ID: "listSessions", Tag: tagSessions, Scope: scope,
			Summary: "List sessions, newest first", Query: sessionQuery{}, Answer: sessionList{},
			serve: f.managed(scope, f.listSessions),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions/{sid}", ID: "getSession", Tag: tagSessions, Scope: scope,
			Summary: "One session", Answer: latchkey.Session{}, serve: f.managed(scope, f.getSession),
		},
		{
			Method: "PATCH", Pattern: "/v1/projects/{project}/sessions/{sid}", ID: "changeSessionClaims", Tag: tagSessions, Scope: scope,
			Summary: "Change the custom claims of a live session; its next refresh carries them",
			Body:    claimsBody{}, Answer: latchkey.Session{},
			Codes: []latchkey.Code{latchkey.CodeSessionRevoked, latchkey.CodeSessionExpired, latchkey.CodeReservedClaim, latchkey.CodeClaimsTooLarge, latchkey.CodeConflict},
			serve: f.managed(scope, f.changeClaims),
		},
		{
			Method: "GET", Pattern: "/v1/projects/{project}/sessions/{sid}/trace", ID: "traceSession", Tag: tagSessions, Scope: scope,
			Summary: "Every decision taken for a session, and why", Answer: latchkey.Trace{}, serve: f.managed(scope, f.trace),
		},
	}
}

func (f *Face) signIn(w http.ResponseWriter, r *http.Request, c caller) error {
	var body signInBody
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	in := token.SignIn{
		Project: c.project, AMR: body.AMR, Claims: body.Claims, NSec: body.NSec, Audience: body.Audience,
		Lifetime: body.Lifetime.Std(), EndOthers: body.RevokeOthers, Origin: c.origin,
	}
	var err error
	if in.Device, in.Context, err = body.Device.read(); err != nil {
		return err
	}
	if in.User, err = f.resolve(r.Context(), c, body.User, in); err != nil {
		return err
	}
	set, err := f.d.Tokens.SignIn(r.Context(), in)
	if err != nil {
		return err
	}
	f.d.Counter.SessionCreated()
	return wire.JSON(w, http.StatusOK, f.tokenSet(set))
}

// maxDeviceName is what is kept of a device's name, in bytes.
const maxDeviceName = 100

// read turns what the application says of the device into what is stored and what
// later requests are compared with.
func (d deviceBody) read() (session.Device, session.Context, error) {
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

func (f *Face) list(ctx context.Context, filter session.Filter, page wire.Page) (sessionList, error) {
	if err := cursor(page, filter.After[:]); err != nil {
		return sessionList{}, err
	}
	// One more than the page tells whether there is a next one.
	filter.Limit = page.Size + 1
	found, err := f.d.Sessions.List(ctx, filter)
	if err != nil {
		return sessionList{}, err
	}
	out := sessionList{Sessions: []latchkey.Session{}}
	for i, s := range found {
		if i == page.Size {
			last := found[i-1].ID
			out.NextPageToken = wire.EncodePage(last[:])
			break
		}
		out.Sessions = append(out.Sessions, renderSession(s))
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
	var body claimsBody
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	sid, err := pathSession(r)
	if err != nil {
		return err
	}
	fits, err := f.d.Tokens.Fits(r.Context(), c.project)
	if err != nil {
		return err
	}
	found, err := f.d.Sessions.ChangeClaims(r.Context(), c.project, sid, body.Claims, body.NSec, fits, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderSession(found))
}
