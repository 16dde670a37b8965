package latchkey

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// Acknowledge confirms that the newest refresh token was kept, so that the one before it
// counts as stolen when it comes back. It has an effect only once the reuse window is
// over; the answer says when that is. Optional: refreshing works without it.
func (c *Client) Acknowledge(ctx context.Context, refreshToken string) (Acknowledgement, error) {
	var out Acknowledgement
	err := c.tokenCall(ctx, "/session/ack", refreshToken, &out)
	return out, err
}

// Logout ends the session of a refresh or session token. A session that is over already
// is no error. Only after nil, or an error that IsTerminal, has it ended for certain.
func (c *Client) Logout(ctx context.Context, token string) error {
	return c.tokenCall(ctx, "/session/logout", token, nil)
}

// LogoutOthers ends the other sessions of the token's user.
func (c *Client) LogoutOthers(ctx context.Context, token string) error {
	return c.tokenCall(ctx, "/session/logout-others", token, nil)
}

// LogoutAll ends all sessions of the token's user, its own too.
func (c *Client) LogoutAll(ctx context.Context, token string) error {
	return c.tokenCall(ctx, "/session/logout-all", token, nil)
}

// Own returns what a session or refresh token stands for. It asks the server, so that it
// also knows of revocations that a Verifier hasn't heard of; a session token that is seen
// here confirms its refresh token, as Acknowledge does.
func (c *Client) Own(ctx context.Context, token string) (OwnSession, error) {
	var out OwnSession
	op, err := c.bearing(http.MethodGet, token, "session")
	if err == nil {
		err = c.call(ctx, op, &out)
	}
	return out, err
}

// OwnSessions yields the active sessions of the token's user, newest first. It asks for
// the next page when the one before is used up, and ends after the first error.
func (c *Client) OwnSessions(ctx context.Context, token string) iter.Seq2[Session, error] {
	return each(func(p PageRequest) ([]Session, string, error) {
		page, err := c.OwnSessionsPage(ctx, token, p)
		return page.Sessions, page.NextPageToken, err
	})
}

// OwnSessionsPage returns one page of OwnSessions.
func (c *Client) OwnSessionsPage(ctx context.Context, token string, p PageRequest) (SessionList, error) {
	var out SessionList
	op, err := c.bearing(http.MethodGet, token, "sessions")
	if err == nil {
		op.query, err = queryOf(p, nil)
	}
	if err == nil {
		err = c.call(ctx, op, &out)
	}
	return out, err
}

// EndOwnSession ends one of the sessions of the token's user.
func (c *Client) EndOwnSession(ctx context.Context, token, sessionID string) error {
	op, err := c.bearing(http.MethodDelete, token, "sessions", sessionID)
	if err != nil {
		return err
	}
	return c.call(ctx, op, nil)
}

var errToken = errors.New("latchkey: the token is empty or no token")

// bearing is a call in the user's name: the token goes into the header, also when there
// is a key, since these calls have no body. They may all be repeated.
func (c *Client) bearing(method, token string, path ...string) (operation, error) {
	if !isBearer(token) {
		return operation{}, errToken
	}
	address, err := join(c.issuer, path)
	return operation{method: method, url: address, bearer: token, repeat: always}, err
}

// presenting is a call with a token that goes into the body when the application has a
// management key, and is made in its name then: such calls don't count for the limit of
// the network that all users of the application come from.
func (c *Client) presenting(path, token string) (op operation, inBody string, err error) {
	if !isBearer(token) {
		return operation{}, "", errToken
	}
	op = operation{method: http.MethodPost, url: c.issuer + path, bearer: token, secrets: []string{token}, repeat: always}
	if c.mayManage() {
		op.bearer, inBody = *c.key, token
	}
	return op, inBody, nil
}

func (c *Client) tokenCall(ctx context.Context, path, token string, into any) error {
	op, inBody, err := c.presenting(path, token)
	if err != nil {
		return err
	}
	op.body = TokenBody{RefreshToken: inBody}
	return c.call(ctx, op, into)
}
