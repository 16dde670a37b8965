package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	issuer   = "https://auth.example.com/prj_01jd0000000000000000000000"
	audience = "prj_01jd0000000000000000000000"
	kid      = "key_01jd0000000000000000000000"

	// tokens is how many different ones the benchmarks take turns with.
	tokens = 256
)

// material is a key and tokens of the size that sessions with some roles and custom
// claims have, 1.2 KB.
type material struct {
	key    *ecdsa.PrivateKey
	jwks   []byte
	tokens []string
}

func newMaterial(tb testing.TB) material {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	m := material{key: key}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	m.jwks = fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"use":"sig","alg":"ES256","x":%q,"y":%q}]}`,
		kid, encode(point[1:33]), encode(point[33:]))
	for i := range tokens {
		m.tokens = append(m.tokens, m.mint(tb, i))
	}
	return m
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (m material) mint(tb testing.TB, i int) string {
	tb.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": fmt.Sprintf("usr_01jd%022d", i), "aud": []string{audience, "https://api.example.com"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(),
		"jti": "aaaaaaaaaaaaaaaa", "sid": fmt.Sprintf("ses_01jd%022d", i), "rid": "bbbbbbbbbbbbbbbb", "drn": "DS",
		"amr": []string{"pwd", "totp", "mfa"}, "rexp": now.Add(24 * time.Hour).UTC().Format(time.RFC3339),
		"dct":     "ten_01jd0000000000000000000000",
		"tenants": map[string]any{"ten_01jd0000000000000000000000": map[string]any{"roles": []string{"admin", "editor"}, "permissions": []string{"read", "write"}}},
		"roles":   []string{"member"}, "permissions": []string{"invoices.read"}, "epc": now.UnixMilli(),
		"plan": "enterprise", "region": "eu-central", "note": strings.Repeat("n", 120),
	})
	if err != nil {
		tb.Fatal(err)
	}
	input := encode([]byte(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, m.key, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	return input + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
