package latchkey

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestValidSession(t *testing.T) {
	k := newRig(t)
	k.good("s1", Claims{Subject: "ann"})
	for _, h := range []http.Handler{k.m.Required(seen), k.m.Optional(seen), k.m.Strict(seen), k.m.Require(Requirement{})(seen)} {
		k.passed(k.serve(h, visitor("GET", "/", "s1", "r1")), "ann with s1", "")
	}
	// The server is away, and isn't missed.
	if k.questions() != 0 {
		t.Error("the server was asked about a good session")
	}
}

func TestNoSession(t *testing.T) {
	k := newRig(t)
	p := k.refused(k.serve(k.m.Required(seen), visitor("GET", "/")), 401, CodeUnauthenticated, false, "")
	if p.Detail != "There is no session; sign in." {
		t.Errorf("detail %q", p.Detail)
	}
	k.passed(k.serve(k.m.Optional(seen), visitor("GET", "/")), "nobody: 401 unauthenticated terminal=false transient=false", "")
	if w := k.serve(seen, visitor("GET", "/")); w.Body.String() != "nothing known" {
		t.Errorf("without a middleware: %s", w.Body)
	}
	if _, ok := TokenFromContext(t.Context()); ok {
		t.Error("a token from nowhere")
	}
}

// What each reason of a refused session token leads to, with and without a refresh token.
func TestSessionTokenRefused(t *testing.T) {
	for reason, want := range map[Reason]struct {
		alone     string // status and code without a refresh token
		refreshes bool
	}{
		ReasonExpired:         {"401 unauthenticated", true},
		ReasonOutdated:        {"401 unauthenticated", true},
		ReasonRevoked:         {"401 unauthenticated", true},
		ReasonUnknownKey:      {"401 unauthenticated", true},
		ReasonMalformed:       {"401 unauthenticated", true}, // counts as none
		ReasonTooLarge:        {"401 unauthenticated", true},
		ReasonType:            {"401 unauthenticated", true},
		ReasonAlgorithm:       {"401 unauthenticated", true},
		ReasonSignature:       {"401 unauthenticated", true},
		ReasonIssuer:          {"401 unauthenticated", true},
		ReasonAudience:        {"401 unauthenticated", true},
		ReasonNotYetValid:     {"503 unavailable", false},
		ReasonKeysUnavailable: {"503 unavailable", false},
		ReasonFeedSilent:      {"503 unavailable", false},
		ReasonMethods:         {"401 insufficient_user_authentication", false},
		ReasonStepUp:          {"401 insufficient_user_authentication", false},
		ReasonAge:             {"401 insufficient_user_authentication", false},
		ReasonTenant:          {"403 forbidden", false},
		ReasonRole:            {"403 forbidden", false},
		ReasonPermission:      {"403 forbidden", false},
		ReasonImpersonated:    {"403 forbidden", false},
	} {
		k := newRig(t)
		k.bad("s1", reason)
		k.good("s2", Claims{Subject: "ann"})
		k.answers("s2", "r2")
		status, code, _ := strings.Cut(want.alone, " ")
		n := 0
		fmt.Sscan(status, &n)
		p := k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1")), n, Code(code), false, "")
		if strings.Contains(p.Detail, "s1") {
			t.Errorf("%s: the detail shows the token: %s", reason, p.Detail)
		}
		w := k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1"))
		if want.refreshes {
			k.passed(w, "ann with s2", "save s2 r2")
		} else {
			k.refused(w, n, Code(code), false, "")
		}
		if got := k.questions() > 0; got != want.refreshes {
			t.Errorf("%s: refreshed: %t", reason, got)
		}
	}
}

// The browser has dropped the session cookie when it expired.
func TestOnlyRefreshToken(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	k.passed(k.serve(k.m.Optional(seen), visitor("POST", "/", "r1")), "ann with s2", "save s2 r2")
}

// An answer without a refresh token leaves the one that is there.
func TestAnswerWithoutRefreshToken(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), "ann with s2", "save s2 ")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "sx", "sy", "r1")), "ann with s2", "save s2 , tidy s2 r1")
}

