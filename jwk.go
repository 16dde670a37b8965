package latchkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
)

// The algorithms of RFC 7518 section 3.1 and RFC 8037 that are supported.
const (
	algES256 = "ES256"
	algEdDSA = "EdDSA"
	algRS256 = "RS256"
)

// maxKeys bounds the entries of a key set.
const maxKeys = 256

// publicKey is one key of a key set. It is immutable.
type publicKey struct {
	id        string
	algorithm string // the only one it is used for
	material  string // the public parts as bytes: equal material is the same key

	ec  *ecdsa.PublicKey
	ed  ed25519.PublicKey
	rsa *rsa.PublicKey
}

// same reports whether a token that k verified would be verified by other as well.
func (k *publicKey) same(other *publicKey) bool {
	return other != nil && k.id == other.id && k.algorithm == other.algorithm && k.material == other.material
}

// size is the length of every signature in bytes.
func (k *publicKey) size() int {
	if k.rsa != nil {
		return k.rsa.Size()
	}
	return 64 // r and s (RFC 7518 section 3.4), R and S (RFC 8032 section 5.1.6)
}

// verifies reports whether signature is one of input by the key.
func (k *publicKey) verifies(input, signature []byte) bool {
	if len(signature) != k.size() {
		return false
	}
	switch {
	case k.ec != nil:
		digest := sha256.Sum256(input)
		var der [72]byte
		encoded, ok := appendDER(der[:0], signature)
		return ok && ecdsa.VerifyASN1(k.ec, digest[:], encoded)
	case k.ed != nil:
		return ed25519.Verify(k.ed, input, signature)
	case k.rsa != nil:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// orderP256 is the order of the curve's group, big-endian (FIPS 186-4, D.1.2.3).
const orderP256 = "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"

// appendDER turns r and s, 32 bytes each, into the form that crypto/ecdsa takes. Both
// must be from 1 to the order minus 1: a zero there once verified everything elsewhere.
func appendDER(dst, raw []byte) ([]byte, bool) {
	dst = append(dst, 0x30, 0)
	for _, half := range [][]byte{raw[:32], raw[32:]} {
		if string(half) >= orderP256 {
			return nil, false
		}
		for len(half) > 0 && half[0] == 0 {
			half = half[1:]
		}
		if len(half) == 0 {
			return nil, false
		}
		sign := int(half[0] >> 7) // a positive number starts with a zero bit
		dst = append(dst, 0x02, byte(len(half)+sign))
		dst = append(append(dst, 0)[:len(dst)+sign], half...)
	}
	dst[1] = byte(len(dst) - 2)
	return dst, true
}

// jwk is one entry of a key set (RFC 7517 section 4) as it is written. A member of
// another type than it should have makes the entry unfit.
type jwk struct {
	Kty, Use, Alg, Kid, Crv, X, Y, N, E string

	operations []string
	private    bool // it has members that only a private or symmetric key has
	unfit      bool
}

func (k *jwk) text(name string) *string {
	switch name {
	case "kty":
		return &k.Kty
	case "use":
		return &k.Use
	case "alg":
		return &k.Alg
	case "kid":
		return &k.Kid
	case "crv":
		return &k.Crv
	case "x":
		return &k.X
	case "y":
		return &k.Y
	case "n":
		return &k.N
	case "e":
		return &k.E
	}
	return nil
}

func readJWK(r *jsonReader) jwk {
	var k jwk
	if r.peek() != '{' {
		r.value()
		k.unfit = true
		return k
	}
	var names [16]string
	o := jsonObject{jsonReader: r, names: names[:0]}
	for name, more := o.member(); more; name, more = o.member() {
		k.member(r, name)
	}
	return k
}

func (k *jwk) member(r *jsonReader, name string) {
	into := k.text(name)
	switch {
	case into != nil && r.peek() == '"':
		*into = r.str()
	case into != nil:
		r.value()
		k.unfit = true
	case name == "key_ops" && r.peek() == '[':
		k.operations = r.strings()
	case slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}, name):
		k.private = true
		r.value()
	default:
		r.value()
	}
}

var (
	errOtherKey   = errors.New("of a type, a use or an algorithm that isn't supported")
	errPrivateKey = errors.New("it holds a private or symmetric key, which has no place in a key set")
	errWeakKey    = errors.New("not a valid key, or too weak a one")
	errNoKeyID    = errors.New("it has no kid, or too long a one")
	errTwoKeys    = errors.New("several keys have this kid, and which one is meant can't be known")
)

// key checks an entry and makes a key of it.
func (k *jwk) key() (*publicKey, error) {
	switch {
	case k.private:
		// Whoever published it has given it away: what it signs proves nothing any more.
		return nil, errPrivateKey
	case k.unfit:
		return nil, errWeakKey
	case k.Use != "" && k.Use != "sig", k.operations != nil && !slices.Contains(k.operations, "verify"):
		return nil, errOtherKey
	}
	p := &publicKey{id: strings.Clone(k.Kid)}
	var ok bool
	switch {
	case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == algES256):
		p.algorithm, ok = algES256, p.setEC(k)
	case k.Kty == "OKP" && k.Crv == "Ed25519" && (k.Alg == "" || k.Alg == algEdDSA):
		p.algorithm, ok = algEdDSA, p.setEd25519(k)
	case k.Kty == "RSA" && (k.Alg == "" || k.Alg == algRS256):
		p.algorithm, ok = algRS256, p.setRSA(k)
	default:
		return nil, errOtherKey
	}
	if !ok {
		return nil, errWeakKey
	}
	return p, nil
}
