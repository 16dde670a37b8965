package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey"
)

// check verifies a token and returns its subject.
type check func(token string) (subject string, err error)

// claims is what an application reads of a session token, for the libraries that parse
// into a type of the caller.
type claims struct {
	jwt.RegisteredClaims
	SessionID   string   `json:"sid"`
	AMR         []string `json:"amr"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	Tenants     map[string]struct {
		Roles       []string `json:"roles"`
		Permissions []string `json:"permissions"`
	} `json:"tenants"`
	Plan string `json:"plan"`
}

func latchkeyCheck(tb testing.TB, m material, cacheBytes int) check {
	tb.Helper()
	keys, err := latchkey.StaticKeySet(m.jwks)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Keys: keys, CacheBytes: cacheBytes})
	if err != nil {
		tb.Fatal(err)
	}
	return func(token string) (string, error) {
		c, err := v.Verify(context.Background(), token)
		if err != nil {
			return "", err
		}
		return c.Subject, nil
	}
}

func golangJWT(_ testing.TB, m material) check {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithLeeway(time.Minute), jwt.WithExpirationRequired())
	return func(token string) (string, error) {
		var c claims
		_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
			if t.Header["kid"] != kid || t.Header["typ"] != "at+jwt" {
				return nil, errors.New("another key or type")
			}
			return &m.key.PublicKey, nil
		})
		return c.Subject, err
	}
}

func goJOSE(_ testing.TB, m material) check {
	return func(token string) (string, error) {
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return "", err
		}
		if parsed.Headers[0].KeyID != kid {
			return "", errors.New("another key")
		}
		var c struct {
			josejwt.Claims
			SessionID string `json:"sid"`
			Roles     []string
			Plan      string
		}
		if err := parsed.Claims(&m.key.PublicKey, &c); err != nil {
			return "", err
		}
		return c.Subject, c.Validate(josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}, Time: time.Now()})
	}
}

func goOIDC(_ testing.TB, m material) check {
	keys := &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{&m.key.PublicKey}}
	v := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}})
	return func(token string) (string, error) {
		t, err := v.Verify(context.Background(), token)
		if err != nil {
			return "", err
		}
		var c claims
		return t.Subject, t.Claims(&c)
	}
}

// bare is the signature alone: nothing is parsed, nothing else is checked.
func bare(_ testing.TB, m material) check {
	return func(token string) (string, error) {
		end := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
		if err != nil {
			return "", err
		}
		digest := sha256.Sum256([]byte(token[:end]))
		if !ecdsa.Verify(&m.key.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return "", errors.New("wrong signature")
		}
		return "", nil
	}
}

func cold(tb testing.TB, m material) check { return latchkeyCheck(tb, m, -1) }
func hot(tb testing.TB, m material) check  { return latchkeyCheck(tb, m, 0) }

// contenders in the order of the table that the benchmark prints.
func contenders() []struct {
	name string
	make func(testing.TB, material) check
} {
	return []struct {
		name string
		make func(testing.TB, material) check
	}{
		{"bare-signature", bare}, {"latchkey-cold", cold}, {"latchkey-hot", hot},
		{"golang-jwt", golangJWT}, {"go-jose", goJOSE}, {"go-oidc", goOIDC},
	}
}

// A comparison is worth nothing if one of the compared doesn't check.
func TestEveryContenderChecks(t *testing.T) {
	m := newMaterial(t)
	for _, c := range contenders() {
		verify := c.make(t, m)
		for range 2 { // the second time from the cache, where there is one
			subject, err := verify(m.tokens[0])
			if err != nil || c.name != "bare-signature" && !strings.HasPrefix(subject, "usr_") {
				t.Errorf("%s: %q, %v", c.name, subject, err)
			}
			altered := m.tokens[0][:200] + "A" + m.tokens[0][201:]
			if m.tokens[0][200] == 'A' {
				altered = m.tokens[0][:200] + "B" + m.tokens[0][201:]
			}
			if subject, err := verify(altered); err == nil {
				t.Errorf("%s takes an altered token for one of %q", c.name, subject)
			}
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	m := newMaterial(b)
	b.Logf("a token has %d bytes", len(m.tokens[0]))
	for _, c := range contenders() {
		verify := c.make(b, m)
		for _, token := range m.tokens {
			if _, err := verify(token); err != nil {
				b.Fatal(c.name, err)
			}
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := verify(m.tokens[i%len(m.tokens)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
