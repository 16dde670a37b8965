package wire

import (
	"context"
	"errors"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// hide returns err without credentials. Refusals repeat parts of a request, such as the
// name of a member that isn't known, and a confused client may have put a token there.
// From the error it would go into the answer, and into every log on the way.
func hide(err error) error {
	if !holdsCredential(err.Error()) {
		return err
	}
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
			if errors.Is(err, known) {
				return known
			}
		}
		return errors.New(redacted)
	}
	// A copy: the error may be shared. Its cause is left out.
	clean := fault.New(refusal.Kind, "%s", hideText(refusal.Detail)).After(refusal.RetryAfter)
	for _, f := range refusal.Fields {
		clean.Fields = append(clean.Fields, fault.Field{Pointer: hidePointer(f.Pointer), Code: f.Code, Detail: hideText(f.Detail)})
	}
	var other *statusError
	if errors.As(err, &other) {
		return WithStatus(other.status, clean)
	}
	return clean
}

func hideText(s string) string {
	if holdsCredential(s) {
		return redacted
	}
	return s
}

// hidePointer keeps the part of a JSON pointer that says where the credential is.
func hidePointer(s string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = hideText(parts[i])
	}
	return hideText(strings.Join(parts, "/"))
}
