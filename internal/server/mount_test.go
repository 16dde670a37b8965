package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/server"
)

// described returns the methods of each path that the API's own description has.
func (w *world) described() map[string][]string {
	w.t.Helper()
	var spec struct {
		Paths map[string]map[string]json.RawMessage
	}
	w.must(json.Unmarshal(w.ask("GET", "/openapi.json", "").Body.Bytes(), &spec))
	paths := map[string][]string{}
	for path, operations := range spec.Paths {
		for method := range operations {
			if m := strings.ToUpper(method); slices.Contains([]string{"GET", "POST", "PATCH", "PUT", "DELETE"}, m) {
				paths[path] = append(paths[path], m)
			}
		}
	}
	if len(paths) < 20 {
		w.t.Fatalf("the description has only %d paths", len(paths))
	}
	return paths
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// Whatever the description says is served is served, and answers to no other method.
func TestEveryRouteIsMounted(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	paths := w.described()
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/errors/invalid_request", "/"} {
		paths[path] = append(paths[path], "GET")
	}
	project := id.NewProject(w.clock.Now()).String()
	for path := range paths {
		target := placeholder.ReplaceAllString(strings.Replace(path, "{project}", project, 1), "x")
		methods := matching(paths, target)
		for _, method := range []string{"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND"} {
			out := w.ask(method, target, "")
			if method == "HEAD" && slices.Contains(methods, "GET") || slices.Contains(methods, method) {
				if out.Code == http.StatusMethodNotAllowed || out.Code >= 500 || strings.Contains(out.Body.String(), "nothing at this address") {
					t.Errorf("%s %s isn't mounted: %d %s", method, path, out.Code, out.Body)
				}
				continue
			}
			if out.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s answers %d", method, path, out.Code)
			}
			if method != "HEAD" {
				w.refused(out, http.StatusMethodNotAllowed, latchkey.CodeInvalidRequest)
			}
			allow := strings.Split(out.Header().Get("Allow"), ", ")
			if slices.Sort(allow); !slices.Equal(allow, methods) {
				t.Errorf("%s %s allows %q, want %q", method, path, allow, methods)
			}
		}
	}
}

// matching returns the methods of all paths that the target is one of, sorted:
// ".../sessions/revoke" could be the session "revoke", too.
func matching(paths map[string][]string, target string) []string {
	var methods []string
	for path, own := range paths {
		if regexp.MustCompile("^" + placeholder.ReplaceAllString(path, "[^/]+") + "$").MatchString(target) {
			methods = append(methods, own...)
		}
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

func TestDocuments(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	targets := map[string]string{
		"/livez": "application/json", "/readyz": "application/json", "/openapi.json": "application/json",
		"/docs": "text/html; charset=utf-8", "/metrics": "text/plain; version=0.0.4; charset=utf-8",
	}
	for _, c := range wire.Codes() {
		targets["/docs/errors/"+string(c.Code)] = "text/html; charset=utf-8"
	}
	for target, media := range targets {
		out := w.ask("GET", target, "")
		h := out.Header()
		if out.Code != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), media) || out.Body.Len() == 0 || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s, %d bytes", target, out.Code, h, out.Body.Len())
		}
		if !strings.HasPrefix(media, "text/html") {
			continue
		}
		if h.Get("Content-Security-Policy") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" {
			t.Errorf("%s has no guard: %s", target, h)
		}
	}
	for _, target := range []string{"/livez", "/readyz"} {
		if body := w.ask("GET", target, "").Body.String(); strings.TrimSpace(body) != `{"status":"ok"}` {
			t.Errorf("%s: %s", target, body)
		}
	}
	if out := w.ask("GET", "/", ""); out.Code != http.StatusFound || out.Header().Get("Location") != "/docs" {
		t.Errorf("the front door leads to %d %s", out.Code, out.Header())
	}
	w.refused(w.ask("GET", "/docs/errors/no_such_code", ""), http.StatusNotFound, latchkey.CodeNotFound)
}

