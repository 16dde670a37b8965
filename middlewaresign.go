package latchkey

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// SignIn writes the cookies of a fresh session, as Client.CreateSession returns it, and
// removes what earlier sessions left behind. Call it before anything of the response is
// written, then redirect, to ReturnTo(r) for example.
//
// It doesn't check where the request comes from. Put the sign-in page behind Optional,
// which refuses forms that other sites submit: they could sign their visitors in as
// somebody else.
//
// It returns ErrHeadersSent when it is known to be too late, and a *CookieSizeError when
// the token has too many claims for a cookie. Then nothing was written.
func (m *Middleware) SignIn(w http.ResponseWriter, r *http.Request, set TokenSet) error {
	if m.readOnly {
		return errors.New("latchkey: a read-only Middleware can't sign in")
	}
	if set.SessionToken == "" || set.RefreshToken == "" {
		return errors.New("latchkey: the token set to sign in with lacks a token")
	}
	v := answering(r)
	if err := v.write(w, func() error { return m.tokens.Save(w, r, set) }); err != nil {
		return err
	}
	held, err := m.tokens.Load(r)
	if err != nil {
		return nil // the session is there; leftovers are removed by a later request
	}
	m.keepOnly(w, r, v, held, set.SessionToken, set.RefreshToken)
	return nil
}

// SignOut ends the session of the request at the server and clears its cookies. Call it
// before anything of the response is written; it needs no Required in front of it. To
// repeat it, or to call it without a session, is no error.
//
// A Refusal is returned when the request isn't a sign-out that its user asked for: when
// it came from a page of another site, or with GET, which a link or an image can cause.
// Answer with its Write method. Nothing has happened then.
//
// Any other error means that the server couldn't be told. The cookies are cleared
// nevertheless, because that is what the user wants of this browser. But whoever has
// copied them can use the session until it is ended in another way or expires: log the
// error, and revoke the session by Client.RevokeSession if it matters.
//
// Session tokens that other services have seen stay valid until they expire, except where
// a Verifier follows the revocation feed.
//
// With "Authorization: Bearer …" that token's session is ended and no cookie is touched.
func (m *Middleware) SignOut(w http.ResponseWriter, r *http.Request) error {
	// Who signs out and closes the window is signed out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), refreshBound)
	defer cancel()
	if token, given := bearerOf(r.Header); given {
		return m.end(ctx, []string{token})
	}
	if safeMethod(r.Method) || r.Method == http.MethodTrace {
		return Refusal{
			Status: http.StatusMethodNotAllowed, Code: CodeInvalidRequest, page: m.pages,
			Detail: "Signing out changes something: send a POST.",
		}
	}
	if refusal := m.origin.check(r); refusal != nil {
		refusal.page = m.pages
		return *refusal
	}
	held, err := m.tokens.Load(r)
	if err != nil {
		return err
	}
	tokens := held.Refresh
	if len(tokens) == 0 {
		tokens = held.Session
	}
	failed := m.end(ctx, tokens)
	m.refresher.forget(held.Refresh)
	if m.readOnly || len(held.Refresh)+len(held.Session) == 0 {
		return failed
	}
	return errors.Join(failed, answering(r).write(w, func() error { return m.tokens.Clear(w, r) }))
}

// answering returns what is known of the request, behind a Middleware or not.
func answering(r *http.Request) *recognition {
	if v := recognitionOf(r.Context()); v != nil {
		return v
	}
	return new(recognition)
}

// end logs out at the server with each of the tokens. One that the server can't read is
// no failure beside one that it could: it is junk then.
func (m *Middleware) end(ctx context.Context, tokens []string) error {
	var failed []error
	var unread error
	ended := 0
	for _, token := range tokens {
		err := noToken()
		if isBearer(token) {
			err = m.client.Logout(ctx, token)
		}
		switch {
		case err == nil, IsTerminal(err):
			ended++
		case CodeOf(err) == CodeUnauthenticated:
			unread = err
		default:
			failed = append(failed, err)
		}
	}
	if ended == 0 && unread != nil {
		failed = append(failed, unread)
	}
	err := errors.Join(failed...)
	if err != nil {
		m.log.LogAttrs(ctx, slog.LevelWarn, "the server couldn't be told of a sign-out", slog.Any("error", err))
	}
	return err
}
