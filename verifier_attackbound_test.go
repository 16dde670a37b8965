package latchkey

import (
	"strings"
	"testing"
	"time"
)

// Attack 18: what isn't a token of ours is refused by looking at it. Nobody is
// asked, so that how long it takes tells nothing, and no stranger keeps the server of the
// keys busy.
func TestAttack18JunkReachesNobody(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	server := &keyServer{body: string(s.keySet(t))}
	v, err := NewVerifier(VerifierConfig{Issuer: ourIssuer, Keys: server.keySet(t), Now: func() time.Time { return testNoon }})
	if err != nil {
		t.Fatal(err)
	}
	good := s.mint(t, nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	// Before there are keys, what has no form of a token doesn't have them fetched either.
	for _, junk := range []string{"", ".", "a.b", "rt_" + strings.Repeat("a", 60), strings.Repeat("a", maxToken+1), good + ".", strings.Repeat(".", 1000)} {
		if _, err := v.Verify(t.Context(), junk); err == nil || server.count() != 0 {
			t.Fatalf("%.20q: %v, %d fetches", junk, err, server.count())
		}
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		token string
		want  Reason
	}{
		"no header":                        {"." + rest, ReasonMalformed},
		"a header of nothing":              {base64text(`{}`) + "." + rest, ReasonMalformed},
		"another type":                     {s.sign(t, `{"alg":"EdDSA","kid":"key_1","typ":"rt+jwt"}`, `{}`), ReasonType},
		"an unknown kid of another type":   {s.sign(t, `{"alg":"EdDSA","kid":"key_9","typ":"JWT"}`, `{}`), ReasonType},
		"no algorithm with an unknown kid": {base64text(`{"alg":"none","kid":"key_9","typ":"at+jwt"}`) + "." + payload + ".", ReasonAlgorithm},
		"a short signature":                {header + "." + payload + "." + signature[1:], ReasonSignature},
		"no signature":                     {header + "." + payload + ".", ReasonSignature},
		"another payload":                  {header + "." + base64text(`{"sub":"usr_2"}`) + "." + signature, ReasonSignature},
		"another signature":                {header + "." + payload + "." + base64text(strings.Repeat("x", 64)), ReasonSignature},
	} {
		for range 3 {
			refusedAs(t, v, what, c.token, c.want)
		}
	}
	if n := server.count(); n != 1 {
		t.Errorf("junk had the keys fetched: %d fetches", n)
	}
	if st := v.Status().Cache; st.Entries != 1 {
		t.Errorf("junk is remembered: %+v", st)
	}
}

// Attack 30: a token that is bound to a key (cnf) is worth nothing without a proof of it,
// and no proof is checked here: whoever stole it can't use it, whatever scheme is named.
func TestAttack30BoundToken(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	v := newTestVerifier(t, s.keySet(t))
	for what, cnf := range map[string]any{
		"DPoP": map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "a certificate": map[string]string{"x5t#S256": "x"},
		"a whole key": map[string]any{"jwk": map[string]string{"kty": "OKP"}}, "nothing": map[string]string{},
	} {
		token := s.mint(t, map[string]any{"cnf": cnf})
		for range 2 { // the second time it would come from the cache
			refusedAs(t, v, what, token, ReasonType)
		}
	}
	for what, cnf := range map[string]any{"text": "jkt", "a list": []string{}, "a number": 1} {
		token := s.mint(t, map[string]any{"cnf": cnf})
		refusedAs(t, v, what, token, ReasonMalformed)
	}
	if st := v.Status().Cache; st.Hits != 0 {
		t.Errorf("a bound token was kept: %+v", st)
	}
	// The other scheme isn't ours, and a proof beside a Bearer token changes nothing.
	k := newRig(t)
	k.good("s1", Claims{Subject: "ann"})
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "Authorization: DPoP s1", "DPoP: x", "DPoP: y")), 401, CodeUnauthenticated, false, "")
	k.bad("s-bound", ReasonType)
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "Authorization: Bearer s-bound", "DPoP: x")), 401, CodeUnauthenticated, false, "")
}
