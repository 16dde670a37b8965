package latchkey

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// CodeInsufficientAuthentication is a refusal by a Middleware: the session is good, but
// the route asks for another method, a step-up or a more recent sign-in (RFC 9470). It
// isn't terminal. The server itself never answers it.
const CodeInsufficientAuthentication Code = "insufficient_user_authentication"

// Refusal is why a Middleware didn't let a request through, or through without a
// session. It holds nothing of a token or of its claims, so that it can be shown.
type Refusal struct {
	Status int    // HTTP status
	Code   Code   // stable word to decide by
	Detail string // a sentence for people

	// Terminal tells that the session is over: the server has said so of the very
	// refresh token that the request carried, and its cookies have been cleared. When
	// it is false, a client keeps what it has.
	Terminal bool

	// Reason is why the session token was refused, "" when there was none or when it
	// was the server that refused.
	Reason Reason

	// RetryAfter is when to try again, 0 when trying again won't help.
	RetryAfter time.Duration

	challenge string // WWW-Authenticate of a 401 or 403
	curable   bool   // a sign-in would help
	absent    bool   // the request carried nothing
	page      string // address that the code is appended to
	cause     error  // for logs
}

// Transient reports whether the session may be fine but can't be used at this moment,
// because the server or the key set can't be reached, for example.
func (f Refusal) Transient() bool { return f.RetryAfter > 0 }

// Error is for logs. A Refusal is an error, which is how SignOut returns one.
func (f Refusal) Error() string {
	text := fmt.Sprintf("latchkey: %s (%d)", f.Code, f.Status)
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns what caused the refusal: an *Error of the server, a *TokenError, or an
// error of the network. It may be nil.
func (f Refusal) Unwrap() error { return f.cause }

// Problem returns the refusal in the shape of the server's own refusals, without
// RequestID.
func (f Refusal) Problem() Problem {
	return Problem{
		Type: f.page + string(f.Code), Title: refusalTitle(f.Code), Status: f.Status,
		Detail: f.Detail, Code: f.Code, Terminal: f.Terminal,
	}
}

// Write answers with the refusal as application/problem+json (RFC 9457), which is what a
// Middleware does without an ErrorHandler. An ErrorHandler may call it for requests that
// it has no page for. The response is never cached. The request's id is that of the
// response's X-Request-Id header; one is made when no handler before has set it.
func (f Refusal) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	problem := f.Problem()
	problem.RequestID = h.Get("X-Request-Id")
	if problem.RequestID == "" {
		problem.RequestID = rand.Text()
		h.Set("X-Request-Id", problem.RequestID)
	}
	f.header(h)
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.Status)
	if r.Method == http.MethodHead {
		return
	}
	// A problem is strings, a number and a bool: encoding it can't fail. When the client
	// has gone, nobody is left to hear of it.
	_ = json.NewEncoder(w).Encode(problem)
}

// header sets what every answer to a refused request says, whoever writes its body.
func (f Refusal) header(h http.Header) {
	forbidCaching(h)
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(wholeSeconds(f.RetryAfter), 10))
	}
	if f.Status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodPost)
	}
}

// wholeSeconds rounds up: who comes back a moment too early is refused again.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

func refusalTitle(code Code) string {
	switch code {
	case CodeUnauthenticated:
		return "No valid credential was presented"
	case CodeInsufficientAuthentication:
		return "The session isn't authenticated strongly or recently enough"
	case CodeForbidden:
		return "The credential doesn't allow this"
	case CodeSessionRevoked:
		return "The session was ended"
	case CodeSessionExpired:
		return "The session has expired"
	case CodeTokenReuse:
		return "A refresh token was used by two holders"
	case CodeReauthenticate:
		return "A new sign-in is required"
	case CodeInvalidRequest:
		return "The request is malformed"
	}
	return "The service can't answer now"
}

// The challenges. RFC 6750, 3: a request without credentials is told the scheme only.
const (
	challengeScheme       = `Bearer realm="latchkey"`
	challengeInvalid      = `Bearer error="invalid_token"`
	challengeScope        = `Bearer error="insufficient_scope"`
	challengeAuthenticate = `Bearer error="insufficient_user_authentication"` // RFC 9470, 3
)

// retryTransient is when to come back if nobody said: long enough for a server to be
// restarted or for another replica to answer, short enough for a user to wait.
const retryTransient = 2 * time.Second

// noSession is the refusal of a request that carries no session.
func noSession() Refusal {
	return Refusal{
		Status: http.StatusUnauthorized, Code: CodeUnauthenticated, Detail: "There is no session; sign in.",
		challenge: challengeScheme, curable: true, absent: true,
	}
}

// unavailable is the refusal of a session that nobody can judge now. It isn't a 401,
// which a page would take for the end of the session.
func unavailable(detail string, after time.Duration, cause error) Refusal {
	return Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeUnavailable, Detail: detail,
		Reason: ReasonOf(cause), RetryAfter: max(after, time.Second), cause: cause,
	}
}

// refusedToken turns the refusal of a session token into one of the request.
func refusedToken(err error) Refusal {
	reason := ReasonOf(err)
	f := Refusal{Reason: reason, Detail: upperFirst(reason.sentence()) + ".", cause: err}
	switch reason {
	case "", ReasonKeysUnavailable:
		return unavailable("The session can't be checked now; try again.", retryTransient, err)
	case ReasonFeedSilent:
		return unavailable("It isn't known now whether the session was revoked; try again.", retryTransient, err)
	case ReasonMethods, ReasonStepUp, ReasonAge:
		f.Status, f.Code, f.challenge = http.StatusUnauthorized, CodeInsufficientAuthentication, challengeAuthenticate
	case ReasonImpersonated, ReasonTenant, ReasonRole, ReasonPermission:
		f.Status, f.Code = http.StatusForbidden, CodeForbidden
	default:
		f.Status, f.Code, f.challenge, f.curable = http.StatusUnauthorized, CodeUnauthenticated, challengeInvalid, true
	}
	return f
}

// refusedRefresh turns what came of a refresh into a refusal of the request: the end of
// the session, or a reason to try again. An app's own mistake, such as a key without the
// scope, must not look like the end of its users' sessions either.
func refusedRefresh(err error) Refusal {
	var after time.Duration
	if refusal, ok := serverRefusal(err); ok {
		after = refusal.RetryAfter
		switch {
		case refusal.Terminal:
			return Refusal{
				Status: http.StatusUnauthorized, Code: refusal.Code, Detail: "The session is over; sign in again.",
				Terminal: true, challenge: challengeInvalid, curable: true, cause: err,
			}
		case refusal.Code == CodeUnauthenticated:
			f := noSession()
			f.Detail, f.cause = "The session's token can't be read; sign in.", err
			return f
		}
	}
	if after == 0 {
		after = retryTransient
	}
	return unavailable("The session can't be refreshed now; try again.", after, err)
}

// aboutRequirement reports whether a token was refused for what a route asks, not for
// what it is.
func aboutRequirement(r Reason) bool {
	switch r {
	case ReasonMethods, ReasonStepUp, ReasonAge, ReasonImpersonated, ReasonTenant, ReasonRole, ReasonPermission, ReasonFeedSilent:
		return true
	}
	return false
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
