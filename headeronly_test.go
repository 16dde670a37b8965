package latchkey

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

// A service that takes headers only looks at no cookie, whatever comes with it.
func TestHeaderOnly(t *testing.T) {
	k := newRig(t, func(m *Middleware) { m.header, m.tokens, m.client = true, noTokens{}, nil })
	k.good("s1", Claims{Subject: "ann"})
	k.passed(k.serve(k.m.Required(seen), visitor("POST", "/", "Authorization: Bearer s1", "Sec-Fetch-Site: cross-site")), "ann with s1", "")
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1")), 401, CodeUnauthenticated, false, "")
	k.refused(k.serve(k.m.Required(seen), visitor("POST", "/", "s1", "Sec-Fetch-Site: cross-site")), 401, CodeUnauthenticated, false, "")
	k.passed(k.serve(k.m.Optional(seen), visitor("GET", "/", "s1")), "nobody: 401 unauthenticated terminal=false transient=false", "")
	w := httptest.NewRecorder()
	if err := k.m.SignIn(w, visitor("POST", "/"), TokenSet{SessionToken: "s", RefreshToken: "r"}); !errors.Is(err, errHeaderOnly) {
		t.Errorf("sign-in: %v", err)
	}
	if err := k.m.SignOut(w, visitor("POST", "/", "Authorization: Bearer s1")); err == nil || !strings.Contains(err.Error(), "Client") {
		t.Errorf("sign-out without a client: %v", err)
	}
	if err := k.m.SignOut(w, visitor("POST", "/", "s1", "r1")); err != nil || changes(w) != "" {
		t.Errorf("nobody signs out: %v", err)
	}
}

func TestHeaderOnlyConfig(t *testing.T) {
	v, c := testParts(t, "lk_mgmt_x")
	if m, err := NewMiddleware(MiddlewareConfig{Verifier: v, HeaderOnly: true}); err != nil || m.tokens != (noTokens{}) {
		t.Errorf("%v", err)
	}
	m, err := NewMiddleware(MiddlewareConfig{Verifier: v, Client: c, HeaderOnly: true})
	if err != nil || m.client != c {
		t.Errorf("%v", err)
	}
	for _, bad := range []MiddlewareConfig{{Tokens: notebook{}}, {ReadOnly: true}, {SignInURL: "/sign-in"}} {
		bad.Verifier, bad.Client, bad.HeaderOnly = v, c, true
		if _, err := NewMiddleware(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
