package policy

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// The checks of this file read each address byte by byte instead of through net/url:
// a URL parser repairs what it reads, and an address that was repaired is no longer
// the one that is compared later. Each returns what is wrong, or "". They take time
// linear in their input.

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyz"

	maxRedirect = 2000
	maxHost     = 253 // RFC 1035, 2.3.4, without the root's dot
	maxLabel    = 63
)

// originFlaw checks the origin of a page, as browsers send it (RFC 6454, 6.2).
func originFlaw(s string) string {
	const wanted = "an exact origin such as https://app.example.com is wanted: "
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return wanted + "it starts with https:// in lower case"
	}
	if strings.ContainsAny(rest, `/\?#@*`) {
		return wanted + "no path, query, fragment, user name or wildcard"
	}
	port, flaw := authorityFlaw(scheme, rest)
	if flaw != "" {
		return wanted + flaw
	}
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		// A browser leaves it out: the entry would never match.
		return wanted + "leave the default port out"
	}
	return ""
}

// redirectFlaw checks an address to which a browser may be sent back: a URL, or the
// private-use scheme of an installed app (RFC 8252, 7.1).
func redirectFlaw(s string) string {
	const wanted = "an exact address such as https://app.example.com/callback or com.example.app:/callback is wanted: "
	if len(s) > maxRedirect {
		return wanted + "at most " + strconv.Itoa(maxRedirect) + " characters"
	}
	if flaw := uriFlaw(s); flaw != "" {
		return wanted + flaw
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return wanted + "it starts with a scheme"
	}
	rest, hierarchical := strings.CutPrefix(rest, "//")
	authority := rest
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority = rest[:end]
	}
	if hierarchical && strings.Contains(authority, "@") {
		return wanted + "no user name"
	}
	switch {
	case scheme == "https" || scheme == "http":
		if !hierarchical {
			return wanted + "two slashes follow the scheme"
		}
		if _, flaw := authorityFlaw(scheme, authority); flaw != "" {
			return wanted + flaw
		}
	case !privateScheme(scheme):
		return wanted + "https, or http on localhost, or the scheme of an app, in lower case and with a dot"
	case !hierarchical && !strings.HasPrefix(rest, "/"):
		return wanted + "a slash follows the scheme"
	}
	return ""
}

// uriFlaw checks that s consists of what a URI without fragment can hold (RFC 3986,
// appendix A). Browsers read a backslash as a slash, and drop line breaks and tabs:
// both make an address mean another one than was approved.
func uriFlaw(s string) string {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f:
			return "no spaces, control characters or letters beyond ASCII"
		case strings.IndexByte("\\\"<>^`{|}", c) >= 0:
			return "no backslash, and nothing else that a URI can't hold"
		case c == '#':
			return "no fragment"
		case c == '%' && (len(s) < i+3 || !hex(s[i+1]) || !hex(s[i+2])):
			return "two hexadecimal digits follow each percent sign"
		}
	}
	return ""
}

func hex(c byte) bool { return strings.IndexByte(digits+"abcdefABCDEF", c) >= 0 }

// privateScheme tells whether s is a scheme that an app may claim. The dot is what
// keeps javascript:, data: and the like out; it stands for a domain name in reverse.
func privateScheme(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, letters+digits+"+-") != "" {
			return false
		}
	}
	return strings.Contains(s, ".") && strings.IndexByte(letters, s[0]) >= 0
}

// authorityFlaw checks the host and port of an http or https address. The port is
// zero if there is none.
func authorityFlaw(scheme, s string) (port int, flaw string) {
	brackets := 0 // the colons of an IPv6 address stand inside
	if strings.HasPrefix(s, "[") {
		brackets = strings.IndexByte(s, ']') + 1
	}
	name, number, hasPort := strings.Cut(s[brackets:], ":")
	host := s[:brackets] + name
	if hasPort {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
			return 0, "a port is a number from 1 to 65535"
		}
		port = int(n)
	}
	loopback := host == "localhost" || host == "127.0.0.1" || host == "[::1]"
	if scheme == "http" && !loopback {
		return port, "https, unless the host is localhost, 127.0.0.1 or [::1]"
	}
	if loopback {
		return port, ""
	}
	return port, hostFlaw(host)
}

// hostFlaw checks the host of an address: a name, or an IP address in the one spelling
// that browsers use.
func hostFlaw(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		// Browsers write mapped addresses in hexadecimal, netip in dots.
		if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" || "["+ip.String()+"]" != s {
			return "in brackets stands an IPv6 address, lower case and as short as it can be"
		}
		return ""
	}
	if numeric(s) {
		if ip, err := netip.ParseAddr(s); err != nil || ip.String() != s {
			return "a host that ends in a number is an IPv4 address of four decimal numbers"
		}
		return ""
	}
	return nameFlaw(s)
}

// numeric tells whether browsers read s as an IPv4 address: its last label is a
// number, be it octal or hexadecimal (WHATWG URL, "ends in a number").
func numeric(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(rest, digits+"abcdef") == ""
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// domainFlaw checks a custom domain or the domain of a cookie: a name of the DNS that
// somebody can own.
func domainFlaw(s string) string {
	const wanted = "a domain such as auth.example.com is wanted: "
	switch {
	case strings.HasPrefix(s, "."):
		return wanted + "leave the leading dot out"
	case strings.ContainsAny(s, `:/[]`):
		return wanted + "only the host, no scheme, port or IP address"
	case numeric(s):
		return wanted + "no IP address"
	case within(s, "localhost"):
		return wanted + "localhost is another machine for everybody"
	}
	if flaw := nameFlaw(s); flaw != "" {
		return wanted + flaw
	}
	return ""
}

// nameFlaw checks a host name (RFC 952, RFC 1123, 2.1) that isn't a public suffix.
func nameFlaw(s string) string {
	if s == "" || len(s) > maxHost {
		return "a host has 1 to " + strconv.Itoa(maxHost) + " characters"
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return "between the dots of a host, and not after the last one, stand 1 to " + strconv.Itoa(maxLabel) + " characters"
		}
		if label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, letters+digits+"-") != "" {
			return "a host consists of lower-case letters, digits, hyphens and dots; other letters are written as xn--…"
		}
	}
	if suffix, _ := publicsuffix.PublicSuffix(s); suffix == s {
		return "below " + s + " anybody can have names of their own"
	}
	return ""
}

// cookieNameFlaw checks the name of a cookie: a token (RFC 6265, 4.1.1; RFC 9110,
// 5.6.2).
func cookieNameFlaw(s string) string {
	bad := func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}
	if s == "" || len(s) > maxCookieName || strings.ContainsFunc(s, bad) {
		return "1 to " + strconv.Itoa(maxCookieName) + " letters, digits or characters of !#$%&'*+-.^_`|~ are wanted"
	}
	return ""
}

// cookiePathFlaw checks the path of a cookie. A path that no request can have would
// make the cookie vanish without a sign; a semicolon would end the attribute.
func cookiePathFlaw(s string) string {
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`;?#\`, r) }
	if !strings.HasPrefix(s, "/") || len(s) > maxCookiePath || strings.ContainsFunc(s, bad) {
		return "a path of at most " + strconv.Itoa(maxCookiePath) + " characters that starts with / is wanted, without spaces and ; ? # \\"
	}
	return ""
}
