package key

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// RevokedSince reports whether the key was revoked between old and now.
func (k Key) RevokedSince(old Key) bool { return k.State == Revoked && old.State != Revoked }

// Revocation is what verifiers are told when the key is revoked at now. It matters for
// longer than the session tokens that the server has signed: whoever stole the key signs
// tokens of any life, and a verifier that can't fetch the key set has nothing else that
// tells it.
func (k Key) Revocation(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(k.Project, revocation.Key, k.ID.String(), now).NotBefore(k.GoneAt)
}
