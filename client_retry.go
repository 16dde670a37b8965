package latchkey

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	firstDelay = 100 * time.Millisecond // before the first repetition at most
	maxDelay   = 10 * time.Second       // a call that would have to wait longer is given up
	maxRetry   = 24 * time.Hour         // what is believed of Retry-After
	maxProblem = 64 << 10               // bytes that a problem may have
	maxText    = 1 << 10                // bytes of each text in it
	maxErrors  = 100                    // entries in its list
)

// mayRepeat reports whether a call that failed with err may be sent again.
func mayRepeat(r repeat, err error) bool {
	if neverSent(err) {
		return true
	}
	if r != always {
		return false
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		switch refusal.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var untrusted *tls.CertificateVerificationError
	var lost *lostError
	return errors.As(err, &lost) && !errors.As(err, &untrusted)
}

// neverSent reports whether a call failed before a connection existed.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// delay returns how long to wait before repetition n (from 0): at random up to a bound
// that doubles, so that clients which failed together don't come back together, and not
// less than the server has asked for.
func delay(err error, n int) time.Duration {
	wait := rand.N(min(firstDelay<<n, maxDelay))
	var refusal *Error
	if errors.As(err, &refusal) {
		wait += refusal.RetryAfter
	}
	return wait
}

// pause waits, unless that is too long: then it is false at once, so that the caller
// learns of the refusal while it still can do something else.
func pause(ctx context.Context, wait time.Duration) bool {
	if wait > maxDelay {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// retryAfter reads the header (RFC 9110, 10.2.3): seconds, or a date by the server's
// clock, which its Date header tells; now is ours in case there is none. What can't be
// read, or is over, is 0; at most 24 hours are believed.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if digits := strings.Trim(text, "0123456789"); digits == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetry/time.Second) {
			return maxRetry
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetry)
}

// readProblem makes an Error of a refusal. Only application/problem+json is believed to
// be the server's: the page of a proxy has a status and nothing else that matters, and
// its text isn't kept. A server that echoes its request must not get the secrets of that
// into the caller's log.
func readProblem(res *http.Response, body []byte, now time.Time, secrets []string) *Error {
	e := new(Error)
	if media(res.Header) == "application/problem+json" {
		e.Problem = parseProblem(body, secrets)
	}
	// What counts is the status that was sent, and a session is over only when a 401
	// says so.
	e.Status = res.StatusCode
	e.Terminal = e.Terminal && e.Status == http.StatusUnauthorized
	e.RetryAfter = retryAfter(res.Header, now)
	if e.Title == "" {
		e.Title = http.StatusText(e.Status)
	}
	if 300 <= e.Status && e.Status <= 399 {
		e.Detail = "The server, or something in front of it, redirects. Redirects aren't followed."
	}
	return e
}

// parseProblem reads a problem, which a stranger may have written: texts are made
// printable, freed from credentials and cut. It is the zero Problem when it can't be
// read.
func parseProblem(body []byte, secrets []string) Problem {
	var p Problem
	if len(body) > maxProblem || json.Unmarshal(body, &p) != nil {
		return Problem{}
	}
	p.Errors = p.Errors[:min(len(p.Errors), maxErrors)]
	clean := func(s *string) {
		*s = withoutCredentials(printable(*s), secrets)
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "")
		}
	}
	for _, s := range []*string{&p.Type, &p.Title, &p.Detail, (*string)(&p.Code), &p.RequestID} {
		clean(s)
	}
	for i := range p.Errors {
		clean(&p.Errors[i].Pointer)
		clean(&p.Errors[i].Code)
		clean(&p.Errors[i].Detail)
	}
	return p
}

// credentialForm is what our credentials look like, also the beginning of one.
var credentialForm = regexp.MustCompile(`(eyJ|rt_|lk_[a-z]+_)[A-Za-z0-9._~+/=-]{8,}`)

const redacted = "[redacted]"

// withoutCredentials takes the secrets out of s, and whatever else looks like one.
func withoutCredentials(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	return credentialForm.ReplaceAllString(s, redacted)
}

// printable returns s without control characters and what isn't UTF-8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
