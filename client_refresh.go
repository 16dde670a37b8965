package latchkey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// refreshBound is how long a refresh may take, repetitions included. It is less than half
// of the server's default reuse window: by the time that another request with the same
// token could count as a second holder's, this one has been given up.
const refreshBound = 9 * time.Second

// refreshAttempt is how long the first attempt may take, so that there is time for
// another one when its answer gets lost.
const refreshAttempt = 5 * time.Second

// RefreshRequest is a refresh token to be traded in.
type RefreshRequest struct {
	Token string `json:"-"` // the refresh token; never in a log, as JSON neither

	// ReadOnly asks for a session token only and leaves the refresh token as it is: for
	// callers that couldn't keep a new one. It needs a key of the project; the scope
	// verify is enough.
	ReadOnly bool

	// Device is the user's client (IP and UserAgent count), for whom the application
	// asks, so that the server notices a token that is used from two places. It is sent
	// with a key of the project only: nobody else is believed.
	Device *Device
}

// Format writes the request without its token, for every verb.
func (r RefreshRequest) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.RefreshRequest{ReadOnly:%t}", r.ReadOnly)
}

// Refresh trades a refresh token for a new token set. When the answer has no
// RefreshToken, the caller keeps the one that it has. When it has one, the caller keeps
// that before it uses anything else of the answer.
//
// It takes at most 9 seconds, whatever the context allows, and an answer that comes later
// is dropped. Inside that time it repeats a request that got lost; the server gives the
// same answer again. Afterwards the caller may call Refresh again with the same token.
//
// Only an error for which IsTerminal is true means that the session is over. With a
// management key the request is made in the application's name (scope sessions), unless
// the server refuses the key: then the token speaks for itself.
func (c *Client) Refresh(ctx context.Context, r RefreshRequest) (TokenSet, error) {
	rotate := ""
	if r.ReadOnly {
		rotate = "never"
	}
	return c.trade(ctx, r, "/session/refresh", func(token string, device *RefreshDevice, at time.Time) any {
		return RefreshBody{RefreshToken: token, Rotate: rotate, Device: device, ComposedAt: at}
	})
}

// composing makes the body of a trade: token and device are those of a request in the
// application's name, else empty.
type composing func(token string, device *RefreshDevice, at time.Time) any

// trade is Refresh at a path, with a body of its own.
func (c *Client) trade(ctx context.Context, r RefreshRequest, path string, body composing) (TokenSet, error) {
	op := operation{method: "POST", url: c.issuer + path, repeat: always, attempt: refreshAttempt, most: 1}
	switch {
	case !isBearer(r.Token):
		return TokenSet{}, errors.New("latchkey: refresh: Token is empty or no token")
	case r.ReadOnly && c.key == nil:
		return TokenSet{}, errors.New("latchkey: refresh: ReadOnly needs a key of the project")
	}
	op.bearer = r.Token
	inBody, device := "", (*RefreshDevice)(nil)
	if c.key != nil && (r.ReadOnly || c.mayManage()) {
		op.bearer, inBody = *c.key, r.Token
		if r.Device != nil {
			device = &RefreshDevice{IP: r.Device.IP, UserAgent: r.Device.UserAgent}
		}
	}
	op.secrets = []string{r.Token}
	ctx, cancel := context.WithTimeout(ctx, refreshBound)
	defer cancel()
	set, err := c.refresh(ctx, op, func(at time.Time) any { return body(inBody, device, at) })
	if code := CodeOf(err); op.bearer != r.Token && !r.ReadOnly && (code == CodeUnauthenticated || code == CodeForbidden) {
		// Perhaps it is our key that isn't good any more. The user's token needs none,
		// and nobody shall be signed out because an operator has changed a key.
		op.bearer = r.Token
		return c.refresh(ctx, op, func(at time.Time) any { return body("", nil, at) })
	}
	return set, err
}

// refresh asks again when the server finds the request too old although it is new: then
// our idea of its clock was wrong. Its answer has corrected that, as far as the time of
// the machine goes; when that doesn't help, the store behind it has another clock, of
// which only a token set tells, and the request is sent without a time.
func (c *Client) refresh(ctx context.Context, op operation, body func(at time.Time) any) (TokenSet, error) {
	for try := 0; ; try++ {
		began := c.now()
		composedAt := time.Time{}
		if try < 2 {
			// That of the first attempt also counts for those that repeat it: none of
			// them may be judged after this call was given up.
			composedAt = c.clock.at(began).UTC()
		}
		op.body = body(composedAt)
		var set TokenSet
		err := c.call(ctx, op, &set)
		// The wall clock goes on while a machine sleeps, the context's may not.
		late := c.now().Round(0).Sub(began.Round(0)) > refreshBound
		switch {
		case err == nil && (late || ctx.Err() != nil):
			return TokenSet{}, fmt.Errorf("latchkey: refresh: the answer came too late and was dropped: %w", context.DeadlineExceeded)
		case err == nil:
			return set.complete()
		case CodeOf(err) == CodeRequestExpired && !late && try < 2:
			continue
		}
		return TokenSet{}, err
	}
}

// mayManage reports whether the client has a management key.
func (c *Client) mayManage() bool { return c.key != nil && strings.HasPrefix(*c.key, managementPrefix) }
