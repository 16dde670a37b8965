package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// The page shows this very program.
func TestPageShowsThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/go-quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(program)+"```\n") {
		t.Error("the program in docs/go-quickstart.md differs from main.go")
	}
}

// browser visits the app with a cookie jar and without following redirects.
type browser struct {
	t    *testing.T
	app  string
	http *http.Client
}

func newBrowser(t *testing.T) (*browser, *latchkeytest.Issuer) {
	t.Helper()
	issuer := latchkeytest.NewIssuer(t)
	app, verifier, err := newApp(issuer.URL(), issuer.Key())
	if err != nil {
		t.Fatal(err)
	}
	go verifier.Run(t.Context())
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	b := &browser{t: t, app: server.URL, http: server.Client()}
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if b.http.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return b, issuer
}

// visit opens a page, or submits a form when there is one. It returns the status, where
// the browser is sent, and the page.
func (b *browser) visit(path string, form url.Values, site string) string {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.app+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", site)
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %s", res.StatusCode, res.Header.Get("Location"), text)
}

func (b *browser) want(got, status, part string) {
	b.t.Helper()
	if !strings.HasPrefix(got, status) || !strings.Contains(got, part) {
		b.t.Errorf("got %q, want %s with %q", got, status, part)
	}
}

const here = "same-origin"

func TestSignInAndOut(t *testing.T) {
	b, issuer := newBrowser(t)
	b.want(b.visit("/", nil, here), "303", "/sign-in?return_to=%2F")
	b.want(b.visit("/sign-in", nil, here), "200", "<form")
	b.want(b.visit("/sign-in", url.Values{"email": {"alice@example.com"}, "password": {"wrong"}}, here), "422", "wrong")
	right := url.Values{"email": {"alice@example.com"}, "password": {"open sesame"}}
	b.want(b.visit("/sign-in", right, "cross-site"), "403", "another site")
	b.want(b.visit("/sign-in?return_to=%2F%3Fpage%3D2", right, here), "303", "/?page=2")
	b.want(b.visit("/", nil, here), "200", "Hello, Alice.")

	b.want(b.visit("/sign-out", url.Values{}, "cross-site"), "403", "another site")
	b.want(b.visit("/", nil, here), "200", "Hello, Alice.")
	b.want(b.visit("/sign-out", url.Values{}, here), "303", "/sign-in")
	b.want(b.visit("/", nil, here), "303", "/sign-in")
	if n := issuer.Refreshes(); n != 0 {
		t.Errorf("%d refreshes, want none", n)
	}
}

func TestServerThatIsDown(t *testing.T) {
	b, issuer := newBrowser(t)
	issuer.Down()
	b.want(b.visit("/sign-in", url.Values{"email": {"alice@example.com"}, "password": {"open sesame"}}, here), "503", "try again")
}

func TestConfiguration(t *testing.T) {
	if _, _, err := newApp("", ""); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("got %v, want an error about Issuer", err)
	}
}
