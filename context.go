package latchkey

import "context"

// recognition is what a Middleware found out about one request.
type recognition struct {
	by      *Middleware
	claims  *Claims
	token   string   // what the claims were read from
	refusal *Refusal // why there are no claims; nil when there are
	saved   bool     // cookies have been set: no cache may keep the response
}

type recognitionKey struct{}

func recognitionOf(ctx context.Context) *recognition {
	v, _ := ctx.Value(recognitionKey{}).(*recognition)
	return v
}

// FromContext returns the verified claims of the session that the request belongs to. It
// reports false behind Optional when nobody is signed in, and where there is no
// Middleware. The claims are shared: don't change them.
func FromContext(ctx context.Context) (*Claims, bool) {
	v := recognitionOf(ctx)
	if v == nil || v.refusal != nil {
		return nil, false
	}
	return v.claims, true
}

// TokenFromContext returns the session token that FromContext's claims were read from,
// for calls to other services in the user's name: send it as Authorization: Bearer. It
// is a secret: never log it, never hand it to the page.
func TokenFromContext(ctx context.Context) (string, bool) {
	v := recognitionOf(ctx)
	if v == nil || v.refusal != nil {
		return "", false
	}
	return v.token, true
}

// RefusalFromContext returns why a request behind Optional is anonymous. It tells a
// visitor without a session (Code unauthenticated) from one whose session has ended
// (Terminal) and from one whose session can't be looked at now (Transient), to whom a
// page shouldn't say that they are signed out. It reports false when there is a session.
func RefusalFromContext(ctx context.Context) (Refusal, bool) {
	v := recognitionOf(ctx)
	if v == nil || v.refusal == nil {
		return Refusal{}, false
	}
	return *v.refusal, true
}
