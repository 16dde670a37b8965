package native_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

const approved = "https://app.example.com"

// foreignOrigins look like the approved one or the server's own to whoever compares them
// loosely.
var foreignOrigins = []string{
	"null", "https://evil.example", "https://evil-example.com", "https://app.example.com.evil.example", "https://evilapp.example.com",
	"https://x.app.example.com", "https://example.com", "http://app.example.com", "https://app.example.com:8443", "https://app.example.com:443",
	"https://APP.example.com", "HTTPS://app.example.com", "https://app.example.com/", "https://app.example.com.", "https://app.example.com@evil.example",
	"https://app.example.com https://evil.example", "*", "http://auth.example.com", "https://auth.example.com:8443", "https://auth.example.com.evil.example", "file://", "",
}

// Attack 32: a page of another origin can't make a browser refresh, log out, or end a
// session with its cookies, whatever SameSite says. Approved pages can, and so can the
// server's own, and clients that aren't browsers.
func TestAttack32CrossSiteRequests(t *testing.T) {
	t.Parallel()
	type page struct {
		name   string
		header http.Header
		may    bool
	}
	pages := []page{
		{"own", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {publicURL}}, true},
		{"own, without Origin", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{"own, older browser", http.Header{"Origin": {publicURL}}, true},
		{"typed in", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"no browser", nil, true},
		{"approved", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {approved}}, true},
		{"approved, another site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {approved}}, true},
		{"approved, older browser", http.Header{"Origin": {approved}}, true},
		{"same site, without Origin", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		{"another site, without Origin", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"another site that says approved twice", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {approved, "https://evil.example"}}, false},
		{"nonsense", http.Header{"Sec-Fetch-Site": {"x"}, "Origin": {publicURL}}, false},
	}
	for _, origin := range foreignOrigins {
		for _, site := range []string{"same-site", "cross-site"} {
			pages = append(pages, page{site + " " + origin, http.Header{"Sec-Fetch-Site": {site}, "Origin": {origin}}, false})
		}
		if origin != "" { // which is what no browser sends
			pages = append(pages, page{"older browser " + origin, http.Header{"Origin": {origin}}, false})
		}
	}
	w, _ := byCookie(t, `{"approvedOrigins":["`+approved+`"],"cookies":{"sameSite":"none","partitioned":true}}`)
	for _, r := range w.face.Routes() {
		if r.Scope != "" || !strings.HasPrefix(r.Pattern, "/{project}/session") || r.Method == http.MethodGet {
			continue
		}
		var b *browser
		var path string
		for i, p := range pages {
			if i == 0 || pages[i-1].may { // the session may have ended
				b = w.browser(t)
				path = strings.TrimPrefix(strings.Replace(r.Pattern, "{sid}", w.own(t, b), 1), "/{project}")
			}
			b.page = p.header
			w.tap.drain()
			c := b.call(r.Method, path)
			if c.body = w.body(r); c.body == "{}" {
				c.body = ""
			}
			a := b.do(t, c)
			if p.may {
				if a.status >= 400 {
					t.Errorf("%s from %s: %d %s", r.ID, p.name, a.status, a.body)
				}
				continue
			}
			if a.problem.Code != latchkey.CodeForbidden || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%s from %s: %d %s", r.ID, p.name, a.status, a.body)
			}
			// Refused before anybody looks at a session.
			for _, verb := range w.tap.drain() {
				if !strings.HasPrefix(verb, "projects.") {
					t.Errorf("%s from %s: the store was asked for %s", r.ID, p.name, verb)
				}
			}
		}
	}
}

// Bodies that a page can send without a preflight are no way around.
func TestAttack32SimpleRequests(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	b.page = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	mine := w.browser(t).cookies[refreshCookie]
	for _, media := range []string{"", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"} {
		for _, body := range []string{"", "{}", `{"rotate":"never"}`, `{"refreshToken":null}`} {
			c := b.call("POST", "/session/refresh")
			c.spoilt = true
			c.header["Content-Type"] = []string{media}
			if media == "" {
				c.header["Content-Type"] = nil
			}
			c.body = body
			if a := w.raw(t, c); a.status < 400 || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%q %q: %d %v", media, body, a.status, a.header)
			}
		}
		// Nor can it plant a session of its own by a token that it knows.
		c := b.call("POST", "/session/refresh")
		c.header["Content-Type"] = []string{media}
		if media == "" {
			c.header["Content-Type"] = nil
		}
		c.body = tokenBody(mine)
		if a := w.raw(t, c); len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%q: a page plants cookies: %v", media, a.header["Set-Cookie"])
		}
	}
	b.page = ownPage()
	b.ok(t, "GET", "/session")
}

