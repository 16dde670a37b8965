package native

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// standingRoutes are what changes where a session is and what it has proved.
func (f *Face) standingRoutes() []Route {
	scope := directory.ScopeSessions
	return []Route{
		{
			Method: "POST", Pattern: "/{project}/session/tenant", ID: "switchTenant", Tag: tagTokens,
			Summary: "Refresh, and make a tenant of the user the current one",
			About:   "The answer's tokens are of that tenant; older ones are refreshed by and by. It may be repeated as a refresh may.",
			Body:    latchkey.TenantSwitch{}, Answer: latchkey.TokenSet{},
			Codes: codes(latchkey.CodeRequestExpired, latchkey.CodeRateLimited, latchkey.CodeNotFound, latchkey.CodeClaimsTooLarge,
				latchkey.CodeSignInDenied, latchkey.CodeInsufficient, latchkey.CodeConflict, twice),
			serve: f.public(f.switchTenant),
		},
		{
			Method: "POST", Pattern: "/{project}/session/claims", ID: "setClientClaims", Tag: tagTokens,
			Summary: "Ask for claims in one's own tokens, below nsec; the next refresh carries them",
			About:   "Nobody vouches for these claims: they are as good as any other input of the client, and never leave nsec.",
			Body:    latchkey.ClientClaimsPatch{}, Answer: latchkey.Session{},
			Codes: codes(latchkey.CodeRateLimited, latchkey.CodeClaimsTooLarge, latchkey.CodeConflict, twice),
			Lints: true, serve: f.public(f.clientClaims),
		},
		{
			Method: "POST", Pattern: "/v1/projects/{project}/sessions/{sid}/step-up", ID: "stepUpSession", Tag: tagSessions, Scope: scope,
			Summary: "Record that the user has proved once more who they are",
			About:   "Until it is too old, tokens of the session carry su and the methods of sign-in and proof together. The client is told to refresh.",
			Body:    latchkey.StepUpRequest{}, Answer: latchkey.Session{},
			Codes: []latchkey.Code{latchkey.CodeSessionRevoked, latchkey.CodeSessionExpired, latchkey.CodeOutOfRange},
			serve: f.managed(scope, f.stepUp),
		},
		{
			Method: "POST", Pattern: "/v1/projects/{project}/tenants/{tenant}/sessions/revoke", ID: "revokeTenantSessions", Tag: tagSessions, Scope: scope,
			Summary: "End all sessions in which the tenant is the current one", About: "One write, however many there are: no refresh that is under way survives it.",
			Body: nothing{}, Answer: latchkey.EndedSessions{}, serve: f.managed(scope, f.endTenant),
		},
	}
}

func (f *Face) switchTenant(w http.ResponseWriter, r *http.Request) error {
	var body latchkey.TenantSwitch
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	p, err := f.present(w, r, body.RefreshToken, directory.ScopeSessions, token.RefreshToken)
	if err != nil {
		return err
	}
	if err := p.speakFor(body.Device); err != nil {
		return err
	}
	p.ComposedAt = body.ComposedAt
	tenant, err := id.ParseTenant(body.Tenant)
	if err != nil {
		// Which tenants there are isn't told to somebody with any token at all.
		if _, err := f.d.Tokens.Read(r.Context(), p.Presentation); err != nil {
			return err
		}
		return session.NoTenant()
	}
	return f.trade(w, &p, func() (token.Set, bool, error) {
		return f.d.Tokens.SwitchTenant(r.Context(), p.Presentation, tenant)
	})
}

// trade answers with the tokens that a presented refresh token is traded for.
func (f *Face) trade(w http.ResponseWriter, p *presented, refresh func() (token.Set, bool, error)) error {
	var answer latchkey.TokenSet
	err := p.try(w, func() error {
		set, decided, err := refresh()
		if decided {
			f.count(set.Rule)
		}
		if err != nil {
			return err
		}
		answer = f.tokenSet(set)
		if p.jar != nil {
			return p.jar.carry(w, &answer, p.Token.Reveal())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (f *Face) clientClaims(w http.ResponseWriter, r *http.Request) error {
	var body latchkey.ClientClaimsPatch
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	p, err := f.present(w, r, body.RefreshToken, directory.ScopeSessions, token.SessionToken, token.RefreshToken)
	if err != nil {
		return err
	}
	var found session.Found
	err = p.try(w, func() error {
		who, err := f.identify(r, &p)
		if err == nil {
			err = f.changes(p, who)
		}
		if err != nil {
			return err
		}
		project, err := f.d.Tokens.Settings(r.Context(), p.Project)
		if err != nil {
			return err
		}
		fits, err := f.d.Tokens.ClientFits(r.Context(), p.Project)
		if err != nil {
			return err
		}
		change := session.ClaimsChange{NSec: body.Claims, Lint: claim.LintPolicy(project.Settings.ClaimLint)}
		found, err = f.d.Sessions.ChangeClaims(r.Context(), p.Project, who.Session, change, fits, p.Origin)
		return asSent(err)
	})
	if err = f.linted(err, found.Flagged); err != nil {
		return err
	}
	answer := renderSession(found)
	answer.Current = true
	return wire.JSON(w, http.StatusOK, answer)
}

// changes refuses a client that changes its session too often: each change is in the log,
// and told to every verifier. The limiter is one of networks, and an identifier is as long
// as an address.
func (f *Face) changes(p presented, who token.Identity) error {
	if !p.key.ID.IsZero() {
		return nil // the application answers for how often it asks
	}
	one := netip.PrefixFrom(netip.AddrFrom16(who.Session), 128)
	if ok, wait := f.d.Changes.Allow(one, f.d.Now()); !ok {
		f.d.Counter.RateLimited("session")
		return fault.New(fault.RateLimited, "The claims were changed too often; try again later.").After(wait)
	}
	return nil
}

// asSent makes an error point to where the client has put its claims.
func asSent(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	for i, field := range f.Fields {
		if rest, ok := strings.CutPrefix(field.Pointer, "/nsec"); ok {
			f.Fields[i].Pointer = "/claims" + rest
		}
	}
	return err
}

func (f *Face) stepUp(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.StepUpRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	sid, err := pathSession(r)
	if err != nil {
		return err
	}
	found, err := f.d.Tokens.StepUp(r.Context(), c.project, token.StepUp{Session: sid, AMR: body.AMR, Lifetime: body.Lifetime.Std(), Origin: c.origin})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderSession(found))
}

func (f *Face) endTenant(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	t, err := pathTenant(r)
	if err != nil {
		return err
	}
	n, err := f.d.Sessions.EndTenant(r.Context(), c.project, t, f.ending(c))
	if err != nil {
		return err
	}
	return f.ended(w, n)
}

// ownOnly refuses what only the user may do when somebody else acts as them.
func ownOnly(who token.Identity) error {
	if who.Row.Actor == "" {
		return nil
	}
	return fault.New(fault.Forbidden, "Who acts as the user doesn't end the user's own sessions; end this one.")
}
