package latchkey

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// Proxies and browsers bound the headers of a response, often at 8 KiB.
	maxCookieLines = 16

	maxPathDepth   = 4
	maxDomainTries = 6
)

// Clear removes both cookies: where they are written today, and of each name that the
// request carries, protected or bare, what may be elsewhere. The response gets
// Cache-Control: no-store and Vary: Cookie. The error is nil.
func (s *CookieStore) Clear(w http.ResponseWriter, r *http.Request) error {
	local := s.local(r)
	var homes []cookieLine
	var others [2][]cookieLine
	for i, n := range []cookieName{s.session, s.refresh} {
		home := s.home(n, local)
		homes = append(homes, home.gone())
		read := s.forms(n, local)
		for _, name := range append([]string{n.sent, n.bare, hostHTTPPrefix + n.bare, securePrefix + n.bare}, read...) {
			if carries(r, name) {
				// Under a name that isn't read here, a parent's cookie is somebody else's.
				others[i] = append(others[i], s.places(r, home, name, false, slices.Contains(read, name))...)
			}
		}
	}
	setCookies(w.Header(), bounded(homes, others, 0))
	return nil
}

// Tidy removes what the request's cookies of these names hold beside session and
// refresh, and writes the good ones again where they belong: the browser doesn't tell in
// which place it keeps them. How long they last is read from the tokens. It writes
// nothing when there is nothing to remove. An error means that nothing was written.
func (s *CookieStore) Tidy(w http.ResponseWriter, r *http.Request, session, refresh string) error {
	local := s.local(r)
	now := s.config.Now()
	var good []cookieLine
	var others [2][]cookieLine
	for i, t := range []struct {
		name  cookieName
		token string
	}{{s.session, session}, {s.refresh, refresh}} {
		if t.token == "" {
			continue
		}
		if others[i] = s.leftovers(r, t.name, t.token, local); len(others[i]) == 0 {
			continue
		}
		line, err := s.live(t.name, local, t.token, expiryOf(t.token, session, now), now)
		if err != nil {
			return err
		}
		// What Save has just written knows better how long it lasts.
		for _, earlier := range w.Header()["Set-Cookie"] {
			if placeOf(earlier) == line.place() && s.holds(t.name, earlier, t.token) {
				line.value, line.life = valueAndLife(earlier)
			}
		}
		good = append(good, line)
	}
	// The good ones come last: a browser that doesn't tell a Domain from the host of
	// the same name would otherwise end with nothing.
	setCookies(w.Header(), append(bounded(nil, others, len(good)), good...))
	return nil
}

// leftovers are the places to empty of one token's cookies, none when the request
// carries the good one alone.
func (s *CookieStore) leftovers(r *http.Request, n cookieName, good string, local bool) []cookieLine {
	forms := s.forms(n, local)
	counts, all := make([]int, len(forms)), 0
	stale := false
	eachCookie(r.Header["Cookie"], func(name, value string) {
		if i := slices.Index(forms, name); i >= 0 {
			counts[i]++
			all++
			token, ok := s.decode(n, value)
			stale = stale || i == 0 && (!ok || token != good)
		}
	})
	home := s.home(n, local)
	var likely, possible []cookieLine
	for i, name := range forms {
		// A single cookie that isn't the good one was replaced by it just now.
		if i > 0 && counts[i] > 0 || i == 0 && all > 1 && (counts[0] > 1 || stale) {
			likely = append(likely, s.places(r, home, name, false, true)...)
			possible = append(possible, s.places(r, home, name, true, true)...)
		}
	}
	// What an earlier configuration has left must not wait behind guesses.
	return append(likely, possible...)
}

