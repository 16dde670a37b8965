package key

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// jwk is a public key (RFC 7517). It has no member that could hold a private part.
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// publish renders the key set once, since it is served far more often than it changes.
// The keys come ascending by ID.
func (r *Ring) publish(keys []*entry) error {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, e := range keys {
		if e.state == Revoked {
			continue
		}
		k, err := e.signer().jwk()
		if err != nil {
			return fmt.Errorf("key %s: %w", e.id, err)
		}
		k.Use, k.Alg, k.Kid = "sig", string(e.algorithm), e.id.String()
		set.Keys = append(set.Keys, k)
	}
	out, err := json.Marshal(set)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(out)
	r.jwks, r.tag = out, `"`+text(sum[:15])+`"`
	return nil
}

// JWKS returns the public key set (RFC 7517 section 5), exactly {"keys":[…]}: all
// keys that sign, signed or will sign, ascending by ID; none that was revoked. The
// caller owns the slice.
func (r *Ring) JWKS() []byte { return bytes.Clone(r.jwks) }

// JWKSTag returns a strong entity tag (RFC 9110 section 8.8.3) of JWKS, quotes
// included. Equal sets have equal tags on every server.
func (r *Ring) JWKSTag() string { return r.tag }
