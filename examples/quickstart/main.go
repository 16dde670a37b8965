// Command quickstart is a small web application whose sessions Latchkey looks after:
// sign-in, a page that needs a session, transparent refresh, sign-out.
package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log"
	"net/http"
	"os"

	"github.com/latchkey-dev/latchkey"
)

func main() {
	app, verifier, err := newApp(os.Getenv("LATCHKEY_ISSUER"), os.Getenv("LATCHKEY_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	go verifier.Run(context.Background()) // keeps the keys fresh and hears of revoked sessions
	log.Print("serving http://localhost:8000")
	log.Fatal(http.ListenAndServe("localhost:8000", app))
}

type site struct {
	client   *latchkey.Client
	sessions *latchkey.Middleware
}

func newApp(issuer, key string) (http.Handler, *latchkey.Verifier, error) {
	verifier, err1 := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key})
	client, err2 := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, SignInURL: "/sign-in"})
	if err != nil {
		return nil, nil, err
	}
	s := &site{client, sessions}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", sessions.Required(http.HandlerFunc(s.home)))
	mux.Handle("GET /sign-in", sessions.Optional(http.HandlerFunc(s.form)))
	mux.Handle("POST /sign-in", sessions.Optional(http.HandlerFunc(s.signIn)))
	mux.Handle("POST /sign-out", http.HandlerFunc(s.signOut))
	return mux, verifier, nil
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	user, _ := latchkey.FromContext(r.Context()) // Required has seen to it that there is one
	var name string
	if ok, err := user.Claim("nickname", &name); !ok || err != nil {
		name = user.Subject
	}
	fmt.Fprintf(w, `<p>Hello, %s.</p><form method="post" action="/sign-out"><button>Sign out</button></form>`, html.EscapeString(name))
}

func (s *site) form(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, `<form method="post"><input name="email" value="alice@example.com"> <input name="password" type="password"> <button>Sign in</button></form>`)
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	email, password := r.PostFormValue("email"), r.PostFormValue("password")
	if email != "alice@example.com" || password != "open sesame" { // your own check goes here
		http.Error(w, "wrong e-mail address or password", http.StatusUnprocessableEntity)
		return
	}
	set, err := s.client.CreateSession(r.Context(), latchkey.SignInRequest{
		User:   latchkey.UserNamed(email), // a user of the project; UserDescribed makes one
		AMR:    []string{"pwd"},           // how the user signed in
		Claims: []byte(`{"nickname":"Alice"}`),
	})
	if err == nil {
		err = s.sessions.SignIn(w, r, set) // sets the cookies
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "please try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, latchkey.ReturnTo(r), http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	err := s.sessions.SignOut(w, r) // ends the session and removes the cookies
	if refusal, ok := errors.AsType[latchkey.Refusal](err); ok {
		refusal.Write(w, r) // a page of another site wanted it
		return
	}
	if err != nil {
		log.Print(err) // the cookies are gone, but the server couldn't be told
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}
