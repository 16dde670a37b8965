package latchkey

import (
	"encoding/json"
	"time"
)

// TenantSwitch is the body of a change of the current tenant. Client.SwitchTenant makes
// it.
type TenantSwitch struct {
	Tenant       string         `json:"tenant" required:"true" description:"Id of an enabled tenant of which the user is a member."`
	RefreshToken string         `json:"refreshToken,omitempty" description:"The refresh token, unless it is in the Authorization header."`
	ComposedAt   time.Time      `json:"composedAt,omitzero" description:"As of a refresh."`
	Device       *RefreshDevice `json:"device,omitempty" description:"As of a refresh."`
}

// ClientClaimsPatch is what a client asks to have in its tokens, below nsec.
type ClientClaimsPatch struct {
	Claims       json.RawMessage `json:"claims" required:"true" description:"JSON merge patch for the claims in nsec: null takes a claim out."`
	RefreshToken string          `json:"refreshToken,omitempty" description:"The refresh token, unless a token is in the Authorization header."`
}

// StepUpRequest is a proof that the application has got of a session's user.
type StepUpRequest struct {
	AMR      []string `json:"amr" required:"true" description:"How the user has proved it: oauth, email, sms, whatsapp, webauthn, totp, fed, pwd. mfa is added by the server, when the sign-in and this are two factors."`
	Lifetime Duration `json:"lifetime,omitzero" description:"How long tokens say so: 1m to stepUpTTL, which it is when left out."`
}