// places are where a cookie of this name may be, likely ones first, without its home.
func (s *CookieStore) places(r *http.Request, home cookieLine, name string, ancestors, parents bool) []cookieLine {
	line := home
	line.name = name
	line.secure = home.secure || withoutPrefix(name) != name // or browsers would ignore the line
	paths, domains := []string{"/"}, []string{""}
	if !hostLocked(name) { // else there is no other place
		if s.config.Path != "/" {
			paths = []string{s.config.Path, "/"}
		}
		if ancestors {
			paths = append(paths, pathsAbove(r.URL.EscapedPath(), paths)...)
		}
		domains = s.domains(r, parents)
	}
	partitions := []bool{home.partitioned}
	if home.partitioned {
		partitions = append(partitions, false)
	}
	var out []cookieLine
	for _, path := range paths {
		for _, domain := range domains {
			for _, partitioned := range partitions {
				line.path, line.domain, line.partitioned = path, domain, partitioned
				if line.place() != home.place() {
					out = append(out, line.gone())
				}
			}
		}
	}
	return out
}

// domains are the Domain attributes that a cookie may have been set with; "" is none.
func (s *CookieStore) domains(r *http.Request, parents bool) []string {
	var out []string
	add := func(d string) {
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	if s.config.Domain != "" {
		add(s.config.Domain)
	}
	for _, d := range s.config.PreviousDomains {
		add(d)
	}
	add("")
	host := bareHost(r.Host)
	if _, err := netip.ParseAddr(host); err == nil || !parents || !hostname(host) || loopbackHost(host) {
		return out
	}
	for strings.Contains(host, ".") && len(out) < maxDomainTries {
		add(host)
		_, host, _ = strings.Cut(host, ".")
	}
	return out
}

// pathsAbove are the paths that a cookie which comes with this request may have, from
// the top, without the known ones. "/a" and "/a/" are two places.
func pathsAbove(path string, known []string) []string {
	var out []string
	at := 0
	for range maxPathDepth {
		i := strings.IndexByte(path[min(at+1, len(path)):], '/')
		end := len(path)
		if i >= 0 {
			end = at + 1 + i
		}
		for _, p := range []string{path[:end], path[:end] + "/"} {
			if cookiePath(p) && !strings.Contains(p, "//") && !slices.Contains(known, p) && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
		if i < 0 {
			break
		}
		at = end
	}
	return out
}

// bounded takes first, and then others of both cookies in turn, as many as one response
// may have beside what is reserved.
func bounded(first []cookieLine, others [2][]cookieLine, reserved int) []cookieLine {
	out := first
	seen := map[cookiePlace]bool{}
	for _, line := range first {
		seen[line.place()] = true
	}
	for i := range max(len(others[0]), len(others[1])) {
		for _, of := range others {
			if i < len(of) && len(out)+reserved < maxCookieLines && !seen[of[i].place()] {
				seen[of[i].place()] = true
				out = append(out, of[i])
			}
		}
	}
	return out
}

// expiryOf is when the token expires, as far as it can be read: an opaque refresh token
// has its expiry in the session token beside it. Without any the cookie lasts as long as
// the browser runs, which the next refresh puts right.
func expiryOf(token, session string, now time.Time) time.Time {
	at := peek(token, now).ExpiresAt
	if at == 0 && token != session {
		at = peek(session, now).RefreshExpires
	}
	if at <= 0 || at > 1<<40 {
		return time.Time{}
	}
	return time.Unix(at, 0)
}

// holds tells whether a Set-Cookie header sets this very token.
func (s *CookieStore) holds(n cookieName, line, token string) bool {
	value, _ := valueAndLife(line)
	held, ok := s.decode(n, value)
	return ok && held == token
}

// valueAndLife takes a line apart that cookieLine.String has made.
func valueAndLife(line string) (value, life string) {
	pair, rest, _ := strings.Cut(line, ";")
	_, value, _ = strings.Cut(pair, "=")
	if i := strings.Index(rest, "; Max-Age="); i >= 0 {
		life, _, _ = strings.Cut(rest[i:], "; HttpOnly")
	}
	return value, life
}
