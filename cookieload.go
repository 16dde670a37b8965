package latchkey

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// Browsers keep less than 200 cookies of a site, or twice that with partitions,
	// and servers take far less than this of headers.
	maxCookiesRead = 400
	maxCookieBytes = 64 << 10

	maxHeld = 8 // candidates for one token

	// maxAhead is how far ahead of this clock an iat may be and still say anything.
	maxAhead = 5 * time.Minute
)

// Format keeps tokens out of every kind of print.
func (h HeldTokens) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{%d session tokens, %d refresh tokens, duplicates: %t}", len(h.Session), len(h.Refresh), h.Duplicates)
}

// Load returns what the request's cookies hold, decrypted. All cookies of a name count:
// leftovers of another domain or path, and cookies that another host of the site has
// planted, come along with the good one, in an order that nothing can be built on. The
// newest comes first, by an iat that nobody has verified: it is a hint which to try
// first and no more. A name that isn't byte for byte the right one, a value that no
// token can have, and a value that can't be decrypted are no cookie. The error is nil.
func (s *CookieStore) Load(r *http.Request) (HeldTokens, error) {
	local := s.local(r)
	session, more := s.held(r, s.session, local)
	refresh, evenMore := s.held(r, s.refresh, local)
	return HeldTokens{Session: session, Refresh: refresh, Duplicates: more || evenMore}, nil
}

func (s *CookieStore) held(r *http.Request, n cookieName, local bool) (tokens []string, duplicates bool) {
	type candidate struct {
		token string
		trust int
		iat   int64
	}
	var found []candidate
	now := s.config.Now()
	count := 0
	forms := s.forms(n, local)
	eachCookie(r.Header["Cookie"], func(name, value string) {
		form := slices.Index(forms, name)
		if form < 0 {
			return
		}
		count++
		duplicates = duplicates || form > 0 || count > 1
		token, ok := s.decode(n, value)
		if !ok {
			return
		}
		c := candidate{token: token}
		// A protected cookie comes before one that a sibling host can have planted,
		// however new that claims to be.
		if !hostLocked(name) && hostLocked(forms[0]) {
			c.trust = 1
		}
		found = append(found, c)
	})
	if len(found) > 1 {
		for i, c := range found {
			found[i].iat = peek(c.token, now).IssuedAt
		}
		slices.SortStableFunc(found, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(a.trust, b.trust), cmp.Compare(b.iat, a.iat))
		})
	}
	for _, c := range found {
		if len(tokens) < maxHeld && !slices.Contains(tokens, c.token) {
			tokens = append(tokens, c.token)
		}
	}
	return tokens, duplicates
}

// decode reads the value of a cookie.
func (s *CookieStore) decode(n cookieName, value string) (token string, ok bool) {
	if s.config.Keys.Len() > 0 {
		if token, ok = s.config.Keys.open(n.bare, value); ok {
			return token, bearerText(token)
		}
		if !s.config.AcceptPlain {
			return "", false
		}
	}
	// What is encrypted under keys that are gone is no token.
	return value, bearerText(value) && len(value) < maxCookie && !strings.HasPrefix(value, sealVersion)
}

// bearerText tells whether s can stand in an Authorization header (RFC 6750, 2.1).
func bearerText(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return s != ""
}

// eachCookie calls do for every cookie of the headers. Where RFC 6265 leaves room, it
// takes the narrow way, because each convenience of a parser has been an attack:
// quotes quote nothing and $Version is a name like any other (both would join what the
// browser keeps apart), names are not trimmed of anything but spaces in front, and a
// cookie without "=" has no name.
func eachCookie(lines []string, do func(name, value string)) {
	cookies, bytes := 0, 0
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			cookies++
			bytes += len(part) + 1
			if cookies > maxCookiesRead || bytes > maxCookieBytes {
				return
			}
			if name, value, ok := strings.Cut(strings.TrimLeft(part, " "), "="); ok {
				do(name, value)
			}
		}
	}
}

func carries(r *http.Request, wanted string) bool {
	found := false
	eachCookie(r.Header["Cookie"], func(name, _ string) { found = found || name == wanted })
	return found
}

// hints are what a JWT says of itself. Nobody has verified it: they decide about order
// and about how long a browser keeps what the server checks anyway.
type hints struct {
	IssuedAt       int64 `json:"iat"`
	ExpiresAt      int64 `json:"exp"`
	RefreshExpires int64 `json:"rexp"`
}

func peek(token string, now time.Time) hints {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	var h hints
	if !ok || err != nil || json.Unmarshal(b, &h) != nil {
		return hints{}
	}
	if h.IssuedAt > now.Add(maxAhead).Unix() {
		h.IssuedAt = 0
	}
	return h
}
