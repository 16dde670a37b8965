package wire

import (
	"errors"
	"net/http"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Unknown is what is wrong with a request whose only fault so far is that it has members
// which nobody knows. It is refused for that, but the members that are known could be
// read, so what is wrong with their values can be told in the same answer: whoever
// misspelt one name shouldn't learn of another mistake with the next try.
type Unknown []fault.Field

// DecodeKnown is Decode for handlers that look on when nothing is wrong with a body but
// unknown members. It fills into, and the handler has to refuse the request: it hands what
// it got to whoever checks the values, without changing anything, and answers with
// unknown.With of the outcome.
func DecodeKnown(r *http.Request, limit int64, into any) (unknown Unknown, err error) {
	return read(r, limit, into, true)
}

// DecodeRawKnown is DecodeRaw in the manner of DecodeKnown.
func DecodeRawKnown(raw []byte, pointer string, into any) (unknown Unknown, err error) {
	return readRaw(raw, pointer, into, true)
}

// onlyUnknown reports whether a body could be read whole, but for members that nobody
// knows.
func onlyUnknown(fields []fault.Field) bool {
	return len(fields) < maxProblems && !slices.ContainsFunc(fields, func(f fault.Field) bool { return f.Code != codeUnknown })
}

// With returns the refusal of a request with unknown members, of which the values of the
// known ones were refused with errs, each of them or none. Without unknown members that is
// the first of errs with what is wrong by the others. What is wrong with anything but the
// body, such as a user who isn't there, is told only when it is all there is; an error that
// isn't about the request is returned as it is.
func (u Unknown) With(errs ...error) error {
	var first *fault.Error
	fields := slices.Clone(u)
	for _, err := range errs {
		var refusal *fault.Error
		switch {
		case err == nil:
			continue
		case !errors.As(err, &refusal) || refusal.Kind == fault.Internal || refusal.Kind == fault.Unavailable:
			return err
		case !aboutBody(refusal.Kind):
			if len(u) == 0 && first == nil {
				return err
			}
			continue
		case first == nil:
			first = refusal
		}
		for _, f := range refusal.Fields {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	switch {
	case len(u) == 0 && first == nil:
		return nil
	case len(u) == 0:
		return fault.New(first.Kind, "%s", first.Detail).WithFields(fields...)
	case len(fields) == len(u):
		return problemsError("body", fields)
	}
	return fault.New(fault.Invalid, "The body has %d problems.", len(fields)).WithFields(fields...)
}

// aboutBody reports whether a refusal of this kind says what is wrong with values.
func aboutBody(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.OutOfRange, fault.Contradiction, fault.ReservedClaim, fault.ClaimsTooLarge, fault.TemplateInvalid:
		return true
	}
	return false
}
