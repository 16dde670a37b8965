package latchkey

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var cookieNow = time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)

func cookieStore(t testing.TB, c CookieConfig) *CookieStore {
	t.Helper()
	if c.Now == nil {
		c.Now = func() time.Time { return cookieNow }
	}
	s, err := NewCookieStore(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit is a request as a server sees it that speaks plain http: behind a proxy or on
// localhost.
func visit(url string, cookies ...string) *http.Request {
	r := httptest.NewRequest("GET", url, nil)
	r.TLS = nil
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	return r
}

func cookieSet() TokenSet {
	return TokenSet{
		SessionToken: "s.e.s", SessionExpiresAt: cookieNow.Add(10 * time.Minute),
		RefreshToken: "rt_r", RefreshExpiresAt: cookieNow.Add(30 * 24 * time.Hour), ServerTime: cookieNow,
	}
}

func saved(t *testing.T, s *CookieStore, r *http.Request, set TokenSet) []string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.Save(w, r, set); err != nil {
		t.Fatal(err)
	}
	return w.Header()["Set-Cookie"]
}

func TestCookieAttributes(t *testing.T) {
	const persistent = "; Max-Age=600; Expires=Sun, 01 Mar 2026 12:10:00 GMT"
	for _, c := range []struct {
		name, url string
		config    CookieConfig
		want      string // of the session's cookie
	}{
		{"default", "https://app.example.com/", CookieConfig{}, "__Host-Http-DS=s.e.s; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{"persistent", "https://app.example.com/", CookieConfig{Persistent: true}, "__Host-Http-DS=s.e.s; Path=/" + persistent + "; HttpOnly; Secure; SameSite=Strict"},
		{"domain", "https://app.example.com/", CookieConfig{Domain: "example.com"}, "__Secure-DS=s.e.s; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict"},
		{"path", "https://app.example.com/app/", CookieConfig{Path: "/app"}, "__Secure-DS=s.e.s; Path=/app; HttpOnly; Secure; SameSite=Strict"},
		{"no prefix", "https://app.example.com/", CookieConfig{NoPrefix: true, SessionName: "sid"}, "sid=s.e.s; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{"own prefix", "https://app.example.com/", CookieConfig{NoPrefix: true, SessionName: "__Host-sid"}, "__Host-sid=s.e.s; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{"lax", "https://app.example.com/", CookieConfig{SameSite: "lax"}, "__Host-Http-DS=s.e.s; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"embedded", "https://app.example.com/", CookieConfig{SameSite: "none", Partitioned: true}, "__Host-Http-DS=s.e.s; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"},
		{"localhost", "http://localhost:8080/", CookieConfig{}, "DS=s.e.s; Path=/; HttpOnly; SameSite=Strict"},
		{"localhost, persistent", "http://127.0.0.1/", CookieConfig{Persistent: true}, "DS=s.e.s; Path=/" + persistent + "; HttpOnly; SameSite=Strict"},
		{"localhost, configured for elsewhere", "http://[::1]:8080/", CookieConfig{Domain: "example.com", SameSite: "none", Partitioned: true}, "DS=s.e.s; Path=/; HttpOnly; SameSite=Lax"},
		{"localhost, own prefix", "http://localhost/", CookieConfig{NoPrefix: true, SessionName: "__Host-sid"}, "sid=s.e.s; Path=/; HttpOnly; SameSite=Strict"},
		{"always secure", "http://localhost/", CookieConfig{AlwaysSecure: true}, "__Host-Http-DS=s.e.s; Path=/; HttpOnly; Secure; SameSite=Strict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := saved(t, cookieStore(t, c.config), visit(c.url), cookieSet())
			if len(lines) != 2 || lines[0] != c.want {
				t.Errorf("got  %q\nwant %q", lines, c.want)
			}
			// The other one differs in name, value and life only.
			if strings.Count(lines[1], ";") != strings.Count(lines[0], ";") || !strings.Contains(lines[1], "=rt_r; Path=") {
				t.Errorf("refresh: %q", lines[1])
			}
		})
	}
}

func TestNewCookieStoreReportsAll(t *testing.T) {
	_, err := NewCookieStore(CookieConfig{
		SessionName: "a b", RefreshName: "__host-x", Domain: ".Example.com", Path: "app", SameSite: "Strict", AcceptPlain: true,
		PreviousDomains: []string{"localhost", "a.example", "a.example", "127.0.0.1", "b_.example;x"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`SessionName "a b"`, `RefreshName "__host-x" comes without prefix`, `Domain ".Example.com": leave the dot`, `Path "app"`, `SameSite "Strict"`,
		"AcceptPlain", `"localhost": browsers want two labels`, `"a.example" stands there twice`, "that is an address", `"b_.example;x": a name of the DNS`,
		"PreviousDomains are 5",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s in\n%v", want, err)
		}
	}
}

func TestNewCookieStoreFlaws(t *testing.T) {
	for _, c := range []struct {
		config CookieConfig
		want   string // "" accepts
	}{
		{CookieConfig{}, ""},
		{CookieConfig{SessionName: "sid", RefreshName: "rid", Domain: "app.example.co.uk", Path: "/a", SameSite: "none"}, ""},
		{CookieConfig{NoPrefix: true, SessionName: "__Host-a", RefreshName: "__Secure-b"}, ""},
		{CookieConfig{PreviousDomains: []string{"a.example", "b.example", "c.example"}}, ""},
		{CookieConfig{NoPrefix: true, SessionName: "__hOST-a", Domain: "example.com"}, "has a Domain or a Path"},
		{CookieConfig{NoPrefix: true, SessionName: "__Host-a", Path: "/a"}, "has a Domain or a Path"},
		{CookieConfig{SessionName: "DSR"}, "are the same"},
		{CookieConfig{NoPrefix: true, SessionName: "__Host-a", RefreshName: "a"}, "are the same"},
		{CookieConfig{NoPrefix: true, SessionName: "__Host-"}, "letters"},
		{CookieConfig{SessionName: strings.Repeat("a", 65)}, "1 to 64"},
		{CookieConfig{SessionName: "a=b"}, "letters"},
		{CookieConfig{SessionName: "ä"}, "letters"},
		{CookieConfig{SessionName: "a;b"}, "letters"},
		{CookieConfig{Path: "/a;b"}, "Path"},
		{CookieConfig{Path: "/" + strings.Repeat("a", 256)}, "Path"},
		{CookieConfig{Path: "/a\r\nX: y"}, "Path"},
		{CookieConfig{Domain: "com"}, "two labels"},
		{CookieConfig{Domain: "192.0.2.1"}, "address"},
		{CookieConfig{Domain: "https://example.com"}, "without scheme"},
		{CookieConfig{Domain: "example.com:443"}, "without scheme"},
		{CookieConfig{Domain: "a..example.com"}, "DNS"},
		{CookieConfig{Domain: "-a.example.com"}, "DNS"},
		{CookieConfig{Domain: strings.Repeat("a.", 127) + "example"}, "DNS"},
		{CookieConfig{Domain: "example.com", PreviousDomains: []string{"example.com"}}, "of today"},
	} {
		_, err := NewCookieStore(c.config)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

// Attack 34, and the localhost exception: what a proxy or a stranger adds makes cookies
// more protected, never less.
func TestAttack34LocalException(t *testing.T) {
	s := cookieStore(t, CookieConfig{})
	for _, c := range []struct {
		name, url string
		change    func(*http.Request)
		local     bool
	}{
		{"localhost", "http://localhost/", nil, true},
		{"capitals and port", "http://LocalHost:3000/", nil, true},
		{"below localhost", "http://app.localhost:3000/", nil, true},
		{"IPv4", "http://127.0.0.1:3000/", nil, true},
		{"IPv6", "http://[::1]:3000/", nil, true},
		{"a link from elsewhere", "http://localhost/", func(r *http.Request) {
			r.Header.Set("Referer", "https://accounts.example/")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, true},
		{"a page on localhost", "http://localhost/", func(r *http.Request) {
			r.Header.Set("Origin", "http://localhost:3000")
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}, true},

		{"TLS on localhost", "http://localhost/", func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, false},
		{"a public host behind a proxy", "http://app.example.com/", nil, false},
		{"a test domain", "http://app.test/", nil, false},
		{"another loopback address", "http://127.0.0.2/", nil, false},
		{"localhost in front", "http://localhost.example.com/", nil, false},
		{"localhost in the name", "http://mylocalhost/", nil, false},
		{"no host", "http://localhost/", func(r *http.Request) { r.Host = "" }, false},
		{"host hidden, HTTP/1.0", "http://localhost/", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 }, false},
		{"host hidden, page of a public origin", "http://localhost/", func(r *http.Request) {
			r.Header.Set("Origin", "https://app.example.com")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, false},
		{"host hidden, referrer", "http://localhost/", func(r *http.Request) {
			r.Header.Set("Referer", "https://app.example.com/page")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, false},
		{"X-Forwarded-Host says localhost", "http://app.example.com/", func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "localhost") }, false},
		{"X-Forwarded-Proto says http", "http://app.example.com/", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }, false},
		{"the browser keeps protected cookies", "http://localhost/", func(r *http.Request) { r.Header.Set("Cookie", "__Host-Http-DSR=x") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := visit(c.url)
			if c.change != nil {
				c.change(r)
			}
			for _, line := range saved(t, s, r, cookieSet()) {
				if bare := !strings.Contains(line, "; Secure") && strings.HasPrefix(line, "DS"); bare != c.local {
					t.Errorf("%s", line)
				}
				if protected := strings.Contains(line, "; Secure") && strings.HasPrefix(line, hostHTTPPrefix); protected == c.local {
					t.Errorf("%s", line)
				}
			}
		})
	}
	for _, name := range proxyTraces() {
		r := visit("http://localhost/")
		r.Header[name] = []string{"anything"}
		if s.local(r) {
			t.Errorf("%s isn't seen", name)
		}
		if http.CanonicalHeaderKey(name) != name {
			t.Errorf("%s is never found: net/http writes %s", name, http.CanonicalHeaderKey(name))
		}
	}
}

// The life of a cookie is that of its token by the server's clock, whatever the clock of
// this machine says.
func TestCookieMaxAge(t *testing.T) {
	for _, c := range []struct {
		left  time.Duration
		clock time.Duration // how far this machine is off
		want  string        // "" for an error
	}{
		{10 * time.Minute, 0, "600"}, {10 * time.Minute, -3 * time.Hour, "600"}, {10 * time.Minute, 3 * time.Hour, "600"},
		{1999 * time.Millisecond, 0, "1"}, {time.Second, 0, "1"}, {999 * time.Millisecond, 0, ""}, {0, 0, ""}, {-time.Hour, 0, ""},
		{800 * 24 * time.Hour, 0, "69120000"},
	} {
		s := cookieStore(t, CookieConfig{Persistent: true, Now: func() time.Time { return cookieNow.Add(c.clock) }})
		set := cookieSet()
		set.SessionExpiresAt = cookieNow.Add(c.left)
		w := httptest.NewRecorder()
		err := s.Save(w, visit("https://app.example.com/"), set)
		lines := w.Header()["Set-Cookie"]
		switch {
		case c.want == "" && (err == nil || len(w.Header()) > 0):
			t.Errorf("%v: written %q, %v", c.left, w.Header(), err)
		case c.want != "" && (err != nil || !strings.Contains(lines[0], "; Max-Age="+c.want+"; Expires="+set.SessionExpiresAt.Format(http.TimeFormat)+";")):
			t.Errorf("%v: %q, %v", c.left, lines, err)
		}
	}
	// Without the server's clock, and without expiry.
	s := cookieStore(t, CookieConfig{Persistent: true})
	set := cookieSet()
	set.ServerTime = time.Time{}
	if lines := saved(t, s, visit("https://app.example.com/"), set); !strings.Contains(lines[0], "; Max-Age=600;") {
		t.Error(lines)
	}
	set.SessionExpiresAt = time.Time{}
	if err := s.Save(httptest.NewRecorder(), visit("https://app.example.com/"), set); err == nil {
		t.Error("a persistent cookie without expiry")
	}
	if lines := saved(t, cookieStore(t, CookieConfig{}), visit("https://app.example.com/"), set); strings.Contains(lines[0], "Max-Age") {
		t.Error(lines)
	}
}

func TestSaveLeavesTheOtherAlone(t *testing.T) {
	s := cookieStore(t, CookieConfig{})
	for _, c := range []struct{ session, refresh, want string }{
		{"s", "", "[__Host-Http-DS=s]"}, {"", "r", "[__Host-Http-DSR=r]"}, {"s", "r", "[__Host-Http-DS=s __Host-Http-DSR=r]"}, {"", "", "[]"},
	} {
		set := cookieSet()
		set.SessionToken, set.RefreshToken = c.session, c.refresh
		got := []string{}
		for _, line := range saved(t, s, visit("https://app.example.com/"), set) {
			pair, _, _ := strings.Cut(line, ";")
			got = append(got, pair)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v, want %s", got, c.want)
		}
	}
}

func TestSaveRefusesWhatIsNoToken(t *testing.T) {
	for _, token := range []string{"a b", "a;b", "a\r\nSet-Cookie: x=y", "a,b", `"a"`, "ä", "a\x00"} {
		set := cookieSet()
		set.RefreshToken = token
		w := httptest.NewRecorder()
		err := cookieStore(t, CookieConfig{}).Save(w, visit("https://app.example.com/"), set)
		if err == nil || len(w.Header()) > 0 || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v, %q", token, err, w.Header())
		}
	}
}

// Attack 36: a cookie of 4096 bytes is written, one of 4097 is an error that says so,
// and then nothing at all is written. Encryption counts.
func TestAttack36Budget(t *testing.T) {
	keys := cookieKeys(t, cookieKeyText(1))
	for _, c := range []struct {
		name, url string
		config    CookieConfig
		most      int // bytes of the token that fit
	}{
		{"default", "https://app.example.com/", CookieConfig{}, 4096 - len("__Host-Http-DSR")},
		{"localhost", "http://localhost/", CookieConfig{}, 4096 - len("DSR")},
		{"domain", "https://app.example.com/", CookieConfig{Domain: "example.com"}, 4096 - len("__Secure-DSR")},
		{"encrypted", "https://app.example.com/", CookieConfig{Keys: keys}, (4096-len("__Host-Http-DSR")-len(sealVersion))*3/4 - sealOverhead - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := cookieStore(t, c.config)
			set := cookieSet()
			set.RefreshToken = strings.Repeat("x", c.most)
			lines := saved(t, s, visit(c.url), set)
			pair, _, _ := strings.Cut(lines[1], ";")
			if n := len(strings.Replace(pair, "=", "", 1)); n > 4096 || n < 4095 {
				t.Errorf("name and value are %d bytes", n)
			}
			r := visit(c.url, pair)
			if held, err := s.Load(r); err != nil || len(held.Refresh) != 1 || held.Refresh[0] != set.RefreshToken {
				t.Errorf("comes back as %v", held)
			}

			set.RefreshToken += "x"
			w := httptest.NewRecorder()
			err := s.Save(w, visit(c.url), set)
			var size *CookieSizeError
			if !errors.As(err, &size) || size.Bytes < 4097 || size.Bytes > 4098 || size.Limit != 4096 || !strings.HasSuffix(size.Name, "DSR") {
				t.Errorf("error %v", err)
			}
			if len(w.Header()) > 0 {
				t.Errorf("written all the same: %v", w.Header())
			}
			if err != nil && strings.Contains(err.Error(), "xxx") {
				t.Error("the error shows the value")
			}
		})
	}
}

// The zero-value promise: nothing in a config can drop HttpOnly, or Secure on a public
// host.
func TestCookieAlwaysProtected(t *testing.T) {
	for i := range 1 << 5 {
		c := CookieConfig{NoPrefix: i&1 != 0, Partitioned: i&2 != 0, Persistent: i&4 != 0}
		if i&8 != 0 {
			c.Domain = "example.com"
		}
		if i&16 != 0 {
			c.SameSite = "none"
		}
		s := cookieStore(t, c)
		w := httptest.NewRecorder()
		r := visit("http://app.example.com/", "DS=a", "DS=b; __Secure-DS=c; __Host-Http-DSR=d")
		if err := errors.Join(s.Save(w, r, cookieSet()), s.Clear(w, r), s.Tidy(w, r, "b", "d"), s.Save(w, r, cookieSet())); err != nil {
			t.Fatal(err)
		}
		for _, line := range w.Header()["Set-Cookie"] {
			if !strings.Contains(line, "; HttpOnly") || !strings.Contains(line, "; Secure") {
				t.Errorf("%+v: %s", c, line)
			}
			if strings.HasPrefix(line, hostPrefix) && (strings.Contains(line, "Domain=") || !strings.Contains(line, "; Path=/;")) {
				t.Errorf("browsers refuse %s", line)
			}
		}
	}
}
