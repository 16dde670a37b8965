package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func TestReadiness(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	if out := w.ask("GET", "/readyz", ""); out.Code != http.StatusOK {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	w.store.ping = func(context.Context) error { return errors.New("disk /dev/sda1 on fire") }
	out := w.ask("GET", "/readyz", "")
	p := w.refused(out, http.StatusServiceUnavailable, latchkey.CodeUnavailable)
	if out.Header().Get("Retry-After") != "1" || strings.Contains(out.Body.String(), "sda1") || p.Terminal {
		t.Errorf("%s %s", out.Header(), out.Body)
	}
	if _, text := w.log.take(t); !strings.Contains(text, "disk /dev/sda1 on fire") {
		t.Errorf("the log doesn't say why: %s", text)
	}
	// Alive is less than ready: nobody is helped by a restart while the disk is away.
	if out := w.ask("GET", "/livez", ""); out.Code != http.StatusOK {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	w.store.ping = nil
	if out := w.ask("GET", "/readyz", ""); out.Code != http.StatusOK {
		t.Errorf("still %d %s", out.Code, out.Body)
	}
}

// One line for each request, with its id, where it went and how it ended, and with
// nothing that grants access.
func TestLogLine(t *testing.T) {
	w := newWorld(t, slog.LevelDebug)
	p := w.project()
	set, key := w.signIn(p, "ada"), w.key(p)
	access, refresh := set.Session.Reveal(), set.Refresh.Reveal()
	issuer, api := "/"+p.ID.String(), "/v1/projects/"+p.ID.String()
	cut := refresh[:len(refresh)-2]
	for _, c := range []struct {
		method, target, body, bearer string
		status                       int
		level                        string
	}{
		{"GET", "/livez", "", "", 200, "DEBUG"},
		{"GET", issuer + "/session", "", access, 200, "DEBUG"},
		{"POST", issuer + "/session/refresh", "", refresh, 200, "DEBUG"},
		{"POST", issuer + "/session/refresh", `{"refreshToken":"` + refresh + `"}`, "", 200, "DEBUG"},
		{"POST", issuer + "/session/refresh", `{"refreshToken":"` + cut + `"}`, "", 401, "INFO"},
		{"POST", issuer + "/session/refresh", `{"refreshToken":"` + refresh + `"`, "", 400, "INFO"},
		{"POST", issuer + "/session/refresh", `{"` + refresh + `":1}`, "", 400, "INFO"},
		{"POST", issuer + "/session/refresh?rt=" + refresh, "", "", 400, "INFO"},
		{"GET", "/" + access, "", "", 400, "INFO"},
		{"GET", api + "/sessions", "", key, 200, "DEBUG"},
		{"GET", api + "/sessions", "", key[:len(key)-1], 401, "INFO"},
		{"GET", api + "/sessions/" + key, "", key, 400, "INFO"},
		{"GET", "/", "", "", 302, "DEBUG"},
		{"PUT", "/docs", "", "", 405, "INFO"},
		{"GET", "/nowhere\r\nforged", "", "", 404, "INFO"},
	} {
		headers := []string{"X-Request-Id: from-the-proxy-7"}
		if c.bearer != "" {
			headers = append(headers, "Authorization: Bearer "+c.bearer)
		}
		w.log.take(t)
		target := strings.NewReplacer("\r", "%0d", "\n", "%0a").Replace(c.target)
		if out := w.ask(c.method, target, c.body, headers...); out.Code != c.status {
			t.Errorf("%s %s answers %d %s", c.method, target, out.Code, out.Body)
		}
		entries, text := w.log.take(t)
		entries = slices.DeleteFunc(entries, func(e map[string]any) bool { return e["msg"] != "request" })
		if len(entries) != 1 {
			t.Fatalf("%s %s is logged %d times: %s", c.method, target, len(entries), text)
		}
		e := entries[0]
		if e["level"] != c.level || e["status"] != float64(c.status) || e["method"] != c.method || e["requestId"] != "from-the-proxy-7" ||
			e["url"] == "" || e["duration"] == nil {
			t.Errorf("%s %s is logged as %v", c.method, target, e)
		}
		for _, part := range []string{access, refresh, cut, key, refresh[len(refresh)-40:], access[len(access)-40:], key[len(key)-20:]} {
			if strings.Contains(text, part) {
				t.Errorf("%s %s: the log holds a token: %s", c.method, target, text)
			}
		}
	}
}

func TestLogLevel(t *testing.T) {
	w := newWorld(t, slog.LevelInfo)
	for target, logged := range map[string]bool{"/livez": false, "/docs": false, "/": false, "/nowhere": true} {
		w.log.take(t)
		w.ask("GET", target, "")
		if entries, text := w.log.take(t); (len(entries) > 0) != logged {
			t.Errorf("%s is logged at info: %s", target, text)
		}
	}
}

// Paths that somebody makes up must not become series.
func TestMetricsOfRoutes(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	p := w.project()
	for i := range 50 {
		w.ask("GET", fmt.Sprintf("/nowhere/%d", i), "")
		w.ask("GET", fmt.Sprintf("/prj_%d/session", i), "")
		w.ask("GET", fmt.Sprintf("/docs/errors/no_%d", i), "")
		w.ask(fmt.Sprintf("METHOD%d", i), "/livez", "")
	}
	w.ask("GET", "/"+p.ID.String()+"/.well-known/jwks.json", "")
	w.ask("GET", "/livez", "")
	got := w.series("latchkey_http_requests_total")
	want := map[string]string{}
	for _, s := range []struct {
		route, method string
		status, count int
	}{
		{"unknown", "GET", 404, 50}, {"unknown", "other", 405, 50}, {"/{project}/session", "GET", 404, 50}, {"/docs/errors/{code}", "GET", 404, 50},
		{"/{project}/.well-known/jwks.json", "GET", 200, 1}, {"/livez", "GET", 200, 1},
	} {
		want[fmt.Sprintf(`latchkey_http_requests_total{method=%q,route=%q,status="%d"}`, s.method, s.route, s.status)] = fmt.Sprint(s.count)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted\n%v, want\n%v", got, want)
	}
	if n := w.series("latchkey_http_in_flight_requests"); n["latchkey_http_in_flight_requests"] != "0" {
		t.Errorf("in flight: %v", n)
	}
}

// A panic is a bug on our side: the caller learns its request id and nothing else, and
// the server lives on.
func TestPanic(t *testing.T) {
	w := newWorld(t, slog.LevelError)
	jwks := "/" + w.project().ID.String() + "/.well-known/jwks.json"
	const private = "what the program held"
	w.store.ping = func(context.Context) error { panic(private) }
	w.store.find = func(id.Project) error { panic(errors.New(private)) }
	for _, target := range []string{"/readyz", jwks} {
		w.log.take(t)
		out := w.ask("GET", target, "")
		answer := w.refused(out, http.StatusInternalServerError, latchkey.CodeInternal)
		if body := out.Body.String(); strings.Contains(body, private) || strings.Contains(body, "panic") || !strings.Contains(answer.Detail, answer.RequestID) {
			t.Errorf("%s: %s", target, body)
		}
		entries, text := w.log.take(t)
		if len(entries) != 1 || entries[0]["level"] != "ERROR" || entries[0]["status"] != 500.0 || entries[0]["requestId"] != answer.RequestID {
			t.Errorf("%s is logged as %s", target, text)
		}
		if !strings.Contains(text, "panic") || !strings.Contains(text, "server_test") || strings.Contains(text, private) {
			t.Errorf("%s: the log should say where it was, without what the program held: %s", target, text)
		}
	}
	w.store.ping, w.store.find = nil, nil
	for _, target := range []string{"/readyz", jwks} {
		if out := w.ask("GET", target, ""); out.Code != http.StatusOK {
			t.Errorf("afterwards: %d %s", out.Code, out.Body)
		}
	}
}

// net/http's own signal to cut a connection stays one.
func TestBrokenConnectionIsNoPanic(t *testing.T) {
	w := newWorld(t, slog.LevelDebug)
	w.store.ping = func(context.Context) error { panic(http.ErrAbortHandler) }
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("net/http's signal became %v", p)
		}
	}()
	w.server.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil))
	t.Error("the connection wasn't cut")
}
