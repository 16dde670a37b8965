package latchkey

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ClientConfig says which project a Client speaks to, and how. It holds a key: don't log
// one.
type ClientConfig struct {
	// Issuer is {public URL}/{project id}. Required. Plain http is accepted for every
	// host, for networks that are protected by other means: whoever can listen there has
	// the Key and the users' tokens.
	Issuer string

	// Key is a key of the project (lk_mgmt_…; lk_verify_… is enough for read-only
	// refreshes). Empty: only calls that a user's own token permits.
	Key string `json:"-"` // never in a log, as JSON neither

	// HTTPClient replaces the transport and its timeout. The Client works on a copy: it
	// follows no redirects and keeps no cookies, whatever this one does.
	HTTPClient *http.Client

	// Retries is how often a call that failed for a passing reason is repeated, where
	// repeating is safe: 2 when zero, never when negative, at most 10.
	Retries int

	// UserAgent is the User-Agent of requests: "latchkey-go" when empty.
	UserAgent string

	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// Format writes the configuration without its key, for every verb.
func (c ClientConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.ClientConfig{Issuer:%q}", redactUserinfo(c.Issuer))
}

// LogValue returns the configuration without its key.
func (c ClientConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Client calls the server: the end-user endpoints of one project, and with a management
// key its management endpoints. It is safe for concurrent use and starts no goroutine.
//
// Every method takes a context and gives up when it ends. Refusals are *Error; anything
// else means that no answer came or that it couldn't be read. Calls that may be repeated
// without harm are repeated when the network or the server fails for a moment
// (ClientConfig.Retries); calls that create something are repeated only when nothing
// had been sent yet.
type Client struct {
	issuer  string  // without a slash at the end
	manage  string  // address of the management endpoints
	key     *string // a pointer, so that no formatting can reach the text; nil without one
	agent   string
	retries int
	http    *http.Client
	now     func() time.Time
	clock   serverClock
}

// NewClient returns a Client. The error names everything that is wrong with the
// configuration.
func NewClient(c ClientConfig) (*Client, error) {
	out := &Client{agent: c.UserAgent, retries: c.Retries, now: c.Now}
	var problems []error
	base, project, err := splitIssuer(c.Issuer)
	if err != nil {
		problems = append(problems, err)
	}
	out.issuer, out.manage = base+"/"+project, base+"/v1/projects/"+project
	if c.Key != "" {
		if !isKey(c.Key) {
			problems = append(problems, errors.New("the Key isn't a key of a project (lk_mgmt_… or lk_verify_…)"))
		}
		out.key = &c.Key
	}
	switch {
	case c.Retries == 0:
		out.retries = 2
	case c.Retries < 0:
		out.retries = 0
	case c.Retries > 10:
		problems = append(problems, errors.New("the number of Retries is over 10"))
	}
	if out.agent == "" {
		out.agent = "latchkey-go"
	}
	if out.now == nil {
		out.now = time.Now
	}
	out.http = httpClient(c.HTTPClient)
	if len(problems) > 0 {
		return nil, fmt.Errorf("latchkey: client: %w", errors.Join(problems...))
	}
	return out, nil
}

// Format writes the client without its key, for every verb.
func (c *Client) Format(f fmt.State, _ rune) {
	if c == nil {
		io.WriteString(f, "(*latchkey.Client)(nil)")
		return
	}
	fmt.Fprintf(f, "latchkey.Client{Issuer:%q}", c.issuer)
}

// LogValue returns the client without its key.
func (c *Client) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// httpClient returns a copy of given, or a client of our own, that follows no redirects
// and has no cookie jar. A redirect would carry a token to wherever a broken or hostile
// proxy points; a jar would hand the cookies of one user to the next.
func httpClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    100,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}
	}
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// splitIssuer returns the server's address and the project's id.
func splitIssuer(issuer string) (base, project string, err error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		// The cause isn't shown: it repeats the text, which may hold a password.
		return "", "", errors.New("the Issuer isn't a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return "", "", errors.New("the Issuer isn't an absolute http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsRune(issuer, '#'):
		return "", "", errors.New("the Issuer has a part that issuers don't have: user, query or fragment")
	}
	at := strings.LastIndexByte(issuer, '/')
	base, project = issuer[:at], issuer[at+1:]
	if !isID(project) || !strings.HasPrefix(project, "prj_") {
		return "", "", errors.New("the Issuer doesn't end with a project's id (prj_…, nothing behind it)")
	}
	return base, project, nil
}

// isID reports whether s has the form of an identifier: 1 to 31 letters, digits, '_' and
// '-'.
func isID(s string) bool {
	if s == "" || len(s) > 31 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// The prefixes of keys.
const (
	managementPrefix = "lk_mgmt_"
	verifyPrefix     = "lk_verify_"
)

// isKey reports whether s looks like a key and fits into a header.
func isKey(s string) bool {
	if !strings.HasPrefix(s, managementPrefix) && !strings.HasPrefix(s, verifyPrefix) {
		return false
	}
	return isBearer(s)
}

// isBearer reports whether s is a token of RFC 6750, 2.1: what can be sent in a header
// without being changed or splitting it.
func isBearer(s string) bool {
	body := strings.TrimRight(s, "=")
	for _, c := range []byte(body) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}

func redactUserinfo(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "invalid"
	}
	return u.Redacted()
}
