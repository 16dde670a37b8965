package key

import (
	"encoding/base64"
	"testing"
)

// What is foretold is what a token then takes, for each algorithm and type.
func TestOverhead(t *testing.T) {
	for _, a := range algorithms {
		ring, _ := newRing(t, a)
		for _, typ := range []Type{AccessToken, RefreshToken} {
			claims := []byte(`{"sub":"x"}`)
			token, err := ring.Mint(ring.Active(), typ, claims)
			if err != nil {
				t.Fatal(err)
			}
			if want := len(token) - base64.RawURLEncoding.EncodedLen(len(claims)); Overhead(a, typ) != want {
				t.Errorf("%s %s: %d, want %d", a, typ, Overhead(a, typ), want)
			}
		}
	}
	if Overhead("none", AccessToken) < Overhead(RS256, AccessToken)-len("RS256") {
		t.Error("an unknown algorithm takes less than RS256")
	}
}
