package latchkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

// A web application: who signs in has a session, whose token is refreshed when it has
// run out, until it is revoked.
func Example() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t) // yours is a Latchkey server
	issuer, key := server.URL(), server.Key()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	mux := http.NewServeMux()

	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key})
	if err != nil {
		panic(err)
	}
	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
	if err != nil {
		panic(err)
	}
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, SignInURL: "/sign-in"})
	if err != nil {
		panic(err)
	}
	account := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := latchkey.FromContext(r.Context())
		fmt.Println("the account of", user.Subject)
	})
	signIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// After the password was checked:
		set, err := client.CreateSession(r.Context(), latchkey.SignInRequest{User: latchkey.UserNamed("alice"), AMR: []string{"pwd"}})
		if err == nil {
			err = sessions.SignIn(w, r, set)
		}
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, latchkey.ReturnTo(r), http.StatusSeeOther)
	})
	signOut := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.SignOut(w, r); err != nil {
			fmt.Println(err)
		}
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	})

	go verifier.Run(ctx)
	mux.Handle("GET /account", sessions.Required(account)) // in it: latchkey.FromContext(r.Context())
	mux.Handle("POST /sign-in", sessions.Optional(signIn)) // in it: client.CreateSession, then sessions.SignIn
	mux.Handle("POST /sign-out", signOut)                  // in it: sessions.SignOut

	app := httptest.NewServer(mux)
	defer app.Close()
	browser := newVisitor(app)
	browser.visit("GET", "/account")
	browser.visit("POST", "/sign-in")
	browser.visit("GET", "/account")
	browser.visit("POST", "/sign-out")
	browser.visit("GET", "/account")
	// Output:
	// GET /account: 303, Location: /sign-in?return_to=%2Faccount
	// POST /sign-in: 303, Location: /
	// the account of alice
	// GET /account: 200
	// POST /sign-out: 303, Location: /sign-in
	// GET /account: 303, Location: /sign-in?return_to=%2Faccount
}

// A service that checks tokens by itself, and what it says of bad ones.
func ExampleVerifier_Verify() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	verifier := server.Verifier() // yours comes from NewVerifier
	ctx := context.Background()
	token := server.SignIn("alice", latchkeytest.Claims{"plan": "pro"}).SessionToken

	claims, err := verifier.Verify(ctx, token)
	if err != nil {
		panic(err)
	}
	var plan string
	_, err = claims.Claim("plan", &plan)
	fmt.Println(claims.Subject, plan, err)

	_, err = verifier.Verify(ctx, token, latchkey.Requirement{AMR: []string{"mfa"}})
	fmt.Println(latchkey.ReasonOf(err))

	server.Advance(12 * time.Minute)
	_, err = verifier.Verify(ctx, token)
	fmt.Println(latchkey.ReasonOf(err), latchkey.ReasonOf(err).Refreshable())
	// Output:
	// alice pro <nil>
	// amr
	// expired true
}

// The configuration of a service that only verifies, and its routes.
func ExampleMiddlewareConfig_headerOnly() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	issuer, key := server.URL(), server.VerifyKey()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	stateFile := filepath.Join(dir, "latchkey.json")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	mux := http.NewServeMux()
	reports := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	payments := reports

	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{
		Issuer:    issuer, // https://auth.example.com/prj_…
		Key:       key,    // lk_verify_…: to hear of revocations
		StateFile: stateFile,
	})
	if err != nil {
		panic(err)
	}
	api, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, HeaderOnly: true})
	if err != nil {
		panic(err)
	}
	go verifier.Run(ctx)

	careful := api.Require(latchkey.Requirement{AMR: []string{"mfa"}, MaxAge: 10 * time.Minute, Strict: true})
	mux.Handle("GET /reports", api.Required(reports))
	mux.Handle("POST /payments", careful(payments))

	for !verifier.Status().Feed.Complete {
		runtime.Gosched() // until then careful routes answer 503
	}
	service := httptest.NewServer(mux)
	defer service.Close()
	caller := newVisitor(service)
	caller.call("GET", "/reports", server.SignIn("alice").SessionToken)
	caller.call("GET", "/reports", "nonsense")
	caller.call("POST", "/payments", server.SignIn("alice").SessionToken)
	// Output:
	// GET /reports: 200
	// GET /reports: 401, WWW-Authenticate: Bearer error="invalid_token"
	// POST /payments: 401, WWW-Authenticate: Bearer error="insufficient_user_authentication"
}

