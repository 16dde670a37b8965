package latchkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchToken is a token of about 1.2 KB, as those of a project with tenants are.
func benchToken(b *testing.B, s *tokenSigner) string {
	b.Helper()
	return s.mint(b, map[string]any{
		"amr": []string{"pwd", "totp", "mfa"}, "dct": "ten_01jnq4cyf0e5e8vq9t0z9c3v6h",
		"tenants":     map[string]any{"ten_01jnq4cyf0e5e8vq9t0z9c3v6h": map[string]any{"roles": []string{"editor"}, "permissions": []string{"write"}}},
		"roles":       []string{"member"},
		"permissions": []string{"read", "comment", "invite"}, "department": "Research and Development", "locale": "en-GB", "avatar": "https://static.example.com/avatars/01jnq4cyf0e5e8vq9t0z9c3v6h.png", "plan": "pro", "email": "alice@example.com", "name": "Alice Example", "region": "eu-central-1",
	})
}

func eachAlgorithm(b *testing.B, f func(b *testing.B, s *tokenSigner, token string)) {
	for _, alg := range []string{algES256, algEdDSA, algRS256} {
		b.Run(alg, func(b *testing.B) {
			s := newTokenSigner(b, alg, "key_01jnq4cyf0e5e8vq9t0z9c3v6h")
			token := benchToken(b, s)
			b.ReportAllocs()
			f(b, s, token)
			b.ReportMetric(float64(len(token)), "bytes/token")
		})
	}
}

// The least that any verifier must do.
func BenchmarkBareSignature(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *tokenSigner, token string) {
		dot := strings.LastIndexByte(token, '.')
		raw, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token[:dot]))
		var check func() bool
		switch k := s.key.Public().(type) {
		case *ecdsa.PublicKey:
			der, _ := appendDER(nil, raw)
			check = func() bool { return ecdsa.VerifyASN1(k, digest[:], der) }
		case ed25519.PublicKey:
			input := []byte(token[:dot])
			check = func() bool { return ed25519.Verify(k, input, raw) }
		case *rsa.PublicKey:
			check = func() bool { return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], raw) == nil }
		}
		for b.Loop() {
			if !check() {
				b.Fatal("the signature is wrong")
			}
		}
	})
}

func BenchmarkVerifyCold(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *tokenSigner, token string) {
		v := newTestVerifier(b, s.keySet(b), func(c *VerifierConfig) { c.CacheBytes = -1 })
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// How much more a whole check costs than the bare signature, measured in turns, by
// the median: what else runs on the machine slows both down alike.
func BenchmarkColdToBare(b *testing.B) {
	s := newTokenSigner(b, algES256, "key_01jnq4cyf0e5e8vq9t0z9c3v6h")
	token := benchToken(b, s)
	v := newTestVerifier(b, s.keySet(b), func(c *VerifierConfig) { c.CacheBytes = -1 })
	dot := strings.LastIndexByte(token, '.')
	raw, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	der, _ := appendDER(nil, raw)
	digest := sha256.Sum256([]byte(token[:dot]))
	public := s.key.Public().(*ecdsa.PublicKey)
	var bare, cold []time.Duration
	for b.Loop() {
		start := time.Now()
		if !ecdsa.VerifyASN1(public, digest[:], der) {
			b.Fatal("the signature is wrong")
		}
		between := time.Now()
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
		bare, cold = append(bare, between.Sub(start)), append(cold, time.Since(between))
	}
	slices.Sort(bare)
	slices.Sort(cold)
	middle := len(bare) / 2
	b.ReportMetric(float64(cold[middle])/float64(bare[middle]), "cold/bare")
	b.ReportMetric(float64(bare[middle]), "ns/bare")
	b.ReportMetric(float64(cold[middle]), "ns/cold")
}

// Each token is kept, so that the cost of the cache is seen as well.
func BenchmarkVerifyColdKept(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *tokenSigner, token string) {
		v := newTestVerifier(b, s.keySet(b))
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
			v.cache.drop(v.cache.find(token))
		}
	})
}

func BenchmarkVerifyHot(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *tokenSigner, _ string) {
		v := newTestVerifier(b, s.keySet(b), func(c *VerifierConfig) { c.Now = func() time.Time { return time.Now() } })
		token := s.mint(b, map[string]any{"iat": time.Now().Unix(), "nbf": nil, "exp": time.Now().Add(time.Hour).Unix(), "filler": strings.Repeat("x", 1200*3/4-len(payload(b, nil))-130)})
		ctx := b.Context()
		for b.Loop() {
			if _, err := v.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// As many callers as there are processors, each with a token of its own.
func BenchmarkVerifyHotParallel(b *testing.B) {
	s := newTokenSigner(b, algES256, "key_1")
	v := newTestVerifier(b, s.keySet(b))
	b.ReportAllocs()
	ctx := b.Context()
	b.RunParallel(func(p *testing.PB) {
		token := s.mint(b, nil)
		for p.Next() {
			if _, err := v.Verify(ctx, token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkParseClaims(b *testing.B) {
	s := newTokenSigner(b, algEdDSA, "key_1")
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(benchToken(b, s), ".")[1])
	if err != nil {
		b.Fatal(err)
	}
	text := string(raw)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := parseClaims(text); !ok {
			b.Fatal("refused")
		}
	}
}
