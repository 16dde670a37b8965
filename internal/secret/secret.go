// Package secret owns the types of what grants access: tokens, keys, the master key.
// A value of these types prints as a redaction in every format, can't be compared
// with ==, compares in constant time, and gives itself up only through Reveal, so
// that a search for "Reveal(" finds every place where a secret becomes plain text.
//
// It also owns the form of API keys (apikey.go) and encryption at rest (ring.go).
// It does not store anything.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret in its text form: a token or an API key. The zero value is the
// empty secret.
type Text struct {
	_ [0]func() // not comparable: == on secrets would leak time
	// Behind a pointer, because package fmt can't call methods on an unexported field
	// and prints what is in it instead: of a pointer, only the address.
	s *string
}

// New wraps s.
func New(s string) Text { return Text{s: &s} }

// Reveal returns the secret itself. Every call is a place to review.
func (t Text) Reveal() string {
	if t.s == nil {
		return ""
	}
	return *t.s
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// Equal compares in time that depends only on the lengths.
func (t Text) Equal(u Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(u.Reveal())) == 1
}

// Digest returns what a store may keep of t. It is meant for secrets of full entropy,
// where a plain SHA-256 can't be searched.
func (t Text) Digest() Digest { return sha256.Sum256([]byte(t.Reveal())) }

// Short returns eight hexadecimal digits that let two log lines about one secret be
// matched, and nothing more.
func (t Text) Short() string {
	d := t.Digest()
	return hex.EncodeToString(d[:4])
}

// String, and the methods below, redact.
func (t Text) String() string { return redacted }

// GoString redacts %#v.
func (t Text) GoString() string { return redacted }

// Format redacts every other verb.
func (t Text) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText redacts JSON and every other text encoding.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts structured logs.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// Digest is the SHA-256 of a secret: what stores keep in place of it.
type Digest [sha256.Size]byte

// Equal compares in constant time.
func (d Digest) Equal(e Digest) bool { return subtle.ConstantTimeCompare(d[:], e[:]) == 1 }
