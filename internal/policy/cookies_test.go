package policy

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestCookieNamesInBrowsers(t *testing.T) {
	for _, c := range []struct {
		prefix, domain, path string
		want                 string
	}{
		{"auto", "", "/", "__Host-Http-"},
		{"auto", "example.com", "/", "__Secure-"},
		{"auto", "", "/auth", "__Secure-"},
		{"", "", "/", "__Host-Http-"}, // stored by a version without this setting
		{"none", "", "/", ""},
		{"none", "example.com", "/", ""},
	} {
		session, refresh := CookieNames(latchkey.Cookies{SessionName: "DS", RefreshName: "DSR", Prefix: c.prefix, Domain: c.domain, Path: c.path})
		if session != c.want+"DS" || refresh != c.want+"DSR" {
			t.Errorf("%+v: %s, %s", c, session, refresh)
		}
	}
}

// What an earlier version stored gets the defaults of what it didn't know, and nothing
// else changes.
func TestComplete(t *testing.T) {
	s := Defaults()
	s.Cookies.Prefix, s.Cookies.PreviousDomains = "", nil
	if got, err := Check(Complete(s), ""); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	s = unusual(t)
	if got := Complete(s).Cookies; got.Prefix != "none" || len(got.PreviousDomains) != 1 || got.SessionName != "s" {
		t.Errorf("%+v", got)
	}
}

// at is settings of cookies of a domain, for a server at a public host.
func at(custom, domain string, origins ...string) latchkey.Settings {
	s := Defaults()
	byCookies(func(s *latchkey.Settings) {
		s.CustomDomain, s.Cookies.Domain, s.ApprovedOrigins = custom, domain, origins
	})(&s)
	return s
}

func TestCookieDomainOfTheServer(t *testing.T) {
	for _, c := range []struct {
		name, public string
		settings     latchkey.Settings
		refused      string // pointers
	}{
		{"none", "auth.example.com", at("", ""), ""},
		{"own", "auth.example.com", at("", "auth.example.com"), ""},
		{"parent", "auth.example.com", at("", "example.com"), ""},
		{"child", "auth.example.com", at("", "x.auth.example.com"), "/cookies/domain /delivery/refresh"},
		{"sibling", "auth.example.com", at("", "app.example.com"), "/cookies/domain /delivery/refresh"},
		{"another", "auth.example.com", at("", "example.org"), "/cookies/domain /delivery/refresh"},
		{"same ending", "auth.evil-example.com", at("", "example.com"), "/cookies/domain /delivery/refresh"},
		{"public suffix", "app.github.io", at("", "github.io"), "/cookies/domain"},
		{"over a public suffix", "x.s3.amazonaws.com", at("", "amazonaws.com"), "/cookies/domain /delivery/refresh"},
		{"on localhost", "localhost", at("", "example.com"), "/cookies/domain /delivery/refresh"},
		{"at an address", "192.0.2.1", at("", "example.com"), "/cookies/domain /delivery/refresh"},
		{"unknown server", "", at("", "example.com"), ""},
		{"custom domain elsewhere", "id.latchkey.example", at("auth.example.com", "example.com"), ""},
		{"custom domain, but the server's", "id.latchkey.example", at("auth.example.com", "latchkey.example"), "/cookies/domain /customDomain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Check(c.settings, c.public)
			var got []string
			if refused, ok := err.(*fault.Error); ok {
				for _, f := range refused.Fields {
					got = append(got, f.Pointer)
				}
			}
			if strings.Join(got, " ") != c.refused {
				t.Errorf("%v", err)
			}
			// Who delivers in the body may keep what settings there are.
			s := c.settings
			s.Delivery = Defaults().Delivery
			if _, err := Check(s, c.public); s.CustomDomain == "" && c.refused != "/cookies/domain" && err != nil {
				t.Errorf("in the body: %v", err)
			}
		})
	}
}

