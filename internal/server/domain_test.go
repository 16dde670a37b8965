package server_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/server"
)

func (w *world) settings(p directory.Project, patch string) {
	w.t.Helper()
	_, err := w.app.Directory.ChangeSettings(w.t.Context(), p.ID, []byte(patch), operator)
	w.must(err)
}

// at sends a request to a host.
func (w *world) at(host, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	out := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(out, r)
	return out
}

// custom is a world with two projects at domains of their own.
func custom(t testing.TB) (w *world, one, other directory.Project) {
	t.Helper()
	w = newWorld(t, slog.LevelError)
	one, other = w.project(), w.project()
	w.settings(one, `{"customDomain":"auth.shop.example"}`)
	w.settings(other, `{"customDomain":"auth.bank.example"}`)
	return w, one, other
}

const shop = "auth.shop.example"

// A project's end-user endpoints are at its domain, with and without its id.
func TestCustomDomain(t *testing.T) {
	w, p, _ := custom(t)
	token := w.signIn(p, "ada").Refresh.Reveal()
	bearer := "Authorization: Bearer " + token
	for _, host := range []string{shop, "AUTH.Shop.example", shop + ":443", shop + ":80", publicHost} {
		for _, prefix := range []string{"", "/" + p.ID.String()} {
			if host == publicHost && prefix == "" {
				continue
			}
			if out := w.at(host, "GET", prefix+"/session", "", bearer); out.Code != http.StatusOK {
				t.Errorf("%s%s/session: %d %s", host, prefix, out.Code, out.Body)
			}
			if out := w.at(host, "POST", prefix+"/session/refresh", "", bearer); out.Code != http.StatusOK {
				t.Errorf("%s%s/session/refresh: %d %s", host, prefix, out.Code, out.Body)
			}
			out := w.at(host, "GET", prefix+"/.well-known/openid-configuration", "")
			// The issuer is one and the same everywhere: verifiers compare it.
			if !strings.Contains(out.Body.String(), `"issuer":"`+publicURL+"/"+p.ID.String()+`"`) {
				t.Errorf("%s%s: %s", host, prefix, out.Body)
			}
			w.refused(w.at(host, "DELETE", prefix+"/session/refresh", "", bearer), http.StatusMethodNotAllowed, latchkey.CodeInvalidRequest)
		}
	}
}

const publicHost = "auth.example.com"

