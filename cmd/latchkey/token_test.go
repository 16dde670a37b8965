package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

const issuer = "https://auth.example.com/prj_1"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signer is a project's key, as the server has it.
type signer struct {
	t    *testing.T
	ring *key.Ring
	jwks string // file
}

func newSigner(t *testing.T, algorithm key.Algorithm) *signer {
	t.Helper()
	master, err := secret.ParseRing(secret.NewMasterKey())
	check(t, err)
	terms := key.Terms{Algorithm: algorithm, Longest: time.Hour}
	keys, err := key.New(key.Deps{
		Store: memory.Open(time.Now).Keys(), Master: master, Now: time.Now,
		Terms: func(context.Context, id.Project) (key.Terms, error) { return terms, nil },
	})
	check(t, err)
	first, err := keys.First(id.NewProject(noon), terms, noon, audit.Origin{})
	check(t, err)
	ring, err := key.OpenRing(master, first.Insert)
	check(t, err)
	s := &signer{t: t, ring: ring, jwks: filepath.Join(t.TempDir(), "jwks.json")}
	check(t, os.WriteFile(s.jwks, ring.JWKS(), 0o600))
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mint signs claims that are good at noon, with other values where given.
func (s *signer) mint(typ key.Type, other map[string]any) string {
	s.t.Helper()
	claims := map[string]any{"iss": issuer, "sub": "usr_1", "exp": noon.Add(time.Minute).Unix(), "nbf": noon.Unix(), "iat": noon.Unix()}
	for name, value := range other {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	b, err := json.Marshal(claims)
	check(s.t, err)
	token, err := s.ring.Mint(s.ring.Active(), typ, b)
	check(s.t, err)
	return token
}

func (s *signer) verify(token string, now time.Time) error {
	s.t.Helper()
	j, err := parseJWT(token)
	if err != nil {
		return err
	}
	return verify(s.t.Context(), j, issuer, s.jwks, now)
}

func TestVerify(t *testing.T) {
	for _, algorithm := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		s := newSigner(t, algorithm)
		other := newSigner(t, algorithm)
		for what, c := range map[string]struct {
			token string
			now   time.Time
			want  string // part of the refusal; "" for none
		}{
			"good":                {s.mint(key.AccessToken, nil), noon, ""},
			"a clock ahead":       {s.mint(key.AccessToken, nil), noon.Add(2*time.Minute - time.Millisecond), ""},
			"a clock behind":      {s.mint(key.AccessToken, nil), noon.Add(-time.Minute), ""},
			"expired":             {s.mint(key.AccessToken, nil), noon.Add(2 * time.Minute), "expired at 2026-03-01 12:01:00Z"},
			"not yet":             {s.mint(key.AccessToken, nil), noon.Add(-time.Minute - time.Second), "not valid before 2026-03-01 12:00:00Z"},
			"no expiry":           {s.mint(key.AccessToken, map[string]any{"exp": nil}), noon, "no expiry"},
			"an expiry in words":  {s.mint(key.AccessToken, map[string]any{"exp": "tomorrow"}), noon, "no expiry"},
			"a refresh token":     {s.mint(key.RefreshToken, nil), noon, "not a session token"},
			"another issuer":      {s.mint(key.AccessToken, map[string]any{"iss": issuer + "/"}), noon, "wrong issuer"},
			"no issuer":           {s.mint(key.AccessToken, map[string]any{"iss": nil}), noon, "wrong issuer"},
			"another key":         {other.mint(key.AccessToken, nil), noon, "the key set has no key"},
			"another key's kid":   {swap(s.mint(key.AccessToken, nil), other.mint(key.AccessToken, nil), 2), noon, "the signature is wrong"},
			"others claims":       {swap(s.mint(key.AccessToken, nil), s.mint(key.AccessToken, map[string]any{"sub": "usr_2"}), 1), noon, "the signature is wrong"},
			"no signature":        {s.mint(key.AccessToken, nil)[:strings.LastIndexByte(s.mint(key.AccessToken, nil), '.')+1], noon, "the signature is wrong"},
			"half a signature":    {halve(s.mint(key.AccessToken, nil)), noon, "the signature is wrong"},
			"alg none":            {header(s.mint(key.AccessToken, nil), map[string]any{"alg": "none"}), noon, "wrong algorithm"},
			"alg HS256":           {header(s.mint(key.AccessToken, nil), map[string]any{"alg": "HS256"}), noon, "wrong algorithm"},
			"no alg":              {header(s.mint(key.AccessToken, nil), map[string]any{"alg": nil}), noon, "wrong algorithm"},
			"no kid":              {header(s.mint(key.AccessToken, nil), map[string]any{"kid": nil}), noon, "the key set has no key"},
			"a kid of some other": {header(s.mint(key.AccessToken, nil), map[string]any{"kid": []string{"a"}}), noon, "the key set has no key"},
			"crit that isn't met": {header(s.mint(key.AccessToken, nil), map[string]any{"x": 1}), noon, "the signature is wrong"},
		} {
			err := s.verify(c.token, c.now)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", algorithm, what, err, c.want)
			}
		}
	}
}

// swap returns a token with one part of another.
func swap(token, other string, part int) string {
	parts, others := strings.Split(token, "."), strings.Split(other, ".")
	parts[part] = others[part]
	return strings.Join(parts, ".")
}

func halve(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	return token[:at+len(token[at:])/8*4]
}

// header changes the header of a token; nil takes a member out.
func header(token string, changes map[string]any) string {
	first, rest, _ := strings.Cut(token, ".")
	b, _ := base64.RawURLEncoding.DecodeString(first)
	var h map[string]any
	_ = json.Unmarshal(b, &h)
	for name, value := range changes {
		if h[name] = value; value == nil {
			delete(h, name)
		}
	}
	b, _ = json.Marshal(h)
	return base64.RawURLEncoding.EncodeToString(b) + "." + rest
}

