package browser

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/latchkey-dev/latchkey"
)

// delivered is a project whose tokens the server itself puts into cookies: pages call the
// end-user endpoints with credentials, and the application never sees a token.
type delivered struct {
	*server
	w      *world
	client *latchkey.Client
	app    string // origin of the application's pages
	api    string // where they call the end-user endpoints
}

// atCustomDomain is a project at a domain of its own beside the application's.
func (w *world) atCustomDomain() *delivered {
	w.t.Helper()
	d := &delivered{server: w.server(), w: w, app: "https://app.example.test", api: "https://auth.example.test"}
	d.set(latchkey.SettingsPatch{
		"customDomain": "auth.example.test", "cookies": map[string]any{"domain": "example.test"},
	})
	back, err := url.Parse(d.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.site(d.api, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(back)
		r.Out.Host = r.In.Host
	}})
	return d
}

// onLocalhost is a project as a developer has it: all on one machine, without TLS.
func (w *world) onLocalhost() *delivered {
	w.t.Helper()
	d := &delivered{server: w.server(), w: w, app: w.site("http://localhost", http.NotFoundHandler())}
	d.api = strings.Replace(d.Issuer, "127.0.0.1", "localhost", 1)
	d.set(latchkey.SettingsPatch{})
	return d
}

func (d *delivered) set(more latchkey.SettingsPatch) {
	d.w.t.Helper()
	var err error
	if d.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: d.Issuer, Key: d.ManagementKey}); err != nil {
		d.w.t.Fatal(err)
	}
	more["delivery"] = map[string]any{"session": "cookie", "refresh": "cookie"}
	more["approvedOrigins"] = []string{d.app}
	more["reuseWindow"] = "0s" // so that every refresh rotates
	more["refreshRateLimit"] = 1000
	if _, err := d.client.ChangeSettings(d.w.t.Context(), more); err != nil {
		d.w.t.Fatal(err)
	}
}

// signIn signs a user in: the application's backend passes the server's cookies on.
func (d *delivered) signIn(b *tab) string {
	d.w.t.Helper()
	set, err := d.client.CreateSession(d.w.t.Context(), latchkey.SignInRequest{User: latchkey.UserNamed(email), AMR: []string{"pwd"}})
	if err != nil {
		d.w.t.Fatal(err)
	}
	if set.SessionToken != "" || set.RefreshToken != "" || len(set.SetCookie) != 2 {
		d.w.t.Fatalf("the application gets tokens or not two cookies: %d", len(set.SetCookie))
	}
	scheme, rest, _ := strings.Cut(d.app, "://")
	d.w.site(scheme+"://"+strings.Split(rest, ":")[0], sets(set.SetCookie...))
	b.open(d.app)
	d.w.site(scheme+"://"+strings.Split(rest, ":")[0], page("", nil))
	return set.Session.ID
}

// call is what a page does.
func call(method string) map[string]any {
	return map[string]any{"method": method, "credentials": "include"}
}

func (d *delivered) rotations(sid string) int {
	d.w.t.Helper()
	trace, err := d.client.Trace(d.w.t.Context(), sid)
	if err != nil {
		d.w.t.Fatal(err)
	}
	n := 0
	for _, e := range trace.Entries {
		if e.Rule == "rotate" {
			n += e.Count
		}
	}
	return n
}

// TestDelivery: a page of the approved origin refreshes and signs out by cookies that it
// can't read. Pages of other origins, also of sibling hosts, can do neither.
func TestDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		*delivered
		prefix  string
		domain  string // of the cookies
		foreign []string
	}{
		"at a custom domain": {w.atCustomDomain(), "__Secure-", ".example.test", []string{"https://other.example.test", "https://evil.example.net", "http://app.example.test"}},
		"on localhost":       {w.onLocalhost(), "", "localhost", []string{"https://evil.example.net", "http://127.0.0.1"}},
	} {
		p := w.profile()
		b := p.tab()
		sid := c.signIn(b)
		for _, of := range []string{"DS", "DSR"} {
			kept := p.cookie(c.prefix + of)
			if kept == nil || !kept.HTTPOnly || kept.Secure != (c.prefix != "") || kept.SameSite != network.CookieSameSiteStrict || kept.Domain != c.domain || kept.Path != "/" {
				t.Fatalf("%s: the browser keeps %s as %+v", name, of, kept)
			}
		}

		before := p.cookie(c.prefix + "DSR").Value
		got := b.fetch(c.api+"/session/refresh", call("POST"))
		if got.Status != http.StatusOK || got.Type != "cors" || strings.Contains(got.Body, `Token"`) || !strings.Contains(got.Body, sid) {
			t.Errorf("%s: the refresh gets %+v", name, got)
		}
		after := p.cookie(c.prefix + "DSR").Value
		if rotations := c.rotations(sid); rotations != 1 || before == after {
			t.Errorf("%s: after a refresh there were %d rotations, another cookie: %v", name, rotations, before != after)
		}
		if got := b.fetch(c.api+"/session", call("GET")); got.Status != http.StatusOK || !strings.Contains(got.Body, sid) {
			t.Errorf("%s: the page asks for its session and gets %+v", name, got)
		}

		for _, origin := range c.foreign {
			c.attackFrom(b, origin)
			if rotations := c.rotations(sid); rotations != 1 || p.cookie(c.prefix+"DSR") == nil || p.cookie(c.prefix+"DSR").Value != after {
				t.Errorf("%s: after what %s did there were %d rotations, or another cookie", name, origin, rotations)
			}
			if session, err := c.client.Session(t.Context(), sid); err != nil || session.State != "active" {
				t.Fatalf("%s: after what %s did the session is %s, %v", name, origin, session.State, err)
			}
		}

		b.open(c.app)
		if got := b.fetch(c.api+"/session/logout", call("POST")); got.Status != http.StatusOK {
			t.Errorf("%s: signing out gets %+v", name, got)
		}
		if session, err := c.client.Session(t.Context(), sid); err != nil || session.State != "ended" || len(p.cookies()) > 0 {
			t.Errorf("%s: after signing out the session is %s, %v, with %d cookies", name, session.State, err, len(p.cookies()))
		}
	}
}

// attackFrom tries to refresh, to read and to sign out from a page of another origin, with
// requests that browsers send at once and with those that they ask about first.
func (d *delivered) attackFrom(b *tab, origin string) {
	d.w.t.Helper()
	b.open(d.w.site(origin, page(`<form method="post" action="`+d.api+`/session/logout"><button>go</button></form>`, nil)))
	for _, path := range []string{"/session", "/sessions", "/session/refresh", "/session/logout", "/session/logout-others", "/session/logout-all"} {
		for _, options := range []map[string]any{
			call("GET"), call("POST"),
			{"method": "POST", "credentials": "include", "mode": "no-cors"},
			{"method": "POST", "credentials": "include", "headers": map[string]string{"Content-Type": "application/json"}, "body": "{}"},
		} {
			if got := b.fetch(d.api+path, options); !got.Failed && got.Type != "opaque" {
				d.w.t.Errorf("a script of %s reads the answer to %v of %s: %+v", origin, options, path, got)
			}
		}
	}
	if got := b.follow("button"); got.Status != http.StatusForbidden && got.Status != http.StatusUnauthorized {
		d.w.t.Errorf("a form of %s is answered %d", origin, got.Status)
	}
}
