package latchkey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// MiddlewareConfig says how a Middleware recognises sessions and what it does without
// one. Verifier and Client are required, but see HeaderOnly.
type MiddlewareConfig struct {
	Verifier *Verifier // checks session tokens; call its Run to follow revocations
	Client   *Client   // refreshes them; with a management key it also passes on the user's IP and user agent

	Cookies CookieConfig // the cookies that carry the tokens; the zero value is the safest
	Tokens  TokenStore   // replaces Cookies: another place for the tokens, such as a vault

	// SignInURL is where a browser that navigates without a session is sent (303), with
	// the page that it wanted in return_to; see ReturnTo. It is a path on this site
	// ("/sign-in") or an absolute https URL. Empty: such requests are refused like any
	// other.
	SignInURL string

	// TrustedOrigins are other origins ("https://app.example.com") whose pages may send
	// state-changing requests with the user's cookies. Requests from any other origin
	// are refused with 403.
	TrustedOrigins []string

	// ReadOnly is for handlers that can't set cookies, such as server-side rendering
	// whose response has begun. A refresh then gets a session token for this request
	// only and leaves the refresh token alone. Nothing is ever set or cleared. The
	// Client needs a key of the project; the scope verify is enough.
	ReadOnly bool

	// HeaderOnly is for services that only take "Authorization: Bearer …". Cookies are
	// never looked at, and Client may be missing; SignOut needs it, nothing else does.
	HeaderOnly bool

	// ClientIP returns the address of the user's client, for sessions' lists and for
	// noticing stolen tokens. By default it is the request's RemoteAddr. Behind a proxy,
	// return what your proxy reports; X-Forwarded-For is never believed by itself,
	// because every client can send it.
	ClientIP func(*http.Request) netip.Addr

	// ErrorHandler writes the responses to refused requests, for pages instead of
	// problem+json. Cookies, Cache-Control, WWW-Authenticate and Retry-After are set
	// before it is called; it writes the status and the body. Navigations that are sent
	// to SignInURL don't get here.
	ErrorHandler func(http.ResponseWriter, *http.Request, Refusal)

	Logger *slog.Logger     // default: discard. No token is ever logged
	Now    func() time.Time // default: time.Now
}

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

// NewMiddleware returns a Middleware. The error names everything that is wrong with the
// configuration.
func NewMiddleware(c MiddlewareConfig) (*Middleware, error) {
	var problems []error
	flaw := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	m := &Middleware{
		readOnly: c.ReadOnly, header: c.HeaderOnly, tokens: c.Tokens,
		clientIP: c.ClientIP, onRefusal: c.ErrorHandler, log: c.Logger, now: c.Now,
	}
	flaw(m.connect(c))
	switch {
	case c.HeaderOnly && (c.Tokens != nil || c.ReadOnly || c.SignInURL != ""):
		flaw(errors.New("HeaderOnly leaves nothing to do for Tokens, ReadOnly and SignInURL"))
	case c.HeaderOnly:
		m.tokens = noTokens{}
	case c.Tokens == nil:
		store, err := NewCookieStore(c.Cookies)
		flaw(err)
		m.tokens = store
	}
	var err error
	m.signIn, err = parseSignIn(c.SignInURL)
	flaw(err)
	m.origin, err = newCrossOrigin(c.TrustedOrigins)
	flaw(err)
	if len(problems) > 0 {
		return nil, fmt.Errorf("latchkey: middleware: %w", errors.Join(problems...))
	}
	m.fill()
	return m, nil
}

// connect takes over what checks and refreshes tokens.
func (m *Middleware) connect(c MiddlewareConfig) error {
	var problems []error
	if c.Verifier == nil {
		problems = append(problems, errors.New("Verifier is missing"))
	}
	if c.Client == nil && !c.HeaderOnly {
		problems = append(problems, errors.New("Client is missing"))
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	m.verifier = c.Verifier
	at := strings.LastIndexByte(c.Verifier.issuer, '/')
	// The pages that problems point to are the server's, at its public address.
	m.pages = c.Verifier.issuer[:max(at, 0)] + "/docs/errors/"
	if c.Client == nil {
		return nil
	}
	m.client, m.devices = c.Client, c.Client.mayManage()
	if c.ReadOnly && c.Client.key == nil {
		problems = append(problems, errors.New("ReadOnly needs a Client with a key of the project"))
	}
	// The addresses may differ: inside a cluster the server has another name. With
	// different projects every refresh would end with a token that is refused.
	if project := c.Verifier.issuer[at+1:]; !strings.HasSuffix(c.Client.issuer, "/"+project) {
		problems = append(problems, errors.New("Verifier and Client are of different projects"))
	}
	return errors.Join(problems...)
}

// fill puts in the defaults and what depends on them.
func (m *Middleware) fill() {
	if m.clientIP == nil {
		m.clientIP = remoteIP
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.client == nil {
		m.client = noServer{}
	}
	m.refresher = newRefresher(m.client.Refresh, m.readOnly, m.now)
}

// remoteIP is the address at the other end of the connection.
func remoteIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
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
		if !v.saved {
			next.ServeHTTP(w, r)
			return
		}
		u := &uncached{ResponseWriter: w}
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