// Whatever a key set holds, a key that can't be one verifies nothing and breaks nothing.
func TestBadKeys(t *testing.T) {
	s := newSigner(t, key.ES256)
	token, err := parseJWT(s.mint(key.AccessToken, nil))
	check(t, err)
	off := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, k := range []jwk{
		{},
		{Kty: "EC", Crv: "P-256", Alg: "ES256"},
		{Kty: "EC", Crv: "P-256", Alg: "ES256", X: off, Y: off},
		{Kty: "EC", Crv: "P-256", Alg: "ES256", X: "!", Y: "!"},
		{Kty: "EC", Crv: "P-384", Alg: "ES256", X: off, Y: off},
		{Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA"},
		{Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA", X: off},
		{Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA", X: off + off},
		{Kty: "RSA", Alg: "RS256"},
		{Kty: "RSA", Alg: "RS256", N: "AQAB", E: "AQAB"},
		{Kty: "RSA", Alg: "RS256", N: off, E: off},
		{Kty: "RSA", Alg: "RS256", N: strings.Repeat("_", 400), E: ""},
		{Kty: "oct", Alg: "HS256"},
	} {
		if k.check(token.input, token.signature) == nil {
			t.Errorf("%+v verifies", k)
		}
	}
}

func TestKeySet(t *testing.T) {
	s := newSigner(t, key.ES256)
	set, err := os.ReadFile(s.jwks)
	check(t, err)
	answers := map[string]string{"/good/.well-known/jwks.json": string(set), "/odd/.well-known/jwks.json": "<html>"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
		}
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	for path, want := range map[string]string{"/good": "", "/odd": "can't be read", "/none": "404"} {
		keys, err := keySet(t.Context(), server.URL+path, "")
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) || err == nil && len(keys) != 1 {
			t.Errorf("%s: %+v, %v", path, keys, err)
		}
	}
	if _, err := keySet(t.Context(), "", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that isn't there")
	}
	if _, err := keySet(t.Context(), "://", ""); err == nil {
		t.Error("an issuer that is no URL")
	}
}

func TestParseJWT(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good := part(`{"alg":"none"}`) + "." + part(`{"sub":"x","exp":1}`) + "." + part("sig")
	if j, err := parseJWT(good); err != nil || j.text("sub") != "x" || j.text("exp") != "" || !j.time("exp").Equal(time.Unix(1, 0)) || !j.time("sub").IsZero() {
		t.Errorf("%+v, %v", j, err)
	}
	for text, want := range map[string]string{
		"":                                   "isn't a JWT",
		"x":                                  "isn't a JWT",
		"a.b":                                "2 were found",
		good + ".d":                          "4 were found",
		"rt_0123":                            "opaque refresh token",
		"a.b.c":                              "the header can't be read",
		part("{}") + ".!.":                   "the claims can't be read",
		part("{}") + "." + part("[]."):       "2 were found",
		part("[]") + "." + part("{}") + ".":  "the header can't be read",
		part("{}") + "." + part("{") + ".":   "the claims can't be read",
		part("{}") + "." + part("{}") + ".!": "the signature can't be read",
		part("{}") + "." + part("{}") + ".c2lnbm":   "the signature can't be read", // spare bits
		part("{}") + "." + part("{}") + ".c2ln\n":   "in one line",
		strings.Repeat("a", 16<<10) + ".b.c":        "longer than",
		part("{}") + "=" + "." + part("{}") + ".aa": "the header can't be read",
	} {
		if j, err := parseJWT(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %+v, %v, want %q", text, j, err, want)
		}
	}
}

func TestDecodeFromStandardInput(t *testing.T) {
	s := newSigner(t, key.EdDSA)
	token := s.mint(key.AccessToken, nil)
	for _, c := range []struct {
		stdin string
		args  []string
	}{{"\n " + token + " \r\n", []string{"-"}}, {"", []string{token}}, {"", []string{" " + token + "\n"}}} {
		status, out, errOut := command(t, c.stdin, append([]string{"token", "decode"}, c.args...)...)
		if status != 0 || errOut != "" || !strings.Contains(out, `"usr_1"`) || !strings.Contains(out, "2026-03-01 12:01:00Z") {
			t.Errorf("%d %s %s", status, out, errOut)
		}
	}
	// What is too long isn't cut to something else.
	for _, stdin := range []string{token + strings.Repeat(" ", 20<<10) + "x", token + "." + strings.Repeat("a", 20<<10)} {
		if status, out, _ := command(t, stdin, "token", "decode", "-"); status != 1 || out != "" {
			t.Errorf("%d bytes: %d %s", len(stdin), status, out)
		}
	}
}

func FuzzParseJWT(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjoxZTMwMH0.c2ln")
	f.Add("rt_")
	f.Add("bnVsbA.bnVsbA.")
	f.Fuzz(func(t *testing.T, text string) {
		j, err := parseJWT(text)
		if err != nil {
			if j != nil {
				t.Error("a token and an error")
			}
			return
		}
		if !strings.HasPrefix(text, j.input+".") || strings.Count(text, ".") != 2 {
			t.Errorf("%q is said to sign %q", text, j.input)
		}
		if again := base64.RawURLEncoding.EncodeToString(j.signature); !strings.HasSuffix(text, "."+again) {
			t.Errorf("the signature of %q is read as %q", text, again)
		}
		_ = j.time("exp")
		if err := times(j, noon); err == nil && j.time("exp").Before(noon.Add(-clockSkew)) {
			t.Error("an expired token counts")
		}
	})
}
