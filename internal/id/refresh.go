package id

import (
	"crypto/rand"
	"encoding/base64"
)

// Refresh identifies one refresh token of a session: 96 random bits, called rid in
// tokens. It isn't a secret by itself (logs and traces show it): a token also
// carries a signature or a MAC. The zero value means "none", as the parent of a
// session's first token.
type Refresh [12]byte

// NewRefresh returns a fresh identifier.
func NewRefresh() Refresh {
	var r Refresh
	rand.Read(r[:])
	return r
}

// ParseRefresh parses the text form: 16 characters of base64url. The empty string is
// the zero value. 12 bytes fill 16 characters exactly, so there are no spare bits and
// each value has one spelling.
func ParseRefresh(s string) (Refresh, error) {
	var r Refresh
	if s == "" {
		return r, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(r) || len(s) != 16 {
		return r, ErrInvalid
	}
	return Refresh(b), nil
}

// String returns the text form, "" for the zero value.
func (r Refresh) String() string {
	if r == (Refresh{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(r[:])
}

// IsZero reports whether r identifies no token.
func (r Refresh) IsZero() bool { return r == Refresh{} }

// MarshalText returns the text form.
func (r Refresh) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts exactly what MarshalText produces.
func (r *Refresh) UnmarshalText(b []byte) error {
	v, err := ParseRefresh(string(b))
	if err != nil {
		return err
	}
	*r = v
	return nil
}
