package key

import (
	"strings"
	"testing"
)

// A session token of about 1.2 KB.
var benchClaims = []byte(`{"sub":"` + strings.Repeat("x", 780) + `"}`)

func BenchmarkMint(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			r, k := newRing(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				mint(b, r, k.ID, AccessToken, benchClaims)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			r, k := newRing(b, alg)
			token := mint(b, r, k.ID, AccessToken, benchClaims)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Open(token, AccessToken); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenForeign is what a flood of tokens of other projects costs.
func BenchmarkOpenForeign(b *testing.B) {
	r, _ := newRing(b, ES256)
	other, k := newRing(b, ES256)
	token := mint(b, other, k.ID, AccessToken, benchClaims)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Open(token, AccessToken); err != ErrUnknown {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignature is the ceiling of BenchmarkMint and BenchmarkOpen: the bare
// signature of the same input.
func BenchmarkSignature(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			r, k := newRing(b, alg)
			input := []byte(mint(b, r, k.ID, AccessToken, benchClaims))
			s := r.keys[k.ID].signer()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.appendSignature(nil, input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenRing(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			master := newMaster(b)
			_, k := newRing(b, alg)
			k = newKey(b, master, k.Project, Active, alg, newSigner(b, alg))
			for b.Loop() {
				if _, err := OpenRing(master, []Key{k}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