func TestCookieWarnings(t *testing.T) {
	with := func(s latchkey.Settings, change func(*latchkey.Settings)) latchkey.Settings {
		change(&s)
		return s
	}
	for _, c := range []struct {
		name, public string
		settings     latchkey.Settings
		pointer      string // "": no warning
		says         string
	}{
		{"host-only", "auth.example.com", at("", "", "https://app.example.com"), "", ""},
		{"wide", "auth.id.example.com", at("", "example.com"), "/cookies/domain", "auth.id.example.com is enough for this server"},
		{"wide for the custom domain", "x.example", at("auth.example.com", "example.com"), "/cookies/domain", "auth.example.com is enough for the custom domain"},
		{"as wide as the pages", "x.example", at("auth.example.com", "example.com", "https://app.example.com"), "", ""},
		{"wider than the pages", "x.example", at("auth.eu.example.com", "example.com", "https://app.eu.example.com:8443"), "/cookies/domain", "eu.example.com is enough for auth.eu.example.com and the approved origins"},
		{"the site itself", "x.example", at("auth.example.com", "example.com", "https://example.com"), "", ""},
		{"pages of another site", "auth.example.com", at("", "", "https://app.example.org"), "/approvedOrigins/0", "another site than auth.example.com"},
		{"same ending", "auth.example.com", at("", "", "https://app.example.com", "https://evil-example.com"), "/approvedOrigins/1", "evil-example.com"},
		{"two names of this machine", "127.0.0.1", at("", "", "http://localhost:3000"), "/approvedOrigins/0", "another site than 127.0.0.1"},
		{"another port of this machine", "localhost", at("", "", "http://localhost:3000"), "", ""},
		{"an IPv6 address", "::1", at("", "", "http://[::1]:3000"), "", ""},
		{"no prefix", "auth.example.com", with(at("", ""), func(s *latchkey.Settings) { s.Cookies.Prefix = "none" }), "/cookies/prefix", "plant"},
		{"own prefix", "auth.example.com", with(at("", ""), plainNames("__Host-S", "__Host-R", nil)), "", ""},
		{"path", "auth.example.com", with(at("", ""), func(s *latchkey.Settings) { s.Cookies.Path = "/auth" }), "/cookies/path", "below /auth only"},
		{"third party", "auth.example.com", with(at("", "", "https://app.example.org"), func(s *latchkey.Settings) { s.Cookies.SameSite = "none" }), "/cookies/sameSite", "third-party"},
		{"partitioned for another site", "auth.example.com", with(at("", "", "https://app.example.org"), func(s *latchkey.Settings) {
			s.Cookies.SameSite, s.Cookies.Partitioned = "none", true
		}), "", ""},
		{"partitioned in vain", "auth.example.com", with(at("", ""), func(s *latchkey.Settings) { s.Cookies.Partitioned = true }), "/cookies/partitioned", "never sent"},
		{"in the body", "auth.example.com", with(at("", "", "https://app.example.org"), func(s *latchkey.Settings) {
			s.Delivery, s.Cookies.Prefix, s.Cookies.Path = Defaults().Delivery, "none", "/a"
		}), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			warnings, err := Check(c.settings, c.public)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.pointer == "" && len(warnings) == 0:
			case c.pointer != "" && len(warnings) == 1 && warnings[0].Pointer == c.pointer && strings.Contains(warnings[0].Detail, c.says):
			default:
				t.Errorf("%v, want %s %q", warnings, c.pointer, c.says)
			}
		})
	}
}

// The full names, which the budget of tokens counts, are those that are written.
func TestCookieNamesAreThoseWritten(t *testing.T) {
	for _, change := range []func(*latchkey.Settings){
		func(*latchkey.Settings) {},
		func(s *latchkey.Settings) { s.Cookies.Domain = "example.com" },
		func(s *latchkey.Settings) { s.Cookies.Path = "/auth" },
		func(s *latchkey.Settings) { s.Cookies.SessionName, s.Cookies.RefreshName = "s", "r" },
		plainNames("__Host-a", "b", nil),
	} {
		s := Defaults()
		change(&s)
		store, err := latchkey.NewCookieStore(CookieConfig(s.Cookies))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		w := httptest.NewRecorder()
		set := latchkey.TokenSet{SessionToken: "a", RefreshToken: "b", SessionExpiresAt: now.Add(time.Hour), RefreshExpiresAt: now.Add(time.Hour), ServerTime: now}
		if err := store.Save(w, httptest.NewRequest("GET", "https://auth.example.com/", nil), set); err != nil {
			t.Fatal(err)
		}
		session, refresh := CookieNames(s.Cookies)
		if got := w.Header()["Set-Cookie"]; len(got) != 2 || !strings.HasPrefix(got[0], session+"=a;") || !strings.HasPrefix(got[1], refresh+"=b;") {
			t.Errorf("%s and %s are %q", session, refresh, got)
		}
	}
}

// Every setting reaches the cookies.
func TestCookieConfig(t *testing.T) {
	c := unusual(t).Cookies
	got := CookieConfig(c)
	if got.SessionName != "s" || got.RefreshName != "r" || !got.NoPrefix || got.Domain != "example.com" || got.Path != "/a" ||
		got.SameSite != "lax" || !got.Partitioned || !got.Persistent || len(got.PreviousDomains) != 1 {
		t.Errorf("%+v", got)
	}
	if CookieConfig(Defaults().Cookies).NoPrefix {
		t.Error("no prefix by default")
	}
}

func TestFewPreviousDomains(t *testing.T) {
	s := Defaults()
	s.Cookies.PreviousDomains = []string{"a.example.com", "b.example.com", "c.example.com"}
	if refused := refusal(t, s); refused != nil {
		t.Error(refused)
	}
	s.Cookies.PreviousDomains = append(s.Cookies.PreviousDomains, "d.example.com")
	refused := refusal(t, s)
	if refused == nil || refused.Kind != fault.OutOfRange {
		t.Fatal(refused)
	}
	if code, detail := found(t, refused, "/cookies/previousDomains"); code != "range" || !strings.Contains(detail, "0 to 3") {
		t.Error(refused)
	}
}

// Settings that were allowed before there was a prefix setting still name the same
// cookies: a name that has its prefix already gets no other.
func TestCompleteKeepsNamesWithAPrefix(t *testing.T) {
	for _, name := range []string{"__Host-DS", "__secure-ds", "__Host-Http-x"} {
		s := Defaults()
		s.Cookies.SessionName, s.Cookies.Prefix, s.Cookies.PreviousDomains = name, "", nil
		s = Complete(s)
		if s.Cookies.Prefix != "none" {
			t.Errorf("%s: the prefix is %q", name, s.Cookies.Prefix)
		}
		if _, err := Check(s, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := CookieNames(s.Cookies); got != name {
			t.Errorf("%s became %s", name, got)
		}
	}
}
