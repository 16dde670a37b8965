package native_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// call is a request to be made.
type call struct {
	method, path string
	body         string // JSON, or whatever is to be sent in its place
	bearer       string
	header       http.Header
	from         string // address; 192.0.2.1 when empty
	agent        string
	host         string // of another server than the world's
	spoilt       bool   // the bearer is one of thousands: don't search for its parts
}

// reply is what came back.
type reply struct {
	route   string // operationId, "" when no route took it
	status  int
	header  http.Header
	body    []byte
	problem latchkey.Problem // of a refusal
}

type routeKey struct{}

// marked notes in the request's context which route took it.
func marked(id string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Value(routeKey{}).(*string); ok {
			*at = id
		}
		next.ServeHTTP(w, r)
	})
}

const requestID = "test-request"

func (c call) request(t testing.TB) *http.Request {
	t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequest(c.method, publicURL+c.path, body)
	must(t, err)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.agent != "" {
		r.Header.Set("User-Agent", c.agent)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if len(r.Header["X-Request-Id"]) == 0 {
		r.Header.Set("X-Request-Id", requestID)
	}
	if c.host != "" {
		r.Host = c.host
	}
	r.RemoteAddr = "192.0.2.1:4711"
	if c.from != "" {
		r.RemoteAddr = c.from + ":4711"
	}
	return r
}

// do makes a call and checks what is true of every answer.
func (w *world) do(t testing.TB, c call) reply {
	t.Helper()
	if len(c.bearer) > 16 && !c.spoilt {
		w.secret(c.bearer)
	}
	r := c.request(t)
	var a reply
	r = r.WithContext(context.WithValue(r.Context(), routeKey{}, &a.route))
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	a.status, a.header, a.body = rec.Code, rec.Header(), rec.Body.Bytes()
	w.check(t, c, &a)
	return a
}

// ok makes a call that is expected to work, and reads its answer into what into points
// to, unless nil.
func (w *world) ok(t testing.TB, c call, into any) reply {
	t.Helper()
	a := w.do(t, c)
	if a.status >= 400 {
		t.Fatalf("%s %s: %d %s", c.method, c.path, a.status, a.body)
	}
	if into != nil {
		must(t, json.Unmarshal(a.body, into))
	}
	return a
}

// refused makes a call that is expected to be refused with a code.
func (w *world) refused(t testing.TB, c call, code latchkey.Code) reply {
	t.Helper()
	a := w.do(t, c)
	if a.problem.Code != code {
		t.Fatalf("%s %s: got %d %s, want %s", c.method, c.path, a.status, a.body, code)
	}
	return a
}

// check is what holds for every answer of every test: it is documented, and gives
// nothing away.
func (w *world) check(t testing.TB, c call, a *reply) {
	t.Helper()
	if a.route == "" {
		return
	}
	route := w.routes[a.route]
	if a.header.Get("X-Request-Id") == "" {
		t.Errorf("%s: no request id", a.route)
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: no nosniff", a.route)
	}
	w.checkCookies(t, a)
	if a.status >= 400 {
		w.checkProblem(t, route, a)
	} else {
		w.checkSuccess(t, route, c, a)
	}
	w.checkLeaks(t, a)
	seen.add(a.route, a.status, a.problem.Code)
}

func (w *world) checkProblem(t testing.TB, route native.Route, a *reply) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a.problem); err != nil {
		t.Fatalf("%s: the problem %s: %v", a.route, a.body, err)
	}
	at := slices.IndexFunc(wire.Codes(), func(info wire.CodeInfo) bool { return info.Code == a.problem.Code })
	if at < 0 || !slices.Contains(route.All(), a.problem.Code) {
		t.Fatalf("%s: the code %q isn't documented: %s", a.route, a.problem.Code, a.body)
	}
	info := wire.Codes()[at]
	p := a.problem
	if route.Lints && p.Code == latchkey.CodeInvalidRequest && sensitive(p) {
		info.Status = http.StatusUnprocessableEntity
	}
	if a.status != info.Status || p.Status != info.Status || p.Title != info.Title || p.Terminal != info.Terminal || p.Detail == "" ||
		p.Type != "/docs/errors/"+string(p.Code) || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("%s: %d %s", a.route, a.status, a.body)
	}
	w.spec.conforms(t, a.route, a.status, problemMedia, a.body)
	h := a.header
	if h.Get("Content-Type") != problemMedia || h.Get("Cache-Control") != "no-store" || len(h["Set-Cookie"]) > 0 && !p.Terminal {
		t.Errorf("%s: headers of a problem: %v", a.route, h)
	}
	if got, want := h.Get("Retry-After") != "", info.RetryAfter; got != want {
		t.Errorf("%s: Retry-After %q with %s", a.route, h.Get("Retry-After"), p.Code)
	}
	if got, want := h.Get("WWW-Authenticate") != "", a.status == http.StatusUnauthorized; got != want {
		t.Errorf("%s: WWW-Authenticate %q with %d", a.route, h.Get("WWW-Authenticate"), a.status)
	}
}

