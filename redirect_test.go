package latchkey

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Attack 35: return_to never leads to another site, however a browser, proxy or router
// reads it.
func TestAttack35ReturnTo(t *testing.T) {
	long := "/" + strings.Repeat("a", maxReturn-1)
	for given, want := range map[string]string{
		"/":                       "/",
		"/account":                "/account",
		"/a/b?x=1&y=/z":           "/a/b?x=1&y=/z",
		"/search?q=a%20b%2Fc":     "/search?q=a%20b%2Fc",
		"/files/a%2Fb":            "/files/a%2Fb",
		"/file.name/..rc/a...b":   "/file.name/..rc/a...b",
		"/page#part":              "/page", // the browser keeps what it had
		"/caf\u00e9":              "/caf%C3%A9",
		"/x?q=caf\u00e9":          "/x?q=caf%C3%A9",
		"/user@example":           "/user@example",
		"/x?next=https://a.test/": "/x?next=https://a.test/", // a parameter of the page
		long:                      long,

		"":                              "/",
		"account":                       "/",
		"?x":                            "/",
		"//":                            "/",
		"//?x":                          "/",
		"//evil.example":                "/",
		"///evil.example":               "/",
		"////evil.example":              "/",
		"/\\evil.example":               "/",
		"\\\\evil.example":              "/",
		"\\/evil.example":               "/",
		"/a\\..\\..\\/evil":             "/",
		"https://evil.example":          "/",
		"HTTPS:evil.example":            "/",
		"http:/evil.example":            "/",
		"//user:pass@evil.example/":     "/",
		"/@evil.example//":              "/",
		"javascript:alert(1)":           "/",
		" javascript:alert(1)":          "/",
		"/\tjavascript:alert(1)":        "/",
		"data:text/html,x":              "/",
		" /account":                     "/",
		"/ /evil.example":               "/",
		"/\t/evil.example":              "/",
		"/\n/evil.example":              "/",
		"\t//evil.example":              "/",
		"/x\r\nSet-Cookie: a=b":         "/",
		"/x%0d%0aSet-Cookie:%20a=b":     "/",
		"/x\x00":                        "/",
		"/%00":                          "/",
		"/\x7f":                         "/",
		"/%2f%2fevil.example":           "/",
		"/%2fevil.example":              "/",
		"%2f%2fevil.example":            "/",
		"/%5cevil.example":              "/",
		"/%5C%5Cevil.example":           "/",
		"/%252f%252fevil.example":       "/",
		"/%255cevil.example":            "/",
		"/%09/evil.example":             "/",
		"/.//evil.example":              "/",
		"/..//evil.example":             "/",
		"/./x":                          "/",
		"/a/../../x":                    "/",
		"/%2e%2e/x":                     "/",
		"/%2e%2e%2f%2fevil.example":     "/",
		"/\u3002\u3002/evil":            "/",
		"/\uff0fevil.example":           "/",
		"/\uff3cevil.example":           "/",
		"\uff0f\uff0fevil.example":      "/",
		"/\u2215evil.example":           "/",
		"/\u202eevil":                   "/",
		"/\ufeff/evil":                  "/",
		"/\u00a0/evil":                  "/",
		"/\u2028/evil":                  "/",
		"/%E3%80%82%E3%80%82/evil":      "/",
		"/\xff\xfe":                     "/",
		"/%":                            "/",
		"/%zz":                          "/",
		"/%ff":                          "/",
		long + "a":                      "/",
		"/" + strings.Repeat("é", 600):  "/", // too long once encoded
		"/" + strings.Repeat("x/", 5e5): "/",
	} {
		for _, r := range []struct{ method, query, body string }{
			{"GET", "return_to=" + url.QueryEscape(given), ""},
			{"POST", "", "user=ann&return_to=" + url.QueryEscape(given)},
		} {
			request := httptest.NewRequest(r.method, "/sign-in?"+r.query, strings.NewReader(r.body))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if got := ReturnTo(request); got != want {
				t.Errorf("%s %.80q leads to %.80q, want %.80q", r.method, given, got, want)
			}
		}
	}
	// The address of the form counts before what is in it.
	r := httptest.NewRequest("POST", "/sign-in?return_to=/a", strings.NewReader("return_to=/b"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := ReturnTo(r); got != "/a" {
		t.Errorf("got %s", got)
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "//", "/a?b", "//x", "/\\x", "/%2f%2fx", "/..//x", "/\u3002", "/a%00", "/x?%zz", "javascript:x"} {
		f.Add(seed)
	}
	site, _ := url.Parse("https://example.com/sign-in")
	f.Fuzz(func(t *testing.T, given string) {
		local, ok := localPath(given)
		if !ok {
			return
		}
		to, err := site.Parse(local)
		if err != nil || to.Scheme != "https" || to.Host != "example.com" || to.User != nil {
			t.Fatalf("%q leads to %v (%v)", given, to, err)
		}
		for _, c := range []byte(local) {
			if c <= ' ' || c >= 0x7f || c == '\\' {
				t.Fatalf("%q has %q", local, c)
			}
		}
		if local[0] != '/' || strings.HasPrefix(local, "//") || len(local) > maxReturn {
			t.Fatalf("%q", local)
		}
		if again, ok := localPath(local); !ok || again != local {
			t.Fatalf("%q becomes %q", local, again)
		}
	})
}

// Who is sent to sign in, and who is refused.
func TestRedirectMatrix(t *testing.T) {
	const html = "Accept: text/html,*/*"
	navigate := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	for _, c := range []struct {
		signIn, method, target string
		headers                []string
		want                   string // "" for a refusal
	}{
		{"/sign-in", "GET", "/account?tab=2", navigate, "/sign-in?return_to=%2Faccount%3Ftab%3D2"},
		{"/sign-in", "HEAD", "/account", navigate, "/sign-in?return_to=%2Faccount"},
		{"/sign-in", "GET", "/account", []string{html}, "/sign-in?return_to=%2Faccount"},
		{"/sign-in?lang=de", "GET", "/a", []string{html}, "/sign-in?lang=de&return_to=%2Fa"},
		{"https://id.example.com/in", "GET", "/a", []string{html}, "https://id.example.com/in?return_to=%2Fa"},
		{"/sign-in", "GET", "//evil.example/", []string{html}, "/sign-in"},
		{"/sign-in", "GET", "/%2f%2fevil", []string{html}, "/sign-in"},
		{"/sign-in", "GET", "/" + strings.Repeat("x", 3000), []string{html}, "/sign-in"},
		{"", "GET", "/account", navigate, ""},
		{"/sign-in", "POST", "/account", navigate, ""},
		{"/sign-in", "PUT", "/account", []string{html}, ""},
		{"/sign-in", "GET", "/api", nil, ""},
		{"/sign-in", "GET", "/api", []string{"Accept: application/json"}, ""},
		{"/sign-in", "GET", "/api", []string{html, "X-Requested-With: XMLHttpRequest"}, ""},
		{"/sign-in", "GET", "/api", []string{html, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, ""},
		{"/sign-in", "GET", "/frame", []string{html, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, ""},
		{"/sign-in", "GET", "/image", []string{html, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, ""},
		{"/sign-in", "GET", "/ws", []string{html, "Connection: Upgrade", "Upgrade: websocket"}, ""},
		// It is where it should go.
		{"/sign-in", "GET", "/sign-in", navigate, ""},
		{"/sign-in", "GET", "/sign-in/?return_to=%2F", navigate, ""},
		{"/sign-in", "GET", "/x/..//sign-in", navigate, ""},
		{"/sign-in", "GET", "/%73ign-in", navigate, ""},
		{"https://example.com/sign-in", "GET", "/sign-in", navigate, ""},
		{"https://EXAMPLE.com/sign-in", "GET", "/sign-in", navigate, ""},
		{"https://id.example.com/sign-in", "GET", "/sign-in", navigate, "https://id.example.com/sign-in?return_to=%2Fsign-in"},
	} {
		k := newRig(t, withSignIn(t, c.signIn))
		r := visitor(c.method, "https://example.com/", c.headers...)
		r.RequestURI = c.target
		r.URL.Path, _, _ = strings.Cut(c.target, "?")
		w := k.serve(k.m.Required(seen), r)
		if c.want == "" {
			if w.Header().Get("Location") != "" {
				t.Errorf("%s %s %v: sent to %s", c.method, c.target, c.headers, w.Header().Get("Location"))
			}
			k.refused(w, 401, CodeUnauthenticated, false, "")
			continue
		}
		h := w.Result().Header
		if w.Code != 303 || h.Get("Location") != c.want || h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie" || w.Body.Len() != 0 {
			t.Errorf("%s %s %v: %d %v, want %s", c.method, c.target, c.headers, w.Code, h, c.want)
		}
	}
}

// Only what a sign-in puts right sends to sign in.
func TestRedirectOnlyWhereItHelps(t *testing.T) {
	k := newRig(t, withSignIn(t, "/sign-in"))
	k.good("s1", Claims{Subject: "ann"})
	page := func(parts ...string) string {
		w := k.serve(k.m.Require(Requirement{Roles: []string{"x"}})(seen), visitor("GET", "/p", append(parts, "Accept: text/html")...))
		return w.Header().Get("Location")
	}
	if to := page("s1"); to != "" {
		t.Errorf("a missing role leads to %s", to)
	}
	if to := page("r1"); to != "" {
		t.Errorf("a server that is away leads to %s", to)
	}
	if to := page("Authorization: Bearer x"); to != "" {
		t.Errorf("a bearer token leads to %s", to)
	}
	k.refuses(terminal(CodeSessionExpired))
	if to := page("r2"); to != "/sign-in?return_to=%2Fp" {
		t.Errorf("an ended session leads to %q", to)
	}
	k.good("s1", Claims{})
	w := k.serve(k.m.Require(Requirement{StepUp: true})(seen), visitor("GET", "/p", "s1", "Accept: text/html"))
	if w.Header().Get("Location") != "" {
		t.Error("a missing step-up leads to a page that sends signed-in users back")
	}
}

func TestSignInURL(t *testing.T) {
	for _, ok := range []string{"", "/sign-in", "/a/b?c=d", "https://id.example.com/sign-in", "http://localhost:8080/x", "http://127.0.0.1/x", "http://[::1]:1/"} {
		if _, err := parseSignIn(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"sign-in", "//evil.example/x", "/\\x", "http://id.example.com/", "ftp://x.example/", "javascript:x", "https:///x",
		"https://user@id.example.com/", "/x#y", "/a b", "https://x.example/%zz", "mailto:x@y",
	} {
		if _, err := parseSignIn(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
