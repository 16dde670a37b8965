package latchkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	ourProject = "prj_01jnq4cyf0e5e8vq9t0z9c3v6h"
	ourIssuer  = "https://auth.example.com/" + ourProject
)

// base64text encodes like a segment of a token.
func base64text[T string | []byte](b T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(b))
}

// tokenSigner is a private key that makes tokens, good ones and any other.
type tokenSigner struct {
	kid, alg string
	key      crypto.Signer
}

var rsaTestKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newTokenSigner(t testing.TB, alg, kid string) *tokenSigner {
	t.Helper()
	s := &tokenSigner{kid: kid, alg: alg}
	var err error
	switch alg {
	case algES256:
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algEdDSA:
		_, s.key, err = ed25519.GenerateKey(rand.Reader)
	case algRS256:
		s.key = rsaTestKey()
	default:
		t.Fatalf("%s is no algorithm", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *tokenSigner) signature(t testing.TB, input string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, ss, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, 64)
		r.FillBytes(raw[:32])
		ss.FillBytes(raw[32:])
		return raw
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(input))
	case *rsa.PrivateKey:
		raw, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	t.Fatal("no key")
	return nil
}

// sign makes a token of any header and payload.
func (s *tokenSigner) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := base64text(header) + "." + base64text(payload)
	return input + "." + base64text(s.signature(t, input))
}

func (s *tokenSigner) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, s.alg, s.kid)
}

// mint makes a session token that is good at testNoon, but for the claims in changes; a
// nil takes one out.
func (s *tokenSigner) mint(t testing.TB, changes map[string]any) string {
	t.Helper()
	return s.sign(t, s.header(), payload(t, changes))
}

func payload(t testing.TB, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": ourIssuer, "sub": "usr_1", "aud": []string{ourProject},
		"iat": testNoon.Unix(), "nbf": testNoon.Unix(), "exp": testNoon.Add(10 * time.Minute).Unix(), "auth_time": testNoon.Unix(),
		"jti": "tok_1", "sid": "ses_1", "rid": "rid_1", "drn": "DS", "amr": []string{"pwd"},
		"rexp": testNoon.Add(28 * 24 * time.Hour).Format(time.RFC3339), "tenants": map[string]any{}, "roles": []string{}, "permissions": []string{},
		"epc": testNoon.UnixMilli(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// jwk returns the public key as an entry of a key set, but for the members in changes; a
// nil takes one out.
func (s *tokenSigner) jwk(t testing.TB, changes map[string]any) string {
	t.Helper()
	entry := map[string]any{"kid": s.kid, "alg": s.alg, "use": "sig"}
	switch k := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		entry["kty"], entry["crv"], entry["x"], entry["y"] = "EC", "P-256", base64text(point[1:33]), base64text(point[33:])
	case ed25519.PublicKey:
		entry["kty"], entry["crv"], entry["x"] = "OKP", "Ed25519", base64text([]byte(k))
	case *rsa.PublicKey:
		entry["kty"], entry["n"], entry["e"] = "RSA", base64text(k.N.Bytes()), base64text(big.NewInt(int64(k.E)).Bytes())
	}
	maps.Copy(entry, changes)
	maps.DeleteFunc(entry, func(_ string, value any) bool { return value == nil })
	b, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keySetOf(entries ...string) []byte {
	return []byte(`{"keys":[` + strings.Join(entries, ",") + `]}`)
}

func (s *tokenSigner) keySet(t testing.TB) []byte { return keySetOf(s.jwk(t, nil)) }

// newTestVerifier returns a Verifier of ourIssuer at testNoon that trusts a key set, but
// for what change changes.
func newTestVerifier(t testing.TB, jwks []byte, change ...func(*VerifierConfig)) *Verifier {
	t.Helper()
	keys, err := StaticKeySet(jwks)
	if err != nil {
		t.Fatal(err)
	}
	c := VerifierConfig{Issuer: ourIssuer, Keys: keys, Now: func() time.Time { return testNoon }}
	for _, f := range change {
		f(&c)
	}
	v, err := NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refusedAs checks that a token is refused for a reason, and that nothing of it comes
// with the error.
func refusedAs(t *testing.T, v *Verifier, what, token string, want Reason) {
	t.Helper()
	c, err := v.Verify(t.Context(), token)
	if ReasonOf(err) != want || c != nil {
		t.Errorf("%s: %v (%q), claims %v; want %q", what, err, ReasonOf(err), c != nil, want)
		return
	}
	if s := err.Error(); strings.Contains(s, "usr_1") || strings.Contains(s, "eyJ") {
		t.Errorf("%s: the error shows the token: %s", what, s)
	}
}