// raw is do for bodies that the document doesn't describe.
func (w *world) raw(t testing.TB, c call) reply {
	t.Helper()
	r := c.request(t)
	rec := newRecorder()
	w.handler.ServeHTTP(rec, r)
	return reply{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
}

// Attack 32: which pages may read answers. Only approved origins, as a whole; never any
// origin together with cookies, and never null.
func TestAttack32ReadableAnswers(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, `{"approvedOrigins":["`+approved+`","http://localhost:3000"]}`)
	paths := map[string]string{"GET /session": "", "GET /sessions": "", "POST /session/refresh": ""}
	for route := range paths {
		method, path, _ := strings.Cut(route, " ")
		for _, origin := range []string{approved, "http://localhost:3000"} {
			b.page = http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-site"}}
			h := b.ok(t, method, path).header
			if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" || !slices.Contains(h["Vary"], "Origin") {
				t.Errorf("%s from %s: %v", route, origin, h)
			}
		}
		for _, origin := range append(foreignOrigins, publicURL, "-") {
			b.page = http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-origin"}}
			if origin == "-" {
				delete(b.page, "Origin")
			}
			h := b.ok(t, method, path).header
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s from %q: %s: %s", route, origin, name, h.Get(name))
				}
			}
			if !slices.Contains(h["Vary"], "Origin") {
				t.Errorf("%s from %q: Vary %q", route, origin, h["Vary"])
			}
		}
	}
	// Refusals are readable, too: a page has to know what to do.
	b = &browser{w: w, page: http.Header{"Origin": {approved}, "Sec-Fetch-Site": {"same-site"}}}
	a := b.do(t, b.call("POST", "/session/refresh"))
	if a.problem.Code != latchkey.CodeUnauthenticated || a.header.Get("Access-Control-Allow-Origin") != approved {
		t.Errorf("%d %v", a.status, a.header)
	}
	// Another project's list counts for nothing here.
	other := w.another(t)
	c := call{method: "GET", path: "/" + other.project.String() + "/session", header: http.Header{"Origin": {approved}}}
	if a := w.refused(t, c, latchkey.CodeUnauthenticated); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", a.header)
	}
	// An origin that was taken off the list is refused at once.
	w.settings(t, `{"approvedOrigins":[]}`)
	if a := b.do(t, b.call("GET", "/session")); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", a.header)
	}
}

