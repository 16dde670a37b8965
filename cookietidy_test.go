package latchkey

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// browser is net/http/cookiejar as the model of a browser. It is a harsh one: as in RFC
// 6265 a cookie of one host and one with that host as Domain are the same.
type browser struct {
	t   *testing.T
	jar *cookiejar.Jar
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, jar}
}

func (b *browser) obey(at string, lines ...string) {
	u, err := url.Parse(at)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := http.Response{Header: http.Header{"Set-Cookie": lines}}
	b.jar.SetCookies(u, answer.Cookies())
}

// visit is the request that the browser sends. The site ends TLS at a proxy.
func (b *browser) visit(at string) *http.Request {
	r := visit(at)
	u, _ := url.Parse(at)
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) cookies(at string) []string {
	out := []string{}
	for _, c := range b.visit(at).Cookies() {
		out = append(out, c.Name+"="+c.Value)
	}
	slices.Sort(out)
	return out
}

// Leftovers of every place that the store knows or can guess are gone after one
// response, and the good one is there, whichever it was.
func TestTidy(t *testing.T) {
	const site = "https://app.example.com/api/items"
	for _, c := range []struct {
		name   string
		config CookieConfig
		found  []string // Set-Cookie headers of the past
		good   string
		want   string
	}{
		{"a leftover of the parent, the host's own is good", CookieConfig{NoPrefix: true}, []string{"DS=old; Path=/; Domain=example.com", "DS=good; Path=/"}, "good", "DS=good"},
		{"the parent's is good", CookieConfig{NoPrefix: true}, []string{"DS=good; Path=/; Domain=example.com", "DS=old; Path=/"}, "good", "DS=good"},
		{"a tossed path", CookieConfig{NoPrefix: true}, []string{"DS=evil; Path=/api; Domain=example.com", "DS=good; Path=/"}, "good", "DS=good"},
		{"a tossed path with slash", CookieConfig{NoPrefix: true}, []string{"DS=evil; Path=/api/; Domain=example.com", "DS=good; Path=/"}, "good", "DS=good"},
		{"a tossed path, as long as the request's", CookieConfig{NoPrefix: true}, []string{"DS=evil; Path=/api/items; Domain=app.example.com", "DS=good; Path=/"}, "good", "DS=good"},
		{"three", CookieConfig{NoPrefix: true}, []string{"DS=a; Path=/api", "DS=b; Path=/; Domain=example.com", "DS=good; Path=/"}, "good", "DS=good"},
		{"the same value twice", CookieConfig{NoPrefix: true}, []string{"DS=good; Path=/api", "DS=good; Path=/"}, "good", "DS=good"},
		{"narrower path today", CookieConfig{NoPrefix: true, Path: "/api"}, []string{"DS=old; Path=/", "DS=good; Path=/api"}, "good", "DS=good"},
		{"wider path today", CookieConfig{NoPrefix: true}, []string{"DS=old; Path=/", "DS=good; Path=/api"}, "good", "DS=good"},
		{"domain today, host-only before", CookieConfig{Domain: "example.com"}, []string{"__Host-Http-DS=good; Path=/; Secure; HttpOnly"}, "good", "__Secure-DS=good"},
		{"domain today, both", CookieConfig{Domain: "example.com"}, []string{"__Host-Http-DS=old; Path=/; Secure; HttpOnly", "__Secure-DS=good; Path=/; Domain=example.com; Secure"}, "good", "__Secure-DS=good"},
		{"domain is the host, host-only before", CookieConfig{Domain: "app.example.com"}, []string{"__Secure-DS=old; Path=/api; Secure", "__Secure-DS=good; Path=/; Domain=app.example.com; Secure"}, "good", "__Secure-DS=good"},
		{"domain given up", CookieConfig{PreviousDomains: []string{"example.com"}}, []string{"__Secure-DS=good; Path=/; Domain=example.com; Secure"}, "good", "__Host-Http-DS=good"},
		{"domain given up, new one is there", CookieConfig{PreviousDomains: []string{"example.com"}}, []string{"__Secure-DS=old; Path=/; Domain=example.com; Secure", "__Host-Http-DS=good; Path=/; Secure; HttpOnly"}, "good", "__Host-Http-DS=good"},
		{"domain moved", CookieConfig{Domain: "app.example.com", PreviousDomains: []string{"example.com"}}, []string{"__Secure-DS=good; Path=/; Domain=example.com; Secure"}, "good", "__Secure-DS=good"},
		{"alone", CookieConfig{}, []string{"__Host-Http-DS=good; Path=/; Secure; HttpOnly"}, "good", "__Host-Http-DS=good"},
		{"nothing is known", CookieConfig{NoPrefix: true}, []string{"DS=a; Path=/api", "DS=b; Path=/"}, "", "DS=a DS=b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t)
			b.obey(site, c.found...)
			b.obey(site, "other=1; Path=/; Domain=example.com", "DSR=r; Path=/", "__Host-Http-DSR=r; Path=/; Secure", "__Secure-DSR=r; Path=/; Secure; Domain=example.com")
			s := cookieStore(t, c.config)
			w := httptest.NewRecorder()
			before := load(t, s, b.visit(site))
			if err := s.Tidy(w, b.visit(site), c.good, ""); err != nil {
				t.Fatal(err)
			}
			lines := w.Header()["Set-Cookie"]
			if len(lines) > maxCookieLines {
				t.Errorf("%d headers", len(lines))
			}
			b.obey(site, lines...)
			got := slices.DeleteFunc(b.cookies(site), func(c string) bool { return strings.Contains(c, "DSR=") || c == "other=1" })
			if strings.Join(got, " ") != c.want {
				t.Errorf("the browser keeps %q, want %q, after\n%s", got, c.want, strings.Join(lines, "\n"))
			}
			if len(b.cookies(site)) != len(got)+4 {
				t.Errorf("others were touched: %q", b.cookies(site))
			}
			if c.good == "" {
				return
			}
			// Once is enough.
			after := load(t, s, b.visit(site))
			if !slices.Equal(after.Session, []string{c.good}) {
				t.Errorf("%q before, %q after", before.Session, after.Session)
			}
			again := httptest.NewRecorder()
			if err := s.Tidy(again, b.visit(site), c.good, ""); err != nil || len(again.Header()) > 0 {
				t.Errorf("a second round writes %q, %v", again.Header(), err)
			}
		})
	}
}

