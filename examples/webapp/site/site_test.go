package site_test

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
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

const password = "correct horse"

// world is the site on a whole server in memory, and one user's browser as far as
// net/http goes. What a real one does is tested in e2e/browser.
type world struct {
	t       *testing.T
	url     string
	browser *http.Client
	client  *latchkey.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	issuer, key := serve(t)
	w := &world{t: t, browser: newBrowser()}
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer})
	w.must(err)
	w.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
	w.must(err)
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: w.client, SignInURL: site.SignInPath})
	w.must(err)
	users := site.NewUsers(1)
	w.must(users.Add(site.User{ID: "1", Email: "alice@example.com", Name: "Alice Example"}, password))
	handler, err := site.New(site.Config{Title: "Test site", Hint: "a hint", Sessions: sessions, Client: w.client, Users: users, Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	w.url = front.URL
	return w
}

// serve runs a server in memory with a project, and returns its issuer and a key.
func serve(t *testing.T) (issuer, key string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var handler http.Handler
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(back.Close)
	master, err := secret.ParseRing(secret.NewMasterKey())
	must(err)
	app, err := server.Assemble(memory.Open(time.Now), master, back.URL, time.Now)
	must(err)
	metrics, err := observe.NewMetrics("test")
	must(err)
	s, err := server.New(server.Deps{Config: config.Defaults(), App: app, Log: slog.New(slog.DiscardHandler), Metrics: metrics, PublicURL: back.URL, Version: "test"})
	must(err)
	handler = s.Handler()
	by := audit.Origin{Actor: audit.CLI}
	p, err := app.CreateProject(t.Context(), "test", by)
	must(err)
	_, clear, err := app.Directory.CreateKey(t.Context(), p.ID, directory.NewKey{Name: "test", Kind: secret.Management}, directory.ManagementKey{}, by)
	must(err)
	return app.Tokens.Issuer(p.ID), clear.Reveal()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newBrowser() *http.Client {
	jar, _ := cookiejar.New(nil) // never fails
	return &http.Client{Jar: jar}
}

// got is an answer, after redirects.
type got struct {
	status int
	path   string // where redirects led
	header http.Header
	body   string
}

// ask sends a request as a page of the site does: a form when there are fields.
func (w *world) ask(browser *http.Client, method, path string, form url.Values) got {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	w.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", w.url)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	answer, err := browser.Do(r)
	w.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	w.must(err)
	return got{answer.StatusCode, answer.Request.URL.RequestURI(), answer.Header, string(body)}
}

func (w *world) signIn(browser *http.Client, returnTo string) got {
	w.t.Helper()
	return w.ask(browser, "POST", "/sign-in", url.Values{"email": {"alice@example.com"}, "password": {password}, "return_to": {returnTo}})
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.ask(w.browser, "GET", "/account", nil); a.path != "/sign-in?return_to=%2Faccount" || !strings.Contains(a.body, "a hint") {
		t.Fatalf("without a session: %d at %s: %s", a.status, a.path, a.body)
	}
	wrong := w.ask(w.browser, "POST", "/sign-in", url.Values{"email": {`"><script>alert(1)</script>`}, "password": {password}, "return_to": {"/account"}})
	if wrong.status != http.StatusUnprocessableEntity || strings.Contains(wrong.body, "<script>alert") || !strings.Contains(wrong.body, `value="/account"`) {
		t.Errorf("a wrong address gets %d: %s", wrong.status, wrong.body)
	}
	if a := w.signIn(w.browser, "/account"); a.status != http.StatusOK || a.path != "/account" || !strings.Contains(a.body, "Alice Example") || strings.Count(a.body, "this one</span>") != 1 {
		t.Fatalf("after the sign-in: %d at %s: %s", a.status, a.path, a.body)
	}
	if a := w.ask(w.browser, "GET", "/sign-in?return_to=/live", nil); a.path != "/live" {
		t.Errorf("who is signed in and asks for the form gets %d at %s", a.status, a.path)
	}
	if a := w.ask(w.browser, "GET", "/", nil); !strings.Contains(a.body, "Hello, Alice Example") {
		t.Errorf("the home page says %s", a.body)
	}
	if a := w.ask(w.browser, "POST", "/sign-out", nil); a.path != "/sign-in" {
		t.Errorf("signing out leads to %d at %s", a.status, a.path)
	}
	if a := w.ask(w.browser, "POST", "/sign-out", nil); a.path != "/sign-in" {
		t.Errorf("signing out twice leads to %d at %s", a.status, a.path)
	}
	if a := w.ask(w.browser, "GET", "/", nil); strings.Contains(a.body, "Alice") {
		t.Errorf("after signing out the home page says %s", a.body)
	}
	if a := w.signIn(w.browser, "https://evil.example/"); a.path != "/" {
		t.Errorf("a return_to of another site leads to %s", a.path)
	}
}

// TestSecondSignIn: who signs in again has one session, not two.
func TestSecondSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(w.browser, "/")
	if a := w.signIn(w.browser, "/account"); strings.Count(a.body, "<li ") != 1 {
		t.Errorf("after two sign-ins of one browser the list is %s", a.body)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	phone := newBrowser()
	w.signIn(phone, "/")
	page := w.signIn(w.browser, "/account").body
	if n := strings.Count(page, "End this one"); n != 2 {
		t.Fatalf("the list has %d sessions: %s", n, page)
	}
	lost := w.state(phone).Session
	for range 2 { // to end what has ended is no error
		if a := w.ask(w.browser, "POST", "/account/sessions/"+lost+"/end", nil); a.path != "/account" || strings.Contains(a.body, lost) {
			t.Errorf("ending it leads to %d at %s: %s", a.status, a.path, a.body)
		}
	}
	if s, err := w.client.Session(t.Context(), lost); err != nil || s.State != "ended" {
		t.Errorf("the session is %+v, %v", s, err)
	}
	w.signIn(phone, "/")
	if a := w.ask(w.browser, "POST", "/sign-out-everywhere", nil); a.path != "/sign-in" {
		t.Errorf("signing out everywhere leads to %d at %s", a.status, a.path)
	}
	for s, err := range w.client.Sessions(t.Context(), latchkey.SessionFilter{}) {
		if err != nil || s.State != "ended" {
			t.Errorf("afterwards there is %+v, %v", s, err)
		}
	}
	w.signIn(w.browser, "/")
	own := w.state(w.browser).Session
	if a := w.ask(w.browser, "POST", "/account/sessions/"+own+"/end", nil); a.path != "/sign-in" {
		t.Errorf("ending one's own session leads to %d at %s", a.status, a.path)
	}
}

// TestForeignUser: nobody ends a session of somebody else.
func TestForeignUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, err := w.client.CreateSession(t.Context(), latchkey.SignInRequest{
		User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{"mallory@example.com"}}), AMR: []string{"pwd"},
	})
	w.must(err)
	w.signIn(w.browser, "/")
	w.ask(w.browser, "POST", "/account/sessions/"+set.Session.ID+"/end", nil)
	if s, err := w.client.Session(t.Context(), set.Session.ID); err != nil || s.State != "active" {
		t.Errorf("the other user's session is %+v, %v", s, err)
	}
}

// TestEndedThisMoment: where the server says that the session is over before the feed did,
// that is what the user is told.
func TestEndedThisMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // its verifier follows no feed
	w.signIn(w.browser, "/")
	if _, err := w.client.RevokeSession(t.Context(), w.state(w.browser).Session); err != nil {
		t.Fatal(err)
	}
	if a := w.ask(w.browser, "GET", "/account", nil); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "is over") {
		t.Errorf("the account page answers %d: %s", a.status, a.body)
	}
}
