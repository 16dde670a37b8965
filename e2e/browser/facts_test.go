package browser

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// The tests of this file hold browsers to what our cookies rely on. None of our code
// runs in them: when one fails, it is a browser that has changed, and our code, or what
// the docs say, has to follow.

// sets serves a page that sets the given cookies.
func sets(cookies ...string) http.Handler {
	return page("<h1>a page that sets cookies</h1>", http.Header{"Set-Cookie": cookies})
}

// page serves a page. It brings its icon along, so that no request follows that nobody
// asked for.
func page(body string, header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>a page</title><link rel="icon" href="data:,">`+body)
	})
}

// echo serves a page that holds the names of the cookies that came with the request.
func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var names []string
		for _, c := range r.Cookies() {
			names = append(names, c.Name)
		}
		slices.Sort(names)
		page("<p>"+strings.Join(names, " ")+"</p>", nil).ServeHTTP(w, r)
	})
}

// text is what the page of an echo says.
func (b *tab) text() string {
	b.t.Helper()
	return result[string](b, `() => document.querySelector("p").textContent`)
}

// refusals opens an address and returns why the browser refused cookies of the answer,
// by their names.
func (b *tab) refusals(address string) map[string]string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	b.do("watching the network", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		return err
	}))
	found := map[string]string{}
	b.do("opening "+address, chromedp.Func(func(_ context.Context, t *chromedp.Target) error {
		answers := cdp.Events(ctx, t, network.ResponseReceivedExtraInfo)
		if _, err := chromedp.Navigate(address)(ctx, t); err != nil {
			return err
		}
		for answer, err := range answers {
			if err != nil {
				return err
			}
			for _, refused := range answer.BlockedCookies {
				var why []string
				for _, r := range refused.BlockedReasons {
					why = append(why, string(r))
				}
				name, _, _ := strings.Cut(refused.CookieLine, "=")
				found[name] = strings.Join(why, " ")
			}
			return nil // the first answer is that to the navigation
		}
		return context.Cause(ctx)
	}))
	return found
}

// TestFactSize: 4096 bytes of name and value are kept, one more and the whole cookie is
// gone without a sign to the page. Attributes don't count.
func TestFactSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	cookie := func(name string, size int) string {
		return name + "=" + strings.Repeat("v", size-len(name)) + "; Secure; HttpOnly; SameSite=Strict; Path=/"
	}
	address := w.site("https://app.example.test", sets(cookie("fits", 4096), cookie("over", 4097)))
	why := p.tab().refusals(address)
	if kept := p.cookie("fits"); kept == nil || kept.Size != 4096 {
		t.Errorf("of 4096 bytes the browser keeps %+v", kept)
	}
	if kept := p.cookie("over"); kept != nil {
		t.Errorf("the browser keeps %d bytes", kept.Size)
	}
	if len(why) != 1 || why["over"] != "NameValuePairExceedsMaxSize" {
		t.Errorf("the browser refuses %v", why)
	}
}

// TestFactPrefixes: what servers and what scripts can set under the names that promise
// something.
func TestFactPrefixes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	app := w.site("https://app.example.test", sets(
		"__Host-Http-good=1; Secure; HttpOnly; Path=/",
		"__Host-Http-readable=1; Secure; Path=/",
		"__Host-Http-wide=1; Secure; HttpOnly; Path=/; Domain=example.test",
		"__Host-wide=1; Secure; Path=/; Domain=example.test",
		"__Host-deep=1; Secure; Path=/deep",
		"__Secure-open=1; Path=/",
		"__Secure-good=1; Secure; HttpOnly; Path=/; Domain=example.test",
		"foreign=1; Secure; Path=/; Domain=example.net",
	))
	b := p.tab()
	got := b.refusals(app)
	want := map[string]string{
		"__Host-Http-readable": "InvalidPrefix", "__Host-Http-wide": "InvalidPrefix", "__Host-wide": "InvalidPrefix",
		"__Host-deep": "InvalidPrefix", "__Secure-open": "InvalidPrefix", "foreign": "InvalidDomain",
	}
	for name, why := range want {
		if got[name] != why {
			t.Errorf("%s is refused for %q, want %q", name, got[name], why)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the browser refuses %v", got)
	}

	// A script that gets into a page can plant every name but one, so that one is ours.
	for name, can := range map[string]bool{
		"__Host-planted": true, "__Secure-planted": true, "planted": true,
		"__Host-Http-planted": false, "__Http-planted": false,
	} {
		result[any](b, `name => { document.cookie = name + "=1; Secure; Path=/" }`, name)
		if kept := p.cookie(name) != nil; kept != can {
			t.Errorf("script sets %s: %v, want %v", name, kept, can)
		}
	}
	// Nor can it replace or remove the good one, or see it.
	result[any](b, `() => {
		document.cookie = "__Host-Http-good=2; Secure; Path=/"
		document.cookie = "__Host-Http-good=; Secure; Path=/; Max-Age=0"
	}`)
	if kept := p.cookie("__Host-Http-good"); kept == nil || kept.Value != "1" {
		t.Errorf("a script made %+v of it", kept)
	}
	if seen := result[string](b, `() => document.cookie`); strings.Contains(seen, "good") {
		t.Errorf("a script sees %s", seen)
	}
}

// TestFactLocalhost: what asks for TLS works on http://localhost too, and nowhere else
// without TLS.
func TestFactLocalhost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	setter := sets("secure=1; Secure; HttpOnly", "__Host-Http-h=1; Secure; HttpOnly; Path=/", "none=1; SameSite=None; Secure", "plain=1; HttpOnly")
	for origin, c := range map[string]struct {
		refuses map[string]string
		sends   string
	}{
		"http://localhost": {map[string]string{}, "__Host-Http-h none plain secure"},
		"http://127.0.0.1": {map[string]string{}, "__Host-Http-h none plain secure"},
		"http://app.example.test": {map[string]string{
			"secure": "SecureOnly", "__Host-Http-h": "InvalidPrefix", "none": "SecureOnly",
		}, "plain"},
	} {
		address := w.site(origin, setter)
		b := p.tab()
		if got := b.refusals(address); !maps.Equal(got, c.refuses) {
			t.Errorf("%s: the browser refuses %v, want %v", origin, got, c.refuses)
		}
		w.site(origin, echo())
		b.open(address)
		if got := b.text(); got != c.sends {
			t.Errorf("%s: the browser sends %q, want %q", origin, got, c.sends)
		}
	}
}

// TestFactSameSite: which cookies come along when a page of another site links here. A
// sibling host is the same site; another scheme is not.
func TestFactSameSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	app := w.site("https://app.example.test", sets("strict=1; Secure; SameSite=Strict", "lax=1; Secure; SameSite=Lax", "none=1; Secure; SameSite=None"))
	b := p.tab()
	b.open(app)
	w.site(app, echo())
	link := page(`<a href="`+app+`/">go</a>`, nil)
	form := page(`<form method="post" action="`+app+`/"><button>go</button></form>`, nil)
	for name, c := range map[string]struct {
		from string
		how  http.Handler
		want string
	}{
		"typed":                  {"", nil, "lax none strict"},
		"a link on a sibling":    {"https://other.example.test", link, "lax none strict"},
		"a link on another site": {"https://evil.example.net", link, "lax none"},
		"a link without TLS":     {"http://other.example.test", link, "lax none"},
		"a form on a sibling":    {"https://other.example.test", form, "lax none strict"},
		"a form on another site": {"https://evil.example.net", form, "none"},
	} {
		if c.how == nil {
			b.open(app)
		} else {
			b.open(w.site(c.from, c.how))
			b.follow("a, button")
		}
		if got := b.text(); got != c.want {
			t.Errorf("%s: the browser sends %q, want %q", name, got, c.want)
		}
	}
}

// TestFactLocalhostIsNotItsAddress: a page of localhost that calls 127.0.0.1 is of
// another site there.
func TestFactLocalhostIsNotItsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	address := w.site("http://127.0.0.1", sets("strict=1; SameSite=Strict", "lax=1; SameSite=Lax"))
	b := p.tab()
	b.open(address)
	w.site("http://127.0.0.1", echo())
	b.open(w.site("http://localhost", page(`<a href="`+address+`/">go</a>`, nil)))
	b.follow("a")
	if got := b.text(); got != "lax" {
		t.Errorf("the browser sends %q, want lax", got)
	}
}

// TestFactTossedCookies: a sibling host can't touch a host-only cookie, but it can set
// one of the same name for the whole domain, which is then sent beside it.
func TestFactTossedCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	b := p.tab()
	app := w.site("https://app.example.test", sets("DS=good; Secure; HttpOnly; Path=/", "__Host-Http-DS=good; Secure; HttpOnly; Path=/"))
	b.open(app)
	refused := b.refusals(w.site("https://other.example.test", sets(
		"DS=tossed; Secure; Path=/; Domain=example.test", "__Host-Http-DS=tossed; Secure; HttpOnly; Path=/; Domain=example.test")))
	if len(refused) != 1 || refused["__Host-Http-DS"] == "" {
		t.Errorf("the browser refuses %v", refused)
	}
	w.site(app, echo())
	b.open(app)
	if got, want := b.text(), "DS DS __Host-Http-DS"; got != want {
		t.Errorf("the browser sends %q, want %q", got, want)
	}
}

// TestFactFetch: what comes along when a script of another origin calls. It is the
// same site's script that cookies don't stop.
func TestFactFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	b := p.tab()
	app := w.site("https://app.example.test", sets("strict=1; Secure; SameSite=Strict", "none=1; Secure; SameSite=None"))
	b.open(app)
	w.site(app, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		rw.Header().Set("Access-Control-Allow-Credentials", "true")
		echo().ServeHTTP(rw, r)
	}))
	for from, want := range map[string]string{
		"https://other.example.test": "none strict",
		"https://evil.example.net":   "", // even what allows it: third-party cookies are blocked
	} {
		b.open(w.site(from, page("", nil)))
		got := b.fetch(app, map[string]any{"credentials": "include"})
		if got.Failed || got.Type != "cors" || !strings.Contains(got.Body, "<p>"+want+"</p>") {
			t.Errorf("%s: the script gets %+v, want %q to be sent", from, got, want)
		}
	}
}

// TestFactConsole: the browser says what a policy stopped and what a script threw, which
// the tests of pages count on.
func TestFactConsole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.profile().tab()
	for policy, want := range map[string]string{"script-src 'none'": "Content Security Policy", "script-src 'unsafe-inline'": "went wrong"} {
		complaints := b.console()
		b.open(w.site("https://app.example.test", page("<script>throw Error('went wrong')</script>", http.Header{"Content-Security-Policy": {policy}})))
		if said := complaints(); len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("under %s the browser says %q, want one complaint with %q", policy, said, want)
		}
	}
}
