package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// SwitchTenant is Refresh, and makes a tenant of the user the current one: the tokens of
// the answer are of that tenant. CodeNotFound means that the user isn't in such a tenant,
// CodeSignInDenied and CodeInsufficient that the project's sign-in actions don't allow it;
// then the session stays as it was, and the token good. r.ReadOnly isn't possible.
func (c *Client) SwitchTenant(ctx context.Context, r RefreshRequest, tenantID string) (TokenSet, error) {
	if r.ReadOnly {
		return TokenSet{}, errors.New("latchkey: a tenant is changed by a refresh that may replace the refresh token: ReadOnly isn't possible")
	}
	return c.trade(ctx, r, "/session/tenant", func(token string, device *RefreshDevice, at time.Time) any {
		return TenantSwitch{Tenant: tenantID, RefreshToken: token, Device: device, ComposedAt: at}
	})
}

// SetClientClaims merges claims into nsec of the token's session, for what an untrusted
// client wants to have in its tokens: a JSON object, in which null takes a claim out. The
// next refresh carries them. The token is a refresh or session token.
func (c *Client) SetClientClaims(ctx context.Context, token string, claims json.RawMessage) (Session, error) {
	var out Session
	op, inBody, err := c.presenting("/session/claims", token)
	if err != nil {
		return out, err
	}
	op.body = ClientClaimsPatch{Claims: claims, RefreshToken: inBody}
	err = c.call(ctx, op, &out)
	return out, err
}

// StepUpSession records that the user of a session has proved once more who they are. The
// next refresh carries it, in su and amr, until it is too old. Scope sessions.
func (c *Client) StepUpSession(ctx context.Context, sessionID string, r StepUpRequest) (Session, error) {
	return manageCall[Session](ctx, c, http.MethodPost, r, "sessions", sessionID, "step-up")
}

// RevokeTenantSessions ends all sessions in which a tenant is the current one, at once.
// Scope sessions.
func (c *Client) RevokeTenantSessions(ctx context.Context, tenantID string) (EndedSessions, error) {
	return manageRepeated[EndedSessions](ctx, c, http.MethodPost, nil, "tenants", tenantID, "sessions", "revoke")
}
