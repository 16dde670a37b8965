package browser

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// attempt is a request that reached the application.
type attempt struct {
	what    string
	cookies int // how many came along
	status  int
}

// watch notes what reaches the application and how it answers.
type watch struct {
	next http.Handler
	mu   sync.Mutex
	seen []attempt
}

func (o *watch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	o.next.ServeHTTP(s, r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, attempt{r.Method + " " + r.URL.Path, len(r.Cookies()), s.status})
}

// find returns what came since the last time, of one kind.
func (o *watch) find(what string) []attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []attempt
	for _, a := range o.seen {
		if a.what == what {
			found = append(found, a)
		}
	}
	o.seen = nil
	return found
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// TestForeignPages: a page of another site or of a sibling host has no way to do
// anything in the name of a user who is signed in, also where cookies come along.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	type foreigner struct {
		origin string
		comes  bool // whether cookies come with its form
	}
	for _, c := range []struct {
		origin, sameSite string
		foreigners       []foreigner
	}{
		// Strict, the default: nothing comes from another site, but a sibling host is the
		// same site.
		{"https://app.example.test", "", []foreigner{{"https://evil.example.net", false}, {"https://other.example.test", true}}},
		// Cookies that go everywhere. The same host without TLS isn't ours, and the page
		// of a sandbox has no origin at all.
		{"https://app.example.test", "none", []foreigner{{"https://evil.example.net", true}, {"http://app.example.test", true}, {"https://sandbox.example.test", true}}},
		{"http://localhost", "", []foreigner{{"https://evil.example.net", false}, {"http://127.0.0.1", false}}},
	} {
		a := w.app(arrangement{origin: c.origin, cookies: latchkey.CookieConfig{SameSite: c.sameSite}})
		log := &watch{next: a.handler}
		w.site(c.origin, log)
		b := p.tab()
		sid := a.signIn(b)
		for _, from := range c.foreigners {
			log.find("")
			for _, path := range []string{"/sign-out", "/sign-out-everywhere", "/live/revoke", "/live/note", "/account/sessions/" + sid + "/end"} {
				a.attack(b, from.origin, path)
				for _, got := range log.find("POST " + path) {
					if got.status != http.StatusForbidden {
						t.Errorf("%s: %s with %d cookies is answered %d", from.origin, got.what, got.cookies, got.status)
					}
				}
			}
			// What was tried did arrive, with cookies where there is nothing to stop them.
			b.open(w.site(from.origin, page(`<form method="post" action="`+a.origin+`/sign-out"><button>go</button></form>`, nil)))
			b.follow("button")
			arrived := log.find("POST /sign-out")
			if len(arrived) != 1 || arrived[0].cookies > 0 != from.comes {
				t.Errorf("%s: a form arrives as %+v, want cookies: %v", from.origin, arrived, from.comes)
			}
			b.open(a.origin + "/")
			if got := a.state(b); got.Session != sid || got.Note != "" {
				t.Errorf("%s: afterwards the session is %+v", from.origin, got)
			}
		}
		p.clear()
	}
}

// attack tries every way that a page of another origin has to send a request.
func (a *app) attack(b *tab, from, path string) {
	a.w.t.Helper()
	target := a.origin + path
	sandbox := ""
	if strings.Contains(from, "sandbox.") {
		sandbox = "sandbox allow-forms allow-scripts allow-top-navigation" // its origin is null
	}
	b.open(a.w.site(from, page(fmt.Sprintf(`
		<form method="post" action="%[1]s"><input name="a" value="b"><button>go</button></form>
		<form method="post" action="%[1]s" enctype="text/plain" target="inside" id="quiet"></form><iframe name="inside"></iframe>`, target),
		http.Header{"Content-Security-Policy": {sandbox}})))
	for _, options := range []map[string]any{
		{"method": "POST", "credentials": "include", "mode": "no-cors"},
		{"method": "POST", "credentials": "include"},
		{"method": "POST", "credentials": "include", "headers": map[string]string{"Content-Type": "application/json"}, "body": "{}"},
		{"method": "DELETE", "credentials": "include"},
	} {
		if got := b.fetch(target, options); !got.Failed && got.Type != "opaque" {
			a.w.t.Errorf("%s: a script reads the answer to %v of %s: %+v", from, options, path, got)
		}
	}
	// GET changes nothing, whoever makes a browser send it.
	result[any](b, `url => new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done(null); i.src = url })`, target)
	result[any](b, `() => new Promise(done => {
		document.querySelector("iframe").onload = () => done(null)
		document.querySelector("#quiet").submit()
	})`)
	b.follow("form button")
}

// TestForeignSignIn: another site can't sign its visitors in to an account of its own.
func TestForeignSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	a := w.app(arrangement{origin: "https://app.example.test"})
	b := p.tab()
	for _, from := range []string{"https://evil.example.net", "https://other.example.test"} {
		b.open(w.site(from, page(fmt.Sprintf(`<form method="post" action="%s/sign-in"><input name="email" value="%s"><input name="password" value="%s"><button>go</button></form>`,
			a.origin, email, password), nil)))
		if got := b.follow("button"); got.Status != http.StatusForbidden {
			t.Errorf("%s: the form is answered %d", from, got.Status)
		}
		if kept := p.cookies(); len(kept) > 0 {
			t.Errorf("%s: the browser has %d cookies", from, len(kept))
		}
	}
	// A link may lead to the form, but not through it to somewhere else.
	b.open(a.origin + "/sign-in?return_to=https://evil.example.net/")
	b.fill(map[string]string{"#email": email, "#password": password})
	if landed := b.follow("main form button"); landed.URL != a.origin+"/" {
		t.Errorf("the sign-in leads to %s", landed.URL)
	}
}
