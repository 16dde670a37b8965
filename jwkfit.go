package latchkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"slices"
	"strings"
)

// keyBytes decodes a member of a key, nil if it isn't base64url.
func keyBytes(s string) []byte {
	b, err := strictBase64.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil
	}
	return b
}

func (p *publicKey) setEC(k *jwk) bool {
	x, y := keyBytes(k.X), keyBytes(k.Y)
	if len(x) != 32 || len(y) != 32 {
		return false // RFC 7518 section 6.2.1.2: the full size of a coordinate
	}
	point := append(append([]byte{4}, x...), y...)
	// Refuses points that aren't on the curve, and the one at infinity.
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	p.ec, p.material = public, string(point)
	return err == nil
}

func (p *publicKey) setEd25519(k *jwk) bool {
	x := keyBytes(k.X)
	p.ed, p.material = ed25519.PublicKey(x), string(x)
	return len(x) == ed25519.PublicKeySize && fitEd25519(x)
}

// fitEd25519 refuses what isn't the one encoding of a point on the curve, and the points
// of order 8 and less: for these signatures can be made that hold for any message.
func fitEd25519(key []byte) bool {
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	// d of RFC 8032 section 5.1: -121665/121666.
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mod(d.Mul(d, big.NewInt(-121665)), p)

	b := slices.Clone(key)
	b[31] &= 0x7f // the sign of x
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	if y.Cmp(p) >= 0 {
		return false
	}
	// x^2 = (y^2-1)/(d y^2+1) has a root when numerator times denominator has.
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(yy, one)
	v := new(big.Int).Mul(d, yy)
	v.Add(v, one)
	uv := new(big.Int).Mul(u, v)
	if big.Jacobi(uv.Mod(uv, p), p) != 1 {
		return false // not on the curve, or x is 0, which is of order 1 or 2
	}
	// Of order 4: y is 0. Of order 8: the double has y = 0, where y^2 = -x^2, which is
	// d y^4 + 2 y^2 - 1 = 0.
	w := new(big.Int).Mul(d, yy)
	w.Mul(w, yy)
	w.Add(w, yy)
	w.Add(w, yy)
	w.Sub(w, one)
	return y.Sign() != 0 && w.Mod(w, p).Sign() != 0
}

func (p *publicKey) setRSA(k *jwk) bool {
	n, e := keyBytes(k.N), keyBytes(k.E)
	// RFC 7518 section 2, Base64urlUInt: no zero in front.
	if len(n) == 0 || n[0] == 0 || len(e) == 0 || e[0] == 0 || len(e) > 4 {
		return false
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e).Int64()
	// RFC 7518 section 3.3 asks for 2048 bits; more than 4096 cost a stranger's tokens too
	// much. Exponents under 65537 have a history of forgeries and are used by nobody who
	// generates keys today; over 31 bits crypto/rsa takes none.
	bits := modulus.BitLen()
	if bits < 2048 || bits > 4096 || modulus.Bit(0) == 0 || exponent < 65537 || exponent >= 1<<31 || exponent&1 == 0 {
		return false
	}
	p.rsa, p.material = &rsa.PublicKey{N: modulus, E: int(exponent)}, string(e)+"/"+string(n)
	return !isROCA(modulus)
}

// isROCA reports whether a modulus was made by the chips whose keys can be factored
// (CVE-2017-15361). Their primes, and so the modulus, are powers of 65537 modulo each of
// the first primes. One other key in a hundred million looks like that.
func isROCA(modulus *big.Int) bool {
	var rest big.Int
	for p := int64(3); p <= 167; p += 2 {
		divisor := big.NewInt(p)
		if !divisor.ProbablyPrime(0) { // exact for numbers of this size
			continue
		}
		want, power, found := rest.Mod(modulus, divisor).Int64(), int64(1), false
		for range p {
			found = found || power == want
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}
