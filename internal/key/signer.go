package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Bounds of an RSA modulus. RFC 7518 section 3.3 asks for 2048 bits; more than 4096
// would make one signature cost tens of milliseconds.
const (
	rsaBits    = 2048
	rsaBitsMax = 4096
)

// errUnfit is what every unfit private key is reported as. What exactly a parser had
// against the bytes stays unsaid, because parsers quote what they read.
var errUnfit = errors.New("the private key is damaged, too weak, or of another algorithm than its record says")

// strict refuses spare bits in the last digit. It skips line breaks like every decoder
// of encoding/base64; decode closes that.
var strict = base64.RawURLEncoding.Strict()

// decode accepts the one spelling that base64url has for some bytes (RFC 7515 section 2).
func decode(text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := strict.AppendDecode(make([]byte, 0, strict.DecodedLen(len(text))), text)
	return b, err == nil
}

// signer is a private key with its algorithm. Signing the same input again gives the
// same bytes. Implementations are immutable and safe for concurrent use.
type signer interface {
	// size is the length of every signature in bytes.
	size() int

	// appendSignature appends the signature in the form of RFC 7518 section 3.
	appendSignature(dst, input []byte) ([]byte, error)

	// authentic reports whether text is the base64url form of this key's one
	// signature of input.
	authentic(input, text []byte) bool

	// jwk returns the public members that are specific to the key's type.
	jwk() (jwk, error)

	// private returns the key as crypto/x509 encodes it.
	private() any
}

// resigned checks a signature by making it again: cheaper than verifying for both
// elliptic-curve algorithms, and stricter, since no second signature of the same input
// is accepted. The comparison is constant-time, otherwise the right signature of an
// input of the attacker's choice could be found byte by byte.
func resigned(s signer, input, text []byte) bool {
	var raw, want [128]byte
	sig, err := s.appendSignature(raw[:0], input)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(base64.RawURLEncoding.AppendEncode(want[:0], sig), text) == 1
}

type es256 struct{ key *ecdsa.PrivateKey }

func (es256) size() int { return 64 }

func (s es256) appendSignature(dst, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	// Without a random source the signature is that of RFC 6979.
	der, err := s.key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign ES256: %w", err)
	}
	return appendRaw(dst, der)
}

func (s es256) authentic(input, text []byte) bool { return resigned(s, input, text) }
func (s es256) private() any                      { return s.key }

func (s es256) jwk() (jwk, error) {
	point, err := s.key.PublicKey.Bytes() // 4, then x and y, each 32 bytes
	if err != nil {
		return jwk{}, errUnfit
	}
	return jwk{Kty: "EC", Crv: "P-256", X: text(point[1:33]), Y: text(point[33:])}, nil
}

// appendRaw appends r and s, 32 bytes each (RFC 7518 section 3.4), read from an
// ECDSA-Sig-Value in DER. All lengths of a P-256 signature fit one byte.
func appendRaw(dst, der []byte) ([]byte, error) {
	errDER := errors.New("sign ES256: not a P-256 signature")
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, errDER
	}
	rest := der[2:]
	for range 2 {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, errDER
		}
		n := 2 + int(rest[1])
		integer := bytes.TrimLeft(rest[2:n], "\x00")
		if len(integer) > 32 {
			return nil, errDER
		}
		// A short integer keeps its leading zeros: 1 signature in 128 has one.
		dst = append(dst, make([]byte, 32-len(integer))...)
		dst = append(dst, integer...)
		rest = rest[n:]
	}
	if len(rest) != 0 {
		return nil, errDER
	}
	return dst, nil
}

type eddsa struct{ key ed25519.PrivateKey }

func (eddsa) size() int { return ed25519.SignatureSize }

func (s eddsa) appendSignature(dst, input []byte) ([]byte, error) {
	return append(dst, ed25519.Sign(s.key, input)...), nil
}

func (s eddsa) authentic(input, text []byte) bool { return resigned(s, input, text) }
func (s eddsa) private() any                      { return s.key }

func (s eddsa) jwk() (jwk, error) {
	return jwk{Kty: "OKP", Crv: "Ed25519", X: text(s.key[ed25519.SeedSize:])}, nil
}

type rs256 struct{ key *rsa.PrivateKey }

func (s rs256) size() int { return s.key.Size() }

func (s rs256) appendSignature(dst, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	sig, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign RS256: %w", err)
	}
	return append(dst, sig...), nil
}

// authentic verifies: RSA signs thirty times slower than it verifies. An input has one
// PKCS #1 v1.5 signature below the modulus, and the length is exact.
func (s rs256) authentic(input, text []byte) bool {
	sig, ok := decode(text)
	digest := sha256.Sum256(input)
	return ok && rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, digest[:], sig) == nil
}

func (s rs256) private() any { return s.key }

func (s rs256) jwk() (jwk, error) {
	e := binary.BigEndian.AppendUint32(nil, uint32(s.key.E))
	return jwk{Kty: "RSA", N: text(s.key.N.Bytes()), E: text(bytes.TrimLeft(e, "\x00"))}, nil
}

// generate returns a fresh private key.
func generate(alg Algorithm) (signer, error) {
	switch alg {
	case ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return es256{k}, err
	case EdDSA:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return eddsa{k}, err
	case RS256:
		k, err := rsa.GenerateKey(rand.Reader, rsaBits)
		return rs256{k}, err
	}
	return nil, fmt.Errorf("%q is not a signing algorithm", alg)
}

// seal encodes s as PKCS #8 and encrypts it for the record of key k.
func seal(master *secret.Ring, p id.Project, k id.Key, s signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.private())
	if err != nil {
		return nil, errUnfit
	}
	defer clear(der)
	return master.Seal(der, SealContext(p, k)), nil
}

// open decrypts and checks the private key of a record.
func open(master *secret.Ring, k Key) (signer, error) {
	der, err := master.Open(k.Sealed, SealContext(k.Project, k.ID))
	if err != nil {
		return nil, err
	}
	defer clear(der)
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errUnfit
	}
	return fit(private, k.Algorithm)
}

// fit accepts a private key that is exactly of the algorithm, strong enough, and
// belongs to its public key. Without the last, a forged public half would go out in
// the JWKS, or signatures would give the private key away.
func fit(private any, alg Algorithm) (signer, error) {
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		if alg == ES256 && fitEC(k) {
			return es256{k}, nil
		}
	case ed25519.PrivateKey:
		if alg == EdDSA && len(k) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(k.Seed()).Equal(k) {
			return eddsa{k}, nil
		}
	case *rsa.PrivateKey:
		if alg == RS256 && fitRSA(k) {
			return rs256{k}, nil
		}
	}
	return nil, errUnfit
}

func fitEC(k *ecdsa.PrivateKey) bool {
	if k.Curve != elliptic.P256() {
		return false
	}
	d, err := k.Bytes()
	if err != nil {
		return false
	}
	defer clear(d)
	again, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	return err == nil && again.PublicKey.Equal(&k.PublicKey)
}

func fitRSA(k *rsa.PrivateKey) bool {
	bits := k.N.BitLen()
	return bits >= rsaBits && bits <= rsaBitsMax && k.E == 65537 && len(k.Primes) == 2 && k.Validate() == nil
}
