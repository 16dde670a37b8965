package vault

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cookie is how the ticket travels.
type cookie struct {
	name         string
	sameSite     http.SameSite
	persistent   bool
	alwaysSecure bool
}

const (
	prefix      = "__Host-Http-"
	defaultName = "LK"
	maxName     = 64

	// maxTickets bounds the look-ups that one request can ask for. An honest browser
	// sends one cookie of the name.
	maxTickets = 4
)

func newCookie(c Config) (cookie, error) {
	out := cookie{name: c.Name, sameSite: c.SameSite, persistent: c.Persistent, alwaysSecure: c.AlwaysSecure}
	if out.name == "" {
		out.name = defaultName
	}
	var problems []error
	if len(out.name) > maxName || strings.ContainsFunc(out.name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) || strings.HasPrefix(strings.ToLower(out.name), "__") {
		problems = append(problems, fmt.Errorf("vault: Name is up to %d letters, digits, '-' and '_', without prefix", maxName))
	}
	switch out.sameSite {
	case 0, http.SameSiteDefaultMode:
		out.sameSite = http.SameSiteStrictMode
	case http.SameSiteStrictMode, http.SameSiteLaxMode:
	default:
		problems = append(problems, errors.New("vault: SameSite is Strict or Lax: the cookie is for pages of its own host"))
	}
	return out, errors.Join(problems...)
}

// local reports whether the request came over plain http to this very machine. Where a
// proxy that ends TLS replaces the Host header, as nginx does unless told otherwise, what
// it adds gives it away. A header can only take the exception away: what a stranger adds
// protects the cookie more, never less.
func (c cookie) local(r *http.Request) bool {
	// Browsers speak at least HTTP/1.1 to a server; 1.0 is what some proxies speak.
	if c.alwaysSecure || r.TLS != nil || !thisMachine(r.Host) || !r.ProtoAtLeast(1, 1) {
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
			if u, err := url.Parse(r.Header.Get(name)); err == nil && u.Host != "" && !thisMachine(u.Host) {
				return false
			}
		}
	}
	return len(r.CookiesNamed(prefix+c.name)) == 0
}

// thisMachine reports whether browsers resolve a host to this very machine.
func thisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
}

// proxyTraces are headers that no browser sends by itself.
func proxyTraces() []string {
	return []string{
		"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
		"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Real-Ip", "X-Original-Host", "X-Envoy-External-Address", "Cf-Ray", "Front-End-Https",
	}
}

// tickets returns what the request carries. A site that isn't local never looks at the
// name without prefix: any host of the same site could plant that.
func (c cookie) tickets(r *http.Request) []ticket {
	names := []string{prefix + c.name}
	if c.local(r) {
		names = append(names, c.name)
	}
	var out []ticket
	for _, name := range names {
		for _, found := range r.CookiesNamed(name) {
			if t, ok := parseTicket(found.Value); ok && !found.Quoted && len(out) < maxTickets {
				out = append(out, t)
			}
		}
	}
	return out
}

func (c cookie) write(w http.ResponseWriter, r *http.Request, t ticket, until, now time.Time) error {
	out := c.blank(r)
	out.Value = t.reveal()
	if c.persistent {
		// Zero would mean that there is no limit.
		out.MaxAge = max(1, int(until.Sub(now)/time.Second))
		out.Expires = until
	}
	return c.set(w, out)
}

func (c cookie) clear(w http.ResponseWriter, r *http.Request) error {
	out := c.blank(r)
	out.MaxAge = -1
	return c.set(w, out)
}

func (c cookie) blank(r *http.Request) *http.Cookie {
	out := &http.Cookie{Name: prefix + c.name, Path: "/", HttpOnly: true, Secure: true, SameSite: c.sameSite}
	if c.local(r) {
		out.Name, out.Secure = c.name, false
	}
	return out
}

// set writes a Set-Cookie in place of an earlier one of the same name, with what keeps
// caches from handing it to somebody else.
func (c cookie) set(w http.ResponseWriter, out *http.Cookie) error {
	line := out.String()
	if line == "" {
		return errors.New("vault: the cookie can't be written")
	}
	h := w.Header()
	earlier := h["Set-Cookie"]
	h.Del("Set-Cookie")
	for _, other := range earlier {
		if !strings.HasPrefix(other, out.Name+"=") {
			h.Add("Set-Cookie", other)
		}
	}
	h.Add("Set-Cookie", line)
	h.Set("Cache-Control", "no-store")
	if !varies(h) {
		h.Add("Vary", "Cookie")
	}
	return nil
}

func varies(h http.Header) bool {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(field), "Cookie") {
				return true
			}
		}
	}
	return false
}