// Which routes need a session, and what they ask of it.
func ExampleMiddleware() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	verifier, client := server.Verifier(), server.Client()
	mux := http.NewServeMux()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, signedIn := latchkey.FromContext(r.Context())
		fmt.Println("signed in:", signedIn)
	})
	signIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})

	m, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, SignInURL: "/sign-in", Now: server.Now})
	if err != nil {
		panic(err)
	}
	twoFactors := m.Require(latchkey.Requirement{AMR: []string{"mfa"}})
	mux.Handle("GET /{$}", m.Optional(page))        // for everybody, with the session when there is one
	mux.Handle("GET /account", m.Required(page))    // for who is signed in
	mux.Handle("GET /statements", twoFactors(page)) // … with two factors
	mux.Handle("POST /payments", m.Strict(page))    // … and only while revocations are heard of
	mux.Handle("GET /sign-in", m.Optional(signIn))  // where browsers without a session are sent
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, server.SignIn("alice")); err != nil {
			fmt.Println(err)
		}
	})

	app := httptest.NewServer(mux)
	defer app.Close()
	browser := newVisitor(app)
	browser.visit("GET", "/")
	browser.visit("GET", "/account")
	browser.visit("POST", "/sign-in")
	browser.visit("GET", "/statements")

	server.Advance(12 * time.Minute) // the session token runs out
	browser.visit("POST", "/payments")
	fmt.Println("refreshes:", server.Refreshes())
	// Output:
	// signed in: false
	// GET /: 200
	// GET /account: 303, Location: /sign-in?return_to=%2Faccount
	// POST /sign-in: 200
	// GET /statements: 401, WWW-Authenticate: Bearer error="insufficient_user_authentication"
	// signed in: true
	// POST /payments: 200
	// refreshes: 1
}

// Pages instead of problem+json for who is refused.
func ExampleRefusal() {
	page := func(w http.ResponseWriter, r *http.Request, f latchkey.Refusal) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			f.Write(w, r) // scripts get problem+json
			return
		}
		text := "Please sign in."
		switch {
		case f.Transient():
			text = "Please try again in a moment." // nobody is signed out
		case f.Code == latchkey.CodeInsufficientAuthentication:
			text = "Please confirm that it is you."
		case f.Code == latchkey.CodeForbidden:
			text = "This page isn't for you."
		}
		http.Error(w, text, f.Status)
	}

	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/account", nil)
	r.Header.Set("Accept", "text/html")
	page(w, r, latchkey.Refusal{Status: http.StatusServiceUnavailable, Code: latchkey.CodeUnavailable, RetryAfter: time.Second})
	fmt.Print(w.Code, " ", w.Body)
	// Output: 503 Please try again in a moment.
}

// A sign-in, once the application has checked who it is.
func ExampleClient_CreateSession() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	ctx := context.Background()

	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: server.URL(), Key: server.Key()})
	if err != nil {
		panic(err)
	}
	set, err := client.CreateSession(ctx, latchkey.SignInRequest{
		User:   latchkey.UserNamed("alice@example.com"),
		AMR:    []string{"pwd", "totp"},
		Claims: json.RawMessage(`{"plan":"pro"}`),
		Device: latchkey.DeviceRequest{IP: "198.51.100.7", UserAgent: "Mozilla/5.0"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(set.Session.State, set.SessionToken != "", set.RefreshToken != "")

	// Later, whoever keeps the tokens trades the refresh token for new ones.
	fresh, err := client.Refresh(ctx, latchkey.RefreshRequest{Token: set.RefreshToken})
	switch {
	case latchkey.IsTerminal(err):
		fmt.Println("the session is over: drop the tokens")
	case err != nil:
		fmt.Println("try again later, and keep the tokens")
	default:
		fmt.Println("refreshed:", fresh.Session.ID == set.Session.ID)
	}
	// Output:
	// active true true
	// refreshed: true
}

// What a refusal by the server says.
func ExampleError() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	client := server.Client()
	set := server.SignIn("alice")
	server.Revoke(set.Session.ID)

	_, err := client.Refresh(context.Background(), latchkey.RefreshRequest{Token: set.RefreshToken})
	var refused *latchkey.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.Status, refused.Terminal)
	}
	// Output: session_revoked 401 true
}

