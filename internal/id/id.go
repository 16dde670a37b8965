// Package id owns the identifiers of everything that Latchkey stores: typed,
// prefixed, ordered by time of creation. Parsing is validating: a value of one of
// these types is well formed, and the wrong kind of identifier doesn't compile.
//
// The text form is the prefix of the kind, an underscore, and 26 characters of
// Crockford's base32 in lower case: 48 bits of Unix milliseconds and 80 random
// bits, so at most 31 characters of letters, digits and '_'. Every value has
// exactly one spelling. Identifiers grant nothing: what does is in package secret.
package id

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"
)

// ErrInvalid is returned for text that isn't an identifier of the wanted kind.
var ErrInvalid = errors.New("not a valid identifier of this kind")

// The kinds differ only in their prefix.
type (
	projectKind       struct{}
	userKind          struct{}
	sessionKind       struct{}
	keyKind           struct{}
	managementKeyKind struct{}
	eventKind         struct{}
	tenantKind        struct{}
	roleKind          struct{}
	accessKeyKind     struct{}
	webhookKind       struct{}
)

func (projectKind) prefix() string       { return "prj_" }
func (userKind) prefix() string          { return "usr_" }
func (sessionKind) prefix() string       { return "ses_" }
func (keyKind) prefix() string           { return "key_" }
func (managementKeyKind) prefix() string { return "mk_" }
func (eventKind) prefix() string         { return "evt_" }
func (tenantKind) prefix() string        { return "ten_" }
func (roleKind) prefix() string          { return "role_" }
func (accessKeyKind) prefix() string     { return "ak_" }
func (webhookKind) prefix() string       { return "wh_" }

type kind interface{ prefix() string }

// of is an identifier of kind K. Its zero value means "none". It is comparable and
// its bytes sort by time of creation.
type of[K kind] [16]byte

// The identifiers of the domain.
type (
	Project       = of[projectKind]
	User          = of[userKind]
	Session       = of[sessionKind]
	Key           = of[keyKind]
	ManagementKey = of[managementKeyKind]
	Event         = of[eventKind]
	Tenant        = of[tenantKind]
	Role          = of[roleKind]
	AccessKey     = of[accessKeyKind]
	Webhook       = of[webhookKind]
)

// NewProject returns a fresh project identifier made at now.
func NewProject(now time.Time) Project { return fresh[projectKind](now) }

// NewUser returns a fresh user identifier made at now.
func NewUser(now time.Time) User { return fresh[userKind](now) }

// NewSession returns a fresh session identifier made at now.
func NewSession(now time.Time) Session { return fresh[sessionKind](now) }

// FirstSession returns the least identifier of a session made at t or later: where a
// walk along sessions in the order of their creation begins or ends.
func FirstSession(t time.Time) Session {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	var v Session
	binary.BigEndian.PutUint64(v[:8], uint64(max(ms, 0))<<16)
	return v
}

// NewKey returns a fresh signing-key identifier (the kid of a JWK) made at now.
func NewKey(now time.Time) Key { return fresh[keyKind](now) }

// NewManagementKey returns a fresh management-key identifier made at now.
func NewManagementKey(now time.Time) ManagementKey { return fresh[managementKeyKind](now) }

// NewEvent returns a fresh audit-event identifier made at now.
func NewEvent(now time.Time) Event { return fresh[eventKind](now) }

// NewTenant returns a fresh tenant identifier made at now.
func NewTenant(now time.Time) Tenant { return fresh[tenantKind](now) }

// NewRole returns a fresh role identifier made at now.
func NewRole(now time.Time) Role { return fresh[roleKind](now) }

// NewAccessKey returns a fresh access-key identifier made at now.
func NewAccessKey(now time.Time) AccessKey { return fresh[accessKeyKind](now) }

// NewWebhook returns a fresh webhook identifier made at now.
func NewWebhook(now time.Time) Webhook { return fresh[webhookKind](now) }

// ParseProject parses the text form of a project identifier.
func ParseProject(s string) (Project, error) { return parse[projectKind](s) }

// ParseUser parses the text form of a user identifier.
func ParseUser(s string) (User, error) { return parse[userKind](s) }

// ParseSession parses the text form of a session identifier.
func ParseSession(s string) (Session, error) { return parse[sessionKind](s) }

// ParseKey parses the text form of a signing-key identifier.
func ParseKey(s string) (Key, error) { return parse[keyKind](s) }

// ParseManagementKey parses the text form of a management-key identifier.
func ParseManagementKey(s string) (ManagementKey, error) { return parse[managementKeyKind](s) }

// ParseEvent parses the text form of an audit-event identifier.
func ParseEvent(s string) (Event, error) { return parse[eventKind](s) }

// ParseTenant parses the text form of a tenant identifier.
func ParseTenant(s string) (Tenant, error) { return parse[tenantKind](s) }

// ParseRole parses the text form of a role identifier.
func ParseRole(s string) (Role, error) { return parse[roleKind](s) }

// ParseAccessKey parses the text form of an access-key identifier.
func ParseAccessKey(s string) (AccessKey, error) { return parse[accessKeyKind](s) }

// ParseWebhook parses the text form of a webhook identifier.
func ParseWebhook(s string) (Webhook, error) { return parse[webhookKind](s) }

func fresh[K kind](now time.Time) of[K] {
	var v of[K]
	binary.BigEndian.PutUint64(v[:8], uint64(now.UnixMilli())<<16)
	// crypto/rand.Read never fails: the runtime ends the program instead.
	rand.Read(v[6:])
	return v
}

func parse[K kind](s string) (of[K], error) {
	var v of[K]
	var k K
	p := k.prefix()
	if len(s) != len(p)+textLen || s[:len(p)] != p {
		return v, ErrInvalid
	}
	if !decode32(v[:], s[len(p):]) || v.IsZero() {
		return of[K]{}, ErrInvalid
	}
	return v, nil
}

// String returns the text form, or "" for the zero value.
func (v of[K]) String() string {
	if v.IsZero() {
		return ""
	}
	b, _ := v.AppendText(nil)
	return string(b)
}

// AppendText appends the text form to b. It never fails.
func (v of[K]) AppendText(b []byte) ([]byte, error) {
	var k K
	return encode32(append(b, k.prefix()...), v[:]), nil
}

// IsZero reports whether v is no identifier at all.
func (v of[K]) IsZero() bool { return v == of[K]{} }

// Time returns when the identifier was made, to the millisecond.
func (v of[K]) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(v[:8]) >> 16)).UTC()
}

// Compare orders identifiers by time of creation, then by their random part.
func (v of[K]) Compare(w of[K]) int { return bytes.Compare(v[:], w[:]) }

// MarshalText returns the text form.
func (v of[K]) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText accepts exactly what MarshalText produces.
func (v *of[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = of[K]{}
		return nil
	}
	w, err := parse[K](string(b))
	if err != nil {
		return err
	}
	*v = w
	return nil
}
