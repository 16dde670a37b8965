package native_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

const (
	sessionCookie = "__Host-Http-DS"
	refreshCookie = "__Host-Http-DSR"
)

// checkCookies holds for every answer: what sets a cookie isn't kept by caches (attack
// 33), and a refusal sets no token.
func (w *world) checkCookies(t testing.TB, a *reply) {
	t.Helper()
	lines := a.header["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	if a.header.Get("Cache-Control") != "no-store" || !slices.Contains(a.header["Vary"], "Cookie") {
		t.Errorf("%s sets cookies with %v", a.route, a.header)
	}
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		if c.Value != "" {
			w.secret(c.Value)
		}
		if a.status >= 400 && c.Value != "" || !c.HttpOnly || !c.Secure || c.SameSite == 0 || len(c.Name)+len(c.Value) > 4096 {
			t.Errorf("%s: %d sets %s %+v", a.route, a.status, c.Name, c)
		}
	}
}

// browser sends its cookies and keeps what answers set. Origin and site are what a page
// makes it send beside.
type browser struct {
	w       *world
	cookies map[string]string
	// more are cookies of the same names that stand elsewhere, as a Cookie header has
	// them; put before the others.
	more string
	page http.Header
}

// ownPage is a page of the server's own origin.
func ownPage() http.Header {
	return http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {publicURL}}
}

// byCookie returns a world that delivers by cookie, and a browser whose user has signed in.
func byCookie(t testing.TB, more string) (*world, *browser) {
	t.Helper()
	w := newWorld(t)
	w.settings(t, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	if more != "" {
		w.settings(t, more)
	}
	return w, w.browser(t)
}

// browser signs the user in and forwards the cookies, as an application does.
func (w *world) browser(t testing.TB) *browser {
	t.Helper()
	b := &browser{w: w, cookies: map[string]string{}, page: ownPage()}
	set := w.signIn(t, w.site)
	if set.RefreshToken != "" || len(set.SetCookie) == 0 {
		t.Fatalf("the sign-in delivers %d cookies", len(set.SetCookie))
	}
	b.keep(t, set.SetCookie)
	return b
}

func (b *browser) keep(t testing.TB, lines []string) {
	t.Helper()
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		switch {
		case c.Domain != "" && strings.HasPrefix(c.Name, "__Host-"):
			t.Errorf("browsers drop %s with a domain", c.Name)
		case c.MaxAge < 0 && c.Domain == "" && c.Path == "/":
			delete(b.cookies, c.Name)
		case c.MaxAge >= 0:
			b.w.secret(c.Value)
			b.cookies[c.Name] = c.Value
		}
	}
}

// call is a request as the browser sends it.
func (b *browser) call(method, path string) call {
	c := b.w.end(method, path, "")
	c.header = maps.Clone(b.page)
	if c.header == nil {
		c.header = http.Header{}
	}
	var pairs []string
	if b.more != "" {
		pairs = append(pairs, b.more)
	}
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		pairs = append(pairs, name+"="+b.cookies[name])
	}
	if len(pairs) > 0 {
		c.header["Cookie"] = []string{strings.Join(pairs, "; ")}
	}
	return c
}

func (b *browser) do(t testing.TB, c call) reply {
	t.Helper()
	a := b.w.do(t, c)
	b.keep(t, a.header["Set-Cookie"])
	return a
}

// ok sends a request that is expected to work.
func (b *browser) ok(t testing.TB, method, path string) reply {
	t.Helper()
	return b.okWith(t, method, path, "")
}

// okWith is ok with a body; {} is none.
func (b *browser) okWith(t testing.TB, method, path, body string) reply {
	t.Helper()
	c := b.call(method, path)
	if c.body = body; body == "{}" {
		c.body = ""
	}
	a := b.do(t, c)
	if a.status >= 400 {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// refused sends a request that is expected to be refused, and tells whether cookies went.
func (b *browser) refused(t testing.TB, method, path string, code latchkey.Code) (cleared bool) {
	t.Helper()
	a := b.do(t, b.call(method, path))
	if a.problem.Code != code {
		t.Fatalf("%s %s: %d %s, want %s", method, path, a.status, a.body, code)
	}
	return len(a.header["Set-Cookie"]) > 0
}

// headers returns what a golden file shows of an answer's headers.
func (a reply) shown(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		for _, value := range a.header[name] {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}

// errNoPreflight is answered with a status that nothing else has.
var errNoPreflight = wire.WithStatus(http.StatusTeapot, fault.New(fault.Invalid, "no preflight"))

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
