package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const headerRequestID = "X-Request-Id"

// Handler is an http.Handler that returns what went wrong instead of writing it. It
// writes an answer or returns an error, not both.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Edge turns Handlers into http.Handlers: it is the one place where errors become
// answers. The zero value is ready to use. It is safe for concurrent use.
type Edge struct {
	Problems Problems

	// Report, if set, is called once for every error that a Handler returned, after the
	// refusal was written, with its status. It is where errors are logged and counted.
	Report func(r *http.Request, status int, err error)
}

// Handle returns h as an http.Handler.
//
// A credential in the error is hidden before it is shown or reported.
//
// A panic of h is a fault.Internal like any other; only http.ErrAbortHandler passes.
// When h has begun to answer before it fails, the answer stays as it is and the error
// is only reported, with the status that was sent. A Handler that streams uses
// http.ResponseController, which finds the underlying writer.
func (e Edge) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &answer{ResponseWriter: w}
		err := run(h, out, r)
		if err == nil {
			return
		}
		err = hide(err)
		status := out.status
		if status == 0 {
			status = e.Problems.WriteError(w, r, err)
		}
		if e.Report != nil {
			e.Report(r, status, err)
		}
	})
}

func run(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if cause, ok := p.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
			panic(p) // net/http's own signal to cut the connection
		}
		// The error is logged. The runtime's own errors and the frames hold no values of
		// the program; the value of another panic may, and is left out.
		what := fmt.Sprintf("%T", p)
		if cause, ok := p.(runtime.Error); ok {
			what = cause.Error()
		}
		err = fmt.Errorf("panic: %s\n%s", what, debug.Stack())
	}()
	return h(w, r)
}

// answer remembers whether an answer has begun.
type answer struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController find Flush and deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader passes the status on. An informational one (1xx) is not the answer.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

type requestIDKey struct{}

// Identify gives every request an id, in the context (RequestID) and in the answer's
// X-Request-Id. It belongs around everything else, so that answers of the router have
// one too. The id of a caller or proxy is kept when it is 1 to 64 characters of
// letters, digits, '.', '_' and '-', because it is logged and echoed.
func Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := givenRequestID(r.Header)
		if id == "" {
			id = newRequestID()
		}
		w.Header().Set(headerRequestID, id)
		next.ServeHTTP(w, r.WithContext(WithRequestID(r.Context(), id)))
	})
}

// WithRequestID returns a context that carries id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func newRequestID() string { return rand.Text() }

func givenRequestID(h http.Header) string {
	values := h[headerRequestID]
	if len(values) != 1 || len(values[0]) > 64 || holdsCredential(values[0]) {
		return ""
	}
	for _, c := range []byte(values[0]) {
		if c != '.' && c != '_' && c != '-' && !alphanumeric(c) {
			return ""
		}
	}
	return values[0]
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// maxAuthorization bounds the header that carries a credential: the largest token that
// is ever minted is well below.
const maxAuthorization = 16 << 10

// Bearer returns the bearer token of r (RFC 6750, 2.1). It is false without an error
// when there is no Authorization header, or one of another scheme. A header over 16 KiB
// is fault.TooLarge; several headers, or a token with characters that no token has, are
// fault.Unauthenticated.
func Bearer(r *http.Request) (secret.Text, bool, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return secret.Text{}, false, nil
	case len(values) > 1:
		// A proxy and the server might not agree on which one counts.
		return secret.Text{}, false, fault.New(fault.Unauthenticated, "There is more than one Authorization header.")
	case len(values[0]) > maxAuthorization:
		return secret.Text{}, false, fault.New(fault.TooLarge, "The Authorization header may have at most %d bytes.", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}, false, nil
	}
	token := strings.TrimLeft(rest, " ")
	if !isB64Token(token) {
		return secret.Text{}, false, fault.New(fault.Unauthenticated, "The Authorization header doesn't hold a bearer token.")
	}
	return secret.New(token), true, nil
}

// isB64Token reports whether s is a b64token of RFC 6750, 2.1.
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for _, c := range []byte(body) {
		if !alphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
