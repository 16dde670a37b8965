package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

// world is a whole Latchkey server in memory.
type world struct {
	t           *testing.T
	client      *latchkey.Client // of the application that signs users in
	issuer, key string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	url := "http://" + listener.Addr().String()
	master, err := secret.ParseRing(secret.NewMasterKey())
	w.must(err)
	app, err := server.Assemble(memory.Open(time.Now), master, url, time.Now)
	w.must(err)
	metrics, err := observe.NewMetrics("test")
	w.must(err)
	s, err := server.New(server.Deps{Config: config.Defaults(), App: app, Log: slog.New(slog.DiscardHandler), Metrics: metrics, PublicURL: url, Version: "test"})
	w.must(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	by := audit.Origin{Actor: audit.CLI}
	p, err := app.CreateProject(t.Context(), "test", by)
	w.must(err)
	key := func(kind secret.KeyKind) string {
		_, key, err := app.Directory.CreateKey(t.Context(), p.ID, directory.NewKey{Name: "test", Kind: kind}, directory.ManagementKey{}, by)
		w.must(err)
		return key.Reveal()
	}
	w.issuer, w.key = app.Tokens.Issuer(p.ID), key(secret.Verify)
	w.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: w.issuer, Key: key(secret.Management)})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// token returns a session token of a user who has signed in by these methods.
func (w *world) token(methods ...string) string {
	w.t.Helper()
	set, err := w.client.CreateSession(w.t.Context(), latchkey.SignInRequest{
		User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{"alice@example.com"}}), AMR: methods,
	})
	w.must(err)
	return set.SessionToken
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	password, both := w.token("pwd"), w.token("pwd", "totp")
	for name, c := range map[string]struct {
		route, token string
		later        time.Duration // by the service's clock
		want         int
		challenge    string
	}{
		"no token":                      {"GET /me", "", 0, 401, `Bearer realm=`},
		"a token":                       {"GET /me", password, 0, 200, ""},
		"an expired token":              {"GET /me", password, time.Hour, 401, `error="invalid_token"`},
		"junk":                          {"GET /me", "junk", 0, 401, `error="invalid_token"`},
		"a token that was changed":      {"GET /me", password[:len(password)-9] + "AAAAAAAAA", 0, 401, `error="invalid_token"`},
		"one factor where two are due":  {"GET /statements", password, 0, 401, `error="insufficient_user_authentication"`},
		"two factors":                   {"GET /statements", both, 0, 200, ""},
		"a strict route without a feed": {"POST /payments", password, 0, 503, ""},
	} {
		// Without a key this service knows nothing of revocations, and its strict route
		// says so.
		verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: w.issuer, Now: func() time.Time { return time.Now().Add(c.later) }})
		w.must(err)
		api, err := newAPI(w.issuer, verifier)
		w.must(err)
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

// address passes on where a service says that it serves.
type address chan string

func (a address) Write(line []byte) (int, error) {
	if _, url, found := strings.Cut(string(line), "url="); found {
		a <- strings.TrimSpace(url)
	}
	return len(line), nil
}

// TestRun: the whole program refuses a session that was revoked a moment ago, also where
// it isn't strict, and ends in order.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	serving, ended := make(address, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, slog.New(slog.NewTextHandler(serving, nil)), "localhost:0", w.issuer, w.key)
	}()
	var url string
	select {
	case url = <-serving:
	case err := <-ended:
		t.Fatal(err)
	}
	token := w.token("pwd")
	send := func(method, path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		w.must(err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		w.must(err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		w.must(err)
		return answer.StatusCode, string(body)
	}
	await := func(method, path string, want int) string {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		deadline := time.After(30 * time.Second)
		for {
			status, body := send(method, path)
			if status == want {
				return body
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s %s is answered %d, want %d: %s", method, path, status, want, body)
			}
		}
	}
	await("POST", "/payments", http.StatusAccepted) // once it follows the feed
	var me caller
	if body := await("GET", "/me", http.StatusOK); json.Unmarshal([]byte(body), &me) != nil || !strings.HasPrefix(me.User, "usr_") || len(me.Methods) != 1 {
		t.Errorf("the caller is %s", body)
	}
	_, err := w.client.RevokeSession(t.Context(), me.Session)
	w.must(err)
	await("GET", "/me", http.StatusUnauthorized)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the program ends with %v", err)
	}
}

func TestRunNeedsAnIssuer(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), slog.New(slog.DiscardHandler), "localhost:0", "", ""); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("without an issuer the program ends with %v", err)
	}
}

// TestCookiesDontCount: the service is for callers that send a token themselves.
func TestCookiesDontCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: w.issuer})
	w.must(err)
	api, err := newAPI(w.issuer, verifier)
	w.must(err)
	r := httptest.NewRequest("GET", "/me", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-Http-DS", Value: w.token("pwd")})
	a := httptest.NewRecorder()
	api.ServeHTTP(a, r)
	if a.Code != http.StatusUnauthorized {
		t.Errorf("a cookie gets %d: %s", a.Code, a.Body)
	}
}
