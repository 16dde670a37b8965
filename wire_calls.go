package latchkey

import (
	"encoding/json"
	"time"
)

// RefreshBody is the body of a refresh. Client.Refresh makes it.
type RefreshBody struct {
	RefreshToken string    `json:"refreshToken,omitempty" description:"The refresh token, unless it is in the Authorization header."`
	Rotate       string    `json:"rotate,omitempty" enum:"never" description:"never: a session token only, the refresh token stays as it is. Needs a key of the application with the scope verify in the Authorization header."`
	ComposedAt   time.Time `json:"composedAt,omitzero" description:"When the client composed the request, by the server's clock. One composed longer ago than half the reuse window, and than 10s, is answered request_expired and changes nothing."`

	Device *RefreshDevice `json:"device,omitempty" description:"The user's client, for whom an application asks: the refresh is judged as if that client had sent it. Needs a key of the application in the Authorization header."`
}

// RefreshDevice is the client for which an application refreshes.
type RefreshDevice struct {
	IP        string `json:"ip,omitempty" maxLength:"45"`
	UserAgent string `json:"userAgent,omitempty" maxLength:"1024"`
}

// TokenBody is the body of calls that need nothing but a token.
type TokenBody struct {
	RefreshToken string `json:"refreshToken,omitempty" description:"The refresh token, unless a token is in the Authorization header."`
}

// Acknowledgement is the answer to who confirms that a refresh token was kept.
type Acknowledgement struct {
	Confirmed     bool      `json:"confirmed" description:"Whether the newest refresh token counts as arrived."`
	ConfirmableAt time.Time `json:"confirmableAt" description:"From when on an acknowledgement counts: the end of the reuse window. Until then answers with an older token may still be under way."`
}

// OwnSession is what a session or refresh token stands for.
type OwnSession struct {
	Session    Session         `json:"session"`
	TokenKind  string          `json:"tokenKind" enum:"session,refresh"`
	Claims     json.RawMessage `json:"claims,omitempty" description:"What the presented token says; not for opaque ones."`
	ExpiresAt  time.Time       `json:"expiresAt" description:"When the presented token ends."`
	ServerTime time.Time       `json:"serverTime"`
}

// SignInRequest asks for a session of a user whom the application has authenticated. An
// empty Actor isn't sent, so that the session is the user's own: who makes sessions for
// others to act in checks that there is one.
type SignInRequest struct {
	User         UserReference   `json:"user" required:"true" description:"A user id, a login id, or a user object to create or update (found by its login ids), for which the key needs the scope users too."`
	AMR          []string        `json:"amr" required:"true" description:"How the user signed in: oauth, email, sms, whatsapp, webauthn, totp, fed, pwd. mfa is added by the server."`
	Claims       json.RawMessage `json:"claims,omitempty" description:"Secure custom claims: an object; top level in tokens."`
	NSec         json.RawMessage `json:"nsec,omitempty" description:"Claims that an untrusted client asked for: an object; nsec in tokens."`
	Audience     []string        `json:"audience,omitempty" description:"Added to the aud claim."`
	Device       DeviceRequest   `json:"device,omitzero" description:"The user's device, since the application speaks for it."`
	Tenant       string          `json:"tenant,omitempty" description:"Id of the current tenant: an enabled one of which the user is a member. Left out, it is the user's only one, unless the setting autoTenant is off."`
	Actor        string          `json:"actor,omitempty" minLength:"1" maxLength:"100" description:"Who acts as the user (impersonation), such as the name or id of somebody of the support; tokens say so in act. Needs the scope impersonate too. Not with revokeOthers."`
	Lifetime     Duration        `json:"lifetime,omitzero" description:"Shorter than the project's absoluteTimeout. With actor: 1h when left out, 24h at most."`
	RevokeOthers bool            `json:"revokeOthers,omitempty" description:"End the user's other sessions in the same transaction."`
}

// UserReference names the user of a sign-in. UserNamed and UserDescribed make one.
type UserReference struct {
	json.RawMessage
}