// What an earlier configuration has left goes in the first round, even where both tokens
// have more places to look at than a response has room for.
func TestTidyCertainPlacesFirst(t *testing.T) {
	const site = "https://a.b.c.example.com/x/y/z/w"
	s := cookieStore(t, CookieConfig{Domain: "example.com"})
	b := newBrowser(t)
	for _, name := range []string{"DS", "DSR"} {
		b.obey(site, "__Host-Http-"+name+"=old; Path=/; Secure", "__Secure-"+name+"=older; Path=/; Secure; Domain=c.example.com", "__Secure-"+name+"=good; Path=/; Domain=example.com; Secure")
	}
	w := httptest.NewRecorder()
	if err := s.Tidy(w, b.visit(site), "good", "good"); err != nil {
		t.Fatal(err)
	}
	lines := w.Header()["Set-Cookie"]
	b.obey(site, lines...)
	if got := b.cookies(site); len(lines) != maxCookieLines || !slices.Equal(got, []string{"__Secure-DS=good", "__Secure-DSR=good"}) {
		t.Errorf("%q after %d lines:\n%s", got, len(lines), strings.Join(lines, "\n"))
	}
}

// Tidying after a refresh keeps what was saved, with its life, and the order.
func TestTidyAfterSave(t *testing.T) {
	s := cookieStore(t, CookieConfig{NoPrefix: true, Persistent: true, Keys: cookieKeys(t, cookieKeyText(1)), AcceptPlain: true})
	r := visit("https://app.example.com/", "DS=a; DS=b; DSR=c; DSR=d")
	w := httptest.NewRecorder()
	if err := s.Save(w, r, cookieSet()); err != nil {
		t.Fatal(err)
	}
	saved := slices.Clone(w.Header()["Set-Cookie"])
	if err := s.Tidy(w, r, "s.e.s", "rt_r"); err != nil {
		t.Fatal(err)
	}
	lines := w.Header()["Set-Cookie"]
	if len(lines) < 4 || len(lines) > maxCookieLines || !slices.Equal(lines[len(lines)-2:], saved) {
		t.Errorf("saved\n%s\nbut then\n%s", strings.Join(saved, "\n"), strings.Join(lines, "\n"))
	}
	for _, line := range lines[:len(lines)-2] {
		if !strings.Contains(line, "=; ") || !strings.Contains(line, "; Max-Age=0; ") {
			t.Errorf("%s", line)
		}
	}
}

