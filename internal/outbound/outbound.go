// Package outbound owns how messages leave the server: HTTP requests to addresses that
// strangers have chosen. It reaches public addresses with TLS and the networks that the
// configuration names, follows no redirect, uses no proxy, and reads little of what comes
// back. What is sent, and when, is package webhook's to say.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/internal/webhook"
)

const (
	// timeout is how long a receiver may take for all of it.
	timeout = 15 * time.Second

	dialTimeout = 5 * time.Second
	maxHeader   = 16 << 10 // bytes of an answer's header
	maxAnswer   = 4 << 10  // bytes that are read of an answer, for the connection's sake
	maxIdle     = 64       // connections that are kept for the next message
	idleTimeout = 30 * time.Second
)

// Sender sends messages by HTTP. It is safe for concurrent use.
type Sender struct {
	encrypted, plain *http.Client
	agent            string
	now              func() time.Time
}

// Config is what a Sender may be told.
type Config struct {
	Networks webhook.Networks
	Version  string           // of the product, for the receiver's logs
	Now      func() time.Time // for Retry-After; nil for time.Now
	TLS      *tls.Config      // nil for what the system trusts
}

// New returns a Sender.
func New(c Config) *Sender {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sender{encrypted: client(c, false), plain: client(c, true), agent: "latchkey/" + c.Version, now: c.Now}
}

// client returns a client for addresses with TLS, or for those without. They have
// connections of their own, since the latter may reach less.
func client(c Config, plain bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return allowed(c.Networks, address, plain)
	}}
	return &http.Client{
		Transport: &http.Transport{
			// Proxy stays nil: one from the environment would make the connection for us, to
			// whatever the name leads there.
			DialContext: dialer.DialContext, TLSClientConfig: c.TLS, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: maxHeader, DisableCompression: true, MaxIdleConns: maxIdle, IdleConnTimeout: idleTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// allowed is asked with the address that is about to be connected to, after all names
// were resolved.
func allowed(n webhook.Networks, address string, plain bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return webhook.ErrAddress
	}
	return n.Check(to.Addr(), plain)
}

// Send makes one attempt. See webhook.Sender.
func (s *Sender) Send(ctx context.Context, m webhook.Message) webhook.Outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	out := s.attempt(ctx, m)
	out.Took = time.Since(began)
	return out
}

func (s *Sender) attempt(ctx context.Context, m webhook.Message) webhook.Outcome {
	to, err := url.Parse(m.URL)
	if err != nil {
		return webhook.Outcome{Error: "The address can't be read."}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return webhook.Outcome{Error: "The address can't be used."}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", s.agent)
	r.Header.Set("Webhook-Id", m.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(m.At.Unix(), 10))
	r.Header.Set("Webhook-Signature", m.Signature)
	by := s.encrypted
	if to.Scheme == "http" {
		by = s.plain
	}
	res, err := by.Do(r)
	if err != nil {
		return webhook.Outcome{Error: reason(err)}
	}
	defer res.Body.Close()
	// A little of it is read, so that the connection can be used again; what it says doesn't
	// matter.
	io.CopyN(io.Discard, res.Body, maxAnswer)
	out := webhook.Outcome{Status: res.StatusCode, RetryAfter: s.retryAfter(res.Header.Get("Retry-After"))}
	if res.StatusCode >= 300 && res.StatusCode <= 399 {
		out.Error = "The answer is a redirect, which isn't followed."
	}
	return out
}

// reason says why there was no answer, in words of ours: errors of the network may hold
// the address, and what is in its query is a secret.
func reason(err error) string {
	var dns *net.DNSError
	var verification *tls.CertificateVerificationError
	var timed interface{ Timeout() bool }
	switch {
	case errors.Is(err, webhook.ErrAddress):
		return "The address is not a public one, and not in a network that the server's configuration allows (webhook-networks)."
	case errors.As(err, &dns):
		return "The name of the address can't be resolved."
	case errors.As(err, &verification):
		return "The receiver's certificate can't be verified."
	case errors.As(err, &timed) && timed.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "The receiver took too long."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "The connection was refused."
	}
	return "The connection failed."
}

// retryAfter reads the header: seconds, or a time.
func (s *Sender) retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(s.now()))
	}
	return 0
}
