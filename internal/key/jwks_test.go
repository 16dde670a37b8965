package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// readJWKS reads a key set as a verifier would, sharing no code with the package.
func readJWKS(t testing.TB, set []byte) map[string]map[string]string {
	t.Helper()
	var doc map[string][]map[string]string
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc) != 1 || doc["keys"] == nil {
		t.Fatalf("not exactly {\"keys\":[…]}: %s", set)
	}
	keys := map[string]map[string]string{}
	for _, k := range doc["keys"] {
		keys[k["kid"]] = k
	}
	return keys
}

func b64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify checks a token with the standard library and a JWK alone.
func verify(t testing.TB, jwk map[string]string, token string) bool {
	t.Helper()
	parts := strings.Split(token, ".")
	input, sig := []byte(parts[0]+"."+parts[1]), b64(t, parts[2])
	digest := sha256.Sum256(input)
	switch jwk["kty"] {
	case "EC":
		point := append(append([]byte{4}, b64(t, jwk["x"])...), b64(t, jwk["y"])...)
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil || len(sig) != 64 {
			t.Fatal(err, len(sig))
		}
		return ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case "OKP":
		return ed25519.Verify(b64(t, jwk["x"]), input, sig)
	case "RSA":
		e := new(big.Int).SetBytes(b64(t, jwk["e"]))
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(b64(t, jwk["n"])), E: int(e.Int64())}
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
	}
	t.Fatalf("kty %q", jwk["kty"])
	return false
}

func TestJWKSMembers(t *testing.T) {
	public := map[Algorithm]map[string]int{ // member to length in bytes
		ES256: {"x": 32, "y": 32}, EdDSA: {"x": 32}, RS256: {"n": 256, "e": 3},
	}
	fixed := map[Algorithm]map[string]string{
		ES256: {"kty": "EC", "crv": "P-256"}, EdDSA: {"kty": "OKP", "crv": "Ed25519"}, RS256: {"kty": "RSA", "e": "AQAB"},
	}
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			r, k := newRing(t, alg)
			got := readJWKS(t, r.JWKS())[k.ID.String()]
			members := []string{"alg", "kid", "kty", "use"}
			if alg != RS256 {
				members = append(members, "crv")
			}
			for name, size := range public[alg] {
				members = append(members, name)
				if n := len(b64(t, got[name])); n != size {
					t.Errorf("%s has %d bytes", name, n)
				}
			}
			slices.Sort(members)
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, members) {
				t.Errorf("members %v, want %v", names, members)
			}
			for name, want := range fixed[alg] {
				if got[name] != want {
					t.Errorf("%s is %q", name, got[name])
				}
			}
			if got["use"] != "sig" || got["alg"] != string(alg) {
				t.Errorf("%v", got)
			}
			token, err := r.Mint(k.ID, AccessToken, []byte(`{"sub":"x"}`))
			if err != nil || !verify(t, got, token) {
				t.Errorf("the token doesn't verify by the JWK: %v", err)
			}
		})
	}
}

// Fixed width: 1 point in 128 has a coordinate with a leading zero, which must stay.
func TestJWKSCoordinateWidth(t *testing.T) {
	for leading := 0; leading < 2; {
		s, err := generate(ES256)
		if err != nil {
			t.Fatal(err)
		}
		k, err := s.jwk()
		if err != nil {
			t.Fatal(err)
		}
		x, y := b64(t, k.X), b64(t, k.Y)
		if len(x) != 32 || len(y) != 32 {
			t.Fatalf("%d and %d bytes", len(x), len(y))
		}
		if x[0] == 0 || y[0] == 0 {
			leading++
		}
	}
}

func TestJWKSStates(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	var keys []Key
	for _, state := range []State{Retired, Revoked, Active, Next} {
		keys = append(keys, newKey(t, master, p, state, EdDSA, newSigner(t, EdDSA)))
	}
	r, err := OpenRing(master, keys)
	if err != nil {
		t.Fatal(err)
	}
	set := readJWKS(t, r.JWKS())
	for _, k := range keys {
		if _, ok := set[k.ID.String()]; ok != (k.State != Revoked) {
			t.Errorf("%s key published: %v", k.State, ok)
		}
	}
	slices.Reverse(keys)
	again, err := OpenRing(master, keys)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.JWKS(), r.JWKS()) || again.JWKSTag() != r.JWKSTag() {
		t.Error("the set depends on the order of the list")
	}
	if tag := r.JWKSTag(); len(tag) != 22 || tag[0] != '"' || tag[21] != '"' || strings.ContainsAny(tag[1:21], "\"\\ ") {
		t.Errorf("tag %s", tag)
	}
	clear(r.JWKS())
	if !bytes.Equal(again.JWKS(), r.JWKS()) {
		t.Error("a caller can alter the set")
	}
	for i := range keys {
		if keys[i].State == Next {
			keys[i].State = Revoked
		}
	}
	revoked, err := OpenRing(master, keys)
	if err != nil {
		t.Fatal(err)
	}
	if revoked.JWKSTag() == r.JWKSTag() {
		t.Error("another set has the same tag")
	}
}
