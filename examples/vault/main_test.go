package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/examples/webapp/site"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// visit is somebody's visit to the application, in front of an upstream.
func visit(t *testing.T, issuer *latchkeytest.Issuer, verifier *latchkey.Verifier) visitor {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(service))
	t.Cleanup(upstream.Close)
	users := site.NewUsers(1)
	if err := users.Add(demoUser(), demoPassword); err != nil {
		t.Fatal(err)
	}
	handler, err := newHandler(slog.New(slog.DiscardHandler), upstream.URL, verifier, issuer.Client(), users)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	jar, _ := cookiejar.New(nil) // never fails
	return visitor{t, front.URL, &http.Client{Jar: jar}}
}

// service is the upstream: it tells what it was asked with.
func service(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, r.URL.Path+"|"+r.Header.Get("Authorization")+"|"+r.Header.Get("Cookie"))
}

// visitor is a browser as far as net/http goes, at the application.
type visitor struct {
	t      *testing.T
	url    string
	client *http.Client
}

func (v visitor) send(method, path string, form url.Values) (status int, body string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.url)
	answer, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (v visitor) cookies() []*http.Cookie {
	at, _ := url.Parse(v.url)
	return v.client.Jar.Cookies(at)
}

func TestVault(t *testing.T) {
	t.Parallel()
	issuer := latchkeytest.NewIssuer(t)
	verifier := issuer.Verifier()
	v := visit(t, issuer, verifier)

	if status, body := v.send("GET", "/api/me", nil); status != http.StatusUnauthorized {
		t.Errorf("without a session the service behind is reached: %d %s", status, body)
	}
	if status, body := v.send("POST", "/sign-in", url.Values{"email": {"alice@example.com"}, "password": {demoPassword}, "return_to": {"/account"}}); status != http.StatusOK || !strings.Contains(body, "this one") {
		t.Fatalf("after the sign-in: %d %s", status, body)
	}
	held := v.cookies()
	if len(held) != 1 || len(held[0].Value) > 64 || strings.Contains(held[0].Value, ".") {
		t.Fatalf("the browser holds %d cookies, want one that is no token", len(held))
	}

	status, body := v.send("GET", "/api/me", nil)
	path, rest, _ := strings.Cut(body, "|")
	authorization, cookie, _ := strings.Cut(rest, "|")
	token, _ := strings.CutPrefix(authorization, "Bearer ")
	claims, err := verifier.Verify(t.Context(), token)
	if status != http.StatusOK || path != "/me" || cookie != "" || err != nil {
		t.Errorf("the service behind is asked for %s with %q and the cookies %q: %v", path, authorization, cookie, err)
	}
	if before := v.cookies(); before[0].Value != held[0].Value {
		t.Error("the cookie changes from one request to the next")
	}

	issuer.Revoke(claims.SessionID)
	if status, _ := v.send("GET", "/api/me", nil); status != http.StatusUnauthorized {
		t.Errorf("a revoked session reaches the service behind: %d", status)
	}
	v.send("POST", "/sign-out", nil)
	if held := v.cookies(); len(held) > 0 {
		t.Errorf("after signing out the browser holds %v", held)
	}
}

// TestRefreshes: tokens are refreshed in the vault, behind the same cookie.
func TestRefreshes(t *testing.T) {
	t.Parallel()
	issuer := latchkeytest.NewIssuer(t)
	v := visit(t, issuer, issuer.Verifier())
	v.send("POST", "/sign-in", url.Values{"email": {"alice@example.com"}, "password": {demoPassword}})
	_, before := v.send("GET", "/api/me", nil)
	issuer.Advance(15 * time.Minute)
	status, after := v.send("GET", "/api/me", nil)
	if status != http.StatusOK || before == after || issuer.Refreshes() != 1 {
		t.Errorf("after a quarter of an hour the service behind is asked: %d, with another token: %v, after %d refreshes", status, before != after, issuer.Refreshes())
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	issuer := latchkeytest.NewIssuer(t)
	if err := run(t.Context(), log, "localhost:0", "http://localhost:1", "", ""); err == nil {
		t.Error("the program starts without an issuer")
	}
	for _, upstream := range []string{"", "localhost:8001", "ftp://localhost"} {
		if _, err := newHandler(log, upstream, issuer.Verifier(), issuer.Client(), site.NewUsers(1)); err == nil {
			t.Errorf("the program takes the upstream %q", upstream)
		}
	}
}
