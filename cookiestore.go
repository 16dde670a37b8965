package latchkey

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The prefixes by which browsers protect a cookie (RFC 6265bis, 4.1.3). A browser that
// doesn't know the first treats it as the second.
const (
	hostHTTPPrefix = "__Host-Http-"
	hostPrefix     = "__Host-"
	securePrefix   = "__Secure-"
	httpPrefix     = "__Http-"
)

const (
	maxCookieName      = 64
	maxCookiePath      = 256
	maxCookieDomain    = 253 // RFC 1035, 2.3.4
	maxPreviousDomains = 3
)

// CookieStore keeps tokens in cookies. It is a TokenStore.
//
// Where plain http reaches this very machine under the name localhost, *.localhost,
// 127.0.0.1 or [::1], cookies are written without Secure and under their bare names:
// Safari drops Secure cookies there. Nothing else is exempt. A site behind a proxy that
// ends TLS keeps Secure, because the Host is a public one; where the proxy replaces the
// Host too, what it adds (Forwarded, X-Forwarded-For and the like, HTTP/1.0) or what the
// browser says of the page's origin gives it away, and CookieConfig.AlwaysSecure leaves
// nothing to chance. A browser that sends a protected name is never answered with a bare
// one, and a secure site never reads the bare name: a sibling host could have set it.
//
// Removing a cookie takes its domain and path, which no browser tells. So Clear and Tidy
// try the configured and the previous ones, no Domain, and every parent of the host with
// two labels or more; Tidy also the paths above the request's. There is no public suffix
// list here: a browser ignores the attempt where the parent is one. At most 16
// Set-Cookie headers are written, the likely places first.
type CookieStore struct {
	config           CookieConfig // with its defaults
	session, refresh cookieName
}

var _ TokenStore = (*CookieStore)(nil)

// cookieName is one of the two cookies.
type cookieName struct {
	bare string // what is bound to an encrypted value, and the name on plain localhost
	sent string // the name everywhere else
}

// NewCookieStore checks c and reports everything that is wrong with it at once.
func NewCookieStore(c CookieConfig) (*CookieStore, error) {
	c.SessionName = orDefault(c.SessionName, "DS")
	c.RefreshName = orDefault(c.RefreshName, "DSR")
	c.Path = orDefault(c.Path, "/")
	c.SameSite = orDefault(c.SameSite, "strict")
	if c.Now == nil {
		c.Now = time.Now
	}
	c.PreviousDomains = slices.Clone(c.PreviousDomains)
	s := &CookieStore{config: c, session: nameOf(c, c.SessionName), refresh: nameOf(c, c.RefreshName)}
	if flaws := s.flaws(); len(flaws) > 0 {
		return nil, errors.Join(flaws...)
	}
	return s, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func nameOf(c CookieConfig, name string) cookieName {
	switch n := (cookieName{bare: withoutPrefix(name), sent: name}); {
	case c.NoPrefix:
		return n
	case c.Domain == "" && c.Path == "/":
		return cookieName{bare: name, sent: hostHTTPPrefix + name}
	default:
		return cookieName{bare: name, sent: securePrefix + name}
	}
}

// withoutPrefix takes away what browsers see as a prefix; they ignore its case.
func withoutPrefix(name string) string {
	for _, p := range []string{hostHTTPPrefix, hostPrefix, securePrefix, httpPrefix} {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return name[len(p):]
		}
	}
	return name
}

func hostLocked(name string) bool {
	return len(name) >= len(hostPrefix) && strings.EqualFold(name[:len(hostPrefix)], hostPrefix)
}

