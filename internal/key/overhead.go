package key

import (
	"crypto/ed25519"
	"encoding/base64"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Overhead is how many bytes a token of the type takes besides its claims in base64url
// (RFC 7515, 7.1), signed by a key that this server makes for the algorithm: for whoever
// wants to know a token's length without a key. An unknown algorithm counts as RS256,
// which takes the most.
func Overhead(a Algorithm, typ Type) int {
	signature := rsaBits / 8
	switch a {
	case ES256:
		signature = (es256{}).size()
	case EdDSA:
		signature = ed25519.SignatureSize
	}
	return len(head(a, id.NewKey(time.Unix(0, 0)), typ)) + len("..") + base64.RawURLEncoding.EncodedLen(signature)
}

// head is the first segment of every token of a type that a key signs.
func head(a Algorithm, k id.Key, typ Type) string {
	// No part needs escaping: an identifier is letters, digits and '_'.
	return text([]byte(`{"alg":"` + string(a) + `","kid":"` + k.String() + `","typ":"` + string(typ) + `"}`))
}
