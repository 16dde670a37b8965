package latchkey

import (
	"strings"
	"testing"
)

// Who follows a link from another site brings no SameSite=Strict cookies: the page of
// arrival fetches them.
func TestArrivalFromAnotherSite(t *testing.T) {
	navigation := func(site string) []string {
		return []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: " + site}
	}
	cross := navigation("cross-site")
	for what, c := range map[string]struct {
		method, target string
		headers        []string
		change         func(*Middleware)
		arrives        bool
	}{
		"a link":                      {"GET", "/account?tab=2&x=%22%3E'", cross, nil, true},
		"the site's own link":         {"GET", "/account", navigation("same-origin"), nil, false},
		"a sibling's, as cookies go":  {"GET", "/account", navigation("same-site"), nil, false},
		"typed":                       {"GET", "/account", navigation("none"), nil, false},
		"an old browser":              {"GET", "/account", []string{"Accept: text/html"}, nil, false},
		"a frame of another site":     {"GET", "/account", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Site: cross-site"}, nil, false},
		"a script of another site":    {"GET", "/account", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site"}, nil, false},
		"HEAD":                        {"HEAD", "/account", cross, nil, false},
		"the sign-in page":            {"GET", "/sign-in", cross, nil, false},
		"an address that leads away":  {"GET", "//evil.example/", cross, nil, false},
		"switched off":                {"GET", "/account", cross, func(m *Middleware) { m.noArrival = true }, false},
		"a session that has ended":    {"GET", "/account", append([]string{"r1"}, cross...), nil, false},
		"a site without sign-in page": {"GET", "/account", cross, func(m *Middleware) { m.signIn = nil }, false},
	} {
		k := newRig(t, withSignIn(t, "/sign-in"))
		k.refuses(terminal(CodeSessionExpired))
		if c.change != nil {
			c.change(k.m)
		}
		r := visitor(c.method, "https://example.com/", c.headers...)
		r.RequestURI = c.target
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(c.target, "?")
		w := k.serve(k.m.Required(seen), r)
		if got := w.Code == 200; got != c.arrives {
			t.Errorf("%s: %d %v, a page of arrival: %v, want %v", what, w.Code, w.Header(), got, c.arrives)
			continue
		}
		if !c.arrives {
			continue
		}
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie" || h.Get("Set-Cookie") != "" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", what, h)
		}
		if want := `content="0;url=/account?tab=2&amp;x=%22%3E&#39;"`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s, want %s", what, w.Body, want)
		}
	}
}
