package latchkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// rig is a Middleware whose verifier, client and cookies are doubles. Tokens are words:
// "s…" a session token, "r…" a refresh token.
type rig struct {
	t *testing.T
	m *Middleware

	mu      sync.Mutex
	claims  map[string]*Claims // of good session tokens
	reasons map[string]Reason  // why others are refused; malformed when not said
	silent  bool               // the feed
	answer  func(ctx context.Context, r RefreshRequest) (TokenSet, error)
	asked   []RefreshRequest
	logout  func(token string) error
	ended   []string // what was logged out
	checks  int      // calls of Verify
	log     bytes.Buffer
}

func newRig(t *testing.T, changes ...func(*Middleware)) *rig {
	k := &rig{t: t, claims: map[string]*Claims{}, reasons: map[string]Reason{}}
	k.answer = func(context.Context, RefreshRequest) (TokenSet, error) {
		return TokenSet{}, errors.New("the server isn't there")
	}
	k.logout = func(string) error { return nil }
	origin, err := newCrossOrigin(nil)
	if err != nil {
		t.Fatal(err)
	}
	k.m = &Middleware{
		verifier: k, client: k, tokens: notebook{}, origin: origin, pages: "https://auth.example.com/docs/errors/",
		log: slog.New(slog.NewTextHandler(&k.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range changes {
		change(k.m)
	}
	k.m.fill()
	return k
}

// good makes a session token valid.
func (k *rig) good(token string, c Claims) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.claims[token] = &c
	delete(k.reasons, token)
}

func (k *rig) bad(token string, why Reason) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reasons[token] = why
	delete(k.claims, token)
}

// Verify makes a rig a sessionVerifier.
func (k *rig) Verify(ctx context.Context, token string, need ...Requirement) (*Claims, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checks++
	c := k.claims[token]
	if c == nil {
		reason := k.reasons[token]
		if reason == "" {
			reason = ReasonMalformed
		}
		return nil, &TokenError{Reason: reason}
	}
	for i := range need {
		if need[i].Strict && k.silent {
			return nil, &TokenError{Reason: ReasonFeedSilent}
		}
		if reason := need[i].unmet(c, time.Now()); reason != "" {
			return nil, &TokenError{Reason: reason}
		}
	}
	return c, nil
}

// Refresh makes a rig, with Logout, a sessionClient.
func (k *rig) Refresh(ctx context.Context, r RefreshRequest) (TokenSet, error) {
	k.mu.Lock()
	k.asked = append(k.asked, r)
	answer := k.answer
	k.mu.Unlock()
	return answer(ctx, r)
}

func (k *rig) Logout(_ context.Context, token string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = append(k.ended, token)
	return k.logout(token)
}

// answers makes the server accept every refresh with these tokens.
func (k *rig) answers(session, refresh string) {
	k.answer = func(context.Context, RefreshRequest) (TokenSet, error) {
		return TokenSet{SessionToken: session, RefreshToken: refresh}, nil
	}
}

// refuses makes the server refuse every refresh.
func (k *rig) refuses(err error) {
	k.answer = func(context.Context, RefreshRequest) (TokenSet, error) { return TokenSet{}, err }
}

func terminal(code Code) error {
	return &Error{Problem: Problem{Code: code, Status: 401, Terminal: true}}
}

func transient(code Code, status int, after time.Duration) error {
	return &Error{Problem: Problem{Code: code, Status: status}, RetryAfter: after}
}

// notebook is a TokenStore without cookies: tokens are in headers, and what is done to
// them in a header of the response.
type notebook struct{}

const (
	sessionHeader = "Test-Session"
	refreshHeader = "Test-Refresh"
	changeHeader  = "Test-Change"
)

func (notebook) Load(r *http.Request) (HeldTokens, error) {
	if r.Header.Get("Test-Broken") != "" {
		return HeldTokens{}, errors.New("the store is away")
	}
	held := HeldTokens{Session: r.Header[sessionHeader], Refresh: r.Header[refreshHeader]}
	held.Duplicates = len(held.Session) > 1 || len(held.Refresh) > 1
	return held, nil
}

func (notebook) note(w http.ResponseWriter, what string) error {
	w.Header().Add(changeHeader, what)
	return nil
}

func (n notebook) Save(w http.ResponseWriter, r *http.Request, set TokenSet) error {
	if set.SessionToken == "s-huge" {
		return &CookieSizeError{Name: "DS", Bytes: 5000, Limit: maxCookie}
	}
	return n.note(w, "save "+set.SessionToken+" "+set.RefreshToken)
}

func (n notebook) Clear(w http.ResponseWriter, r *http.Request) error { return n.note(w, "clear") }

func (n notebook) Tidy(w http.ResponseWriter, r *http.Request, session, refresh string) error {
	return n.note(w, "tidy "+session+" "+refresh)
}

// visitor is a request: "s…" and "r…" are tokens that it holds, "Name: value" headers.
func visitor(method, target string, parts ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, p := range parts {
		name, value, isHeader := strings.Cut(p, ": ")
		switch {
		case isHeader:
			r.Header.Add(name, value)
		case p[0] == 's':
			r.Header.Add(sessionHeader, p)
		default:
			r.Header.Add(refreshHeader, p)
		}
	}
	return r
}

// seen is what the handler behind the Middleware saw: who it is, or why it isn't.
var seen = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if c, ok := FromContext(r.Context()); ok {
		token, _ := TokenFromContext(r.Context())
		fmt.Fprintf(w, "%s with %s", c.Subject, token)
		return
	}
	if f, ok := RefusalFromContext(r.Context()); ok {
		fmt.Fprintf(w, "nobody: %d %s terminal=%t transient=%t", f.Status, f.Code, f.Terminal, f.Transient())
		return
	}
	fmt.Fprint(w, "nothing known")
})