func TestMiddlewareBearer(t *testing.T) {
	k := newRig(t)
	k.good("s1", Claims{Subject: "ann"})
	k.good("s2", Claims{Subject: "bob"})
	k.answers("s2", "r2")
	k.bad("s9", ReasonExpired)
	required := k.m.Required(seen)
	// Cookies and CSRF don't count beside the header.
	k.passed(k.serve(required, visitor("POST", "/", "Authorization: bearer s1", "s2", "r1", "Sec-Fetch-Site: cross-site")), "ann with s1", "")
	for _, headers := range [][]string{
		{"Authorization: Bearer s9"}, {"Authorization: Bearer "}, {"Authorization: Bearer  nonsense"},
		{"Authorization: Bearer s1", "Authorization: Bearer s1"}, {"Authorization: Bearer s1", "Authorization: Basic x"},
	} {
		r := visitor("GET", "/", append(headers, "s2", "r1", "Accept: text/html")...)
		w := k.serve(required, r)
		k.refused(w, 401, CodeUnauthenticated, false, "")
		if got := w.Header().Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
			t.Errorf("%v: challenge %q", headers, got)
		}
		k.passed(k.serve(k.m.Optional(seen), r), "nobody: 401 unauthenticated terminal=false transient=false", "")
	}
	if k.questions() != 0 {
		t.Error("a header was refreshed")
	}
	w := k.serve(k.m.Require(Requirement{Roles: []string{"admin"}})(seen), visitor("GET", "/", "Authorization: Bearer s1"))
	if w.Code != 403 || w.Header().Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` {
		t.Errorf("a missing role: %d %v", w.Code, w.Header())
	}
	// Another scheme is somebody else's.
	k.passed(k.serve(required, visitor("GET", "/", "Authorization: Basic YTpi", "s2")), "bob with s2", "")
}

func TestMiddlewareRequirement(t *testing.T) {
	k := newRig(t)
	k.good("s1", Claims{Subject: "ann", Roles: []string{"admin"}, AMR: []string{"pwd"}})
	k.passed(k.serve(k.m.Require(Requirement{Roles: []string{"admin"}})(seen), visitor("GET", "/", "s1")), "ann with s1", "")
	k.refused(k.serve(k.m.Require(Requirement{Roles: []string{"root"}})(seen), visitor("GET", "/", "s1", "r1")), 403, CodeForbidden, false, "")
	w := k.serve(k.m.Require(Requirement{AMR: []string{"mfa"}})(seen), visitor("GET", "/", "s1", "r1", "Accept: text/html"))
	k.refused(w, 401, CodeInsufficientAuthentication, false, "")
	if got := w.Header().Get("WWW-Authenticate"); got != `Bearer error="insufficient_user_authentication"` {
		t.Errorf("challenge %q", got)
	}
	k.silent = true
	k.refused(k.serve(k.m.Strict(seen), visitor("GET", "/", "s1", "r1")), 503, CodeUnavailable, false, "")
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), "ann with s1", "")
	k.silent = false
	k.passed(k.serve(k.m.Strict(seen), visitor("GET", "/", "s1", "r1")), "ann with s1", "")
	// A requirement is asked of the new token, too.
	k.good("s2", Claims{Subject: "ann", Roles: []string{"user"}})
	k.answers("s2", "r2")
	k.refused(k.serve(k.m.Require(Requirement{Roles: []string{"admin"}})(seen), visitor("GET", "/", "r1")), 403, CodeForbidden, false, "save s2 r2")
}

// A route in a group asks for what is new only: one look at the cookies, one refresh.
func TestMiddlewareNested(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann", Roles: []string{"admin"}})
	k.answers("s2", "r2")
	inner := k.m.Require(Requirement{Roles: []string{"admin"}})(seen)
	k.passed(k.serve(k.m.Required(k.m.Optional(inner)), visitor("GET", "/", "r1")), "ann with s2", "save s2 r2")
	more := k.m.Require(Requirement{Roles: []string{"root"}})(seen)
	k.refused(k.serve(k.m.Optional(more), visitor("GET", "/", "s2")), 403, CodeForbidden, false, "")
	k.refused(k.serve(k.m.Optional(inner), visitor("GET", "/")), 401, CodeUnauthenticated, false, "")
	k.passed(k.serve(k.m.Optional(k.m.Optional(seen)), visitor("GET", "/")), "nobody: 401 unauthenticated terminal=false transient=false", "")
	// Another Middleware has other cookies and looks for itself.
	other := newRig(t)
	other.good("s2", Claims{Subject: "bob"})
	k.passed(k.serve(k.m.Required(other.m.Required(seen)), visitor("GET", "/", "s2")), "bob with s2", "")
	if k.questions() != 1 || other.questions() != 0 {
		t.Errorf("the server was asked %d times", k.questions())
	}
}

// A store that can't be asked says nothing about the session.
func TestStoreAway(t *testing.T) {
	k := newRig(t)
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "Test-Broken: 1")), 503, CodeUnavailable, false, "")
	k.passed(k.serve(k.m.Optional(seen), visitor("GET", "/", "Test-Broken: 1")), "nobody: 503 unavailable terminal=false transient=true", "")
	if err := k.m.SignOut(httptest.NewRecorder(), visitor("POST", "/", "Test-Broken: 1")); err == nil {
		t.Error("signed out of nobody knows what")
	}
}

func TestMiddlewareErrorHandler(t *testing.T) {
	k := newRig(t, func(m *Middleware) {
		m.onRefusal = func(w http.ResponseWriter, r *http.Request, f Refusal) {
			w.WriteHeader(f.Status)
			fmt.Fprintf(w, "own page: %s %s", f.Code, f.Reason)
		}
	})
	k.bad("s1", ReasonExpired)
	k.refuses(terminal(CodeSessionRevoked))
	w := k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1"))
	h := w.Result().Header
	if w.Code != 401 || w.Body.String() != "own page: session_revoked " || changes(w) != "clear" ||
		h.Get("Cache-Control") != "no-store" || h.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
}

// Attack 40: tokens are in no log, no error and no printed context.
func TestAttack40MiddlewareLeaks(t *testing.T) {
	k := newRig(t)
	const canary = "canary-7b1e"
	k.bad("s"+canary, ReasonExpired)
	k.good("s-new-"+canary, Claims{Subject: "ann"})
	look := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, _ := RefusalFromContext(r.Context())
		fmt.Fprintf(w, "%v %+v %#v %s", r.Context(), f, r.Context(), f.Error())
	})
	var out strings.Builder
	for _, answer := range []func(){
		func() { k.answers("s-new-"+canary, "r-new-"+canary) },
		func() { k.refuses(terminal(CodeTokenReuse)) },
		func() { k.refuses(transient(CodeUnavailable, 503, time.Second)) },
		func() { k.refuses(errors.New("dial tcp: refused")) },
		func() { k.answers("s-unknown-"+canary, "r") },
		func() { k.answers("s-huge", "r-"+canary) },
	} {
		answer()
		k.m.refresher = newRefresher(k.Refresh, false, time.Now)
		for _, h := range []http.Handler{k.m.Required(look), k.m.Optional(look)} {
			w := k.serve(h, visitor("GET", "/", "s"+canary, "r"+canary))
			out.WriteString(w.Body.String())
		}
	}
	k.logout = func(string) error { return errors.New("away") }
	if err := k.m.SignOut(httptest.NewRecorder(), visitor("POST", "/", "r"+canary)); err == nil {
		t.Error("a failed sign-out is no error")
	} else {
		out.WriteString(err.Error())
	}
	if text := k.log.String() + out.String(); strings.Contains(text, canary) {
		t.Errorf("a token leaked:\n%s", text)
	}
	if !strings.Contains(k.log.String(), "token="+shortDigest("r"+canary)) {
		t.Errorf("the log tells nothing of the refresh:\n%s", k.log.String())
	}
}

// Attack 37: one verdict serves many requests, and none sees what another made of it.
func TestAttack37RefusalsAreIsolated(t *testing.T) {
	k := newRig(t)
	k.refuses(terminal(CodeSessionRevoked))
	spoil := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, _ := RefusalFromContext(r.Context())
		f.Detail, f.Code, f.Terminal = "spoiled by "+r.URL.Path, "spoiled", false
		f.Write(w, r)
	})
	paths := 0
	request := func() *http.Request { paths++; return visitor("GET", fmt.Sprint("/", paths), "r1") }
	requests := make(chan *http.Request, 24)
	for range 24 {
		requests <- request()
	}
	k.together(12, k.m.Optional(spoil), func() *http.Request { return <-requests })
	ids := map[string]bool{}
	for _, w := range k.together(12, k.m.Required(seen), func() *http.Request { return <-requests }) {
		p := k.refused(w, 401, CodeSessionRevoked, true, "clear")
		if strings.Contains(p.Detail, "spoiled") || ids[p.RequestID] {
			t.Errorf("%+v", p)
		}
		ids[p.RequestID] = true
	}
	if k.questions() != 1 {
		t.Errorf("asked %d times", k.questions())
	}
}