// How long a tidied cookie lasts is read from its token, or from the one beside it.
func TestTidyLife(t *testing.T) {
	s := cookieStore(t, CookieConfig{NoPrefix: true, Persistent: true})
	session := someJWT(fmt.Sprintf(`{"exp":%d,"rexp":%d}`, cookieNow.Unix()+601, cookieNow.Unix()+7201))
	for _, c := range []struct{ session, refresh, wantSession, wantRefresh string }{
		{session, "rt_x", "600", "7200"},
		{"opaque", "rt_x", "", ""},
		{session, someJWT(fmt.Sprintf(`{"exp":%d}`, cookieNow.Unix()+11)), "600", "10"},
		{someJWT(`{"exp":1}`), "rt_x", "", ""},
	} {
		w := httptest.NewRecorder()
		r := visit("https://app.example.com/", "DS=a; DS="+c.session+"; DSR=b; DSR="+c.refresh)
		if err := s.Tidy(w, r, c.session, c.refresh); err != nil {
			t.Fatal(err)
		}
		lines := w.Header()["Set-Cookie"]
		for i, want := range []string{c.wantSession, c.wantRefresh} {
			line := lines[len(lines)-2+i]
			_, life, found := strings.Cut(line, "; Max-Age=")
			life, _, _ = strings.Cut(life, ";")
			if life != want || found != (want != "") {
				t.Errorf("%s: want Max-Age %q", line, want)
			}
		}
	}
}

func TestTidyWritesNothingOnError(t *testing.T) {
	s := cookieStore(t, CookieConfig{NoPrefix: true})
	w := httptest.NewRecorder()
	if err := s.Tidy(w, visit("https://app.example.com/", "DS=a; DS=b; DSR=c; DSR=d"), "a", strings.Repeat("x", 5000)); err == nil || len(w.Header()) > 0 {
		t.Errorf("%v, %q", err, w.Header())
	}
}

func TestClear(t *testing.T) {
	const site = "https://app.example.com/page"
	for _, c := range []struct {
		name   string
		config CookieConfig
		at     string
		found  []string
		want   string // what is left
		lines  int    // at most
	}{
		{"default", CookieConfig{}, site, []string{"__Host-Http-DS=a; Path=/; Secure", "__Host-Http-DSR=b; Path=/; Secure"}, "", 2},
		{"nothing there", CookieConfig{}, site, nil, "", 2},
		{"default, leftovers of a time without prefix", CookieConfig{}, site, []string{"__Host-Http-DS=a; Path=/; Secure", "DS=b; Path=/", "DSR=c; Path=/"}, "", 4},
		{"default, somebody else's cookie of the parent", CookieConfig{}, site, []string{"__Host-Http-DS=a; Path=/; Secure", "DS=b; Path=/; Domain=example.com"}, "DS=b", 4},
		{"domain", CookieConfig{Domain: "example.com"}, site, []string{"__Secure-DS=a; Path=/; Domain=example.com; Secure", "__Secure-DSR=b; Path=/; Domain=example.com; Secure", "__Host-Http-DSR=b; Path=/; Secure"}, "", 16},
		{"previous domain", CookieConfig{Domain: "app.example.com", PreviousDomains: []string{"example.com"}}, site, []string{"__Secure-DS=a; Path=/; Domain=example.com; Secure", "__Secure-DSR=b; Path=/; Domain=app.example.com; Secure"}, "", 16},
		{"path", CookieConfig{Path: "/page"}, site, []string{"__Secure-DS=a; Path=/page; Secure", "__Secure-DSR=b; Path=/; Secure", "__Host-Http-DS=b; Path=/; Secure"}, "", 16},
		{"no prefix", CookieConfig{NoPrefix: true}, site, []string{"DS=a; Path=/", "DS=b; Path=/; Domain=example.com", "DSR=c; Path=/; Domain=app.example.com"}, "", 16},
		{"localhost", CookieConfig{}, "http://localhost/page", []string{"DS=a; Path=/", "DSR=b; Path=/"}, "", 2},
		{"partitioned", CookieConfig{SameSite: "none", Partitioned: true}, site, []string{"__Host-Http-DS=a; Path=/; Secure"}, "", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t)
			b.obey(c.at, c.found...)
			if len(b.cookies(c.at)) != len(c.found) {
				t.Fatalf("the browser has %q", b.cookies(c.at))
			}
			w := httptest.NewRecorder()
			if err := cookieStore(t, c.config).Clear(w, b.visit(c.at)); err != nil {
				t.Fatal(err)
			}
			lines := w.Header()["Set-Cookie"]
			if len(lines) < 2 || len(lines) > c.lines {
				t.Errorf("%d headers:\n%s", len(lines), strings.Join(lines, "\n"))
			}
			b.obey(c.at, lines...)
			if got := strings.Join(b.cookies(c.at), " "); got != c.want {
				t.Errorf("%q is left after\n%s", got, strings.Join(lines, "\n"))
			}
		})
	}
}