// Attack 34: at a custom domain there is nothing but the end-user endpoints of its
// project, whatever the path and the headers say.
func TestCustomDomainIsIsolated(t *testing.T) {
	w, p, other := custom(t)
	key := "Authorization: Bearer " + w.key(p)
	foreign := "Authorization: Bearer " + w.signIn(other, "eve").Refresh.Reveal()
	for _, target := range []string{
		"/metrics", "/livez", "/readyz", "/docs", "/openapi.json", "/", "/v1/projects/" + p.ID.String() + "/users",
		"/v1/projects/" + p.ID.String() + "/settings", "/" + p.ID.String() + "/v1/projects/" + p.ID.String() + "/users", "/" + p.ID.String() + "/metrics", "/" + p.ID.String(),
		"/" + other.ID.String() + "/session", "/" + other.ID.String() + "/.well-known/jwks.json", "/" + p.ID.String() + "/" + p.ID.String() + "/session",
		"/" + p.ID.String() + "/" + other.ID.String() + "/session", "/%70" + p.ID.String()[1:] + "/session/", "/project/session", "/{project}/session",
	} {
		for _, credential := range []string{key, foreign, "X-Forwarded-Host: " + publicHost, "X-Original-Url: /metrics"} {
			w.refused(w.at(shop, "GET", target, "", credential), http.StatusNotFound, latchkey.CodeNotFound)
		}
	}
	w.refused(w.at(shop, "POST", "/v1/projects/"+p.ID.String()+"/sessions", `{}`, key), http.StatusNotFound, latchkey.CodeNotFound)
	// Another project's token is nobody's here.
	w.refused(w.at(shop, "GET", "/session", "", foreign), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
	// And who only claims to have been forwarded gets what the Host has.
	for _, name := range []string{"X-Forwarded-Host", "Forwarded", "X-Host", "X_Forwarded_Host"} {
		w.refused(w.at(publicHost, "GET", "/session", "", foreign, name+": host="+shop, name+": "+shop), http.StatusNotFound, latchkey.CodeNotFound)
	}
}

// Hosts that only look like the domain get what every other host gets.
func TestLookAlikeHosts(t *testing.T) {
	w, p, _ := custom(t)
	token := "Authorization: Bearer " + w.signIn(p, "ada").Refresh.Reveal()
	for _, host := range []string{
		"x" + shop, "x." + shop, shop + ".", shop + ".evil.example", shop + ":8443", shop + ":443:443", "shop.example", "evil-" + shop, " " + shop, shop + " ",
		"auth.shop.example@evil.example", "", "localhost", "127.0.0.1", "[::1]:80", strings.Repeat("x", 5000) + ".example", "аuth.shop.example",
	} {
		w.refused(w.at(host, "GET", "/session", "", token), http.StatusNotFound, latchkey.CodeNotFound)
		if out := w.at(host, "GET", "/readyz", ""); out.Code != http.StatusOK {
			t.Errorf("%.80q: %d %s", host, out.Code, out.Body)
		}
	}
}

// Attack 35: no answer repeats the host that it was sent to, not even a redirect's.
func TestAnswersDoNotRepeatTheHost(t *testing.T) {
	w, p, _ := custom(t)
	for _, target := range []string{"/", "/docs", "/openapi.json", "/nowhere", "/docs/errors/invalid_request", "/livez", "/metrics",
		"/" + p.ID.String() + "/session", "/" + p.ID.String() + "/.well-known/openid-configuration", "/" + p.ID.String() + "/.well-known/jwks.json", "//evil.test/x", "/docs/"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "HEAD"} {
			out := w.at("evil.test", method, target, "", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: http")
			if all := out.Body.String() + fmt.Sprint(out.Header()); strings.Contains(strings.ReplaceAll(all, "//evil.test/x", ""), "evil.test") {
				t.Errorf("%s %s: %s", method, target, all)
			}
		}
	}
}

// Made-up hosts cost the store nothing, and a store that fails leaves known domains as
// they are.
func TestHostsAndTheStore(t *testing.T) {
	w, p, _ := custom(t)
	token := "Authorization: Bearer " + w.signIn(p, "ada").Refresh.Reveal()
	w.at(shop, "GET", "/session", "", token)
	reads := 0
	w.store.domains = func() error { reads++; return nil }
	for i := range 1000 {
		w.at(fmt.Sprintf("junk%d.example", i), "GET", "/livez", "")
	}
	if reads != 0 {
		t.Errorf("the store was read %d times", reads)
	}
	w.clock.Move(time.Minute)
	down := errors.New("down")
	w.store.domains = func() error { reads++; return down }
	for range 10 {
		if out := w.at(shop, "GET", "/session", "", token); out.Code != http.StatusOK {
			t.Errorf("%d %s", out.Code, out.Body)
		}
	}
	if reads != 1 {
		t.Errorf("a store that fails was read %d times", reads)
	}
	// Without any knowledge nobody is given the wrong endpoints; the server's own host
	// and addresses need none.
	w = newWorld(t, slog.LevelError)
	w.store.domains = func() error { return down }
	out := w.at(shop, "GET", "/metrics", "")
	w.refused(out, http.StatusServiceUnavailable, latchkey.CodeUnavailable)
	if out.Header().Get("Retry-After") == "" {
		t.Error("it isn't said when to try again")
	}
	for _, host := range []string{publicHost, "10.0.0.7:8080", "[fe80::1]", "localhost:8080", "latchkey"} {
		if out := w.at(host, "GET", "/livez", ""); out.Code != http.StatusOK {
			t.Errorf("%s: %d", host, out.Code)
		}
	}
}

func TestPreflightsAreMounted(t *testing.T) {
	w, p, _ := custom(t)
	w.settings(p, `{"approvedOrigins":["https://app.shop.example"]}`)
	for host, prefix := range map[string]string{shop: "", publicHost: "/" + p.ID.String()} {
		out := w.at(host, "OPTIONS", prefix+"/session/refresh", "", "Origin: https://app.shop.example", "Access-Control-Request-Method: POST")
		if out.Code != http.StatusNoContent || out.Header().Get("Access-Control-Allow-Origin") != "https://app.shop.example" || out.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %v", host, out.Code, out.Header())
		}
		w.refused(w.at(host, "OPTIONS", prefix+"/session/refresh", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST"), http.StatusForbidden, latchkey.CodeForbidden)
		w.refused(w.at(host, "OPTIONS", prefix+"/session/refresh", ""), http.StatusMethodNotAllowed, latchkey.CodeInvalidRequest)
	}
	w.refused(w.at(publicHost, "OPTIONS", "/v1/projects/"+p.ID.String()+"/users", "", "Origin: https://app.shop.example", "Access-Control-Request-Method: GET"), http.StatusMethodNotAllowed, latchkey.CodeInvalidRequest)
}

// browse signs in over HTTP and returns the cookies that the application forwards.
func (w *world) browse(host string, p directory.Project) (cookies []*http.Cookie, lines []string) {
	w.t.Helper()
	out := w.at(host, "POST", "/v1/projects/"+p.ID.String()+"/sessions", `{"user":{"loginIds":["ada"]},"amr":["pwd"]}`, "Authorization: Bearer "+w.key(p), "Content-Type: application/json")
	var set latchkey.TokenSet
	w.must(jsonInto(out, &set))
	for _, line := range set.SetCookie {
		c, err := http.ParseSetCookie(line)
		w.must(err)
		cookies = append(cookies, c)
	}
	return cookies, set.SetCookie
}

// The cookies of a sign-in are good at the custom domain: set for it, and read there.
func TestCookiesAtACustomDomain(t *testing.T) {
	w, p, _ := custom(t)
	w.settings(p, `{"delivery":{"session":"cookie","refresh":"cookie"},"cookies":{"domain":"shop.example"},"approvedOrigins":["https://shop.example"]}`)
	cookies, lines := w.browse(publicHost, p)
	if len(cookies) != 2 || cookies[0].Name != "__Secure-DS" || cookies[1].Domain != "shop.example" || !cookies[1].Secure {
		t.Fatalf("%d cookies", len(lines))
	}
	jar := "Cookie: " + cookies[0].Name + "=" + cookies[0].Value + "; " + cookies[1].Name + "=" + cookies[1].Value
	for _, origin := range []string{"https://shop.example", "https://auth.shop.example"} {
		if out := w.at(shop, "POST", "/session/refresh", "", jar, "Origin: "+origin); out.Code != http.StatusOK || len(out.Header()["Set-Cookie"]) != 2 {
			t.Errorf("%s: %d %s", origin, out.Code, out.Body)
		}
	}
	// The server's own origin is another one, seen from there.
	for _, origin := range []string{publicURL, "http://auth.shop.example", "https://bank.example"} {
		w.refused(w.at(shop, "POST", "/session/refresh", "", jar, "Origin: "+origin), http.StatusForbidden, latchkey.CodeForbidden)
	}
}

// On plain http on this very machine cookies are neither secure nor prefixed, since not
// every browser takes those there; and a server that is https everywhere never falls
// back to that, whatever Host a proxy makes up.
func TestCookiesOnLocalhost(t *testing.T) {
	const local = "http://127.0.0.1:8080"
	w := newWorld(t, slog.LevelError, func(d *server.Deps) { d.PublicURL = local })
	p := w.project()
	w.settings(p, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	cookies, lines := w.browse("127.0.0.1:8080", p)
	if len(lines) != 2 || strings.Contains(strings.Join(lines, " "), "Secure") || cookies[0].Name != "DS" || cookies[1].Name != "DSR" || !cookies[1].HttpOnly {
		t.Fatalf("%d cookies", len(lines))
	}
	jar := "Cookie: DSR=" + cookies[1].Value
	for _, host := range []string{"127.0.0.1:8080", "localhost:8080", "[::1]:8080"} {
		out := w.at(host, "POST", "/"+p.ID.String()+"/session/refresh", "", jar, "Origin: http://"+host)
		if out.Code != http.StatusOK || strings.Contains(fmt.Sprint(out.Header()["Set-Cookie"]), "Secure") {
			t.Errorf("%s: %d %s", host, out.Code, out.Body)
		}
		w.refused(w.at(host, "POST", "/"+p.ID.String()+"/session/refresh", "", jar, "Origin: http://localhost:3000"), http.StatusForbidden, latchkey.CodeForbidden)
	}

	w = newWorld(t, slog.LevelError)
	p = w.project()
	w.settings(p, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	cookies, lines = w.browse("localhost:8080", p)
	if len(lines) != 2 || !cookies[0].Secure || cookies[1].Name != "__Host-Http-DSR" {
		t.Fatalf("%d cookies", len(lines))
	}
	out := w.at("localhost:8080", "POST", "/"+p.ID.String()+"/session/refresh", "", "Cookie: __Host-Http-DSR="+cookies[1].Value, "Origin: "+publicURL)
	if out.Code != http.StatusOK || strings.Count(fmt.Sprint(out.Header()["Set-Cookie"]), "; Secure") != 2 {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	w.refused(w.at("localhost:8080", "POST", "/"+p.ID.String()+"/session/refresh", "", "Cookie: DSR="+cookies[1].Value), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
}

// Whatever the path, at a custom domain nothing but an end-user endpoint of the project
// answers, and whatever the host, nothing of it comes back.
func FuzzCustomDomain(f *testing.F) {
	for _, target := range []string{"/session", "/metrics", "/%2e%2e/metrics", "//metrics", "/v1/projects", "/session/../metrics", "/.well-known/jwks.json", "/prj_x/session", "/session?x=1", "/;/session", "/\\session"} {
		f.Add(target, shop)
		f.Add(target, "x."+shop)
	}
	w, p, _ := custom(f)
	f.Fuzz(func(t *testing.T, target, host string) {
		u, err := url.Parse(target)
		if err != nil || !strings.HasPrefix(u.Path, "/") || u.Host != "" {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.Host = u, host
		out := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(out, r)
		at := strings.EqualFold(strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80"), shop)
		path := strings.TrimPrefix(strings.TrimSuffix(u.Path, "/"), "/"+p.ID.String())
		if at && out.Code < 300 && !strings.HasPrefix(path, "/.well-known/") {
			t.Errorf("%q at %q: %d %s", target, host, out.Code, out.Body)
		}
		if at && out.Code >= 300 && out.Code < 400 {
			t.Errorf("%q at %q leads to %s", target, host, out.Header().Get("Location"))
		}
		if len(host) > 8 && !strings.Contains(target, host) && !strings.Contains(publicURL, host) && strings.Contains(fmt.Sprint(out.Header()), host) {
			t.Errorf("%q at %q: %v", target, host, out.Header())
		}
	})
}
