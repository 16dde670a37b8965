package latchkey

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
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

	// ArriveSignedOut leaves it at what SameSite=Strict does: who follows a link from
	// another site, a web mail for example, arrives without cookies and is sent to
	// SignInURL although they are signed in. By default such a navigation (GET, without
	// any cookie of ours) is answered by a page that goes on to the very same address at
	// once; that second request is the site's own and carries the cookies. Set it if a GET
	// of yours changes something, which other sites could then have done by a link.
	ArriveSignedOut bool

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

	Logger *slog.Logger     // default: slog.Default(). No token is ever logged
	Now    func() time.Time // default: time.Now
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
	m.noArrival = c.ArriveSignedOut
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
		// Not silence: users only see "try again" when the application is at fault.
		m.log = slog.Default()
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