func TestUnknownAddress(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	for _, target := range []string{"/nowhere", "/v1", "/v1/projects", "/docs/", "/livez/", "/a/b/c/d/e", "/favicon.ico", "/%00", "/session/refresh/"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "PROPFIND"} {
			out := w.ask(method, target, "{}")
			if p := w.refused(out, http.StatusNotFound, latchkey.CodeNotFound); !strings.Contains(p.Detail, "/docs") {
				t.Errorf("%s %s: %q doesn't say where to look", method, target, p.Detail)
			}
			if allow, ok := out.Header()["Allow"]; ok {
				t.Errorf("%s %s allows %q", method, target, allow)
			}
		}
	}
}

// A mistyped address must not hide that a token was sent in the URL.
func TestTokenInURL(t *testing.T) {
	w := newWorld(t, slog.LevelDebug)
	p := w.project()
	set := w.signIn(p, "ada")
	tokens := []string{set.Refresh.Reveal(), set.Session.Reveal(), w.key(p)}
	for _, secret := range tokens {
		for _, target := range []string{
			"/nowhere?token=" + secret, "/nowhere?x=" + secret, "/nowhere/" + secret, "/livez/" + secret, "/" + p.ID.String() + "/session/refresh?refreshToken=" + secret,
		} {
			for _, method := range []string{"GET", "POST"} {
				out := w.ask(method, target, "")
				w.refused(out, http.StatusBadRequest, latchkey.CodeTokenInURL)
				if strings.Contains(out.Body.String(), secret) {
					t.Errorf("the answer repeats the token: %s", out.Body)
				}
			}
		}
	}
	if _, text := w.log.take(t); text == "" || slices.ContainsFunc(tokens, func(s string) bool { return strings.Contains(text, s) }) {
		t.Errorf("the log holds a token, or nothing: %s", text)
	}
}

// The client of a session can't fill the log and the feed with changes of its claims.
func TestChangesOfClientsAreLimited(t *testing.T) {
	w := newWorld(t, slog.LevelError, func(d *server.Deps) { d.Config.NetworkLimit = 0 })
	p := w.project()
	one, other := w.signIn(p, "alice@example.com").Refresh.Reveal(), w.signIn(p, "bob@example.com").Refresh.Reveal()
	change := func(token string, n int) *httptest.ResponseRecorder {
		return w.ask("POST", "/"+p.ID.String()+"/session/claims", fmt.Sprintf(`{"claims":{"n":%d}}`, n), "Authorization: Bearer "+token)
	}
	for n := range 10 {
		if out := change(one, n); out.Code != http.StatusOK {
			t.Fatalf("change %d: %d %s", n, out.Code, out.Body)
		}
	}
	w.refused(change(one, 10), http.StatusTooManyRequests, latchkey.CodeRateLimited)
	if out := change(other, 0); out.Code != http.StatusOK {
		t.Errorf("another session: %d %s", out.Code, out.Body)
	}
}

func TestNetworkLimit(t *testing.T) {
	ask := func(w *world, p string) *httptest.ResponseRecorder { return w.ask("GET", "/"+p+"/session", "") }
	w := newWorld(t, slog.LevelError, func(d *server.Deps) { d.Config.NetworkLimit = 2 })
	p := w.project().ID.String()
	for range 2 {
		w.refused(ask(w, p), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
	}
	out := ask(w, p)
	w.refused(out, http.StatusTooManyRequests, latchkey.CodeRateLimited)
	if out.Header().Get("Retry-After") != "30" {
		t.Errorf("try again after %q s", out.Header().Get("Retry-After"))
	}
	if got := w.series(`latchkey_rate_limited_total{limit="network"}`); len(got) != 1 || got[`latchkey_rate_limited_total{limit="network"}`] != "1" {
		t.Errorf("counted as %v", got)
	}
	for _, target := range []string{"/livez", "/readyz", "/metrics", "/docs"} {
		if out := w.ask("GET", target, ""); out.Code != http.StatusOK {
			t.Errorf("%s is limited, too: %d", target, out.Code)
		}
	}

	w = newWorld(t, slog.LevelError, func(d *server.Deps) { d.Config.NetworkLimit = 0 })
	for range 100 {
		w.refused(ask(w, p), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
	}
}
