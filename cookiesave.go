package latchkey

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Save sets a cookie for each token of set. With Persistent, Max-Age is what is left of
// the token by the server's clock, so a wrong clock here or in the browser changes
// nothing. A set that has expired already is an error. So is a cookie that browsers
// would drop for its size (*CookieSizeError). The response gets Cache-Control: no-store
// and Vary: Cookie; a cookie that was set earlier in the same response is replaced.
func (s *CookieStore) Save(w http.ResponseWriter, r *http.Request, set TokenSet) error {
	now := set.ServerTime
	if now.IsZero() {
		now = s.config.Now()
	}
	local := s.local(r)
	var lines []cookieLine
	for _, t := range []struct {
		name    cookieName
		token   string
		expires time.Time
	}{{s.session, set.SessionToken, set.SessionExpiresAt}, {s.refresh, set.RefreshToken, set.RefreshExpiresAt}} {
		if t.token == "" {
			continue
		}
		if s.config.Persistent && t.expires.IsZero() {
			return fmt.Errorf("the cookie %s is to outlive the browser, but nothing says when its token expires", t.name.sent)
		}
		if !t.expires.IsZero() && t.expires.Sub(now) < time.Second {
			return fmt.Errorf("the token for the cookie %s has expired: the answer that holds it is too old", t.name.sent)
		}
		line, err := s.live(t.name, local, t.token, t.expires, now)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	setCookies(w.Header(), lines)
	return nil
}

// live makes the cookie that holds token.
func (s *CookieStore) live(n cookieName, local bool, token string, expires, now time.Time) (cookieLine, error) {
	line := s.home(n, local)
	if !bearerText(token) {
		return line, fmt.Errorf("what the cookie %s is to hold isn't a token", line.name)
	}
	line.value = token
	if s.config.Keys.Len() > 0 {
		var err error
		if line.value, err = s.config.Keys.seal(n.bare, token); err != nil {
			return line, err
		}
	}
	if n := len(line.name) + len(line.value); n > maxCookie {
		return line, &CookieSizeError{Name: line.name, Bytes: n, Limit: maxCookie}
	}
	if left := expires.Sub(now); s.config.Persistent && left >= time.Second {
		line.life = "; Max-Age=" + strconv.FormatInt(int64(left/time.Second), 10) + "; Expires=" + expires.UTC().Format(http.TimeFormat)
	}
	return line, nil
}

// home is where the cookie of today lives.
func (s *CookieStore) home(n cookieName, local bool) cookieLine {
	if local {
		// A Domain that isn't this host would be refused, and None takes Secure.
		line := cookieLine{name: n.bare, path: s.config.Path, sameSite: sameSiteText(s.config.SameSite)}
		if s.config.SameSite == "none" {
			line.sameSite = "Lax"
		}
		return line
	}
	return cookieLine{
		name: n.sent, domain: s.config.Domain, path: s.config.Path, secure: true,
		sameSite: sameSiteText(s.config.SameSite), partitioned: s.config.Partitioned,
	}
}

// cookieLine is one Set-Cookie header.
type cookieLine struct {
	name, value  string
	domain, path string
	life         string // attributes Max-Age and Expires; empty for as long as the browser runs
	sameSite     string
	secure       bool
	partitioned  bool
}

// gone is the line that removes the cookie.
func (c cookieLine) gone() cookieLine {
	c.value, c.life = "", "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	return c
}

func (c cookieLine) String() string {
	line := c.name + "=" + c.value + "; Path=" + c.path
	if c.domain != "" {
		line += "; Domain=" + c.domain
	}
	line += c.life + "; HttpOnly"
	if c.secure {
		line += "; Secure"
	}
	line += "; SameSite=" + c.sameSite
	if c.partitioned {
		line += "; Partitioned"
	}
	return line
}

// cookiePlace is by what browsers tell cookies apart.
type cookiePlace struct {
	name, domain, path string
	partitioned        bool
}

func (c cookieLine) place() cookiePlace {
	return cookiePlace{c.name, c.domain, c.path, c.partitioned}
}

// placeOf reads a Set-Cookie header that is in the response already.
func placeOf(line string) cookiePlace {
	pair, rest, _ := strings.Cut(line, ";")
	name, _, _ := strings.Cut(pair, "=")
	p := cookiePlace{name: strings.TrimSpace(name)}
	for attribute := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		switch value = strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(key)) {
		case "domain":
			p.domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			p.path = value
		case "partitioned":
			p.partitioned = true
		}
	}
	return p
}

// setCookies writes lines, and never without forbidding caches to keep the response: a
// cached Set-Cookie signs a stranger in. Each replaces what the response says of the
// same place so far; browsers would obey both, in an order that proxies may change.
func setCookies(h http.Header, lines []cookieLine) {
	if len(lines) == 0 {
		return
	}
	forbidCaching(h)
	places := make(map[cookiePlace]bool, len(lines))
	for _, line := range lines {
		places[line.place()] = true
	}
	kept := make([]string, 0, len(h["Set-Cookie"])+len(lines))
	for _, earlier := range h["Set-Cookie"] {
		if !places[placeOf(earlier)] {
			kept = append(kept, earlier)
		}
	}
	for _, line := range lines {
		kept = append(kept, line.String())
	}
	h["Set-Cookie"] = kept
}

func forbidCaching(h http.Header) {
	if !hasDirective(h["Cache-Control"], "no-store") || hasDirective(h["Cache-Control"], "public") {
		h.Set("Cache-Control", "no-store")
	}
	for name := range h {
		// For the caches that know them, these overrule Cache-Control (RFC 9213).
		if name != "Cache-Control" && strings.HasSuffix(name, "-Cache-Control") || name == "Surrogate-Control" || name == "X-Accel-Expires" {
			delete(h, name)
		}
	}
	if vary := h["Vary"]; !hasDirective(vary, "Cookie") && !hasDirective(vary, "*") {
		h.Add("Vary", "Cookie")
	}
}

// hasDirective looks for an element of a comma-separated header, in any case.
func hasDirective(lines []string, wanted string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(element), wanted) {
				return true
			}
		}
	}
	return false
}
