package wire

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// CodeInfo is what the API says when something is refused in one way.
type CodeInfo struct {
	Kind       fault.Kind
	Code       latchkey.Code
	Status     int
	Title      string
	Terminal   bool // the session is over: the only refusals after which tokens may be dropped
	RetryAfter bool // the answer says when to try again
}

// table is total over fault.Kinds(), in their order. It is the only place where a kind
// becomes a status or a code.
var table = [...]CodeInfo{
	{fault.Internal, latchkey.CodeInternal, http.StatusInternalServerError, "Something went wrong on our side", false, false},
	{fault.Invalid, latchkey.CodeInvalidRequest, http.StatusBadRequest, "The request is malformed", false, false},
	{fault.OutOfRange, latchkey.CodeOutOfRange, http.StatusUnprocessableEntity, "A value is outside its range", false, false},
	{fault.Contradiction, latchkey.CodeContradiction, http.StatusUnprocessableEntity, "Two values contradict each other", false, false},
	{fault.ReservedClaim, latchkey.CodeReservedClaim, http.StatusUnprocessableEntity, "A custom claim has a reserved name", false, false},
	{fault.ClaimsTooLarge, latchkey.CodeClaimsTooLarge, http.StatusUnprocessableEntity, "The claims are too large", false, false},
	{fault.TemplateInvalid, latchkey.CodeTemplateInvalid, http.StatusUnprocessableEntity, "A template or sign-in action is invalid", false, false},
	{fault.TokenInURL, latchkey.CodeTokenInURL, http.StatusBadRequest, "A credential was sent in a URL", false, false},
	{fault.TooLarge, latchkey.CodeTooLarge, http.StatusRequestEntityTooLarge, "The request is too large", false, false},
	{fault.Unauthenticated, latchkey.CodeUnauthenticated, http.StatusUnauthorized, "No valid credential was presented", false, false},
	{fault.SessionRevoked, latchkey.CodeSessionRevoked, http.StatusUnauthorized, "The session was ended", true, false},
	{fault.SessionExpired, latchkey.CodeSessionExpired, http.StatusUnauthorized, "The session has expired", true, false},
	{fault.TokenReuse, latchkey.CodeTokenReuse, http.StatusUnauthorized, "A refresh token was used by two holders", true, false},
	{fault.Reauthentication, latchkey.CodeReauthenticate, http.StatusUnauthorized, "A new sign-in is required", true, false},
	{fault.Forbidden, latchkey.CodeForbidden, http.StatusForbidden, "The credential doesn't allow this", false, false},
	{fault.Denied, latchkey.CodeSignInDenied, http.StatusForbidden, "The sign-in is not allowed", false, false},
	{fault.Insufficient, latchkey.CodeInsufficient, http.StatusForbidden, "A stronger sign-in is required", false, false},
	{fault.NotFound, latchkey.CodeNotFound, http.StatusNotFound, "There is no such thing", false, false},
	{fault.RequestExpired, latchkey.CodeRequestExpired, http.StatusConflict, "The request was composed too long ago", false, false},
	{fault.Conflict, latchkey.CodeConflict, http.StatusConflict, "The request conflicts with another change", false, false},
	{fault.RateLimited, latchkey.CodeRateLimited, http.StatusTooManyRequests, "Too many requests", false, true},
	{fault.Unavailable, latchkey.CodeUnavailable, http.StatusServiceUnavailable, "The service can't answer now", false, true},
}

// Codes returns every refusal of the API, for its description and documentation.
func Codes() []CodeInfo { return slices.Clone(table[:]) }

// Info returns how the API speaks of kind. An unknown kind is an internal error.
func Info(kind fault.Kind) CodeInfo {
	if int(kind) >= len(table) {
		return table[fault.Internal]
	}
	return table[kind]
}

// Problems writes refusals as RFC 9457 problems. The zero value is ready to use.
type Problems struct {
	// DocsBase is the address of the documentation, "/docs" when empty. A problem's type
	// is the page errors/{code} below it.
	DocsBase string
}

// WriteError writes err with the default Problems.
func WriteError(w http.ResponseWriter, r *http.Request, err error) (status int) {
	return Problems{}.WriteError(w, r, err)
}

