package latchkey

import (
	"encoding/json"
	"time"
)

// TokenSet is the answer to a sign-in and to a refresh. It may hold secrets: never log
// one.
type TokenSet struct {
	SessionToken     string    `json:"sessionToken,omitempty" description:"JWT (typ at+jwt) that applications verify locally."`
	SessionExpiresAt time.Time `json:"sessionExpiresAt"`
	RefreshToken     string    `json:"refreshToken,omitempty" description:"Replaces the token that was presented. When it is absent, keep that one: the lineage was left alone."`
	RefreshExpiresAt time.Time `json:"refreshExpiresAt"`
	Session          Session   `json:"session"`
	ServerTime       time.Time `json:"serverTime" description:"The server's clock, to correct the client's."`
	SetCookie        []string  `json:"setCookie,omitempty" description:"Only of a sign-in, when the project delivers by cookie: values of Set-Cookie headers, one header each, to forward to the browser as they are. The tokens in them are left out above."`
}

// Session is one sign-in on one device, for as long as it lasts.
type Session struct {
	ID         string          `json:"id"`
	User       string          `json:"user"`
	State      string          `json:"state" enum:"active,ended,expired"`
	EndReason  string          `json:"endReason,omitempty" description:"Why it ended: logout, revoked, token_reuse, user_disabled, user_deleted, session_limit, key_revoked, tenant_disabled, tenant_deleted, project_disabled, superseded (all sessions of the user, the tenant or the project were ended at once)."`
	CreatedAt  time.Time       `json:"createdAt"`
	AuthTime   time.Time       `json:"authTime" description:"When the user signed in."`
	LastSeenAt time.Time       `json:"lastSeenAt" description:"Sign-in or last rotation."`
	ExpiresAt  time.Time       `json:"expiresAt" description:"When it ends if it isn't refreshed."`
	EndedAt    *time.Time      `json:"endedAt,omitempty"`
	AMR        []string        `json:"amr" description:"Authentication methods of the sign-in (RFC 8176 in spirit; values in docs/tokens.md)."`
	Tenant     string          `json:"tenant,omitempty" description:"The current tenant; absent when there is none."`
	StepUp     *StepUp         `json:"stepUp,omitempty" description:"The last step-up, also when it is over."`
	Actor      string          `json:"actor,omitempty" description:"Who acts as the user; absent when it is the user."`
	Device     Device          `json:"device"`
	Network    string          `json:"network,omitempty" description:"The /24 or /48 network that it was last seen in."`
	Agent      string          `json:"agent,omitempty" description:"Browser and system family that it was last seen with."`
	Claims     json.RawMessage `json:"claims,omitempty" description:"Secure custom claims, top level in tokens."`
	NSec       json.RawMessage `json:"nsec,omitempty" description:"Custom claims that an untrusted client asked for."`
	Current    bool            `json:"current,omitempty" description:"True for the session that asks."`
}

// StepUp is a proof, after the sign-in, that the user is there.
type StepUp struct {
	Until time.Time `json:"until" description:"Tokens say that the session is stepped up until then."`
	AMR   []string  `json:"amr" description:"Methods of sign-in and proof together."`
}

