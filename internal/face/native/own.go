package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// none is no session.
var none id.Session

func (f *Face) ownRoutes() []Route {
	return []Route{
		{
			Method: "GET", Pattern: "/{project}/session", ID: "getOwnSession", Tag: tagTokens,
			Summary: "What the presented session or refresh token stands for", Answer: latchkey.OwnSession{},
			Codes: codes(latchkey.CodeRateLimited), serve: f.public(f.own),
		},
		{
			Method: "GET", Pattern: "/{project}/sessions", ID: "listOwnSessions", Tag: tagTokens,
			Summary: "The user's own active sessions, with device, network and times", About: aboutPages,
			Query: wire.Page{}, Answer: latchkey.SessionList{},
			Codes: codes(latchkey.CodeRateLimited), serve: f.public(f.ownList),
		},
		{
			Method: "DELETE", Pattern: "/{project}/sessions/{sid}", ID: "endOwnSession", Tag: tagTokens,
			Summary: "End one of the user's own sessions", Answer: nothing{},
			Codes: codes(latchkey.CodeRateLimited, latchkey.CodeNotFound), serve: f.public(f.ownEnd),
		},
	}
}

// identify finds who is behind a token; from then on the user is the actor.
func (f *Face) identify(r *http.Request, p *presented) (token.Identity, error) {
	who, err := f.d.Tokens.Identify(r.Context(), p.Presentation)
	if err == nil && p.key.ID.IsZero() {
		p.Origin.Actor = audit.UserActor(who.Row.User)
	}
	return who, err
}

// present0 is for requests that have no body. A session token is looked at first: it is
// cheaper to judge, and seeing it tells that the refresh token beside it has arrived.
func (f *Face) present0(w http.ResponseWriter, r *http.Request) (presented, token.Identity, error) {
	p, err := f.present(w, r, "", directory.ScopeSessions, token.SessionToken, token.RefreshToken)
	if err != nil {
		return p, token.Identity{}, err
	}
	var who token.Identity
	err = p.try(w, func() (err error) {
		who, err = f.identify(r, &p)
		return err
	})
	return p, who, err
}

func (f *Face) own(w http.ResponseWriter, r *http.Request) error {
	_, who, err := f.present0(w, r)
	if err != nil {
		return err
	}
	answer := latchkey.OwnSession{
		Session: renderSession(session.Found{Row: who.Row, Status: session.Active}), TokenKind: "session",
		Claims: who.Claims, ExpiresAt: who.ExpiresAt, ServerTime: f.d.Now().UTC(),
	}
	answer.Session.Current = true
	if who.Kind == token.RefreshToken {
		answer.TokenKind = "refresh"
	}
	if answer.ExpiresAt.IsZero() {
		answer.ExpiresAt = who.Row.ExpiresAt()
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (f *Face) ownList(w http.ResponseWriter, r *http.Request) error {
	var page wire.Page
	if err := wire.Query(r, &page); err != nil {
		return err
	}
	p, who, err := f.present0(w, r)
	if err != nil {
		return err
	}
	list, err := f.list(r.Context(), session.Filter{Project: p.Project, User: who.Row.User, Status: session.Active}, page)
	if err != nil {
		return err
	}
	for i := range list.Sessions {
		list.Sessions[i].Current = list.Sessions[i].ID == who.Row.ID.String()
	}
	return wire.JSON(w, http.StatusOK, list)
}

func (f *Face) ownEnd(w http.ResponseWriter, r *http.Request) error {
	if err := wire.Decode(r, wire.MaxBody, &struct{}{}); err != nil {
		return err
	}
	p, who, err := f.present0(w, r)
	if err != nil {
		return err
	}
	sid, err := id.ParseSession(r.PathValue("sid"))
	if err != nil {
		return fault.New(fault.NotFound, "You have no such session.")
	}
	if sid != who.Row.ID {
		if err := ownOnly(who); err != nil {
			return err
		}
	}
	ended, err := f.d.Sessions.EndOwn(r.Context(), p.Project, who.Row.User, sid, session.Ending{Reason: session.Logout, Origin: p.Origin})
	if err != nil {
		return err
	}
	if ended {
		f.d.Counter.SessionsEnded(session.Logout, 1)
	}
	if p.jar != nil && sid == who.Row.ID {
		if err := p.jar.clear(w); err != nil {
			return err
		}
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}
