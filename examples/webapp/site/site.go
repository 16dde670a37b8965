// Package site is a web application with sign-in: its own user table and form, pages
// that need a session, a list of the user's sessions. Latchkey's middleware keeps the
// tokens in cookies and refreshes them; the handlers below never see one.
//
// It is a package, so that more than one program can serve it: examples/webapp does, with
// tokens in cookies.
package site

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/latchkey-dev/latchkey"
)

// Config is what a site is made of. All members but Hint are needed.
type Config struct {
	Title    string               // shown on every page
	Hint     string               // shown under the sign-in form; may be empty
	Sessions *latchkey.Middleware // its SignInURL is SignInPath
	Client   *latchkey.Client     // with a management key
	Users    *Users
	Log      *slog.Logger
}

// SignInPath is where the sign-in form is.
const SignInPath = "/sign-in"

//go:embed templates static
var files embed.FS

type site struct {
	Config
	pages map[string]*template.Template
}

// New returns the site.
func New(c Config) (http.Handler, error) {
	if c.Sessions == nil || c.Client == nil || c.Users == nil || c.Log == nil || c.Title == "" {
		return nil, errors.New("site: a member of Config is missing")
	}
	s := &site{Config: c, pages: map[string]*template.Template{}}
	for _, name := range []string{"home", "signin", "account", "live"} {
		page, err := template.ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		s.pages[name] = page
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, err
	}

	optional, required := c.Sessions.Optional, c.Sessions.Required
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", optional(s.handle(s.home)))
	mux.Handle("GET "+SignInPath, optional(s.handle(s.signInForm)))
	mux.Handle("POST "+SignInPath, optional(s.handle(s.signIn)))
	mux.Handle("POST /sign-out", s.handle(s.signOut)) // also when the session is over already
	mux.Handle("POST /sign-out-everywhere", required(s.member(s.signOutEverywhere)))
	mux.Handle("GET /account", required(s.member(s.account)))
	mux.Handle("POST /account/sessions/{id}/end", required(s.member(s.endSession)))
	mux.Handle("GET /live", required(s.member(s.live)))
	mux.Handle("GET /live/state", required(s.member(s.liveState)))
	mux.Handle("GET /live/trace", required(s.member(s.liveTrace)))
	mux.Handle("POST /live/note", required(s.member(s.liveNote)))
	mux.Handle("POST /live/revoke", required(s.member(s.liveRevoke)))
	mux.Handle("GET /static/", http.StripPrefix("/static", cached(http.FileServerFS(static))))

	return secured(mux), nil
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// No inline script or style, nothing from elsewhere: injected markup can't run.
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		// What a signed-in user has seen must not come back with the back button after a
		// sign-out, nor out of a shared cache.
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// handle makes a handler of a function that returns errors.
func (s *site) handle(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := f(w, r); {
		case err == nil, r.Context().Err() != nil: // or nobody waits for the answer any more
		case latchkey.IsTerminal(err):
			// The session ended this very moment, before the feed could tell.
			http.Error(w, "Your session is over. Please sign in again.", http.StatusUnauthorized)
		default:
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			http.Error(w, "Something went wrong here. Please try again.", http.StatusInternalServerError)
		}
	})
}

// visit is a request of somebody who is signed in.
type visit struct {
	*http.Request
	user   User
	claims *latchkey.Claims
}

// member makes a handler of a function that needs to know who is signed in.
func (s *site) member(f func(http.ResponseWriter, visit) error) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		claims, _ := latchkey.FromContext(r.Context())
		user, ok := s.user(claims)
		if !ok {
			return errors.New("site: a session whose user is gone")
		}
		return f(w, visit{r, user, claims})
	})
}

// user is whose session it is, by the claim that signIn has put there. The token's sub is
// Latchkey's id of the user.
func (s *site) user(claims *latchkey.Claims) (User, bool) {
	var id string
	if claims == nil {
		return User{}, false
	}
	if ok, err := claims.Claim("account", &id); !ok || err != nil {
		return User{}, false
	}
	return s.Users.Find(id)
}

// page is what every template is given.
type page struct {
	Site, Title string
	User        *User // nil when nobody is signed in
	Data        any
}

// show renders a page, for the user whose session it is.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) error {
	p := page{Site: s.Title, Title: title, Data: data}
	if claims, ok := latchkey.FromContext(r.Context()); ok {
		if user, ok := s.user(claims); ok {
			p.User = &user
		}
	}
	var b bytes.Buffer // so that a template that fails leaves no half page
	if err := s.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := b.WriteTo(w)
	return err
}

func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, "home", "Welcome", nil)
}