// A cookie is in the response once, however often it is saved and cleared there, and
// the last call counts. Cookies of others stay.
func TestOneCookiePerPlace(t *testing.T) {
	s := cookieStore(t, CookieConfig{})
	r := visit("https://app.example.com/", "__Host-Http-DS=a; __Host-Http-DSR=b")
	w := httptest.NewRecorder()
	w.Header().Add("Set-Cookie", "theme=dark; Path=/")
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return s.Save(w, r, cookieSet()) }, "theme=dark __Host-Http-DS=s.e.s __Host-Http-DSR=rt_r"},
		{func() error { return s.Clear(w, r) }, "theme=dark __Host-Http-DS= __Host-Http-DSR="},
		{func() error { return s.Save(w, r, cookieSet()) }, "theme=dark __Host-Http-DS=s.e.s __Host-Http-DSR=rt_r"},
		{func() error { return s.Save(w, r, TokenSet{SessionToken: "n.e.w"}) }, "theme=dark __Host-Http-DSR=rt_r __Host-Http-DS=n.e.w"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range w.Header()["Set-Cookie"] {
			pair, _, _ := strings.Cut(line, ";")
			got = append(got, pair)
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

// Attack 33: every response with one of our cookies forbids caches to keep it, after any
// sequence of calls and whatever a handler had set before.
func TestAttack33NoStore(t *testing.T) {
	random := rand.New(rand.NewPCG(33, 33))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for round := range 3000 {
		s := cookieStore(t, CookieConfig{NoPrefix: random.IntN(2) == 0, Domain: pick("", "example.com"), Persistent: random.IntN(2) == 0})
		r := visit(pick("https://app.example.com/a/b", "http://localhost/"), pick("", "DS=a; DS=b; DSR=c", "__Secure-DS=a; __Host-Http-DS=b; __Host-Http-DSR=c"))
		w := httptest.NewRecorder()
		if v := pick("", "public, max-age=3600", "no-cache", "private, no-store", "public, no-store"); v != "" {
			w.Header().Set("Cache-Control", v)
		}
		if v := pick("", "Accept-Encoding", "*", "accept, cookie"); v != "" {
			w.Header().Set("Vary", v)
		}
		if random.IntN(2) == 0 {
			w.Header().Set("CDN-Cache-Control", "max-age=600")
			w.Header().Set("Surrogate-Control", "max-age=600")
		}
		calls := ""
		for range 1 + random.IntN(4) {
			switch call := pick("save", "save one", "save too much", "clear", "tidy", "tidy nothing"); call {
			case "save":
				_ = s.Save(w, r, cookieSet())
				calls += call + ", "
			case "save one":
				_ = s.Save(w, r, TokenSet{RefreshToken: "rt_1", RefreshExpiresAt: cookieNow.Add(time.Hour)})
				calls += call + ", "
			case "save too much":
				_ = s.Save(w, r, TokenSet{SessionToken: strings.Repeat("x", 5000)})
				calls += call + ", "
			case "clear":
				_ = s.Clear(w, r)
				calls += call + ", "
			default:
				_ = s.Tidy(w, r, pick("", "a", "b"), pick("", "c"))
				calls += call + ", "
			}
			h := w.Header()
			if len(h["Set-Cookie"]) == 0 {
				continue
			}
			if len(h["Set-Cookie"]) > 2*maxCookieLines {
				t.Fatalf("round %d, %s: %d cookies", round, calls, len(h["Set-Cookie"]))
			}
			if c := h["Cache-Control"]; len(c) != 1 || !strings.Contains(c[0], "no-store") || strings.Contains(c[0], "public") {
				t.Fatalf("round %d, %s: Cache-Control %q", round, calls, c)
			}
			if h.Get("CDN-Cache-Control") != "" || h.Get("Surrogate-Control") != "" {
				t.Fatalf("round %d, %s: a CDN may keep it: %v", round, calls, h)
			}
			vary := strings.ToLower(strings.Join(h["Vary"], ","))
			if strings.Count(vary, "cookie") != 1 && vary != "*" {
				t.Fatalf("round %d, %s: Vary %q", round, calls, h["Vary"])
			}
			places := map[cookiePlace]bool{}
			for _, line := range h["Set-Cookie"] {
				if places[placeOf(line)] {
					t.Fatalf("round %d, %s: twice in one place: %q", round, calls, h["Set-Cookie"])
				}
				places[placeOf(line)] = true
			}
		}
	}
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "private, no-store")
	w.Header().Set("Vary", "Accept")
	if err := cookieStore(t, CookieConfig{}).Clear(w, visit("https://app.example.com/")); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Cache-Control") != "private, no-store" || !slices.Equal(w.Header()["Vary"], []string{"Accept", "Cookie"}) {
		t.Errorf("what was stricter is gone: %v", w.Header())
	}
}

