package latchkey

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestSignIn(t *testing.T) {
	k := newRig(t)
	w := httptest.NewRecorder()
	set := TokenSet{SessionToken: "s2", RefreshToken: "r2"}
	if err := k.m.SignIn(w, visitor("POST", "/sign-in"), set); err != nil || changes(w) != "save s2 r2" {
		t.Errorf("%v, %q", err, changes(w))
	}
	w = httptest.NewRecorder()
	if err := k.m.SignIn(w, visitor("POST", "/sign-in", "s1", "r1", "r0"), set); err != nil || changes(w) != "save s2 r2, tidy s2 r2" {
		t.Errorf("leftovers: %v, %q", err, changes(w))
	}
	w = httptest.NewRecorder()
	var size *CookieSizeError
	if err := k.m.SignIn(w, visitor("POST", "/"), TokenSet{SessionToken: "s-huge", RefreshToken: "r"}); !errors.As(err, &size) || changes(w) != "" {
		t.Errorf("%v, %q", err, changes(w))
	}
	for _, set := range []TokenSet{{}, {SessionToken: "s"}, {RefreshToken: "r"}} {
		if err := k.m.SignIn(w, visitor("POST", "/"), set); err == nil || changes(w) != "" {
			t.Errorf("half a token set: %v", err)
		}
	}
}

func TestSignOut(t *testing.T) {
	away, junk := errors.New("away"), transient(CodeUnauthenticated, 401, 0)
	for _, c := range []struct {
		name    string
		held    []string
		answers map[string]error
		ended   []string
		change  string
		fails   error
	}{
		{"a session", []string{"s1", "r1"}, nil, []string{"r1"}, "clear", nil},
		{"only a session token", []string{"s1"}, nil, []string{"s1"}, "clear", nil},
		{"nobody", nil, nil, nil, "", nil},
		{"ended already", []string{"r1"}, map[string]error{"r1": terminal(CodeSessionRevoked)}, []string{"r1"}, "clear", nil},
		{"several", []string{"r1", "r2"}, nil, []string{"r1", "r2"}, "clear", nil},
		{"junk beside it", []string{"r1", "r2", "r\x00"}, map[string]error{"r1": junk}, []string{"r1", "r2"}, "clear", nil},
		{"junk only", []string{"r1"}, map[string]error{"r1": junk}, []string{"r1"}, "clear", junk},
		{"server away", []string{"s1", "r1"}, map[string]error{"r1": away}, []string{"r1"}, "clear", away},
		{"half done", []string{"r1", "r2"}, map[string]error{"r2": away}, []string{"r1", "r2"}, "clear", away},
	} {
		k := newRig(t)
		k.logout = func(token string) error { return c.answers[token] }
		w := httptest.NewRecorder()
		err := k.m.SignOut(w, visitor("POST", "/sign-out", c.held...))
		if !errors.Is(err, c.fails) || (err == nil) != (c.fails == nil) || changes(w) != c.change || !slices.Equal(k.ended, c.ended) {
			t.Errorf("%s: %v, %q, %q", c.name, err, changes(w), k.ended)
		}
	}
}

func TestSignOutWithBearer(t *testing.T) {
	k := newRig(t)
	w := httptest.NewRecorder()
	err := k.m.SignOut(w, visitor("POST", "/", "Authorization: Bearer s9", "s1", "r1", "Sec-Fetch-Site: cross-site"))
	if err != nil || changes(w) != "" || !slices.Equal(k.ended, []string{"s9"}) {
		t.Errorf("%v, %q, %q", err, changes(w), k.ended)
	}
	if err := k.m.SignOut(w, visitor("POST", "/", "Authorization: Bearer ")); err == nil {
		t.Error("signed out with no token")
	}
}

// The form's own handler signs out: behind Required, where the request may have been
// refreshed, and after it no late tab brings the session back from memory.
func TestSignOutBehindRequired(t *testing.T) {
	k := newRig(t, withCookies(t))
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	out := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := k.m.SignOut(w, r); err != nil {
			t.Error(err)
		}
	})
	w := k.serve(k.m.Required(out), visitorWithCookies("POST", "s1", "r1"))
	for _, line := range w.Result().Header["Set-Cookie"] {
		if !strings.Contains(line, "Max-Age=0") {
			t.Errorf("a cookie stays: %s", line)
		}
	}
	k.refuses(terminal(CodeSessionRevoked))
	if w := k.serve(k.m.Required(seen), cookieRequest("s1", "r1")); w.Code != 401 {
		t.Errorf("after the sign-out: %d %s", w.Code, w.Body)
	}
}

// Who signs in as somebody else in a request that was refreshed gets the new cookies only.
func TestSignInBehindOptional(t *testing.T) {
	k := newRig(t, withCookies(t))
	k.good("s2", Claims{Subject: "ann"})
	k.answers("s2", "r2")
	in := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := k.m.SignIn(w, r, TokenSet{SessionToken: "s9", RefreshToken: "r9"}); err != nil {
			t.Error(err)
		}
		http.Redirect(w, r, ReturnTo(r), http.StatusSeeOther)
	})
	w := k.serve(k.m.Optional(in), visitorWithCookies("POST", "s1", "r1"))
	cookies := w.Result().Cookies()
	if len(cookies) != 2 || cookies[0].Value != "s9" || cookies[1].Value != "r9" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v %v", cookies, w.Header())
	}
}
