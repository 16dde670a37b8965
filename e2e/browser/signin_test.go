package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/latchkey-dev/latchkey"
)

// TestSignIn: what a browser keeps after a sign-in, and that scripts have no way to it.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin})
		b := p.tab()
		if sent := b.open(a.origin + "/account"); !strings.HasPrefix(sent.URL, a.origin+"/sign-in?") {
			t.Errorf("without a session the browser is sent to %s", sent.URL)
		}
		b.fill(map[string]string{"#email": email, "#password": "wrong"})
		if again := b.follow("main form button"); again.Status != http.StatusUnprocessableEntity || len(p.cookies()) > 0 {
			t.Errorf("a wrong password gets %d and %d cookies", again.Status, len(p.cookies()))
		}
		b.fill(map[string]string{"#password": password})
		if landed := b.follow("main form button"); landed.URL != a.origin+"/account" || landed.Status != http.StatusOK {
			t.Errorf("the sign-in leads to %s, which answers %d, not back to the page that was wanted", landed.URL, landed.Status)
		}

		secure := strings.HasPrefix(origin, "https:")
		for _, name := range []string{a.sessionCookie(), a.refreshCookie()} {
			c := p.cookie(name)
			if c == nil {
				t.Fatalf("%s: there is no cookie %s", origin, name)
			}
			if !c.HTTPOnly || c.Secure != secure || c.SameSite != network.CookieSameSiteStrict || !c.Session || c.Path != "/" || strings.HasPrefix(c.Domain, ".") {
				t.Errorf("%s: the browser keeps %s as %+v", origin, name, *c)
			}
			if c.Size > 2048 {
				t.Errorf("%s: %s has %d bytes, half of what a browser keeps or more", origin, name, c.Size)
			}
		}
		a.keepsSecrets(p, b, a.sessionCookie(), a.refreshCookie())
		p.clear()
	}
}

// keepsSecrets fails the test if the page's script can get at one of these cookies: in
// document.cookie, in storages, in the pages and what they are made of.
func (a *app) keepsSecrets(p *profile, b *tab, names ...string) {
	a.w.t.Helper()
	for _, path := range []string{"/", "/account", "/live", "/live/state", "/live/trace"} {
		b.open(a.origin + path)
		seen := result[string](b, `async () => {
			const databases = await indexedDB.databases()
			return [document.cookie, JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), JSON.stringify(databases),
				document.documentElement.outerHTML, location.href, JSON.stringify(performance.getEntries())].join("\n")
		}`)
		for _, name := range names {
			c := p.cookie(name)
			if c == nil {
				a.w.t.Fatalf("%s: there is no cookie %s", path, name)
			}
			// A part of the signature or the key is enough to know it again.
			if strings.Contains(seen, name+"=") || strings.Contains(seen, c.Value[len(c.Value)-20:]) {
				a.w.t.Errorf("%s: a script of %s sees the cookie %s", a.origin, path, name)
			}
		}
	}
}

// TestRefresh: when the session token has run out, or its cookie is gone, the next
// request gets a new one and nobody notices.
func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin, settings: latchkey.SettingsPatch{"sessionTokenTTL": "1m", "reuseWindow": "2s"}})
		b := p.tab()
		sid := a.signIn(b)
		before, refresh := a.state(b), p.cookie(a.refreshCookie()).Value

		a.expire(b)
		if page := b.open(a.origin + "/account"); page.URL != a.origin+"/account" || page.Status != http.StatusOK {
			t.Errorf("%s: with an expired token the page is %s, which answers %d", origin, page.URL, page.Status)
		}
		after := a.state(b)
		a.settle()
		if after.Session != sid || after.Token == before.Token || p.cookie(a.refreshCookie()).Value == refresh {
			t.Errorf("%s: before %+v, after the refresh %+v", origin, before, after)
		}

		p.drop(a.sessionCookie())
		if got := a.state(b); got.Session != sid || got.Token == after.Token {
			t.Errorf("%s: without the cookie the session is %+v", origin, got)
		}
		if p.cookie(a.sessionCookie()) == nil {
			t.Errorf("%s: the new session token wasn't kept", origin)
		}
		p.clear()
	}
}