// WriteError answers with the problem that err is, and returns its status. What a
// fault.Error shows is its Detail and Fields; of every other error, and of
// fault.Internal, nothing is shown but the request's id. A request whose context has
// ended is fault.Unavailable: the caller may try again.
func (p Problems) WriteError(w http.ResponseWriter, r *http.Request, err error) (status int) {
	refusal := classify(err)
	info := Info(refusal.Kind)
	var other *statusError
	if errors.As(err, &other) {
		info.Status = other.status
	}
	h := w.Header()
	requestID := RequestID(r.Context())
	if requestID == "" {
		requestID = newRequestID()
		h.Set(headerRequestID, requestID)
	}
	problem := latchkey.Problem{
		Type: p.page(info.Code), Title: info.Title, Status: info.Status,
		Code: info.Code, Terminal: info.Terminal, RequestID: requestID,
		Detail: Sentence(refusal.Detail),
	}
	for _, f := range refusal.Fields {
		problem.Errors = append(problem.Errors, latchkey.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: Sentence(f.Detail)})
	}
	if info.Kind == fault.Internal {
		problem.Errors = nil
		problem.Detail = "Something went wrong on our side. Please report it with the request id " + requestID + "."
	}
	challenge(h, info)
	if info.RetryAfter {
		h.Set("Retry-After", strconv.FormatInt(retrySeconds(refusal.RetryAfter), 10))
	}
	// What the handler said of the answer that it didn't give.
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	NoStore(h)
	// A problem is strings, a number and a bool: encoding it can't fail.
	_ = write(w, info.Status, "application/problem+json", problem)
	return info.Status
}

// Item says why one item of a request was refused that did others: what WriteError says of
// err. unknown is true when nobody but the log learns more of it.
func Item(err error) (problem latchkey.ItemProblem, unknown bool) {
	refusal := classify(hide(err))
	problem = latchkey.ItemProblem{Code: Info(refusal.Kind).Code, Detail: Sentence(refusal.Detail)}
	for _, f := range refusal.Fields {
		problem.Errors = append(problem.Errors, latchkey.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: Sentence(f.Detail)})
	}
	if refusal.Kind == fault.Internal {
		problem.Errors, problem.Detail = nil, "Something went wrong on our side."
	}
	return problem, refusal.Kind == fault.Internal
}

func (p Problems) page(code latchkey.Code) string {
	base := p.DocsBase
	if base == "" {
		base = "/docs"
	}
	return strings.TrimSuffix(base, "/") + "/errors/" + string(code)
}

// Sentence gives a detail its capital and full stop, since refusals come from many
// packages, and some hold parts of sentences. A first word that may be a name
// ("sessionTokenTTL", "/a") stays as it is.
func Sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if first == "" {
		return s
	}
	isName := strings.ContainsFunc(first, func(c rune) bool { return (c < 'a' || c > 'z') && c != '\'' && c != ',' })
	if !isName {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// classify returns the refusal that err is.
func classify(err error) *fault.Error {
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Kind != fault.Internal {
		return refusal
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "The request was given up before it was done. Nothing is known to be wrong with it; try again.")
	}
	return fault.New(fault.Internal, "")
}

// challenge adds what RFC 9110, 15.5.2 demands of every 401. RFC 6750, 3 demands at
// least one parameter, and error="invalid_token" when a token was presented.
func challenge(h http.Header, info CodeInfo) {
	switch {
	case info.Status != http.StatusUnauthorized:
	case info.Terminal:
		h.Set("WWW-Authenticate", `Bearer realm="latchkey", error="invalid_token"`)
	default:
		h.Set("WWW-Authenticate", `Bearer realm="latchkey"`)
	}
}

// retrySeconds rounds up, because a client that comes back a moment too early is
// refused again, and is at least 1, because 0 means "at once".
func retrySeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return max(seconds, 1)
}

// statusError is a refusal with a status that isn't its kind's.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// WithStatus returns err, to be answered with another HTTP status than its kind has: for
// what only HTTP tells apart, such as 405, or 422 from 400.
func WithStatus(status int, err error) error { return &statusError{err, status} }
