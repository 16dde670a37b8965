package latchkey

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestParseKeySet(t *testing.T) {
	ec, ed, rs := newTokenSigner(t, algES256, "ec"), newTokenSigner(t, algEdDSA, "ed"), newTokenSigner(t, algRS256, "rs")
	without := map[string]any{"alg": nil, "use": nil}
	for what, entries := range map[string][]string{
		"plain":           {ec.jwk(t, nil), ed.jwk(t, nil), rs.jwk(t, nil)},
		"alg is implied":  {ec.jwk(t, without), ed.jwk(t, without), rs.jwk(t, without)},
		"among others":    {`{"kty":"AKP","alg":"ML-DSA-65","kid":"pq","pub":"AAAA"}`, ec.jwk(t, nil), `{"kty":"oct","k":"AAAA","kid":"oct"}`, ed.jwk(t, nil), `{}`, `1`, `null`, `["x"]`, rs.jwk(t, nil)},
		"with extensions": {ec.jwk(t, map[string]any{"x5c": []string{"AAAA"}, "key_ops": []string{"verify"}, "nbf": 1}), ed.jwk(t, nil), rs.jwk(t, nil)},
	} {
		ring, ignored, err := parseKeySet(keySetOf(entries...))
		if err != nil || len(ring.keys) != 3 || len(ignored) != len(entries)-3 {
			t.Errorf("%s: %v, %v", what, err, ignored)
			continue
		}
		for kid, alg := range map[string]string{"ec": algES256, "ed": algEdDSA, "rs": algRS256} {
			if k := ring.keys[kid]; k == nil || k.algorithm != alg || k.id != kid {
				t.Errorf("%s: key %s is %+v", what, kid, k)
			}
		}
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	good := newTokenSigner(t, algEdDSA, "ed").jwk(t, nil)
	for what, text := range map[string]string{
		"nothing": "", "no object": "[" + good + "]", "a page": "<html>", "no keys": `{}`, "keys in capitals": `{"KEYS":[` + good + `]}`, "keys is an object": `{"keys":` + good + `}`, "keys is null": `{"keys":null}`,
		"an empty set": `{"keys":[]}`, "no usable key": `{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}`, "text behind": `{"keys":[` + good + `]} x`, "a BOM": "\ufeff" + `{"keys":[` + good + `]}`,
		"keys twice": `{"keys":[` + good + `],"keys":[]}`, "a member twice": `{"keys":[` + strings.Replace(good, "{", `{"kid":"x",`, 1) + `]}`,
		"cut": `{"keys":[` + good, "too many": `{"keys":[` + strings.Repeat("1,", maxKeys) + good + `]}`, "too large": `{"keys":[` + good + `]}` + strings.Repeat(" ", maxKeySet),
	} {
		if ring, _, err := parseKeySet([]byte(text)); err == nil || ring != nil {
			t.Errorf("%s: %+v", what, ring)
		}
	}
}

// Each way in which an entry isn't a key that may be used.
func TestUnfitKeys(t *testing.T) {
	ec, ed, rs := newTokenSigner(t, algES256, "k"), newTokenSigner(t, algEdDSA, "k"), newTokenSigner(t, algRS256, "k")
	zeros := base64text(make([]byte, 32))
	var private []map[string]any
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		// Whatever its value is: the name says that there is something private.
		private = append(private, map[string]any{name: "AA"}, map[string]any{name: []int{1}})
	}
	for _, c := range []struct {
		signer  *tokenSigner
		want    error
		changes []map[string]any
	}{
		{ec, errPrivateKey, private},
		{rs, errPrivateKey, private},
		{ec, errOtherKey, []map[string]any{{"use": "enc"}, {"use": "SIG"}, {"key_ops": []string{"sign"}}, {"key_ops": []string{}}, {"alg": "ES384"}, {"alg": "HS256"}, {"alg": "es256"}, {"alg": "none"}, {"crv": "P-384"}, {"crv": "secp256k1"}, {"kty": "RSA", "n": nil}, {"kty": "oct"}, {"kty": nil}}},
		{ed, errOtherKey, []map[string]any{{"crv": "X25519"}, {"crv": "Ed448"}, {"alg": "Ed25519"}, {"alg": "ES256"}, {"kty": "EC"}}},
		{rs, errOtherKey, []map[string]any{{"alg": "RS512"}, {"alg": "PS256"}, {"alg": "RSA-OAEP"}, {"alg": "RS1"}}},
		{ec, errWeakKey, []map[string]any{{"x": zeros}, {"x": zeros, "y": zeros}, {"x": nil}, {"y": nil}, {"x": ""}, {"y": "!"}, {"x": zeros + "AA"}, {"x": 1}, {"kid": 1}, {"use": nil, "alg": []string{"ES256"}}, {"x": zeros[:40]}}},
		{ed, errWeakKey, []map[string]any{{"x": nil}, {"x": zeros}, {"x": zeros[:42]}, {"x": zeros + "AA"}}},
		{rs, errWeakKey, []map[string]any{{"e": "AQ"}, {"e": "Aw"}, {"e": "AQAA"}, {"e": nil}, {"e": ""}, {"e": "AAEAAQ"}, {"e": "_____w"}, {"e": "AQAAAAE"}, {"n": nil}, {"n": "AQAB"}, {"n": base64text(bytes.Repeat([]byte{255}, 127))}, {"n": base64text(bytes.Repeat([]byte{255}, 513))}, {"n": base64text(append([]byte{0}, bytes.Repeat([]byte{255}, 256)...))}, {"n": base64text(append(bytes.Repeat([]byte{255}, 255), 254))}}},
		{ec, errNoKeyID, []map[string]any{{"kid": nil}, {"kid": ""}, {"kid": strings.Repeat("k", maxKeyID+1)}}},
	} {
		for _, change := range c.changes {
			_, ignored, err := parseKeySet(keySetOf(c.signer.jwk(t, change)))
			if err == nil || len(ignored) != 1 || !errors.Is(ignored[0].why, c.want) {
				t.Errorf("%s with %v: %v, %v; want %v", c.signer.alg, change, err, ignored, c.want)
			}
		}
	}
}

