package vault

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/latchkey-dev/latchkey"
)

// ProxyConfig says where requests go and what goes along.
type ProxyConfig struct {
	// Target is the upstream: https, or http on a network that is trusted with tokens.
	// A path in it is put before the request's.
	Target *url.URL

	// ForwardCookies sends the browser's other cookies upstream. That of the vault
	// never goes.
	ForwardCookies bool

	// Transport is http.DefaultTransport by default.
	Transport http.RoundTripper

	// Logger is told of requests that the upstream didn't answer; nobody is by default.
	Logger *slog.Logger
}

// Proxy returns a handler that sends requests on to an upstream with the session's token
// in the Authorization header. Put it behind latchkey.Middleware, which verifies and
// refreshes the token and checks that requests come from the application's own pages.
// A request without a session is refused with 401 and goes nowhere: the middleware's
// Optional mode doesn't open the upstream.
//
// What the browser sends as Authorization, X-Forwarded-*, Forwarded or X-Real-IP is
// dropped, also with underscores; the proxy writes X-Forwarded-For, -Host and -Proto
// itself. Cookies of the vault's name are removed in both directions.
func (s *Store) Proxy(c ProxyConfig) (http.Handler, error) {
	switch {
	case c.Target == nil || c.Target.Host == "" || c.Target.Scheme != "https" && c.Target.Scheme != "http":
		return nil, errors.New("vault: Target is an http or https URL")
	case c.Target.User != nil || c.Target.RawQuery != "" || c.Target.Fragment != "":
		return nil, errors.New("vault: Target has no user, query or fragment")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	target := *c.Target
	proxy := &httputil.ReverseProxy{
		Transport: c.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&target)
			dropClaims(r.Out.Header)
			r.SetXForwarded()
			s.cookie.strip(r.Out.Header, c.ForwardCookies)
			token, _ := latchkey.TokenFromContext(r.In.Context())
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
		ModifyResponse: func(answer *http.Response) error {
			s.cookie.protect(answer.Header)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			// The error may name the upstream, which is nobody's business outside.
			c.Logger.WarnContext(r.Context(), "the upstream didn't answer", "error", err.Error())
			refuse(w, http.StatusBadGateway, latchkey.CodeUnavailable, "The service behind this address doesn't answer; try again.")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := latchkey.TokenFromContext(r.Context()); !ok || token == "" {
			refuse(w, http.StatusUnauthorized, latchkey.CodeUnauthenticated, "Sign in first.")
			return
		}
		proxy.ServeHTTP(w, r)
	}), nil
}

// dropClaims removes what only a proxy may say of a request. Upstreams that read headers
// by way of environment variables don't tell an underscore from a hyphen.
func dropClaims(h http.Header) {
	for name := range h {
		switch plain := strings.ToLower(strings.ReplaceAll(name, "_", "-")); {
		case strings.HasPrefix(plain, "x-forwarded"), plain == "forwarded", plain == "x-real-ip", plain == "authorization":
			delete(h, name)
		}
	}
}

// strip removes the vault's cookie from a request, or all of them.
func (c cookie) strip(h http.Header, keepOthers bool) {
	lines := h["Cookie"]
	h.Del("Cookie")
	if !keepOthers {
		return
	}
	for _, line := range lines {
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if pair != "" && !c.owns(name) {
				kept = append(kept, strings.TrimSpace(pair))
			}
		}
		if len(kept) > 0 {
			h.Add("Cookie", strings.Join(kept, "; "))
		}
	}
}

// protect removes what an upstream would set under the vault's name.
func (c cookie) protect(h http.Header) {
	lines := h["Set-Cookie"]
	h.Del("Set-Cookie")
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, "="); !c.owns(name) {
			h.Add("Set-Cookie", line)
		}
	}
}

// owns reports whether a cookie's name is, or may be taken for, that of the vault.
func (c cookie) owns(name string) bool {
	name = strings.TrimFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
	return strings.EqualFold(name, c.name) || strings.EqualFold(name, prefix+c.name)
}

func refuse(w http.ResponseWriter, status int, code latchkey.Code, detail string) {
	// Strings and numbers are always encoded.
	body, _ := json.Marshal(latchkey.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code})
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // a connection that broke can be told nothing
}