// A request can't put anything into the response's cookies but its own host's parents
// and paths, in a form that ends no attribute early.
func FuzzClearAndTidy(f *testing.F) {
	f.Add("app.example.com", "/a/b", "DS=a; DS=b; DSR=c")
	f.Add("a;b.example.com:80", "/a;Domain=x/b", "DS=a; DS=b; __Host-Http-DS=d")
	f.Add("[::1]:443", "//x//", "DS=a; DS=a")
	f.Add("EXAMPLE.com.", "/%3b/\u00a0/..", "DSR=a; DSR=b")
	s := cookieStore(f, CookieConfig{NoPrefix: true})
	f.Fuzz(func(t *testing.T, host, path, cookies string) {
		r := visit("https://app.example.com/", cookies)
		r.Host, r.URL.Path, r.URL.RawPath = host, path, ""
		for _, do := range []func(w http.ResponseWriter) error{
			func(w http.ResponseWriter) error { return s.Clear(w, r) },
			func(w http.ResponseWriter) error { return s.Tidy(w, r, "a", "c") },
		} {
			w := httptest.NewRecorder()
			if err := do(w); err != nil {
				t.Fatal(err)
			}
			lines := w.Header()["Set-Cookie"]
			if len(lines) > maxCookieLines {
				t.Fatalf("%d lines", len(lines))
			}
			for _, line := range lines {
				c, err := http.ParseSetCookie(line)
				if err != nil || !slices.Contains([]string{"DS", "DSR", "__Host-Http-DS", "__Host-Http-DSR", "__Secure-DS", "__Secure-DSR"}, c.Name) || len(c.Unparsed) > 0 ||
					!slices.Contains([]string{"", "a", "c"}, c.Value) || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Count(line, ";") > 7 {
					t.Fatalf("%q: %v", line, err)
				}
				if c.Domain != "" && c.Domain != bareHost(host) && !strings.HasSuffix(bareHost(host), "."+c.Domain) {
					t.Fatalf("%q for %q", line, host)
				}
			}
		}
	})
}
