package latchkey

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is a refusal by the server, or by something in front of it: then Code is empty,
// and Status is all that is known. Only one that is Terminal ends a session; after any
// other the caller keeps its tokens.
type Error struct {
	Problem
	RetryAfter time.Duration // when to try again at the earliest; 0 when not said
}

// shownErrors is how many wrong parts of a request an error's text names.
const shownErrors = 5

// Error returns the code, the status, the detail and the request's id. No credential
// that was sent is in it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("latchkey: ")
	if e.Code != "" {
		fmt.Fprintf(&b, "%s (%d)", e.Code, e.Status)
	} else {
		fmt.Fprintf(&b, "status %d", e.Status)
	}
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text != "" {
		b.WriteString(": " + text)
	}
	for i, f := range e.Errors {
		if i == shownErrors {
			fmt.Fprintf(&b, " And %d more.", len(e.Errors)-i)
			break
		}
		fmt.Fprintf(&b, " %s: %s", f.Pointer, f.Detail)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " [request %s]", e.RequestID)
	}
	return b.String()
}

// IsTerminal reports whether err says that the session is over: the one case in which a
// client drops its tokens or cookies, and only those that the refused request presented.
func IsTerminal(err error) bool {
	var refusal *Error
	return errors.As(err, &refusal) && refusal.Terminal
}

// CodeOf returns the code of the refusal that err is, "" when err isn't a refusal by the
// server.
func CodeOf(err error) Code {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}
