package latchkey

// Settings are what a project decides. A member that a client leaves out of a PATCH
// keeps its value; null puts the default back. Ranges are in docs/settings.md and in
// the error that a value outside of them gets.
type Settings struct {
	SessionTokenTTL   Duration `json:"sessionTokenTTL" description:"Life of a session token. 1m to 24h, not over the other lifetimes."`
	AbsoluteTimeout   Duration `json:"absoluteTimeout" description:"Life of a session, however often it is refreshed. 3m to 2y (730d)."`
	IdleTimeout       Duration `json:"idleTimeout" description:"A session not refreshed for so long ends. off, or 5m to absoluteTimeout."`
	StepUpTTL         Duration `json:"stepUpTTL" description:"Life of a stepped-up session. 1m to 24h."`
	MaxSessions       int      `json:"maxSessionsPerUser" description:"Live sessions a user may have; 0 for no limit."`
	OnLimit           string   `json:"onLimit" enum:"endOldest,deny" description:"What a sign-in over maxSessionsPerUser does."`
	AccessKeyTokenTTL Duration `json:"accessKeyTokenTTL" description:"Life of a token got with an access key. 3m to 28d."`

	Rotation         string    `json:"rotation" enum:"always,never" description:"Whether a refresh replaces the refresh token."`
	ReuseWindow      Duration  `json:"reuseWindow" description:"How long a refresh may be repeated with the same answer. 0 to 120s."`
	RefreshRateLimit RateLimit `json:"refreshRateLimit" description:"Rotations in 15 minutes for one session: auto, or a number from 1 to 100000."`
	ForeignReplay    string    `json:"foreignReplay" enum:"allow,alert,end" description:"What to do when a refresh is repeated from another network or browser."`

	Delivery Delivery `json:"delivery" description:"How end-user endpoints hand out tokens."`
	Cookies  Cookies  `json:"cookies" description:"Names and attributes of the cookies."`

	RefreshTokenFormat   string   `json:"refreshTokenFormat" enum:"jwt,opaque"`
	SigningAlgorithm     string   `json:"signingAlgorithm" enum:"ES256,EdDSA,RS256"`
	KeyRotation          Duration `json:"keyRotation" description:"Age at which a signing key is replaced. off, or 2d to 730d."`
	Audience             []string `json:"audience" description:"Added to the aud claim, which always holds the project id."`
	AutoTenant           bool     `json:"autoTenant" description:"Whether the only tenant of a user becomes the current one by itself."`
	ClaimsInRefreshToken bool     `json:"claimsInRefreshToken" description:"Whether refresh tokens carry the custom claims."`
	ClaimLint            string   `json:"claimLint" enum:"off,warn,reject" description:"What to do about personal data and secrets in custom claims."`
	ClockSkew            Duration `json:"clockSkew" description:"How far the clocks of verifiers may be off. 0 to 5m."`

	ApprovedOrigins   []string `json:"approvedOrigins" description:"Exact origins whose pages may call the end-user endpoints with cookies."`
	ApprovedRedirects []string `json:"approvedRedirects" description:"Exact addresses to which a browser may be sent back."`
	CustomDomain      string   `json:"customDomain" description:"Host at which this project's end-user endpoints are also reachable, without the project's id. No two projects have the same."`
}

// Delivery says how tokens reach the client.
type Delivery struct {
	Session string `json:"session" enum:"body,cookie"`
	Refresh string `json:"refresh" enum:"body,cookie"`
}

// Cookies are names and attributes of the cookies that carry tokens.
type Cookies struct {
	SessionName     string   `json:"sessionName" description:"Name of the session token's cookie, without prefix; also its drn claim."`
	RefreshName     string   `json:"refreshName" description:"Name of the refresh token's cookie, without prefix; also its drn claim."`
	Prefix          string   `json:"prefix" enum:"auto,none" description:"auto: the names get the prefix __Host-Http- when domain is empty and path is /, else __Secure-. none: the names are taken as they are."`
	Domain          string   `json:"domain" description:"Domain attribute; empty for host-only."`
	Path            string   `json:"path"`
	SameSite        string   `json:"sameSite" enum:"strict,lax,none"`
	Partitioned     bool     `json:"partitioned"`
	Persistent      bool     `json:"persistent" description:"Whether cookies outlive the browser's run (remember me)."`
	PreviousDomains []string `json:"previousDomains" description:"What domain was earlier, at most 3: cookies from there are still read, and replaced."`
}

// TenantSettings are what a tenant decides about the sessions of its members. A member
// that is nil leaves it to the project. A tenant only ever makes things stricter: of the
// project and all tenants of a user, the strictest value counts.
type TenantSettings struct {
	SessionTokenTTL *Duration `json:"sessionTokenTTL,omitempty" description:"Life of a session token. 1m to 24h."`
	AbsoluteTimeout *Duration `json:"absoluteTimeout,omitempty" description:"Life of a session, however often it is refreshed. 3m to 2y (730d)."`
	IdleTimeout     *Duration `json:"idleTimeout,omitempty" description:"A session not refreshed for so long ends. off, or 5m to absoluteTimeout."`
	StepUpTTL       *Duration `json:"stepUpTTL,omitempty" description:"Life of a stepped-up session. 1m to 24h."`
	MaxSessions     *int      `json:"maxSessionsPerUser,omitempty" description:"Live sessions a user may have; 0 for no limit."`
	OnLimit         *string   `json:"onLimit,omitempty" enum:"endOldest,deny" description:"What a sign-in over maxSessionsPerUser does; deny is the stricter."`
}

// SettingsAnswer is what reading or changing settings returns.
type SettingsAnswer struct {
	Settings Settings  `json:"settings"`
	Warnings []Warning `json:"warnings" description:"Values that are allowed but worth a second look."`
	Version  int64     `json:"version" description:"Grows with every change."`
}

// Warning is something allowed but worth a second look.
type Warning struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}