// Management endpoints are for no page; public documents are for all, without cookies.
func TestWhatPagesMayNotRead(t *testing.T) {
	t.Parallel()
	for _, r := range newWorld(t).face.Routes() {
		w := newWorld(t)
		w.settings(t, `{"approvedOrigins":["`+approved+`"]}`)
		c := w.good(t, r)
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Set("Origin", approved)
		a := w.do(t, c)
		want, credentials := approved, "true"
		switch {
		case strings.Contains(r.Pattern, "/.well-known/"):
			want, credentials = "*", ""
		case r.Scope != "", r.Tag == "Access keys":
			want, credentials = "", ""
		}
		if a.header.Get("Access-Control-Allow-Origin") != want || a.header.Get("Access-Control-Allow-Credentials") != credentials {
			t.Errorf("%s: %v", r.ID, a.header)
		}
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"approvedOrigins":["`+approved+`"]}`)
	otherwise := func(http.ResponseWriter, *http.Request) error { return errNoPreflight }
	answers := map[string]http.Handler{}
	for _, p := range w.face.Preflights() {
		mux := http.NewServeMux()
		mux.Handle("OPTIONS "+p.Pattern, wire.Edge{}.Handle(p.Or(otherwise)))
		answers[p.Pattern] = mux
	}
	ask := func(pattern string, header http.Header) reply {
		path := strings.NewReplacer("{project}", w.project.String(), "{sid}", "x").Replace(pattern)
		rec := newRecorder()
		answers[pattern].ServeHTTP(rec, call{method: "OPTIONS", path: path, header: header}.request(t))
		return reply{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
	}
	methods := map[string][]string{}
	for _, r := range w.face.Routes() {
		if answers[r.Pattern] != nil {
			methods[r.Pattern] = append(methods[r.Pattern], r.Method)
		}
		if r.Scope != "" && answers[r.Pattern] != nil {
			t.Errorf("%s has a preflight", r.ID)
		}
	}
	if len(answers) < 10 {
		t.Fatalf("only %d addresses", len(answers))
	}
	for pattern := range answers {
		public := strings.Contains(pattern, "/.well-known/")
		h := ask(pattern, http.Header{"Origin": {approved}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"x-evil"}})
		if h.status != http.StatusNoContent || h.header.Get("Access-Control-Allow-Methods") != strings.Join(methods[pattern], ", ") ||
			h.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, X-Request-Id" || h.header.Get("Access-Control-Max-Age") != "600" {
			t.Errorf("%s: %d %v", pattern, h.status, h.header)
		}
		want, credentials := approved, "true"
		if public {
			want, credentials = "*", ""
		}
		if h.header.Get("Access-Control-Allow-Origin") != want || h.header.Get("Access-Control-Allow-Credentials") != credentials {
			t.Errorf("%s: %v", pattern, h.header)
		}
		if !public && !slices.Contains(h.header["Vary"], "Origin") {
			t.Errorf("%s: Vary %v", pattern, h.header["Vary"])
		}
		for _, origin := range append(foreignOrigins, publicURL) {
			h := ask(pattern, http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}})
			if !public && (h.status != http.StatusForbidden || h.header.Get("Access-Control-Allow-Origin") != "" || h.header.Get("Access-Control-Allow-Methods") != "") {
				t.Errorf("%s from %s: %d %v", pattern, origin, h.status, h.header)
			}
		}
		for _, plain := range []http.Header{nil, {"Origin": {approved}}, {"Access-Control-Request-Method": {"POST"}}} {
			if h := ask(pattern, plain); h.status != http.StatusTeapot {
				t.Errorf("%s: what isn't a preflight is answered %d", pattern, h.status)
			}
		}
	}
	for _, path := range []string{"/prj_01kkaj7v9w7q5c0v8m3nf2s4hd/session", "/junk/session"} {
		rec := newRecorder()
		header := http.Header{"Origin": {approved}, "Access-Control-Request-Method": {"GET"}}
		answers["/{project}/session"].ServeHTTP(rec, call{method: "OPTIONS", path: path, header: header}.request(t))
		if rec.Code != http.StatusNotFound || rec.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
	}
}

// Attacks 34 and 35: no answer holds the Host that a stranger sent, and what claims to be
// forwarded for another host changes nothing.
func TestAttack35HostPoisoning(t *testing.T) {
	t.Parallel()
	poison := func(c call) call {
		c.host = "evil.example"
		if c.header == nil {
			c.header = http.Header{}
		}
		for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded"} {
			c.header[name] = []string{"host=evil.example"}
		}
		c.header["X-Forwarded-Proto"] = []string{"http"}
		return c
	}
	clean := func(what string, a reply) {
		t.Helper()
		if strings.Contains(string(a.body), "evil.example") || strings.Contains(a.header.Get("Location")+strings.Join(a.header["Set-Cookie"], " "), "evil.example") {
			t.Errorf("%s: %s %v", what, a.body, a.header)
		}
	}
	for _, r := range newWorld(t).face.Routes() {
		w := newWorld(t)
		c := poison(w.good(t, r))
		clean(r.ID, w.do(t, c))
		c.bearer = ""
		clean(r.ID, w.do(t, c))
	}
	w, _ := byCookie(t, `{"cookies":{"domain":"example.com"},"approvedOrigins":["`+approved+`"]}`)
	for _, host := range []string{"evil.example", "localhost", "127.0.0.1:8080", "auth.example.com.evil.example"} {
		for _, path := range []string{"/session/refresh", "/session/logout"} {
			b := &browser{w: w, cookies: map[string]string{}, page: ownPage()}
			b.keep(t, w.signIn(t, w.site).SetCookie)
			// Duplicates make the answer name every domain where they may be.
			b.more = "__Secure-DSR=x; DSR=y; __Secure-DS=z"
			c := poison(b.call("POST", path))
			c.host = host
			a := b.do(t, c)
			clean(path, a)
			for _, line := range a.header["Set-Cookie"] {
				if !strings.Contains(line, "; Secure") || strings.Contains(line, "Domain=") && !strings.Contains(line, "Domain=example.com;") && !strings.Contains(line, "Domain=auth.example.com;") {
					t.Errorf("%s at %s: %s", path, host, line[strings.Index(line, ";"):])
				}
			}
			if a.status != http.StatusOK || len(a.header["Set-Cookie"]) == 0 {
				t.Errorf("%s at %s: %d %s", path, host, a.status, a.body)
			}
		}
	}
}