// Which of two keys is meant can't be known, so neither is trusted, whatever the other is.
func TestTwoKeysOfOneKid(t *testing.T) {
	a, b := newTokenSigner(t, algES256, "same"), newTokenSigner(t, algEdDSA, "same")
	other := newTokenSigner(t, algEdDSA, "other")
	for what, second := range map[string]string{"another key": b.jwk(t, nil), "the same key": a.jwk(t, nil), "a symmetric key": `{"kty":"oct","k":"AAAA","kid":"same"}`, "an unknown type": `{"kty":"AKP","kid":"same"}`} {
		for _, entries := range [][]string{{a.jwk(t, nil), second, other.jwk(t, nil)}, {second, other.jwk(t, nil), a.jwk(t, nil)}} {
			ring, ignored, err := parseKeySet(keySetOf(entries...))
			if err != nil || ring.keys["same"] != nil || ring.keys["other"] == nil || len(ignored) != 2 {
				t.Errorf("%s: %v, %v, %v", what, ring, ignored, err)
			}
		}
	}
}

// edwards is the curve of Ed25519 on big integers: slow, and another way to the points
// than the one under test.
type edwards struct{ p, d *big.Int }

func newEdwards() edwards {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d := new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p))
	return edwards{p, d.Mod(d, p)}
}

func (e edwards) mul(a, b *big.Int) *big.Int { r := new(big.Int).Mul(a, b); return r.Mod(r, e.p) }

// add is the addition of RFC 8032 section 5.1.4, in affine coordinates.
func (e edwards) add(a, b [2]*big.Int) [2]*big.Int {
	dxy := e.mul(e.d, e.mul(e.mul(a[0], b[0]), e.mul(a[1], b[1])))
	over := func(n, d *big.Int) *big.Int {
		return e.mul(n.Mod(n, e.p), new(big.Int).ModInverse(d.Mod(d, e.p), e.p))
	}
	one := big.NewInt(1)
	x := over(new(big.Int).Add(e.mul(a[0], b[1]), e.mul(b[0], a[1])), new(big.Int).Add(one, dxy))
	y := over(new(big.Int).Add(e.mul(a[1], b[1]), e.mul(a[0], b[0])), new(big.Int).Sub(one, dxy))
	return [2]*big.Int{x, y}
}

func (e edwards) times(n *big.Int, a [2]*big.Int) [2]*big.Int {
	sum := [2]*big.Int{big.NewInt(0), big.NewInt(1)}
	for i := n.BitLen() - 1; i >= 0; i-- {
		if sum = e.add(sum, sum); n.Bit(i) == 1 {
			sum = e.add(sum, a)
		}
	}
	return sum
}

