// Package fault owns the closed set of ways in which an operation is refused. Every
// domain package and every store reports errors of these kinds; each face maps them
// to its own codes in one table. It knows nothing of HTTP.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is one way to be refused.
type Kind uint8

// The kinds. Internal is the zero value, so an error that nobody classified is opaque
// to callers.
const (
	Internal         Kind = iota // a bug or a broken invariant; the detail stays in the log
	Invalid                      // the request is malformed; Fields say where
	OutOfRange                   // a value is outside its range; Fields give the range
	Contradiction                // two values exclude each other; Fields name both
	ReservedClaim                // a custom claim uses a reserved name
	ClaimsTooLarge               // claims over their limit or the token's budget
	TemplateInvalid              // a template or sign-in action can't be used; Fields say where
	TokenInURL                   // a credential was sent in a query string
	TooLarge                     // a body or token over its limit
	Unauthenticated              // no credential, or an unreadable one
	SessionRevoked               // terminal: the session was ended
	SessionExpired               // terminal: the session ran out
	TokenReuse                   // terminal: two holders of one session are proven
	Reauthentication             // terminal: policy demands a new sign-in
	Forbidden                    // authenticated, but not allowed
	Denied                       // the project's sign-in actions say no; the code of the field is theirs
	Insufficient                 // the session isn't authenticated strongly enough; the code of the field says what is missing
	NotFound                     // no such thing, or none that the caller may know of
	RequestExpired               // transient: the request was composed too long ago
	Conflict                     // transient: a concurrent change, or a name already taken
	RateLimited                  // transient: RetryAfter says when
	Unavailable                  // transient: RetryAfter says when
	count
)

// Kinds returns all kinds, so that tables over them can be proven total.
func Kinds() []Kind {
	all := make([]Kind, count)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

var names = [count]string{
	"internal", "invalid", "out of range", "contradiction", "reserved claim", "claims too large", "template invalid", "token in URL",
	"too large", "unauthenticated", "session revoked", "session expired", "token reuse", "reauthentication required",
	"forbidden", "denied", "insufficient", "not found", "request expired", "conflict", "rate limited", "unavailable",
}

// String returns a name for logs.
func (k Kind) String() string {
	if k >= count {
		return "unknown"
	}
	return names[k]
}

// Field is one part of a request that is wrong.
type Field struct {
	Pointer string // JSON pointer (RFC 6901) into the request's body, "" for the whole
	Code    string // stable word: required, unknown, type, range, format, duplicate, contradiction, reserved, sensitive, size; of a Denied one the project's own
	Detail  string // a sentence for people
}

// Error is a refusal. Detail and Fields are shown to the caller and never hold a
// secret; the cause goes to the log only.
type Error struct {
	Kind       Kind
	Detail     string
	Fields     []Field
	RetryAfter time.Duration // for RateLimited and Unavailable
	cause      error
}

// New returns a refusal whose detail is formatted like fmt.Sprintf. The detail is
// public: it must hold nothing secret.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns a refusal with a cause that stays in the log.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	e := New(kind, format, args...)
	e.cause = cause
	return e
}

// WithFields adds what is wrong in detail.
func (e *Error) WithFields(fields ...Field) *Error {
	e.Fields = append(e.Fields, fields...)
	return e
}

// After says when a transient refusal may be tried again.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Error is for logs.
func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	for _, f := range e.Fields {
		s += fmt.Sprintf("; %s: %s", f.Pointer, f.Detail)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, fault.New(kind, "")) compare kinds.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Kind == e.Kind
}

// KindOf returns the kind of err: Internal for any error that isn't a refusal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
