package latchkey

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Middleware recognises the session of a request, for net/http and every router that
// speaks it. Handlers behind it find the user with FromContext:
//
//	m, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{
//		Verifier: verifier, Client: client, SignInURL: "/sign-in",
//	})
//	…
//	mux.Handle("/", m.Optional(home))
//	mux.Handle("/account", m.Required(account))
//	mux.Handle("/admin/", m.Require(latchkey.Requirement{Roles: []string{"admin"}})(admin))
//	mux.Handle("/sign-in", m.Optional(signIn)) // calls m.SignIn
//	mux.Handle("POST /sign-out", signOut)      // calls m.SignOut
//
// # How a request is recognised
//
// With "Authorization: Bearer …" that token alone counts. Cookies are neither read nor
// written, nothing is refreshed and nobody is redirected: whoever holds a token by
// itself also refreshes it by itself.
//
// Otherwise the cookies count. State-changing requests from pages of other origins are
// refused first, with or without a session. A session token that has expired, or that a
// changed role has made outdated, is replaced during the request: the refresh token is
// traded in, once per request, and once per process for however many requests bring the
// same one. The response carries the new cookies and is kept out of caches. As long as
// the session token is good, the server isn't needed at all.
//
// # When it is refused
//
//   - 401: there is no session, or the server has ended it (Terminal; only then are the
//     cookies cleared), or a route wants a better authentication.
//   - 403: the user lacks a role, a permission or the tenant, or the request came from
//     a page of another site.
//   - 503 with Retry-After: the session may be fine, but the server can't be asked, or a
//     strict route doesn't know whether it was revoked. Cookies stay as they are. A 401
//     here would make a page believe that its user was signed out.
//
// Middlewares may be nested: an inner one of the same value asks only for what is new,
// so a group can be Required and a route in it Require more.
//
// # What to know besides
//
// Put a handler for CORS in front: browsers ask for permission (OPTIONS) without cookies.
// A handler that hijacks the connection, for a WebSocket, writes no cookies; a refresh in
// such a request is made good by the next one.
//
// What the server answered to a refresh is remembered for 9 seconds at most, and handed to
// requests that still carry the old cookie. With a reuse window of less than twice that
// (the setting reuseWindow, 20s by default) a copied cookie may be used that long without
// being noticed.
//
// It is safe for concurrent use. A refresh runs in a goroutine that ends after 9 seconds
// at the latest.
type Middleware struct {
	verifier  sessionVerifier
	client    sessionClient
	tokens    TokenStore
	refresher *refresher
	origin    crossOrigin
	signIn    *url.URL // nil: don't redirect
	noArrival bool     // who comes from another site arrives signed out
	readOnly  bool
	header    bool   // cookies don't count
	devices   bool   // whether to say for whom a refresh is
	pages     string // address of the pages about codes
	clientIP  func(*http.Request) netip.Addr
	onRefusal func(http.ResponseWriter, *http.Request, Refusal)
	log       *slog.Logger
	now       func() time.Time
}

// sessionVerifier is what a Middleware needs of a Verifier.
type sessionVerifier interface {
	Verify(ctx context.Context, token string, need ...Requirement) (*Claims, error)
}

// sessionClient is what a Middleware needs of a Client.
type sessionClient interface {
	Refresh(ctx context.Context, r RefreshRequest) (TokenSet, error)
	Logout(ctx context.Context, token string) error
}

// Required lets requests with a session through and refuses all others.
func (m *Middleware) Required(next http.Handler) http.Handler { return m.guard(next, false, nil) }

// Optional lets every request through, with its session when it has one. Without one
// FromContext reports false, and RefusalFromContext says why. That goes for every reason:
// also when the server can't be reached, since a public page is better shown to a
// stranger than not at all. Only state-changing requests from other sites are refused.
func (m *Middleware) Optional(next http.Handler) http.Handler { return m.guard(next, true, nil) }

// Strict is Required for what must not happen after a revocation, such as payments: it
// also refuses (503) while the revocation feed is silent, so that a revoked session can't
// slip through. The Verifier must follow the feed.
func (m *Middleware) Strict(next http.Handler) http.Handler {
	return m.guard(next, false, []Requirement{{Strict: true}})
}

// Require is Required for sessions that meet need.
func (m *Middleware) Require(need Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return m.guard(next, false, []Requirement{need}) }
}

func (m *Middleware) guard(next http.Handler, optional bool, need []Requirement) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, refusal := m.identify(w, r, need)
		if refusal == nil && !optional {
			refusal = v.refusal
		}
		if refusal != nil {
			m.refuse(w, r, *refusal)
			return
		}
		if recognitionOf(r.Context()) != v {
			r = r.WithContext(context.WithValue(r.Context(), recognitionKey{}, v))
		}
		if !v.saved && safeMethod(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		// Signing in and out changes something, so it comes with other methods.
		u := &uncached{ResponseWriter: w, of: v}
		next.ServeHTTP(u.protect(), r)
		u.begin() // for handlers that write nothing
	})
}

// identify finds out whose request it is. A refusal beside it counts for Optional, too.
func (m *Middleware) identify(w http.ResponseWriter, r *http.Request, need []Requirement) (*recognition, *Refusal) {
	if outer := recognitionOf(r.Context()); outer != nil && outer.by == m {
		return outer, m.recheck(r, outer, need)
	}
	v := &recognition{by: m}
	if token, given := bearerOf(r.Header); given {
		m.present(r, v, token, need)
		return v, nil
	}
	if m.header {
		v.refuse(noSession())
		return v, nil
	}
	if refusal := m.origin.check(r); refusal != nil {
		return v, refusal
	}
	m.recognise(w, r, v, need)
	return v, nil
}

// recheck asks for what an inner Middleware wants besides.
func (m *Middleware) recheck(r *http.Request, v *recognition, need []Requirement) *Refusal {
	if v.refusal != nil || need == nil {
		return nil
	}
	if _, err := m.verifier.Verify(r.Context(), v.token, need...); err != nil {
		refusal := refusedToken(err)
		return &refusal
	}
	return nil
}

// present is for callers that send their token by themselves.
func (m *Middleware) present(r *http.Request, v *recognition, token string, need []Requirement) {
	claims, err := m.verifier.Verify(r.Context(), token, need...)
	if err != nil {
		refusal := refusedToken(err)
		refusal.curable = false
		if refusal.Code == CodeForbidden {
			refusal.challenge = challengeScope
		}
		v.refusal = &refusal
		return
	}
	v.claims, v.token = claims, token
}

// bearerOf returns the token of the Authorization header, and whether there is one of
// this scheme. Several headers are none: the next one to read them might see another.
func bearerOf(h http.Header) (token string, given bool) {
	values := h["Authorization"]
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") {
			token, given = strings.Trim(rest, " "), true
		}
	}
	if len(values) > 1 {
		token = ""
	}
	return token, given
}

// refuse answers a request that doesn't get through.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, f Refusal) {
	f.page = m.pages
	if here := m.arrivalAt(r, f); here != "" {
		arrive(w, here)
		return
	}
	if to := m.signInFor(r, f); to != "" {
		forbidCaching(w.Header())
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if m.onRefusal == nil {
		f.Write(w, r)
		return
	}
	f.header(w.Header())
	m.onRefusal(w, r, f)
}
