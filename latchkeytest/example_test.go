package latchkeytest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// example stands for the *testing.T that a test function gets: examples have none.
type example struct {
	testing.TB
	cleanups []func()
}

func (e *example) Helper()                      {}
func (e *example) Cleanup(f func())             { e.cleanups = append(e.cleanups, f) }
func (e *example) Errorf(f string, args ...any) { fmt.Printf(f+"\n", args...) }
func (e *example) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (e *example) end() {
	for n := len(e.cleanups) - 1; n >= 0; n-- {
		e.cleanups[n]()
	}
}

// reports is a handler as an application has one: admins may read.
func reports(v *latchkey.Verifier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		c, err := v.Verify(r.Context(), token, latchkey.Requirement{Roles: []string{"admin"}})
		if err != nil {
			http.Error(w, string(latchkey.ReasonOf(err)), http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "reports for %s", c.Subject)
	})
}

// A handler that verifies tokens, tested with good ones and bad ones.
func Example() {
	t := &example{} // in a test: its *testing.T
	defer t.end()

	issuer := latchkeytest.NewIssuer(t)
	handler := reports(issuer.Verifier())
	get := func(token string) {
		r := httptest.NewRequest("GET", "/reports", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}

	admin := issuer.SignIn("alice", latchkeytest.Claims{"roles": []string{"admin"}})
	get(admin.SessionToken)
	get(issuer.SignIn("bob").SessionToken)
	get(issuer.Sign(latchkeytest.Claims{"roles": []string{"admin"}}, latchkeytest.ByStranger()))

	issuer.Revoke(admin.Session.ID)
	get(admin.SessionToken)
	// Output:
	// 200 reports for alice
	// 401 role
	// 401 signature
	// 401 revoked
}

// A handler behind the middleware, visited with a browser's cookies.
func ExampleNewIssuer() {
	t := &example{} // in a test: its *testing.T
	defer t.end()

	issuer := latchkeytest.NewIssuer(t)
	app, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: issuer.Verifier(), Client: issuer.Client(), SignInURL: "/sign-in", Now: issuer.Now})
	if err != nil {
		t.Fatalf("%v", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /account", app.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := latchkey.FromContext(r.Context())
		fmt.Fprintf(w, "account of %s", c.Subject)
	})))
	mux.Handle("POST /sign-in", app.Optional(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := app.SignIn(w, r, issuer.SignIn("alice")); err != nil {
			t.Errorf("%v", err)
		}
		fmt.Fprint(w, "welcome")
	})))
	server := httptest.NewServer(mux)
	defer server.Close()
	browser := server.Client()
	browser.Jar, _ = cookiejar.New(nil)
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	visit := func(method, path string) {
		r, _ := http.NewRequest(method, server.URL+path, nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := browser.Do(r)
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		fmt.Println(res.StatusCode, string(text))
	}

	visit("POST", "/sign-in")
	visit("GET", "/account")

	issuer.Advance(12 * time.Minute) // the session token expires
	visit("GET", "/account")
	fmt.Println(issuer.Refreshes(), "refresh")

	issuer.RevokeUser("alice", "")
	visit("GET", "/account")
	// Output:
	// 200 welcome
	// 200 account of alice
	// 200 account of alice
	// 1 refresh
	// 303
}

// Time that passes, and a refresh.
func ExampleIssuer_Advance() {
	t := &example{}
	defer t.end()

	issuer := latchkeytest.NewIssuer(t)
	verifier, client := issuer.Verifier(), issuer.Client()
	set := issuer.SignIn("alice")

	issuer.Advance(12 * time.Minute)
	_, err := verifier.Verify(context.Background(), set.SessionToken)
	fmt.Println("after 12 minutes:", latchkey.ReasonOf(err))

	set, err = client.Refresh(context.Background(), latchkey.RefreshRequest{Token: set.RefreshToken})
	fmt.Println("refreshed:", err == nil)
	_, err = verifier.Verify(context.Background(), set.SessionToken)
	fmt.Println("now:", err == nil)
	// Output:
	// after 12 minutes: expired
	// refreshed: true
	// now: true
}

// A role that changes while the user is signed in.
func ExampleIssuer_ChangeClaims() {
	t := &example{}
	defer t.end()

	issuer := latchkeytest.NewIssuer(t)
	verifier := issuer.Verifier()
	set := issuer.SignIn("alice", latchkeytest.Claims{"roles": []string{"admin"}})

	issuer.ChangeClaims(set.Session.ID, latchkeytest.Claims{"roles": []string{}})
	_, err := verifier.Verify(context.Background(), set.SessionToken)
	fmt.Println(latchkey.ReasonOf(err), latchkey.ReasonOf(err).Refreshable())
	// Output: outdated true
}

// A server that is down: what was verified stays so.
func ExampleIssuer_Down() {
	t := &example{}
	defer t.end()

	issuer := latchkeytest.NewIssuer(t)
	verifier := issuer.Verifier()
	set := issuer.SignIn("alice")

	issuer.Down()
	_, err := verifier.Verify(context.Background(), set.SessionToken)
	fmt.Println("verified:", err == nil)
	_, err = issuer.Client().Refresh(context.Background(), latchkey.RefreshRequest{Token: set.RefreshToken})
	fmt.Println("refreshed:", err == nil, "- signed out:", latchkey.IsTerminal(err))
	// Output:
	// verified: true
	// refreshed: false - signed out: false
}
