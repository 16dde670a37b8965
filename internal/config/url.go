package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL leaves room for the rest of an issuer in cookies and tokens.
const maxURL = 200

// url demands the one form in which the URL will be in every issuer: those are compared
// byte for byte, so another spelling of the same address would be another issuer. The
// value isn't shown: it may hold a password.
func (l *loader) url(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Opaque != "", u.Host == "":
		return errors.New("wants an absolute URL such as https://id.example.com")
	case len(value) > maxURL:
		return fmt.Errorf("is longer than %d characters", maxURL)
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		return errors.New("must not have a query or a fragment")
	case strings.HasSuffix(value, "/"):
		return errors.New("must not end with a slash")
	case !isCanonicalHost(u.Hostname()):
		return errors.New("wants a host name in lower case and ASCII (xn-- for others), or an address in its usual form")
	case !isPort(u):
		return errors.New("wants no port, or one from 1 to 65535 that isn't the usual one of its scheme")
	case !isPlainPath(u.EscapedPath()):
		return errors.New("has a path that proxies may change: it wants letters, digits, '-', '_' and '.', and no empty or dotted parts")
	case u.String() != value:
		return errors.New("is written in an unusual form; write it as in https://id.example.com/path")
	}
	l.config.PublicURL = value
	return nil
}

func isPort(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	if u.Port() == "" {
		return true
	}
	n, err := strconv.Atoi(u.Port())
	usual := map[string]int{"http": 80, "https": 443}[u.Scheme]
	return err == nil && n > 0 && n <= 65535 && n != usual && strconv.Itoa(n) == u.Port()
}

func isPlainPath(path string) bool {
	if path == "" {
		return true
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if strings.Trim(part, ".") == "" || strings.Trim(part, letters+"0123456789-_.") != "" {
			return false
		}
	}
	return true
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// isHost reports whether host is an address or looks like a name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, letters+"0123456789-") != "" {
			return false
		}
	}
	// What ends in a number is meant as an address, and is a wrong one here.
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

func isCanonicalHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && addr.String() == host
	}
	return isHost(host) && host == strings.ToLower(host)
}

// isLoopback reports whether host can be reached from this machine only.
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// publicURL is the default of the public URL. A port that is picked by the system isn't
// known yet.
func (l *loader) publicURL() {
	host, port, err := net.SplitHostPort(l.config.Addr)
	if err == nil && l.config.PublicURL == "" && isLoopback(host) && port != "0" {
		l.config.PublicURL = "http://" + l.config.Addr
	}
}

// together checks what only several settings together can be wrong about.
func (l *loader) together() {
	if one, other := l.given["master-key-file"], l.given["master-key"]; one != "" && other != "" {
		l.problem(other, "is set together with "+one+"; give one of them")
	}
	if l.fileBad {
		return // what is missing may be in the file
	}
	if l.given["store"] == "" {
		l.problem("--store", "is required; LATCHKEY_STORE and store in the file say the same"+l.orData())
	}
	if !l.serving() {
		return
	}
	if l.given["master-key-file"] == "" && l.given["master-key"] == "" {
		l.problem("--master-key-file", "is required; LATCHKEY_MASTER_KEY_FILE and master-key-file in the file say the same, and LATCHKEY_MASTER_KEY holds the key itself")
	}
	if host, _, err := net.SplitHostPort(l.config.Addr); err == nil && l.given["public-url"] == "" && !isLoopback(host) {
		l.problem("--public-url", "is required, because the server listens on more than a loopback address; LATCHKEY_PUBLIC_URL and public-url in the file say the same")
	}
}

// orData names the flag of commands that take a folder of latchkey dev instead of a store.
func (l *loader) orData() string {
	if l.flags.Lookup("data") == nil {
		return ""
	}
	return ", and --data names a folder of latchkey dev instead"
}

// warn notes what is allowed and probably a mistake.
func (l *loader) warn() {
	u, err := url.Parse(l.config.PublicURL)
	if err != nil {
		return
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		l.config.Warnings = append(l.config.Warnings, "The public URL is http: tokens travel unencrypted, and browsers keep no secure cookies from it.")
	}
	if _, given := l.given["trusted-proxies"]; u.Scheme == "https" && !given && l.config.NetworkLimit > 0 {
		l.config.Warnings = append(l.config.Warnings, "The public URL is https, so a proxy stands before this server, but no trusted proxy is set: all clients will seem to be at the proxy's address and share one network limit.")
	}
}
