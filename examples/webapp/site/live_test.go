package site_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

type state struct {
	Token, Session, Subject, Note string
	AMR                           []string
}

func (w *world) state(browser *http.Client) state {
	w.t.Helper()
	a := w.ask(browser, "GET", "/live/state", nil)
	var s state
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		w.t.Fatalf("%d at %s: %s", a.status, a.path, a.body)
	}
	return s
}

func TestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(w.browser, "/")
	s := w.state(w.browser)
	if !strings.HasPrefix(s.Session, "ses_") || !strings.HasPrefix(s.Subject, "usr_") || s.Token == "" || len(s.AMR) != 1 || s.AMR[0] != "pwd" || s.Note != "" {
		t.Errorf("the state is %+v", s)
	}
	if a := w.ask(w.browser, "POST", "/live/note", nil); a.status != http.StatusOK {
		t.Errorf("changing the claim is answered %d: %s", a.status, a.body)
	}
	if session, err := w.client.Session(t.Context(), s.Session); err != nil || !strings.Contains(string(session.Claims), `"note":"changed at `) || !strings.Contains(string(session.Claims), `"account":"1"`) {
		t.Errorf("the session's claims are %s, %v", session.Claims, err)
	}
	var trace latchkey.Trace
	if a := w.ask(w.browser, "GET", "/live/trace", nil); json.Unmarshal([]byte(a.body), &trace) != nil || trace.Session.ID != s.Session || len(trace.Entries) == 0 {
		t.Errorf("the trace is %d: %s", a.status, a.body)
	}
	if a := w.ask(w.browser, "POST", "/live/revoke", nil); a.status != http.StatusOK {
		t.Errorf("revoking is answered %d: %s", a.status, a.body)
	}
	if session, err := w.client.Session(t.Context(), s.Session); err != nil || session.State != "ended" {
		t.Errorf("the session is %+v, %v", session, err)
	}
}

// TestNothingIsOpen: without a session only the public pages answer, and requests that
// another site's page sends get nowhere.
func TestNothingIsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, want := range map[string]int{
		"GET /": 200, "GET /sign-in": 200, "GET /static/style.css": 200, "GET /static/live.js": 200, "GET /static/icon.svg": 200,
		"GET /account": 401, "GET /live": 401, "GET /live/state": 401, "GET /live/trace": 401, "POST /live/note": 401, "POST /live/revoke": 401,
		"POST /sign-out-everywhere": 401, "POST /account/sessions/ses_1/end": 401,
		"GET /nothing": 404, "GET /sign-out": 405, "GET /templates/layout.html": 404, "GET /static/../templates/layout.html": 404,
	} {
		for foreign, want := range map[bool]int{false: want, true: want} {
			method, path, _ := strings.Cut(path, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
			w.must(err)
			r.Header.Set("Accept", "application/json")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if foreign {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				if method == "POST" {
					want = http.StatusForbidden
				}
			}
			answer, err := http.DefaultClient.Do(r)
			w.must(err)
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s %s, from another site: %v, is answered %d, want %d", method, path, foreign, answer.StatusCode, want)
			}
			if cache := answer.Header.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(path, "/static/") {
				t.Errorf("%s %s has Cache-Control %q", method, path, cache)
			}
			policy := answer.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s %s has the policy %q", method, path, policy)
			}
		}
	}
}