func (s *CookieStore) flaws() []error {
	c := s.config
	var flaws []error
	add := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf("cookies: "+format, args...)) }
	for _, n := range []struct{ member, name, bare string }{
		{"SessionName", c.SessionName, s.session.bare}, {"RefreshName", c.RefreshName, s.refresh.bare},
	} {
		switch {
		case !tokenText(n.name) || len(n.name) > maxCookieName || n.bare == "":
			add("%s %.80q: 1 to %d letters, digits or characters of !#$%%&'*+-.^_`|~ are wanted", n.member, n.name, maxCookieName)
		case !c.NoPrefix && withoutPrefix(n.name) != n.name:
			add("%s %.80q comes without prefix; NoPrefix takes names as they are", n.member, n.name)
		case c.NoPrefix && hostLocked(n.name) && (c.Domain != "" || c.Path != "/"):
			add("%s %.80q: browsers drop a %s cookie that has a Domain or a Path other than /", n.member, n.name, hostPrefix)
		}
	}
	if s.session.bare == s.refresh.bare {
		add("SessionName and RefreshName are the same, %.80q: one cookie would overwrite the other", s.session.bare)
	}
	if flaw := cookieDomainFlaw(c.Domain); c.Domain != "" && flaw != "" {
		add("Domain %.80q: %s", c.Domain, flaw)
	}
	for i, d := range c.PreviousDomains {
		switch flaw := cookieDomainFlaw(d); {
		case flaw != "":
			add("PreviousDomains %.80q: %s", d, flaw)
		case d == c.Domain:
			add("PreviousDomains %.80q is the Domain of today", d)
		case slices.Contains(c.PreviousDomains[:i], d):
			add("PreviousDomains %.80q stands there twice", d)
		}
	}
	if len(c.PreviousDomains) > maxPreviousDomains {
		add("PreviousDomains are %d, at most %d can be cleared in one response", len(c.PreviousDomains), maxPreviousDomains)
	}
	if !cookiePath(c.Path) {
		add("Path %.80q: a path of at most %d characters that starts with / is wanted, without spaces and ; ? # \\", c.Path, maxCookiePath)
	}
	if sameSiteText(c.SameSite) == "" {
		add("SameSite %.80q: strict, lax or none is wanted", c.SameSite)
	}
	if c.AcceptPlain && c.Keys.Len() == 0 {
		add("AcceptPlain says something about encrypted cookies only, and there are no Keys")
	}
	return flaws
}

// sameSiteText is the attribute's value, or "" for an unknown one.
func sameSiteText(s string) string {
	switch s {
	case "strict":
		return "Strict"
	case "lax":
		return "Lax"
	case "none":
		return "None"
	}
	return ""
}

// tokenText tells whether s is a token (RFC 9110, 5.6.2), as names of cookies are.
func tokenText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}

// cookiePath tells whether s can be the Path of a cookie that some request matches.
func cookiePath(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= maxCookiePath &&
		!strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`;?#\`, c) })
}

// cookieDomainFlaw checks a Domain attribute.
func cookieDomainFlaw(d string) string {
	switch {
	case strings.HasPrefix(d, "."):
		return "leave the dot at the start out; a Domain covers the hosts below it anyway"
	case d != strings.ToLower(d):
		return "lower case is wanted"
	case !strings.Contains(d, "."):
		return "browsers want two labels such as example.com; leave it empty for one host, such as localhost"
	case !hostname(d):
		return "a name of the DNS is wanted, without scheme, port and path"
	}
	if _, err := netip.ParseAddr(d); err == nil {
		return "browsers refuse a Domain that is an address; leave it empty"
	}
	return ""
}

// hostname tells whether s is a name of the DNS in lower case. What passes can't end an
// attribute of Set-Cookie early.
func hostname(s string) bool {
	if s == "" || len(s) > maxCookieDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool {
				return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
			}) {
			return false
		}
	}
	return true
}

// bareHost is the host of a Host header in lower case, without port and brackets.
func bareHost(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
}

// loopbackHost tells whether browsers resolve the name to this very machine.
func loopbackHost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
}

// proxyTraces are headers that no browser sends by itself.
func proxyTraces() []string {
	return []string{
		"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
		"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Real-Ip", "X-Original-Host", "X-Envoy-External-Address", "Cf-Ray", "Front-End-Https",
	}
}

// local tells whether the exception for plain localhost applies. A header can only take
// it away: what a stranger adds makes cookies more protected, never less.
func (s *CookieStore) local(r *http.Request) bool {
	if s.config.AlwaysSecure || r.TLS != nil || !loopbackHost(bareHost(r.Host)) {
		return false
	}
	// Browsers speak at least 1.1 to a server; 1.0 is what some proxies speak.
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	for _, name := range proxyTraces() {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	// The page is of this very site, and its name is a public one.
	if site := r.Header.Get("Sec-Fetch-Site"); site == "same-origin" || site == "same-site" {
		for _, name := range []string{"Origin", "Referer"} {
			if u, err := url.Parse(r.Header.Get(name)); err == nil && u.Host != "" && !loopbackHost(bareHost(u.Host)) {
				return false
			}
		}
	}
	for _, n := range []cookieName{s.session, s.refresh} {
		if n.sent != n.bare && carries(r, n.sent) {
			return false
		}
	}
	return true
}

// forms returns the names under which the cookie is read. Only the first is written.
func (s *CookieStore) forms(n cookieName, local bool) []string {
	switch {
	case local:
		return []string{n.bare}
	case s.config.NoPrefix:
		return []string{n.sent}
	case !hostLocked(n.sent):
		// What was written before there was a Domain; only this host can have set it.
		return []string{n.sent, hostHTTPPrefix + n.bare}
	case len(s.config.PreviousDomains) > 0:
		return []string{n.sent, securePrefix + n.bare}
	}
	return []string{n.sent}
}