// UserNamed refers to a user by user id or login id.
func UserNamed(name string) UserReference {
	// A string is always encoded.
	b, _ := json.Marshal(name)
	return UserReference{b}
}

// UserDescribed refers to the user that has the login ids of u, who is created or updated
// at the sign-in. The key needs the scope users too.
func UserDescribed(u SignInUser) UserReference {
	// Strings are always encoded.
	b, _ := json.Marshal(u)
	return UserReference{b}
}

// SignInUser is a user as a sign-in brings one along: members that are nil stay as they
// are. It has no status: a sign-in doesn't decide who may sign in.
type SignInUser struct {
	LoginIDs *[]string `json:"loginIds,omitempty" description:"1 to 10 names by which the user is found or made; each unique in the project."`
	Name     *string   `json:"name,omitempty"`
	Email    *string   `json:"email,omitempty"`
	Phone    *string   `json:"phone,omitempty" description:"E.164, such as +4915112345678."`

	Attributes json.RawMessage      `json:"attributes,omitempty" description:"JSON merge patch for what the application keeps of the user."`
	Roles      *[]string            `json:"roles,omitempty" description:"As of UserRequest."`
	Tenants    *[]MembershipRequest `json:"tenants,omitempty" description:"As of UserRequest."`
}

// DeviceRequest is what an application says of its user's device.
type DeviceRequest struct {
	IP        string `json:"ip,omitempty" maxLength:"45"`
	UserAgent string `json:"userAgent,omitempty" maxLength:"1024"`
	Name      string `json:"name,omitempty" maxLength:"100"`
}

// ClaimsPatch changes the custom claims of a session. What is nil stays as it is.
type ClaimsPatch struct {
	Claims json.RawMessage `json:"claims,omitempty" description:"JSON merge patch for the secure custom claims: null takes a claim out."`
	NSec   json.RawMessage `json:"nsec,omitempty" description:"The same for the claims in nsec."`
}

// EndSessionsRequest says which sessions are to end: those that match every filter that
// is given, or All of them. Neither is refused, as a filter that was forgotten.
type EndSessionsRequest struct {
	All         bool      `json:"all,omitempty" description:"Every session of the project. Excludes the filters."`
	User        string    `json:"user,omitempty" description:"User id."`
	Tenant      string    `json:"tenant,omitempty" description:"Tenant id: sessions in which it is the current one."`
	CreatedFrom time.Time `json:"createdFrom,omitzero"`
	CreatedTo   time.Time `json:"createdTo,omitzero"`
	IP          string    `json:"ip,omitempty" description:"Address or network (CIDR) of the device."`
	DryRun      bool      `json:"dryRun,omitempty" description:"Only count what would end."`
}

// EndedSessions says how many sessions ended.
type EndedSessions struct {
	Revoked int  `json:"revoked" description:"How many active sessions ended, or would."`
	DryRun  bool `json:"dryRun,omitempty"`
}

// RotateKeyRequest says how the signing key is replaced.
type RotateKeyRequest struct {
	Immediate bool `json:"immediate,omitempty" description:"Sign with the new key at once. Verifiers that cache the key set refuse its tokens until they read the set again."`
}

// RevokedKey is a signing key that was taken out.
type RevokedKey struct {
	Key     SigningKey `json:"key"`
	Revoked int        `json:"revoked" description:"How many active sessions ended with it."`
}

// ManagementKeyRequest asks for a management key.
type ManagementKeyRequest struct {
	Name      string    `json:"name" required:"true" minLength:"1" maxLength:"200"`
	Kind      string    `json:"kind,omitempty" enum:"mgmt,verify" default:"mgmt"`
	Scopes    []string  `json:"scopes,omitempty" maxItems:"7" description:"sessions, users, settings, keys, events, verify, impersonate; none given: all."`
	Networks  []string  `json:"networks,omitempty" maxItems:"50" description:"Networks (CIDR) it may be used from; none given: any."`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}
