package latchkey

import (
	"fmt"
	"net/http"
	"time"
)

// HeldTokens are the tokens that a request carries, best guess first. None of them has
// been verified. It holds secrets: never log one.
type HeldTokens struct {
	// Session and Refresh are at most 8 each, and no two are the same.
	Session, Refresh []string

	// Duplicates tells that the request carries more than one cookie for one of the
	// two, or one under a name that is no longer written: TokenStore.Tidy puts that
	// right once it is known which is good.
	Duplicates bool
}

// TokenStore keeps a client's tokens between its requests. *CookieStore is one.
// Implementations are safe for concurrent use.
type TokenStore interface {
	// Load returns what the request carries. No token at all is no error; an error
	// means that nobody can tell, and must not end a session.
	Load(r *http.Request) (HeldTokens, error)

	// Save keeps the tokens of set and forbids caches to keep the response. A token
	// that set lacks is left alone. After an error nothing has been written.
	Save(w http.ResponseWriter, r *http.Request, set TokenSet) error

	// Clear forgets both tokens, wherever they may be. Only a terminal refusal of the
	// very token that the request carries, or a sign-out, is a reason to call it.
	Clear(w http.ResponseWriter, r *http.Request) error

	// Tidy removes leftovers and keeps session and refresh, the ones that turned out
	// to be good. For an empty one nothing is known and nothing is done. It does
	// nothing where there is one place only.
	Tidy(w http.ResponseWriter, r *http.Request, session, refresh string) error
}

// CookieConfig says how cookies are named and marked. The zero value is the safest:
// HttpOnly; Secure; SameSite=Strict; Path=/; no Domain, under names that browsers
// protect. HttpOnly can't be switched off. Secure is left out in one case only, which
// CookieStore explains: plain http on this very machine.
type CookieConfig struct {
	// SessionName and RefreshName are DS and DSR by default. They come without the
	// prefix of NoPrefix, and differ.
	SessionName, RefreshName string

	// NoPrefix takes the names as they are. By default a name gets the prefix
	// __Host-Http- when the cookie is for one host and path "/", else __Secure-.
	// Browsers let only the host itself set a __Host- cookie; without it, every other
	// host of the site can plant a cookie of that name.
	NoPrefix bool

	// Domain makes every host below it receive the cookies. Empty: the host that sets
	// them alone. It is the request's host or a parent of it, never a public suffix
	// such as co.uk; browsers drop the cookie without a word otherwise.
	Domain string

	// Path is "/" by default.
	Path string

	// SameSite is "strict" (default), "lax" or "none". With "none" pages of any site
	// send the cookies: state-changing requests need a check of their origin.
	SameSite string

	// Partitioned gives every site that embeds this one a cookie jar of its own. It
	// is of use with SameSite "none".
	Partitioned bool

	// Persistent lets cookies outlive the browser's run ("remember me"), for as long
	// as their token.
	Persistent bool

	// PreviousDomains, at most 3, are what Domain was earlier. Cookies from there are
	// still read, and are replaced by ones under Domain.
	PreviousDomains []string

	// Keys encrypt what the cookies hold; see ParseCookieKeys. The zero value leaves
	// the tokens readable for who holds the cookies.
	Keys CookieKeys

	// AcceptPlain also reads cookies that aren't encrypted although there are Keys:
	// for the time after keys were given to a running deployment.
	AcceptPlain bool

	// AlwaysSecure takes the exception for plain http on localhost away. Set it where
	// a proxy replaces the Host header by localhost.
	AlwaysSecure bool

	// Now is time.Now by default.
	Now func() time.Time
}

// maxCookie is what browsers keep of a cookie: bytes of its name and value together
// (RFC 6265bis, 5.6). At one more the cookie vanishes without a sign.
const maxCookie = 4096

// CookieSizeError is a cookie that browsers would drop for its size. Such a cookie is
// never sent. Its remedy is fewer custom claims.
type CookieSizeError struct {
	Name  string // of the cookie
	Bytes int    // of name and value
	Limit int    // what browsers keep
}

func (e *CookieSizeError) Error() string {
	return fmt.Sprintf("the cookie %s would be %d bytes with its name, and browsers drop it silently over %d: the token has too many claims", e.Name, e.Bytes, e.Limit)
}