func (k *rig) serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// changes is what was done to the tokens, "" for nothing.
func changes(w *httptest.ResponseRecorder) string {
	return strings.Join(w.Result().Header[changeHeader], ", ")
}

// passed asserts that the handler saw the user with that token.
func (k *rig) passed(w *httptest.ResponseRecorder, body, change string) {
	k.t.Helper()
	if w.Code != 200 || w.Body.String() != body || changes(w) != change {
		k.t.Errorf("answer %d %q, tokens %q; want 200 %q, %q", w.Code, w.Body, changes(w), body, change)
	}
}

// refused asserts a problem and what was done to the tokens, and returns the problem.
func (k *rig) refused(w *httptest.ResponseRecorder, status int, code Code, isTerminal bool, change string) Problem {
	k.t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		k.t.Fatalf("%d %q is no problem: %v", w.Code, w.Body, err)
	}
	h := w.Result().Header
	if w.Code != status || p.Status != status || p.Code != code || p.Terminal != isTerminal || changes(w) != change {
		k.t.Errorf("answer %d %+v, tokens %q; want %d %s terminal=%t, %q", w.Code, p, changes(w), status, code, isTerminal, change)
	}
	if h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie" {
		k.t.Errorf("headers of a refusal: %v", h)
	}
	if p.Title == "" || p.Detail == "" || p.RequestID == "" || p.RequestID != h.Get("X-Request-Id") || p.Type != k.m.pages+string(code) {
		k.t.Errorf("problem %+v", p)
	}
	if got, want := h.Get("Retry-After") != "", status == 503; got != want {
		k.t.Errorf("Retry-After %q with %d", h.Get("Retry-After"), status)
	}
	if got, want := h.Get("WWW-Authenticate") != "", status == 401; got != want {
		k.t.Errorf("WWW-Authenticate %q with %d", h.Get("WWW-Authenticate"), status)
	}
	return p
}

// questions is how often the server was asked.
func (k *rig) questions() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.asked)
}

func withSignIn(t *testing.T, address string) func(*Middleware) {
	return func(m *Middleware) {
		var err error
		if m.signIn, err = parseSignIn(address); err != nil {
			t.Fatal(err)
		}
	}
}
