package vault_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
	"github.com/latchkey-dev/latchkey/vault"
)

// pretended stands for the *testing.T that latchkeytest wants: examples have none.
type pretended struct {
	testing.TB
	cleanups []func()
}

func (p *pretended) Helper()                      {}
func (p *pretended) Cleanup(f func())             { p.cleanups = append(p.cleanups, f) }
func (p *pretended) Errorf(f string, args ...any) { fmt.Printf(f+"\n", args...) }
func (p *pretended) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (p *pretended) end() {
	for n := len(p.cleanups) - 1; n >= 0; n-- {
		p.cleanups[n]()
	}
}

// A web application whose tokens stay on the server, and a service behind it that gets
// them.
func Example() {
	t := &pretended{}
	defer t.end()
	server := latchkeytest.NewIssuer(t)
	verifier, client := server.Verifier(), server.Client()
	key := "c111e2fa0032f1fca4cf4b82d66d44bbd2488db346a65e2f80b584252109d83d" // yours: openssl rand -hex 32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the service gets a token:", strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"))
	}))
	defer service.Close()
	target, err := url.Parse(service.URL)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()

	tokens, err := vault.New(vault.Config{Entries: memstore.New(), Keys: []string{key}})
	if err != nil {
		panic(err)
	}
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, Tokens: tokens, SignInURL: "/sign-in"})
	if err != nil {
		panic(err)
	}
	proxy, err := tokens.Proxy(vault.ProxyConfig{Target: target})
	if err != nil {
		panic(err)
	}
	mux.Handle("/api/", sessions.Required(http.StripPrefix("/api", proxy)))
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.SignIn(w, r, server.SignIn("alice")); err != nil {
			fmt.Println(err)
		}
	})

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "https://app.example.com/sign-in", nil))
	cookie := w.Result().Cookies()[0]
	fmt.Println(cookie.Name, len(cookie.Value), "letters")

	r := httptest.NewRequest("GET", "https://app.example.com/api/reports", nil)
	r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// __Host-Http-LK 43 letters
	// the service gets a token: true
	// 200
}