// Device is where a session lives, as far as it is known.
type Device struct {
	Name      string `json:"name,omitempty" description:"Such as Firefox on Linux; taken from userAgent when not given."`
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// Trace is the record of what was decided about a session.
type Trace struct {
	Session Session      `json:"session"`
	Entries []TraceEntry `json:"entries" description:"Oldest first."`
	Dropped int          `json:"dropped" description:"Entries that are no longer kept."`
}

// TraceEntry is one decision, or several equal ones in a row.
type TraceEntry struct {
	At      time.Time  `json:"at"`
	Rule    string     `json:"rule" enum:"create,replay,rotate,recover,adopt,theft,stale,confirm,revoked,expired,limited,read,end" description:"The rule that decided; docs/rotation.md explains each."`
	Why     string     `json:"why" description:"The rule in a sentence."`
	Token   string     `json:"token,omitempty" description:"Id (rid) of the refresh token that was presented. Not a token."`
	Issued  string     `json:"issued,omitempty" description:"Id (rid) of the refresh token that was handed out."`
	Network string     `json:"network,omitempty" description:"The /24 or /48 network the request came from."`
	Agent   string     `json:"agent,omitempty" description:"Browser and system family."`
	Foreign bool       `json:"foreign,omitempty" description:"True when it came from another network or browser than the rotation."`
	Count   int        `json:"count" description:"How many decisions of this kind the entry stands for; token, network and agent are those of the last."`
	LastAt  *time.Time `json:"lastAt,omitempty" description:"The last of them, when there were several."`
}

// SigningKey is a key of a project, without its private part.
type SigningKey struct {
	ID          string     `json:"id" description:"The kid of the JWK."`
	Algorithm   string     `json:"algorithm" enum:"ES256,EdDSA,RS256"`
	State       string     `json:"state" enum:"next,active,retired,revoked"`
	CreatedAt   time.Time  `json:"createdAt"`
	ActivatesAt *time.Time `json:"activatesAt,omitempty" description:"When a next key starts to sign."`
	ActivatedAt *time.Time `json:"activatedAt,omitempty"`
	RetiredAt   *time.Time `json:"retiredAt,omitempty"`
	GoneAt      *time.Time `json:"goneAt,omitempty" description:"When it leaves the JWKS: the last token it signed has ended by then."`
}

// ManagementKey is a credential of an application, without its secret.
type ManagementKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind" enum:"mgmt,verify"`
	Scopes    []string   `json:"scopes"`
	Networks  []string   `json:"networks" description:"Networks (CIDR) it may be used from; empty for all."`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// NewManagementKey is the only answer that shows the secret of a key.
type NewManagementKey struct {
	Key    ManagementKey `json:"key"`
	Secret string        `json:"secret" description:"Shown once; only a digest is kept."`
}

// Event is one entry of the audit log.
type Event struct {
	ID        string         `json:"id"`
	At        time.Time      `json:"at"`
	Type      string         `json:"type"`
	Actor     string         `json:"actor" description:"Who did it: system, cli, user:…, key:…"`
	Session   string         `json:"session,omitempty"`
	User      string         `json:"user,omitempty"`
	IP        string         `json:"ip,omitempty"`
	RequestID string         `json:"requestId,omitempty"`
	Data      map[string]any `json:"data,omitempty"`
}

// Revocation is one entry of the revocation feed: tokens that are not to be believed any
// more although they haven't expired. A token was minted until At when its epc claim is
// at most At in Unix milliseconds.
type Revocation struct {
	Seq    int64     `json:"seq" description:"Grows from entry to entry; numbers may be missing."`
	Kind   string    `json:"kind" enum:"session,user,tenant,project,epoch,key,role,share" description:"session: every token with this sid. user, tenant, project: tokens of this user or access key (dsub, else sub), of this dct, of the whole project, minted until at. key: what this kid has signed. The others concern tokens minted until at that are still good: refresh to learn what has changed. epoch: those of this session, user, access key, project, or with this tenant as dct or in tenants, told apart by the id's prefix. role: those with a role of this mark in roles or tenants; the mark is role_ and the 64 bit FNV-1a hash of the name in 16 hexadecimal digits. share: those whose sid has a 32 bit FNV-1a hash that, modulo 100, is at least the first and below the second number of share_10_50."`
	ID     string    `json:"id"`
	Except string    `json:"except,omitempty" description:"Id of a session that a user or project entry spares."`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until" description:"Forget the entry from then on: every token concerned has expired by itself."`
}

// RevocationList is a part of the revocation feed.
type RevocationList struct {
	Snapshot   bool         `json:"snapshot" description:"True when the list starts with all entries that still matter, because the cursor was absent or unknown. False when it goes on at the cursor."`
	Entries    []Revocation `json:"entries" description:"Oldest first."`
	Cursor     string       `json:"cursor" description:"Ask again with after=cursor. Opaque."`
	More       bool         `json:"more" description:"True when the list isn't complete yet: ask again at once."`
	ServerTime time.Time    `json:"serverTime"`
}
