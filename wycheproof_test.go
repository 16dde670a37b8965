//go:build wycheproof

package latchkey

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

// The vectors of Project Wycheproof, each of which has caught somebody. They come as a
// module that asks for a newer Go than the product does, so these tests have a module
// file of their own: see tools/wycheproof.mod, and the Makefile for how to run them.

// vectors decodes one file of the project.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

type joseGroup struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		ID      int `json:"tcId"`
		Comment string
		Result  string
		JWS     json.RawMessage
	}
}

// set returns the group's keys as a key set: the public ones, and for symmetric keys,
// which have no public half, the only ones there are.
func (g *joseGroup) set() []byte {
	keys := g.Public
	if keys == nil {
		keys = g.Private
	}
	var set struct{ Keys json.RawMessage }
	if json.Unmarshal(keys, &set) == nil && set.Keys != nil {
		return keys
	}
	return keySetOf(string(keys))
}

// verifiesJWS is what Verify does before it looks at typ and claims, which the vectors
// don't have.
func verifiesJWS(set []byte, token string) bool {
	ring, _, err := parseKeySet(set)
	if err != nil {
		return false
	}
	s, refused := cutToken(token)
	if refused != nil {
		return false
	}
	h, refused := parseHeader(s.header)
	if refused != nil {
		return false
	}
	k := ring.keys[h.keyID]
	if k == nil || k.algorithm != h.algorithm {
		return false
	}
	_, refused = authentic(k, s)
	return refused == nil
}

// unsupported are the algorithms of valid vectors that no session token has. Each such
// vector must be refused.
func unsupported() []string {
	return []string{"HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512"}
}

func TestWycheproofJOSE(t *testing.T) {
	for file, least := range map[string]int{"json_web_signature_test.json": 401, "json_web_key_test.json": 26, "json_web_crypto_test.json": 49} {
		var v struct{ TestGroups []joseGroup }
		vectors(t, file, &v)
		judged, accepted := 0, 0
		for _, g := range v.TestGroups {
			for _, c := range g.Tests {
				if c.JWS == nil {
					// A JWE. There is no decryption here, and five parts are never a token.
					if !strings.HasPrefix(g.Comment, "jwe_") {
						t.Errorf("%s %d: it has neither form", file, c.ID)
					}
					continue
				}
				judged++
				var token string
				if json.Unmarshal(c.JWS, &token) != nil {
					token = string(c.JWS) // the JSON serialization
				}
				want := c.Result == "valid"
				if h, refused := parseHeader(strings.Split(token, ".")[0]); want && (refused != nil || slices.Contains(unsupported(), h.algorithm)) {
					if refused != nil && c.ID != wrongVerdict {
						t.Errorf("%s %d (%s): %v", file, c.ID, c.Comment, refused)
					}
					want = false
				}
				got := verifiesJWS(g.set(), token)
				if got != want {
					t.Errorf("%s %d (%s, %s): %v, want %v", file, c.ID, g.Comment, c.Comment, got, want)
				}
				if got {
					accepted++
				}
			}
		}
		if judged < least || accepted == 0 {
			t.Errorf("%s: %d vectors were judged, %d accepted; %d are known", file, judged, accepted, least)
		}
	}
}

// wrongVerdict has a character in its header that base64url doesn't have, and is called
// valid all the same; its alg is HS256, so it is refused here in any case.
const wrongVerdict = 372

// vectorKey is a public key as the groups of signatures have it. Some groups have a JWK
// as well, but not all.
type vectorKey struct {
	Uncompressed            string // EC
	PK                      string // Ed25519
	Modulus, PublicExponent string // RSA
}

func (k vectorKey) jwk(t *testing.T) string {
	t.Helper()
	number := func(s string) string { return base64text(bytes.TrimLeft(unhex(t, s), "\x00")) }
	switch {
	case k.Uncompressed != "":
		point := unhex(t, k.Uncompressed)
		return fmt.Sprintf(`{"kid":"k","kty":"EC","crv":"P-256","x":%q,"y":%q}`, base64text(point[1:33]), base64text(point[33:]))
	case k.PK != "":
		return fmt.Sprintf(`{"kid":"k","kty":"OKP","crv":"Ed25519","x":%q}`, base64text(unhex(t, k.PK)))
	}
	return fmt.Sprintf(`{"kid":"k","kty":"RSA","n":%q,"e":%q}`, number(k.Modulus), number(k.PublicExponent))
}

type signatureVectors struct {
	TestGroups []struct {
		PublicKey vectorKey
		Tests     []struct {
			ID       int `json:"tcId"`
			Comment  string
			Flags    []string
			Msg, Sig string
			Result   string
		}
	}
}

func TestWycheproofSignatures(t *testing.T) {
	for file, least := range map[string]int{
		"ecdsa_secp256r1_sha256_p1363_test.json": 262, "ed25519_test.json": 151,
		"rsa_signature_2048_sha256_test.json": 259, "rsa_signature_3072_sha256_test.json": 259, "rsa_signature_4096_sha256_test.json": 258,
	} {
		var v signatureVectors
		vectors(t, file, &v)
		judged, accepted := 0, 0
		for _, g := range v.TestGroups {
			// A key with the exponent 3 is refused as such, with all that it signed.
			weak := g.PublicKey.PublicExponent == "03"
			ring, ignored, err := parseKeySet(keySetOf(g.PublicKey.jwk(t)))
			if (err != nil) != weak {
				t.Errorf("%s: the key %+v: %v", file, g.PublicKey, ignored)
			}
			for _, c := range g.Tests {
				judged++
				// What is merely acceptable lacks a part of its padding; one form is right here.
				want := c.Result == "valid" && !weak
				got := ring != nil && ring.keys["k"].verifies(unhex(t, c.Msg), unhex(t, c.Sig))
				if got != want {
					t.Errorf("%s %d (%s, %v): %v, want %v", file, c.ID, c.Comment, c.Flags, got, want)
				}
				if got {
					accepted++
				}
			}
		}
		if judged < least || accepted < 5 {
			t.Errorf("%s: %d vectors were judged, %d accepted; %d are known", file, judged, accepted, least)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
