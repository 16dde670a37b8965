package latchkey

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// crossOrigin refuses requests that a page of another origin makes the browser send with
// the user's cookies. It is the standard library's check (Fetch Metadata, then Origin),
// widened to handshakes of WebSockets.
type crossOrigin struct {
	protection *http.CrossOriginProtection
}

func newCrossOrigin(trusted []string) (crossOrigin, error) {
	c := crossOrigin{http.NewCrossOriginProtection()}
	var problems []error
	for _, origin := range trusted {
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			problems = append(problems, fmt.Errorf("TrustedOrigins: %w", err))
		} else if origin != strings.ToLower(origin) {
			// It would be compared with what browsers send, and never match.
			problems = append(problems, fmt.Errorf("TrustedOrigins: %q isn't in lower case", origin))
		}
	}
	return c, errors.Join(problems...)
}

// check returns the refusal of a cross-origin request, nil for any other.
func (c crossOrigin) check(r *http.Request) *Refusal {
	asked := r
	if safeMethod(r.Method) && isUpgrade(r.Header) {
		// The handshake is a GET, but what follows is as good as any number of POSTs,
		// and browsers let pages of every origin start one.
		unsafe := *r
		unsafe.Method = http.MethodPost
		asked = &unsafe
	}
	err := c.protection.Check(asked)
	if err == nil {
		return nil
	}
	return &Refusal{
		Status: http.StatusForbidden, Code: CodeForbidden, cause: err,
		Detail: "The request comes from a page of another site.",
	}
}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// isUpgrade reports whether the request asks for another protocol (RFC 9110, 7.8).
func isUpgrade(h http.Header) bool {
	if len(h["Upgrade"]) == 0 {
		return false
	}
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}
