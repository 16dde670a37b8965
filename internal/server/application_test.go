package server_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
)

// link is the way from an application to the server.
type link struct {
	handler http.Handler
	away    atomic.Bool // nothing gets through
	lossy   atomic.Bool // the server works, but its answers get lost
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.away.Load() {
		return nil, errors.New("connection refused")
	}
	out := httptest.NewRecorder()
	in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
	in.Header, in.RemoteAddr = r.Header.Clone(), "10.0.0.1:1234"
	l.handler.ServeHTTP(out, in)
	if l.lossy.Load() {
		return nil, errors.New("connection reset by peer")
	}
	answer := out.Result()
	answer.Request = r
	return answer, nil
}

// application is a web application in front of a real server, over TLS as in production
// (topology T2).
type application struct {
	*world
	project directory.Project
	client  *latchkey.Client
	site    *httptest.Server
	link    *link
	logged  *lines
}

func newApplication(t *testing.T, change ...func(*latchkey.MiddlewareConfig)) *application {
	w := newWorld(t, slog.LevelError)
	a := &application{world: w, project: w.project(), link: &link{handler: w.server.Handler()}, logged: new(lines)}
	issuer := publicURL + "/" + a.project.ID.String()
	over := &http.Client{Transport: a.link}
	var err error
	a.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: w.key(a.project), HTTPClient: over, Now: w.clock.Now})
	w.must(err)
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, HTTPClient: over, Now: w.clock.Now})
	w.must(err)
	config := latchkey.MiddlewareConfig{
		Verifier: verifier, Client: a.client, SignInURL: "/sign-in", Now: w.clock.Now,
		Logger: slog.New(slog.NewJSONHandler(a.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&config)
	}
	m, err := latchkey.NewMiddleware(config)
	w.must(err)
	a.site = httptest.NewTLSServer(a.routes(m))
	t.Cleanup(a.site.Close)
	return a
}

func (a *application) routes(m *latchkey.Middleware) http.Handler {
	page := func(w http.ResponseWriter, r *http.Request) {
		if c, ok := latchkey.FromContext(r.Context()); ok {
			fmt.Fprintf(w, "hello %s", c.Subject)
			return
		}
		f, _ := latchkey.RefusalFromContext(r.Context())
		fmt.Fprintf(w, "hello stranger, %s", f.Code)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", m.Optional(http.HandlerFunc(page)))
	mux.Handle("GET /account", m.Required(http.HandlerFunc(page)))
	mux.Handle("GET /strict", m.Strict(http.HandlerFunc(page)))
	mux.Handle("GET /admin", m.Require(latchkey.Requirement{Roles: []string{"admin"}})(http.HandlerFunc(page)))
	mux.Handle("POST /sign-in", m.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login := []string{r.PostFormValue("login")}
		set, err := a.client.CreateSession(r.Context(), latchkey.SignInRequest{
			User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &login}), AMR: []string{"pwd"},
			Device: latchkey.DeviceRequest{IP: "127.0.0.1", UserAgent: r.UserAgent()},
		})
		if err == nil {
			err = m.SignIn(w, r, set)
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		http.Redirect(w, r, latchkey.ReturnTo(r), http.StatusSeeOther)
	})))
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		err := m.SignOut(w, r)
		var refusal latchkey.Refusal
		switch {
		case errors.As(err, &refusal):
			refusal.Write(w, r)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	return mux
}

// browser is a user's browser: it keeps cookies as browsers do, and shows redirects
// instead of following them.
type browser struct {
	*http.Client
	a     *application
	agent string
}

func (a *application) browser() *browser {
	jar, err := cookiejar.New(nil)
	a.must(err)
	c := *a.site.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&c, a, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
}

// visit asks for a page and returns status and text.
func (b *browser) visit(path string, headers ...string) (int, string) {
	b.a.t.Helper()
	status, text, _ := b.send("GET", path, nil, headers...)
	return status, text
}

func (b *browser) send(method, path string, form url.Values, headers ...string) (int, string, http.Header) {
	b.a.t.Helper()
	r, err := http.NewRequest(method, b.a.site.URL+path, strings.NewReader(form.Encode()))
	b.a.must(err)
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := b.Do(r)
	b.a.must(err)
	text := string(read(b.a.t, answer.Body))
	if len(answer.Header["Set-Cookie"]) > 0 && answer.Header.Get("Cache-Control") != "no-store" {
		b.a.t.Errorf("%s sets cookies and may be cached: %v", path, answer.Header)
	}
	return answer.StatusCode, text, answer.Header
}

func (b *browser) signIn(login string) {
	b.a.t.Helper()
	status, text, header := b.send("POST", "/sign-in?return_to=%2Faccount", url.Values{"login": {login}})
	if status != 303 || header.Get("Location") != "/account" {
		b.a.t.Fatalf("sign-in: %d %s", status, text)
	}
}

// cookies are what the jar holds, as name=value.
func (b *browser) cookies() string {
	at, err := url.Parse(b.a.site.URL)
	b.a.must(err)
	var all []string
	for _, c := range b.Jar.Cookies(at) {
		all = append(all, c.String())
	}
	return strings.Join(all, "; ")
}

// copied is another browser with the same cookies.
func (b *browser) copied() *browser {
	thief := b.a.browser()
	at, err := url.Parse(b.a.site.URL)
	b.a.must(err)
	cookies := b.Jar.Cookies(at)
	for _, c := range cookies {
		c.Secure, c.Path = true, "/"
	}
	thief.Jar.SetCookies(at, cookies)
	return thief
}

func (b *browser) sees(path string, status int, text string) {
	b.a.t.Helper()
	if got, body := b.visit(path); got != status || !strings.Contains(body, text) {
		b.a.t.Errorf("%s: %d %s, want %d %s", path, got, body, status, text)
	}
}

// decided is how many refreshes ended with the verdict.
func (a *application) decided(verdict string) string {
	for line, n := range a.series("latchkey_refreshes_total") {
		if strings.Contains(line, `"`+verdict+`"`) {
			return n
		}
	}
	return ""
}
