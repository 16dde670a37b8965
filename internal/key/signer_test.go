package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/id"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of RFC 6979 appendix A.2.5 and RFC 8032 section 7.1: the signatures are
// the deterministic ones, not merely repeatable.
func TestSignatureVectors(t *testing.T) {
	p256, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), unhex(t, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"))
	if err != nil {
		t.Fatal(err)
	}
	ed := ed25519.NewKeyFromSeed(unhex(t, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
	for _, c := range []struct {
		name, input, want string
		key               any
		alg               Algorithm
	}{
		{"RFC 6979 sample", "sample", "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716" +
			"F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8", p256, ES256},
		{"RFC 6979 test", "test", "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367" +
			"019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083", p256, ES256},
		{"RFC 8032 test 1", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
			"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b", ed, EdDSA},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := fit(c.key, c.alg)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := s.appendSignature(nil, []byte(c.input))
			if err != nil || !bytes.Equal(sig, unhex(t, c.want)) {
				t.Fatalf("%x %v", sig, err)
			}
			if !s.authentic([]byte(c.input), []byte(text(sig))) {
				t.Error("its own signature isn't authentic")
			}
			if s.authentic([]byte(c.input+"x"), []byte(text(sig))) {
				t.Error("the signature of another input is authentic")
			}
		})
	}
}

func TestAppendRaw(t *testing.T) {
	zeros := strings.Repeat("00", 31)
	full := strings.Repeat("ff", 32)
	for _, c := range []struct{ name, der, want string }{
		{"short integers are padded", "3006 020101 020102", zeros + "01" + zeros + "02"},
		{"sign bytes are dropped", "3046 022100" + full + " 022100" + full, full + full},
		{"31 bytes", "3024 021f" + strings.Repeat("11", 31) + " 020105", "00" + strings.Repeat("11", 31) + zeros + "05"},
		{"empty", "", ""},
		{"no sequence", "0206 020101 020102", ""},
		{"length too long", "3007 020101 020102", ""},
		{"length too short", "3005 020101 020102", ""},
		{"trailing data", "3007 020101 020102 00", ""},
		{"one integer", "3003 020101", ""},
		{"three integers", "3009 020101 020102 020103", ""},
		{"integer over the end", "3006 020101 020202", ""},
		{"33 bytes", "3026 0221" + strings.Repeat("11", 33) + " 020105", ""},
		{"not an integer", "3006 040101 020102", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := appendRaw([]byte("kept"), unhex(t, c.der))
			if c.want == "" {
				if err == nil {
					t.Fatalf("accepted as %x", raw)
				}
				return
			}
			if err != nil || string(raw) != "kept"+string(unhex(t, c.want)) {
				t.Errorf("%x %v", raw, err)
			}
		})
	}
}

func TestSealedRoundTrip(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	for _, alg := range algorithms {
		s := newSigner(t, alg)
		k := newKey(t, master, p, Active, alg, s)
		back, err := open(master, k)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if !back.private().(interface{ Equal(crypto.PrivateKey) bool }).Equal(s.private()) {
			t.Errorf("%s: another key came back", alg)
		}
		for _, other := range algorithms {
			renamed := k
			renamed.Algorithm = other
			if _, err := open(master, renamed); (err == nil) != (other == alg) {
				t.Errorf("a key of %s opened as %s: %v", alg, other, err)
			}
		}
		moved := k
		moved.ID = id.NewKey(start)
		if _, err := open(master, moved); err == nil {
			t.Errorf("%s: opened in the row of another key", alg)
		}
		moved = k
		moved.Project = id.NewProject(start)
		if _, err := open(master, moved); err == nil {
			t.Errorf("%s: opened in another project", alg)
		}
	}
	if _, err := generate("HS256"); err == nil {
		t.Error("a key for HS256 was made")
	}
}

// Attack 16: keys that are too weak, of another kind, or whose halves don't belong
// together.
func TestUnfitKeys(t *testing.T) {
	good, err := someRSA()
	if err != nil {
		t.Fatal(err)
	}
	altered := func(change func(*rsa.PrivateKey)) *rsa.PrivateKey {
		k := &rsa.PrivateKey{PublicKey: good.PublicKey, D: new(big.Int).Set(good.D)}
		k.N = new(big.Int).Set(good.N)
		for _, prime := range good.Primes {
			k.Primes = append(k.Primes, new(big.Int).Set(prime))
		}
		change(k)
		return k
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	swapped := *p256
	swapped.PublicKey = other.PublicKey
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	patched := bytes.Clone(ed)
	patched[ed25519.PrivateKeySize-1] ^= 1
	for _, c := range []struct {
		name string
		key  any
		alg  Algorithm
		ok   bool
	}{
		{"RSA as it was made", altered(func(*rsa.PrivateKey) {}), RS256, true},
		{"RSA with e = 1", altered(func(k *rsa.PrivateKey) { k.E = 1 }), RS256, false},
		{"RSA with e = 3", altered(func(k *rsa.PrivateKey) { k.E = 3 }), RS256, false},
		{"RSA with another modulus", altered(func(k *rsa.PrivateKey) { k.N.Add(k.N, big.NewInt(2)) }), RS256, false},
		{"RSA with another exponent", altered(func(k *rsa.PrivateKey) { k.D.Add(k.D, big.NewInt(2)) }), RS256, false},
		{"RSA without primes", altered(func(k *rsa.PrivateKey) { k.Primes = nil }), RS256, false},
		{"RSA short", altered(func(k *rsa.PrivateKey) { k.N.Rsh(k.N, 1) }), RS256, false},
		{"RSA long", altered(func(k *rsa.PrivateKey) { k.N.Lsh(k.N, 4097-2048) }), RS256, false},
		{"P-256 as it was made", p256, ES256, true},
		{"P-256 as EdDSA", p256, EdDSA, false},
		{"P-256 with the public half of another", &swapped, ES256, false},
		{"P-384", p384, ES256, false},
		{"Ed25519 as it was made", ed, EdDSA, true},
		{"Ed25519 as ES256", ed, ES256, false},
		{"Ed25519 with another public half", ed25519.PrivateKey(patched), EdDSA, false},
		{"Ed25519 cut", ed[:40], EdDSA, false},
		{"a symmetric key", []byte("0123456789abcdef0123456789abcdef"), "HS256", false},
		{"nothing", nil, ES256, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := fit(c.key, c.alg); (err == nil) != c.ok {
				t.Errorf("fit: %v", err)
			}
		})
	}
}

// Records whose decrypted bytes aren't a fit key fail without saying what they hold.
func TestUnfitRecords(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der384, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"text": []byte("canary-91c4"), "empty": nil, "P-384": der384, "cut": der384[:40],
	} {
		k := Key{ID: id.NewKey(start), Project: p, Algorithm: ES256, State: Active}
		k.Sealed = master.Seal(der, SealContext(p, k.ID))
		_, err := OpenRing(master, []Key{k})
		if err == nil {
			t.Fatalf("%s: opened", name)
		}
		if !strings.Contains(err.Error(), k.ID.String()) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
