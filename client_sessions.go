package latchkey

import (
	"context"
	"iter"
	"net/http"
)

// CreateSession signs a user in whom the application has authenticated, and returns the
// first token set. Scope sessions, and users too for UserDescribed. It is repeated only
// when nothing of it had been sent: an error without a Code may mean that the session
// exists, with tokens that nobody holds.
func (c *Client) CreateSession(ctx context.Context, r SignInRequest) (TokenSet, error) {
	set, err := manageCall[TokenSet](ctx, c, http.MethodPost, r, "sessions")
	if err != nil {
		return TokenSet{}, err
	}
	return set.complete()
}

// Sessions yields the sessions that match, newest first. Scope sessions. It asks for the
// next page when the one before is used up, and ends after the first error.
func (c *Client) Sessions(ctx context.Context, filter SessionFilter) iter.Seq2[Session, error] {
	return each(func(p PageRequest) ([]Session, string, error) {
		page, err := c.SessionsPage(ctx, filter, p)
		return page.Sessions, page.NextPageToken, err
	})
}

// SessionsPage returns one page of Sessions.
func (c *Client) SessionsPage(ctx context.Context, filter SessionFilter, p PageRequest) (SessionList, error) {
	return manageList[SessionList](ctx, c, p, filter, "sessions")
}

// Session returns one session, also one that is over. Scope sessions.
func (c *Client) Session(ctx context.Context, sessionID string) (Session, error) {
	return manageCall[Session](ctx, c, http.MethodGet, nil, "sessions", sessionID)
}

// UpdateSessionClaims changes the custom claims of a live session; its next refresh
// carries them. Scope sessions.
func (c *Client) UpdateSessionClaims(ctx context.Context, sessionID string, patch ClaimsPatch) (Session, error) {
	return manageCall[Session](ctx, c, http.MethodPatch, patch, "sessions", sessionID)
}

// Trace returns every decision taken for a session, and why. Scope sessions.
func (c *Client) Trace(ctx context.Context, sessionID string) (Trace, error) {
	return manageCall[Trace](ctx, c, http.MethodGet, nil, "sessions", sessionID, "trace")
}

// RevokeSession ends a session. Scope sessions. One that is over already is no error; the
// count is 0 then, also when this call was repeated because an answer got lost.
func (c *Client) RevokeSession(ctx context.Context, sessionID string) (EndedSessions, error) {
	return manageRepeated[EndedSessions](ctx, c, http.MethodPost, nil, "sessions", sessionID, "revoke")
}

// RevokeUserSessions ends all sessions of a user at once. Scope sessions.
func (c *Client) RevokeUserSessions(ctx context.Context, userID string) (EndedSessions, error) {
	return manageRepeated[EndedSessions](ctx, c, http.MethodPost, nil, "users", userID, "sessions", "revoke")
}

// RevokeSessions ends the sessions that match, or with DryRun only counts them. Scope
// sessions. Sessions that begin meanwhile may match too when the call is repeated.
func (c *Client) RevokeSessions(ctx context.Context, r EndSessionsRequest) (EndedSessions, error) {
	return manageRepeated[EndedSessions](ctx, c, http.MethodPost, r, "sessions", "revoke")
}