func (e edwards) encode(a [2]*big.Int) []byte {
	b := a[1].FillBytes(make([]byte, 32))
	slices.Reverse(b)
	b[31] |= byte(a[0].Bit(0)) << 7
	return b
}

// Attack 16: with a point of small order as key, signatures can be made that hold for
// any message.
func TestAttack16SmallOrder(t *testing.T) {
	e := newEdwards()
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	// Points on the curve, times the order of the large group, are all those of order 8
	// and less.
	small := map[string][]byte{}
	for y := int64(2); len(small) < 8 && y < 500; y++ {
		yy := e.mul(big.NewInt(y), big.NewInt(y))
		u, v := new(big.Int).Sub(yy, big.NewInt(1)), new(big.Int).Add(e.mul(e.d, yy), big.NewInt(1))
		x := new(big.Int).ModSqrt(e.mul(u, new(big.Int).ModInverse(v, e.p)), e.p)
		if x == nil {
			continue
		}
		b := e.encode(e.times(order, [2]*big.Int{x, big.NewInt(y)}))
		small[string(b)] = b
	}
	if len(small) != 8 {
		t.Fatalf("%d points of small order, want 8", len(small))
	}
	for _, b := range small {
		if fitEd25519(b) {
			t.Errorf("%x is taken", b)
		}
		if _, _, err := parseKeySet(keySetOf(fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}`, base64text(b)))); err == nil {
			t.Errorf("%x becomes a key", b)
		}
	}
	// The other spellings of these points, and other numbers that are no coordinate.
	for i := range byte(19) {
		for _, last := range []byte{0x7f, 0xff} {
			b := append([]byte{0xed + i}, bytes.Repeat([]byte{0xff}, 31)...)
			if b[31] = last; i > 0 && b[0] < 0xed {
				continue
			}
			if fitEd25519(b) {
				t.Errorf("%x is taken", b)
			}
		}
	}
	good := 0
	for range 50 {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if fitEd25519(public) {
			good++
		}
	}
	if good != 50 {
		t.Errorf("%d of 50 good keys are taken", good)
	}
}

// Half of all numbers are no coordinate of a point.
func TestEd25519OffTheCurve(t *testing.T) {
	off := 0
	for y := range byte(100) {
		b := make([]byte, 32)
		b[0] = y + 2
		_, sig := make([]byte, 0), make([]byte, 64)
		if !fitEd25519(b) {
			off++
			if ed25519.Verify(b, nil, sig) {
				t.Errorf("%d verifies", y)
			}
		}
	}
	if off < 25 || off > 75 {
		t.Errorf("%d of 100 are off the curve", off)
	}
}

func TestROCA(t *testing.T) {
	// A modulus of two primes that are powers of 65537 modulo the product of the first
	// primes; its being composite of primes isn't looked at.
	m := big.NewInt(1)
	for p := int64(2); p <= 701; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	half := func(k, a int64) *big.Int {
		r := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		return r.Add(r, new(big.Int).Mul(m, big.NewInt(k)))
	}
	if weak := new(big.Int).Mul(half(12345, 777), half(54321, 4242)); !isROCA(weak) {
		t.Error("it isn't noticed")
	}
	if isROCA(rsaTestKey().N) {
		t.Error("a good key is taken for one")
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add(keySetOf(newTokenSigner(f, algES256, "ec").jwk(f, nil), newTokenSigner(f, algRS256, "rs").jwk(f, map[string]any{"alg": nil})))
	f.Add(keySetOf(newTokenSigner(f, algEdDSA, "ed").jwk(f, nil), `{"kty":"oct","k":"AAAA","kid":"a"}`, `null`))
	f.Add([]byte(`{"keys":[{"kid":"a"},{"kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, _, err := parseKeySet(text)
		if err != nil {
			if ring != nil {
				t.Fatal("keys beside an error")
			}
			return
		}
		if !json.Valid(text) || len(ring.keys) == 0 {
			t.Fatalf("%q is taken for a key set", text)
		}
		for kid, k := range ring.keys {
			if k.id != kid || kid == "" || k.size() < 64 || !k.same(k) || k.verifies([]byte("x"), make([]byte, k.size())) {
				t.Errorf("%q: %+v", text, k)
			}
			again, _, err := parseKeySet(text)
			if err != nil || !k.same(again.keys[kid]) {
				t.Errorf("%q: read twice, key %q differs", text, kid)
			}
		}
	})
}