// What browsers would make of the cookies of a site.
func ExampleDoctor() {
	cookies := latchkey.CookieConfig{SameSite: "lax"}
	site := latchkey.DoctorSite{URL: "http://localhost:8000", APIs: []string{"http://127.0.0.1:9000"}}
	for _, f := range latchkey.Doctor(cookies, site) {
		if f.Severity == latchkey.SeverityError {
			fmt.Println(f.Detail)
		}
	}
	// Output: The cookies are for localhost alone; requests to 127.0.0.1 don't carry them.
}

// Behind a proxy that writes the user's address into X-Real-IP, over whatever is there.
func ExampleMiddlewareConfig_proxy() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	verifier, client := server.Verifier(), server.Client()
	fromProxy := func(r *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(r.Header.Get("X-Real-IP")) // unknown when it is none
		return addr
	}

	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{
		Verifier: verifier, Client: client, SignInURL: "/sign-in",
		Cookies:  latchkey.CookieConfig{AlwaysSecure: true},
		ClientIP: fromProxy,
	})
	fmt.Println(sessions != nil, err)
	// Output: true <nil>
}

// A service that calls an API as itself: its access key is exchanged for session tokens,
// which are replaced before they end.
func ExampleAccessKeySource() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t) // yours is a Latchkey server
	issuer := server.URL()
	api := httptest.NewServer(reportsOf(server.Verifier()))
	defer api.Close()
	accessKey := server.AccessKey(latchkeytest.Claims{"permissions": []string{"reports:read"}}) // from your configuration

	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer})
	if err != nil {
		panic(err)
	}
	source, err := latchkey.NewAccessKeySource(latchkey.AccessKeySourceConfig{Client: client, Key: accessKey})
	if err != nil {
		panic(err)
	}
	transport, err := source.Transport(nil, api.URL)
	if err != nil {
		panic(err)
	}
	calls := &http.Client{Transport: transport}
	res, err := calls.Get(api.URL + "/reports")
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output:
	// reports for a machine
	// 200 OK
}

// reportsOf is an API: whoever may read reports gets them, users and machines alike.
func reportsOf(verifier *latchkey.Verifier) http.Handler {
	api, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, HeaderOnly: true})
	if err != nil {
		panic(err)
	}
	may := api.Require(latchkey.Requirement{Permissions: []string{"reports:read"}})
	return may(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := latchkey.FromContext(r.Context())
		if c.SessionID == "" {
			fmt.Println("reports for a machine")
			return
		}
		fmt.Println("reports for", c.Principal())
	}))
}

// What a user may do is asked for by the route, or in a handler where it depends on the
// record at hand.
func ExampleRequirement() {
	t := &pretended{}
	defer t.end()
	issuer := latchkeytest.NewIssuer(t) // yours is a Latchkey server
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: issuer.Verifier(), HeaderOnly: true})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	read := sessions.Require(latchkey.Requirement{Permissions: []string{"ledger:read"}})
	pay := sessions.Require(latchkey.Requirement{Permissions: []string{"ledger:write"}, StepUp: true, NotImpersonated: true})
	mux.Handle("GET /ledgers/{tenant}", read(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := latchkey.FromContext(r.Context())
		if user.CurrentTenant != r.PathValue("tenant") {
			http.NotFound(w, r)
			return
		}
		fmt.Println(user.Principal(), "reads, and may write:", user.HasPermission("ledger:write"))
	})))
	mux.Handle("POST /payments", pay(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("paid")
	})))

	token := issuer.SignIn("alice", latchkeytest.Claims{
		"dct": "ten_acme", "tenants": map[string]any{"ten_acme": map[string]any{"roles": []string{"accountant"}, "permissions": []string{"ledger:read", "ledger:write"}}},
	}).SessionToken
	for _, request := range []string{"GET /ledgers/ten_acme", "GET /ledgers/ten_other", "POST /payments"} {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(request, w.Code)
	}
	// Output:
	// alice reads, and may write: true
	// GET /ledgers/ten_acme 200
	// GET /ledgers/ten_other 404
	// POST /payments 401
}
