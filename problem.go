package latchkey

// Code is the stable name of a refusal. Clients decide by it, never by the detail.
type Code string

// The codes. Each has a page in docs/errors.
const (
	CodeInvalidRequest  Code = "invalid_request"
	CodeTokenInURL      Code = "token_in_url"
	CodeTooLarge        Code = "too_large"
	CodeOutOfRange      Code = "out_of_range"
	CodeContradiction   Code = "contradiction"
	CodeReservedClaim   Code = "reserved_claim"
	CodeClaimsTooLarge  Code = "claims_too_large"
	CodeTemplateInvalid Code = "template_invalid"
	CodeUnauthenticated Code = "unauthenticated"
	CodeSessionRevoked  Code = "session_revoked"
	CodeSessionExpired  Code = "session_expired"
	CodeTokenReuse      Code = "token_reuse"
	CodeReauthenticate  Code = "reauthentication_required"
	CodeForbidden       Code = "forbidden"
	CodeSignInDenied    Code = "sign_in_denied"
	CodeInsufficient    Code = "insufficient_authentication"
	CodeNotFound        Code = "not_found"
	CodeRequestExpired  Code = "request_expired"
	CodeConflict        Code = "conflict"
	CodeRateLimited     Code = "rate_limited"
	CodeUnavailable     Code = "unavailable"
	CodeInternal        Code = "internal"
)

// Problem is the body of every refusal (RFC 9457, application/problem+json).
type Problem struct {
	Type      string       `json:"type" description:"Address of the page that explains the code."`
	Title     string       `json:"title" description:"The code in words; the same for every problem of one code."`
	Status    int          `json:"status" description:"The HTTP status."`
	Detail    string       `json:"detail,omitempty" description:"What is wrong this time, for people. May change at any time."`
	Code      Code         `json:"code" description:"Stable name to decide by."`
	Terminal  bool         `json:"terminal" description:"True when the session is over: only then may a client drop its tokens. False means try again or repair the request."`
	RequestID string       `json:"requestId" description:"Finds this request in the server's log."`
	Errors    []FieldError `json:"errors,omitempty" description:"Every part of the request that is wrong."`
}

// FieldError is one part of a request that is wrong.
type FieldError struct {
	Pointer string `json:"pointer" description:"JSON pointer (RFC 6901) into the request body, or the name of a query parameter."`
	Code    string `json:"code" description:"Stable word: required, unknown, type, range, format, duplicate, contradiction, reserved, size."`
	Detail  string `json:"detail" description:"A sentence for people."`
}
