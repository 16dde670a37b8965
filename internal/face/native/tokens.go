package native

import (
	"context"
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

type nothing struct{}

// terminal are the codes of a session that is over.
var terminal = []latchkey.Code{latchkey.CodeSessionRevoked, latchkey.CodeSessionExpired, latchkey.CodeTokenReuse}

func codes(more ...latchkey.Code) []latchkey.Code { return append(more, terminal...) }

// twice is what a route says that takes a token in two places.
const twice = latchkey.CodeContradiction

func (f *Face) tokenRoutes() []Route {
	return []Route{
		{
			Method: "POST", Pattern: "/{project}/session/refresh", ID: "refreshSession", Tag: tagTokens,
			Summary: "Trade a refresh token for a new token set",
			About:   "Repeating the request inside the reuse window gives the same refresh token again, so a lost answer costs nothing. Drop tokens only on a problem that is terminal.",
			Body:    latchkey.RefreshBody{}, Answer: latchkey.TokenSet{},
			Codes: codes(latchkey.CodeRequestExpired, latchkey.CodeRateLimited, latchkey.CodeClaimsTooLarge, twice),
			serve: f.public(f.refresh),
		},
		{
			Method: "POST", Pattern: "/{project}/session/ack", ID: "acknowledgeRefresh", Tag: tagTokens,
			Summary: "Confirm that the newest refresh token was kept",
			About:   "Once confirmed, the token before it counts as stolen when it comes back. A session token seen at GET /session confirms too.",
			Body:    latchkey.TokenBody{}, Answer: latchkey.Acknowledgement{}, Codes: codes(latchkey.CodeRateLimited, twice),
			serve: f.public(f.acknowledge),
		},
		{
			Method: "POST", Pattern: "/{project}/session/logout", ID: "logout", Tag: tagTokens,
			Summary: "End this session", About: "Repeating it is no error.",
			Body: latchkey.TokenBody{}, Answer: nothing{}, Codes: []latchkey.Code{latchkey.CodeRateLimited, twice},
			serve: f.public(f.logout),
		},
		{
			Method: "POST", Pattern: "/{project}/session/logout-others", ID: "logoutOthers", Tag: tagTokens,
			Summary: "End the user's other sessions", About: "Not for who acts as the user: that is forbidden.", Body: latchkey.TokenBody{}, Answer: nothing{},
			Codes: codes(latchkey.CodeRateLimited, twice),
			serve: f.public(f.logoutMany(true)),
		},
		{
			Method: "POST", Pattern: "/{project}/session/logout-all", ID: "logoutAll", Tag: tagTokens,
			Summary: "End all sessions of the user", About: "Not for who acts as the user: that is forbidden.", Body: latchkey.TokenBody{}, Answer: nothing{},
			Codes: codes(latchkey.CodeRateLimited, twice),
			serve: f.public(f.logoutMany(false)),
		},
	}
}

func (f *Face) refresh(w http.ResponseWriter, r *http.Request) error {
	var body latchkey.RefreshBody
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	readOnly := body.Rotate == "never"
	scope := directory.ScopeSessions
	if readOnly {
		scope = directory.ScopeVerify // which changes nothing
	}
	p, err := f.present(w, r, body.RefreshToken, scope, token.RefreshToken)
	if err != nil {
		return err
	}
	if readOnly && p.key.ID.IsZero() {
		return fault.New(fault.Forbidden, "rotate=never is for applications: send a key of the project in the Authorization header and the refresh token in the body.")
	}
	if err := p.speakFor(body.Device); err != nil {
		return err
	}
	p.ComposedAt = body.ComposedAt
	return f.trade(w, &p, func() (token.Set, bool, error) {
		return f.d.Tokens.Refresh(r.Context(), p.Presentation, readOnly)
	})
}

// speakFor makes the presentation that of the client for which an application asks. What
// anybody else says of a client isn't believed: a thief would describe the victim's.
func (p *presented) speakFor(d *latchkey.RefreshDevice) error {
	if d == nil {
		return nil
	}
	if p.key.ID.IsZero() {
		return fault.New(fault.Invalid, "Only an application may describe its user's client.").WithFields(
			fault.Field{Pointer: "/device", Code: "unknown", Detail: "Send a key of the project in the Authorization header and the refresh token in the body, or leave it out."})
	}
	_, described, err := readDevice(latchkey.DeviceRequest{IP: d.IP, UserAgent: d.UserAgent})
	p.Context = described
	return err
}

func (f *Face) count(rule session.Rule) {
	f.d.Counter.Refreshed(rule)
	if rule == session.Limited {
		f.d.Counter.RateLimited("session")
	}
}

func (f *Face) acknowledge(w http.ResponseWriter, r *http.Request) error {
	p, err := f.presentBody(w, r)
	if err != nil {
		return err
	}
	var answer latchkey.Acknowledgement
	err = p.try(w, func() (err error) {
		answer.Confirmed, answer.ConfirmableAt, err = f.d.Tokens.Acknowledge(r.Context(), p.Presentation)
		return err
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (f *Face) presentBody(w http.ResponseWriter, r *http.Request) (presented, error) {
	var body latchkey.TokenBody
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return presented{}, err
	}
	return f.present(w, r, body.RefreshToken, directory.ScopeSessions, token.RefreshToken, token.SessionToken)
}

// logout ends the session of any authentic token, also an old one: a session that is
// over already is just what was asked for. It isn't limited: nobody must be kept from
// logging out. Of cookies, each session that one of them belongs to ends, and all go.
func (f *Face) logout(w http.ResponseWriter, r *http.Request) error {
	p, err := f.presentBody(w, r)
	if err != nil {
		return err
	}
	p.Admit = nil
	var refusal error
	for _, p.Token = range p.tokens {
		err := f.end(r.Context(), p)
		unreadable := fault.KindOf(err) == fault.Unauthenticated
		switch {
		case err != nil && !unreadable:
			return err
		case err != nil && refusal == nil:
			refusal = err
		}
	}
	if p.jar != nil {
		// A cookie that nobody can read is as good as gone.
		refusal = p.jar.clear(w)
	}
	if refusal != nil {
		return refusal
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}

// end ends the session of the token at hand.
func (f *Face) end(ctx context.Context, p presented) error {
	c, err := f.d.Tokens.Read(ctx, p.Presentation)
	if fault.KindOf(err) == fault.SessionRevoked {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Kind == token.SessionToken && !f.d.Now().Before(c.ExpiresAt) {
		return fault.New(fault.Unauthenticated, "The session token has expired; log out with the refresh token.")
	}
	ended, err := f.d.Sessions.End(ctx, p.Project, c.Session, session.Ending{Reason: session.Logout, Origin: p.Origin})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if ended {
		f.d.Counter.SessionsEnded(session.Logout, 1)
	}
	return nil
}

func (f *Face) logoutMany(keepThis bool) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := f.presentBody(w, r)
		if err != nil {
			return err
		}
		err = p.try(w, func() error {
			who, err := f.identify(r, &p)
			if !keepThis && f.endedWithAll(r.Context(), p, err) {
				return nil
			}
			if err == nil {
				err = ownOnly(who)
			}
			if err != nil {
				return err
			}
			keep := who.Row.ID
			if !keepThis {
				keep = none
			}
			if keepThis {
				if alone, err := f.alone(r.Context(), p.Project, who.Row.User); alone || err != nil {
					return err
				}
			}
			n, err := f.d.Sessions.EndUser(r.Context(), p.Project, who.Row.User, keep, session.Ending{Reason: session.Logout, Origin: p.Origin})
			if err == nil {
				f.d.Counter.SessionsEnded(session.Logout, n)
			}
			return err
		})
		if err == nil && p.jar != nil && !keepThis {
			err = p.jar.clear(w)
		}
		if err != nil {
			return err
		}
		return wire.JSON(w, http.StatusOK, nothing{})
	}
}

// alone reports whether a user has no session but the one that asks. Then there are no
// others to end, and a client that asks again and again fills the revocation feed with
// nothing.
func (f *Face) alone(ctx context.Context, p id.Project, user id.User) (bool, error) {
	n, err := f.d.Sessions.Count(ctx, session.Filter{Project: p, User: user})
	return n <= 1, err
}

// endedWithAll reports whether a session was refused because all sessions of its user
// were ended at once. Then another request to end them all is a repetition, of one whose
// answer was lost, and has nothing left to do. Sessions made since then stay: who holds
// the token of an ended session may not end them.
func (f *Face) endedWithAll(ctx context.Context, p presented, refusal error) bool {
	if fault.KindOf(refusal) != fault.SessionRevoked {
		return false
	}
	c, err := f.d.Tokens.Read(ctx, p.Presentation)
	if err != nil {
		return false
	}
	found, err := f.d.Sessions.Get(ctx, p.Project, c.Session)
	return err == nil && found.Reason == session.Superseded
}