// sensitive reports whether a problem is about what the linter of claims refuses, and
// nothing else.
func sensitive(p latchkey.Problem) bool {
	return len(p.Errors) > 0 && !slices.ContainsFunc(p.Errors, func(e latchkey.FieldError) bool { return e.Code != "sensitive" })
}

const problemMedia = "application/problem+json"

// credential matches every credential that an answer can hold.
var credential = regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]+\.[\w-]+|rt_[\w-]{40,}|lk_\w+_[\w-]{20,}|whsec_[\w+/=]{40,}`)

func (w *world) checkSuccess(t testing.TB, route native.Route, c call, a *reply) {
	t.Helper()
	if a.status == http.StatusNotModified {
		return
	}
	want, media := http.StatusOK, "application/json"
	if route.Status != 0 {
		want = route.Status
	}
	if route.Media != "" {
		media = route.Media
	}
	if a.status != want || a.header.Get("Content-Type") != media {
		t.Errorf("%s: %d %s, want %d %s", a.route, a.status, a.header.Get("Content-Type"), want, media)
	}
	w.spec.conforms(t, a.route, a.status, media, a.body)
	if c.body != "" {
		w.spec.accepts(t, a.route, []byte(c.body))
	}
	found := credential.FindAllString(string(a.body), -1)
	for _, s := range found {
		w.secret(s)
	}
	// Attack 33: what carries a token must not be cached.
	if len(found) > 0 && a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: carries a token with Cache-Control %q", a.route, a.header.Get("Cache-Control"))
	}
}

// checkLeaks searches headers, problems and reports for every secret that this world
// has seen, or for a good part of one.
func (w *world) checkLeaks(t testing.TB, a *reply) {
	t.Helper()
	var text strings.Builder
	for name, values := range a.header {
		if name == "Set-Cookie" {
			continue // see checkCookies
		}
		text.WriteString(name + ": " + strings.Join(values, ", ") + "\n")
	}
	if a.status >= 400 {
		text.Write(a.body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.reports {
		text.WriteString("\n" + err.Error())
	}
	w.reports = nil
	for part := range w.secrets {
		if strings.Contains(text.String(), part) {
			t.Errorf("%s: %q is in %s", a.route, part, text.String())
			break
		}
	}
}

// secretParts cuts what is secret of a credential into parts, each of which is too much
// to show.
func secretParts(s string) []string {
	if strings.HasPrefix(s, "eyJ") {
		// Header and claims are no secrets, and parts of them are in every token.
		s = s[strings.LastIndex(s, ".")+1:]
	}
	for _, prefix := range []string{"whsec_", "rt_", "lk_mgmt_", "lk_verify_"} {
		s = strings.TrimPrefix(s, prefix)
	}
	const size = 12
	var out []string
	for ; len(s) > size; s = s[size:] {
		out = append(out, s[:size])
	}
	return out
}
