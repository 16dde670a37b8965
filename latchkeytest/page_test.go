package latchkeytest_test

// The test that docs/testing.md shows.

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// newApp is the application: one page, for who is signed in with two factors.
func newApp(verifier *latchkey.Verifier) (http.Handler, error) {
	api, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, HeaderOnly: true})
	if err != nil {
		return nil, err
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
	return api.Require(latchkey.Requirement{AMR: []string{"mfa"}})(page), nil
}

func TestPage(t *testing.T) {
	issuer := latchkeytest.NewIssuer(t) // a server in this process, closed with the test
	app, err := newApp(issuer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	status := func(token string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w.Code
	}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}

	alice := issuer.SignIn("alice", latchkeytest.Claims{"amr": []string{"pwd", "totp", "mfa"}})
	want("two factors", status(alice.SessionToken), 200)
	want("one factor", status(issuer.SignIn("bob").SessionToken), 401)
	want("a forged token", status(issuer.Sign(nil, latchkeytest.ByStranger())), 401)

	issuer.Down()
	want("while the server is down", status(alice.SessionToken), 200)
	issuer.Up()

	issuer.Revoke(alice.Session.ID)
	want("revoked", status(alice.SessionToken), 401)

	carol := issuer.SignIn("carol", latchkeytest.Claims{"amr": []string{"mfa"}})
	issuer.Advance(12 * time.Minute)
	want("expired", status(carol.SessionToken), 401)
}