// TestTossedCookies: tokens of a session that is over, left or planted beside the good
// ones, sign nobody out. Those that can take the place of ours are removed.
func TestTossedCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		arrangement
		planter    string
		attributes string
		left       int // cookies of each of our two names, afterwards
	}{
		// Cookies know no ports: another project on this machine, say.
		"another server on localhost": {arrangement{origin: "http://localhost"}, "http://localhost", "Path=/live", 1},
		"a sibling, names without a prefix": {arrangement{origin: "https://app.example.test", cookies: latchkey.CookieConfig{NoPrefix: true}},
			"https://other.example.test", "Path=/; Domain=example.test; Secure", 1},
		// These are never read, so they are left alone.
		"a sibling, names with a prefix": {arrangement{origin: "https://app.example.test"}, "https://other.example.test", "Path=/; Domain=example.test; Secure", 2},
	} {
		c.settings = latchkey.SettingsPatch{"sessionTokenTTL": "1m", "reuseWindow": "2s"}
		a := w.app(c.arrangement)
		p := w.profile()
		b := p.tab()
		sid := a.signIn(b)
		old, err := a.client.CreateSession(t.Context(), latchkey.SignInRequest{User: latchkey.UserNamed(email), AMR: []string{"pwd"}})
		if err == nil {
			_, err = a.client.RevokeSession(t.Context(), old.Session.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.tab().open(w.site(c.planter, sets("DS="+old.SessionToken+"; "+c.attributes, "DSR="+old.RefreshToken+"; "+c.attributes)))
		w.site(c.origin, a.handler) // the planter may have been there
		if got := a.state(b); got.Session != sid {
			t.Errorf("%s: beside old tokens the session is %s, want %s", name, got.Session, sid)
		}
		a.expire(b)
		if got := a.state(b); got.Session != sid {
			t.Errorf("%s: after a refresh beside old tokens the session is %s, want %s", name, got.Session, sid)
		}
		a.settle()
		for _, of := range []string{"DS", "DSR"} {
			left := 0
			for _, kept := range p.cookies() {
				if kept.Name == of || kept.Name == "__Host-Http-"+of {
					left++
				}
			}
			if left != c.left {
				t.Errorf("%s: %d cookies %s are left, want %d", name, left, of, c.left)
			}
		}
	}
}

// TestPlantedSession: a sibling host can't make somebody use another one's session
// without noticing.
func TestPlantedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(arrangement{origin: "https://app.example.test"})
	p := w.profile()
	b := p.tab()
	sid := a.signIn(b)
	foreign, err := a.client.CreateSession(t.Context(), latchkey.SignInRequest{User: latchkey.UserNamed("alice@example.com"), AMR: []string{"pwd"}})
	if err != nil {
		t.Fatal(err)
	}
	var planted []string
	for _, prefix := range []string{"", "__Host-Http-"} {
		for name, value := range map[string]string{"DS": foreign.SessionToken, "DSR": foreign.RefreshToken} {
			planted = append(planted, prefix+name+"="+value+"; Path=/; Domain=example.test; Secure; HttpOnly")
		}
	}
	p.tab().open(w.site("https://other.example.test", sets(planted...)))
	if got := a.state(b); got.Session != sid {
		t.Errorf("the planted session %s took the place of %s", got.Session, sid)
	}
	p.drop(a.sessionCookie())
	if got := a.state(b); got.Session != sid {
		t.Errorf("after a refresh the session is %s, want %s", got.Session, sid)
	}
	p.drop(a.sessionCookie())
	p.drop(a.refreshCookie())
	if got := a.ask(b); got.Status != http.StatusUnauthorized {
		t.Errorf("with nothing but planted cookies the page gets %+v", got)
	}
}
