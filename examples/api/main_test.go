package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	issuer := latchkeytest.NewIssuer(t)
	following := issuer.Verifier()
	// Without a key a verifier knows nothing of revocations.
	alone := issuer.Verifier(func(c *latchkey.VerifierConfig) { c.Key = "" })

	password := issuer.SignIn("alice", latchkeytest.Claims{"amr": []string{"pwd"}}).SessionToken
	both := issuer.SignIn("alice", latchkeytest.Claims{"amr": []string{"pwd", "totp", "mfa"}}).SessionToken
	longAgo := issuer.SignIn("alice", latchkeytest.Claims{"auth_time": latchkeytest.NumericDate(issuer.Now().Add(-time.Hour))}).SessionToken
	strange := issuer.Sign(latchkeytest.Claims{"sub": "alice"}, latchkeytest.ByStranger())
	revoked := issuer.SignIn("alice")
	issuer.Revoke(revoked.Session.ID)

	for name, c := range map[string]struct {
		route, token string
		verifier     *latchkey.Verifier
		want         int
		challenge    string
	}{
		"no token":                       {"GET /me", "", following, 401, `Bearer realm=`},
		"a token":                        {"GET /me", password, following, 200, ""},
		"junk":                           {"GET /me", "junk", following, 401, `error="invalid_token"`},
		"somebody else's token":          {"GET /me", strange, following, 401, `error="invalid_token"`},
		"a revoked session":              {"GET /me", revoked.SessionToken, following, 401, `error="invalid_token"`},
		"one factor where two are due":   {"GET /statements", password, following, 401, `error="insufficient_user_authentication"`},
		"two factors":                    {"GET /statements", both, following, 200, ""},
		"a payment":                      {"POST /payments", password, following, 202, ""},
		"a payment long after a sign-in": {"POST /payments", longAgo, following, 401, `error="insufficient_user_authentication"`},
		"a payment without the feed":     {"POST /payments", password, alone, 503, ""},
		"all else without the feed":      {"GET /me", password, alone, 200, ""},
	} {
		api, err := newAPI(c.verifier)
		if err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(c.route, " ")
		r := httptest.NewRequest(method, path, nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		a := httptest.NewRecorder()
		api.ServeHTTP(a, r)
		if a.Code != c.want || !strings.Contains(a.Header().Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %s is answered %d, %q: %s", name, c.route, a.Code, a.Header().Get("WWW-Authenticate"), a.Body)
		}
		if a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", name)
		}
	}
}

// TestTimePasses: an expired token is refused, and nothing is refreshed on its behalf.
func TestTimePasses(t *testing.T) {
	t.Parallel()
	issuer := latchkeytest.NewIssuer(t)
	api, err := newAPI(issuer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	set := issuer.SignIn("alice")
	issuer.Advance(time.Hour)
	r := httptest.NewRequest("GET", "/me", nil)
	r.Header.Set("Authorization", "Bearer "+set.SessionToken)
	// A cookie doesn't count: this service is for callers that send a token themselves.
	r.AddCookie(&http.Cookie{Name: "__Host-Http-DSR", Value: set.RefreshToken})
	r.AddCookie(&http.Cookie{Name: "__Host-Http-DS", Value: issuer.SignIn("alice").SessionToken})
	a := httptest.NewRecorder()
	api.ServeHTTP(a, r)
	if a.Code != http.StatusUnauthorized || len(a.Header()["Set-Cookie"]) > 0 {
		t.Errorf("an expired token gets %d, %v", a.Code, a.Header())
	}
	r.Header.Del("Authorization")
	a = httptest.NewRecorder()
	api.ServeHTTP(a, r)
	if a.Code != http.StatusUnauthorized || issuer.Refreshes() != 0 {
		t.Errorf("cookies get %d, after %d refreshes: %s", a.Code, issuer.Refreshes(), a.Body)
	}
}

// address passes on where a program says that it serves.
type address chan string

func (a address) Write(line []byte) (int, error) {
	if _, url, found := strings.Cut(string(line), "url="); found {
		a <- strings.TrimSpace(url)
	}
	return len(line), nil
}

// TestRun: the whole program serves, hears of revocations, and ends in order.
func TestRun(t *testing.T) {
	t.Parallel()
	issuer := latchkeytest.NewIssuer(t)
	ctx, stop := context.WithCancel(t.Context())
	serving, ended := make(address, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, slog.New(slog.NewTextHandler(serving, nil)), "localhost:0", issuer.URL(), issuer.VerifyKey())
	}()
	var url string
	select {
	case url = <-serving:
	case err := <-ended:
		t.Fatal(err)
	}
	set := issuer.SignIn("alice")
	await(t, "POST", url+"/payments", set.SessionToken, http.StatusAccepted) // once it follows the feed
	var me caller
	if body := await(t, "GET", url+"/me", set.SessionToken, http.StatusOK); json.Unmarshal([]byte(body), &me) != nil || me.User != "alice" || me.Session != set.Session.ID {
		t.Errorf("the caller is %s", body)
	}
	issuer.Revoke(set.Session.ID)
	await(t, "GET", url+"/me", set.SessionToken, http.StatusUnauthorized)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the program ends with %v", err)
	}
}

// await repeats a request until it is answered as it should be.
func await(t *testing.T, method, url, token string, want int) (body string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == want {
			return string(body)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s %s is answered %d, want %d: %s", method, url, answer.StatusCode, want, body)
		}
	}
}

func TestRunNeedsAnIssuer(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), slog.New(slog.DiscardHandler), "localhost:0", "", ""); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("without an issuer the program ends with %v", err)
	}
}
