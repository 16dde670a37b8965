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
	claims := map[string]any{"iss": issuer, "sub": "usr_1", "aud": []string{"prj_1"}, "exp": noon.Add(time.Minute).Unix(), "nbf": noon.Unix(), "iat": noon.Unix()}
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
	return verify(s.t.Context(), j, token, issuer, s.jwks, func() time.Time { return now })
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
			"expired":             {s.mint(key.AccessToken, nil), noon.Add(2 * time.Minute), "expired at 2026-03-01 12:01:00Z (expired)"},
			"not yet":             {s.mint(key.AccessToken, nil), noon.Add(-time.Minute - time.Second), "not valid before 2026-03-01 12:00:00Z; is this machine's clock right? (not_yet_valid)"},
			"no expiry":           {s.mint(key.AccessToken, map[string]any{"exp": nil}), noon, "sub, exp and iat are needed"},
			"an expiry in words":  {s.mint(key.AccessToken, map[string]any{"exp": "tomorrow"}), noon, "(malformed)"},
			"a refresh token":     {s.mint(key.RefreshToken, nil), noon, "not a session token"},
			"another issuer":      {s.mint(key.AccessToken, map[string]any{"iss": issuer + "/"}), noon, "wrong issuer"},
			"another audience":    {s.mint(key.AccessToken, map[string]any{"aud": "prj_2"}), noon, `its aud doesn't have "prj_1" (audience)`},
			"bound to a key":      {s.mint(key.AccessToken, map[string]any{"cnf": map[string]string{"jkt": "x"}}), noon, "bound to a key"},
			"no issuer":           {s.mint(key.AccessToken, map[string]any{"iss": nil}), noon, "wrong issuer"},
			"another key":         {other.mint(key.AccessToken, nil), noon, "the key set has no key"},
			"another key's kid":   {swap(s.mint(key.AccessToken, nil), other.mint(key.AccessToken, nil), 2), noon, "the signature is wrong"},
			"others claims":       {swap(s.mint(key.AccessToken, nil), s.mint(key.AccessToken, map[string]any{"sub": "usr_2"}), 1), noon, "the signature is wrong"},
			"no signature":        {s.mint(key.AccessToken, nil)[:strings.LastIndexByte(s.mint(key.AccessToken, nil), '.')+1], noon, "the signature is wrong"},
			"half a signature":    {halve(s.mint(key.AccessToken, nil)), noon, "the signature is wrong"},
			"alg none":            {header(s.mint(key.AccessToken, nil), map[string]any{"alg": "none"}), noon, `it says "none" (algorithm)`},
			"alg HS256":           {header(s.mint(key.AccessToken, nil), map[string]any{"alg": "HS256"}), noon, `it says "HS256" (algorithm)`},
			"no alg":              {header(s.mint(key.AccessToken, nil), map[string]any{"alg": nil}), noon, "(malformed)"},
			"no kid":              {header(s.mint(key.AccessToken, nil), map[string]any{"kid": nil}), noon, "the header names no key (malformed)"},
			"a kid of some other": {header(s.mint(key.AccessToken, nil), map[string]any{"kid": []string{"a"}}), noon, "(malformed)"},
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

func TestVerifyFetchesKeySet(t *testing.T) {
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
	for project, want := range map[string]string{"good": "", "odd": "not a key set", "none": "404"} {
		own := server.URL + "/" + project
		token := s.mint(key.AccessToken, map[string]any{"iss": own, "aud": project})
		j, err := parseJWT(token)
		check(t, err)
		err = verify(t.Context(), j, token, own, "", func() time.Time { return noon })
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", project, err)
		}
	}
	if err := verify(t.Context(), nil, "", issuer, filepath.Join(t.TempDir(), "none"), time.Now); err == nil {
		t.Error("a file that isn't there")
	}
	if err := verify(t.Context(), nil, "", "://", "", time.Now); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("an issuer that is no URL: %v", err)
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
	const keys = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	jwks := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, []byte(keys), 0o600); err != nil {
		f.Fatal(err)
	}
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
		if err := verify(t.Context(), j, text, issuer, jwks, func() time.Time { return noon }); err == nil {
			t.Errorf("%q counts", text)
		}
	})
}
