// Package key owns the signing keys of projects: their life cycle, their encryption
// at rest, signing, and the JWKS. It doesn't know what is signed (package token does).
//
//	            tend                 tend                tend
//	next ────────────────▶ active ──────────▶ retired ──────────▶ (gone)
//	 │  published ≥ 24 h     │                  │  published until the longest
//	 │  before it signs      │                  │  token it signed has ended
//	 └──────────┬────────────┴──────────────────┘
//	            ▼ revoke
//	         revoked: leaves the JWKS at once; what it signed is refused
package key

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Algorithm is a JWS algorithm (RFC 7518, RFC 8037).
type Algorithm string

// The algorithms. All three sign deterministically, so signing the same bytes again
// gives the same token: ES256 by RFC 6979, EdDSA and RS256 (PKCS #1 v1.5) by nature.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
)

// State is a station in the life of a key.
type State string

// The states, as in the drawing above.
const (
	Next    State = "next"
	Active  State = "active"
	Retired State = "retired"
	Revoked State = "revoked"
)

// Key is a signing key as it is stored.
type Key struct {
	ID          id.Key
	Project     id.Project
	Algorithm   Algorithm
	State       State
	CreatedAt   time.Time
	ActivatesAt time.Time // when a Next key starts to sign
	ActivatedAt time.Time
	RetiredAt   time.Time
	GoneAt      time.Time // when a Retired or Revoked key is removed
	// Longest is the longest life of any token that the key may have signed, in whole
	// milliseconds. It only grows, so that lowering a lifetime doesn't take a key away
	// from tokens that were made before.
	Longest time.Duration
	// Sealed is the private key (PKCS #8), sealed by the master key with the context
	// SealContext(Project, ID).
	Sealed []byte
}

// SealContext is what a key's Sealed is bound to.
func SealContext(p id.Project, k id.Key) string { return "key:" + p.String() + ":" + k.String() }

// Change is what a step of the life cycle does to a project's keys. It is applied
// whole or not at all, and increases the project's version.
type Change struct {
	Insert []Key
	Update []Key // by ID; everything but ID, Project, CreatedAt and Sealed is replaced
	Remove []id.Key
	Events []audit.Event
}

// Resealed is a key whose Sealed is to be replaced by another sealing of the same
// private key.
type Resealed struct {
	ID     id.Key
	Old    []byte // what Sealed has to be still
	Sealed []byte
}

// Store keeps signing keys.
type Store interface {
	// List returns all keys of a project, ascending by ID; none for an unknown one.
	List(ctx context.Context, p id.Project) ([]Key, error)

	// Apply makes a change if the project's version is still the given one and
	// increases it; otherwise nothing happens and it returns fault.Conflict. An
	// unknown project is fault.NotFound.
	Apply(ctx context.Context, p id.Project, version int64, c Change) error

	// Reseal replaces Sealed of keys, of all or of none: one that is gone, or whose
	// Sealed isn't Old any more, is fault.Conflict. The project's version stays, since
	// what is inside does. An unknown project is fault.NotFound.
	Reseal(ctx context.Context, p id.Project, keys []Resealed, e audit.Event) error
}
