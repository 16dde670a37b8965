package latchkey

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
)

// maxAsked is how many refresh tokens of one request are taken to the server. A browser
// has more than one only when cookies were left behind by an earlier configuration or
// planted by a sibling host. What the server has refused lately is skipped for free, so
// junk can't hide the good one for long.
const maxAsked = 3

// recognise finds the session of a request in its cookies.
func (m *Middleware) recognise(w http.ResponseWriter, r *http.Request, v *recognition, need []Requirement) {
	held, err := m.tokens.Load(r)
	if err != nil {
		m.log.LogAttrs(r.Context(), slog.LevelError, "tokens can't be loaded", slog.Any("error", err))
		v.refuse(unavailable("The session can't be looked up now; try again.", retryTransient, err))
		return
	}
	v.claims, v.token, err = m.newest(r.Context(), held.Session, need)
	reason := ReasonOf(err)
	switch {
	case err == nil && v.claims != nil:
		m.keepOnly(w, r, v, held, v.token, loneRefresh(held))
	case err != nil && aboutRequirement(reason):
		v.refuse(refusedToken(err))
	case reason == ReasonNotYetValid:
		// One of the clocks is wrong, and a new token would be from the future, too. To
		// send the browser to sign in, again and again, would cure nothing.
		v.refuse(unavailable("The session isn't valid yet: a clock is wrong. Try again.", retryTransient, err))
	case err != nil && (reason == "" || reason == ReasonKeysUnavailable):
		v.refuse(refusedToken(err))
	case len(held.Refresh) > 0:
		m.renew(w, r, v, held, need)
	case err != nil:
		v.refuse(refusedToken(err))
	default:
		v.refuse(noSession())
	}
}

func (v *recognition) refuse(f Refusal) { v.claims, v.token, v.refusal = nil, "", &f }

// newest returns the newest of the tokens that are good. Without any it returns the
// error that says most: what no refresh would cure, then what one would, then that there
// are only tokens that never were good, which count as none. No token, no error.
func (m *Middleware) newest(ctx context.Context, tokens []string, need []Requirement) (*Claims, string, error) {
	if len(tokens) == 1 {
		claims, err := m.verifier.Verify(ctx, tokens[0], need...)
		return claims, tokens[0], err
	}
	var best *Claims
	var token string
	var worst error
	for _, t := range tokens {
		claims, err := m.verifier.Verify(ctx, t)
		switch {
		case err != nil:
			if worst == nil || weight(err) > weight(worst) {
				worst = err
			}
		case best == nil || claims.IssuedAt.After(best.IssuedAt) ||
			claims.IssuedAt.Equal(best.IssuedAt) && claims.Epoch > best.Epoch:
			best, token = claims, t
		}
	}
	if best == nil || need == nil {
		if best != nil {
			worst = nil
		}
		return best, token, worst
	}
	_, err := m.verifier.Verify(ctx, token, need...)
	return best, token, err
}

func weight(err error) int {
	switch reason := ReasonOf(err); {
	case reason.Refreshable():
		return 1
	case reason == "", reason == ReasonKeysUnavailable, reason == ReasonNotYetValid:
		return 2
	}
	return 0
}

// loneRefresh returns the refresh token when there is no doubt which it is. Which of
// several is good isn't known before one was traded in.
func loneRefresh(held HeldTokens) string {
	if len(held.Refresh) == 1 {
		return held.Refresh[0]
	}
	return ""
}

// keepOnly removes the leftovers beside good tokens.
func (m *Middleware) keepOnly(w http.ResponseWriter, r *http.Request, v *recognition, held HeldTokens, session, refresh string) {
	if !held.Duplicates || m.readOnly {
		return
	}
	if err := v.write(w, func() error { return m.tokens.Tidy(w, r, session, refresh) }); err != nil {
		m.log.LogAttrs(r.Context(), slog.LevelWarn, "leftover cookies can't be removed", slog.Any("error", err))
	}
}

// write changes cookies if that is still possible.
func (v *recognition) write(w http.ResponseWriter, change func() error) error {
	if headersSent(w) {
		return ErrHeadersSent
	}
	v.saved = true
	return change()
}

// trade is what came of the refresh tokens of one request.
type trade struct {
	set     TokenSet
	from    string   // the token that set is for
	err     error    // nil: set is there
	ended   []string // the server said of these that their session is over
	unclear []string // all others
}

// renew replaces a session token that isn't good any more.
func (m *Middleware) renew(w http.ResponseWriter, r *http.Request, v *recognition, held HeldTokens, need []Requirement) {
	t := m.trade(r, held.Refresh)
	if t.err != nil {
		m.giveUp(w, r, v, held, t)
		v.refuse(refusedRefresh(t.err))
		return
	}
	var err error
	v.claims, err = m.verifier.Verify(r.Context(), t.set.SessionToken)
	if reason := ReasonOf(err); err != nil && weight(err) == 0 {
		// It is no token of this project: Client and Verifier speak to different ones,
		// or something stands between. Its successor isn't to be kept either.
		m.log.LogAttrs(r.Context(), slog.LevelError, "the server's new session token is refused; latchkey doctor compares Issuer with the server's",
			slog.String("reason", string(reason)))
		v.refuse(unavailable("The session can't be refreshed now; try again.", retryTransient, err))
		return
	}
	m.save(w, r, v, held, t)
	if err == nil && need != nil {
		_, err = m.verifier.Verify(r.Context(), t.set.SessionToken, need...)
	}
	if err != nil {
		v.refuse(refusedFresh(err))
		return
	}
	v.token = t.set.SessionToken
}

// refusedFresh is the refusal of a token that has just come from the server. One refresh
// is all that a request gets, and a sign-in would put none of this right: when the token
// has expired or isn't valid yet, a clock is wrong; when it is outdated, or its key isn't
// known, something changed while the answer was under way.
func refusedFresh(err error) Refusal {
	switch ReasonOf(err) {
	case ReasonExpired, ReasonNotYetValid:
		return unavailable("The new session token isn't valid at this time: a clock is wrong. Try again.", retryTransient, err)
	case ReasonOutdated, ReasonUnknownKey:
		return unavailable("The session changed at this very moment; try again.", retryTransient, err)
	}
	return refusedToken(err)
}

// save puts the new tokens into the cookies. A failure costs this request nothing: the
// server knows a token whose answer was lost.
func (m *Middleware) save(w http.ResponseWriter, r *http.Request, v *recognition, held HeldTokens, t trade) {
	if m.readOnly {
		return
	}
	if err := v.write(w, func() error { return m.tokens.Save(w, r, t.set) }); err != nil {
		m.log.LogAttrs(r.Context(), slog.LevelError, "refreshed tokens can't be saved", slog.Any("error", err))
		return
	}
	refresh := t.set.RefreshToken
	if refresh == "" {
		refresh = t.from
	}
	m.keepOnly(w, r, v, held, t.set.SessionToken, refresh)
}

// giveUp does to the cookies what a refused refresh permits: they are cleared only if the
// server has ended the session of each refresh token among them.
func (m *Middleware) giveUp(w http.ResponseWriter, r *http.Request, v *recognition, held HeldTokens, t trade) {
	if m.readOnly || len(t.ended) == 0 {
		return
	}
	var err error
	switch len(t.unclear) {
	case 0:
		err = v.write(w, func() error { return m.tokens.Clear(w, r) })
	case 1:
		m.keepOnly(w, r, v, held, "", t.unclear[0])
	}
	if err != nil {
		m.log.LogAttrs(r.Context(), slog.LevelWarn, "cookies of an ended session can't be cleared", slog.Any("error", err))
	}
}

// trade takes the refresh tokens to the server, best guess first, until one is accepted
// or the server can't be asked. There is only one in all but odd cases.
func (m *Middleware) trade(r *http.Request, tokens []string) trade {
	ctx, cancel := context.WithTimeout(r.Context(), refreshBound)
	defer cancel()
	var t trade
	asked := 0
	for i, token := range tokens {
		if !isBearer(token) || len(token) > maxToken {
			t.unclear = append(t.unclear, token)
			t.worse(noToken())
			continue
		}
		set, did, err := m.refresher.refresh(ctx, token, m.deviceOf(r), asked < maxAsked, m.usable(ctx))
		if did {
			asked++
		}
		m.logTrade(r.Context(), token, did, err)
		switch {
		case err == nil:
			return trade{set: set, from: token}
		case IsTerminal(err):
			t.ended = append(t.ended, token)
		default:
			t.unclear = append(t.unclear, token)
		}
		t.worse(err)
		if _, answered := serverRefusal(err); !answered && !errors.Is(err, errRefreshUnasked) {
			t.unclear = append(t.unclear, tokens[i+1:]...)
			break
		}
	}
	return t
}

// noToken is the verdict about a cookie that can't be a token: what the server would say.
func noToken() error {
	return &Error{Problem: Problem{Code: CodeUnauthenticated, Status: http.StatusUnauthorized}}
}

// worse keeps of several errors the one that allows least: a passing one, then one that
// says nothing about a session, then the end of a session, which counts only if there
// is no other.
func (t *trade) worse(err error) {
	if t.err == nil || severity(err) > severity(t.err) {
		t.err = err
	}
}

func severity(err error) int {
	switch {
	case IsTerminal(err):
		return 0
	case CodeOf(err) == CodeUnauthenticated:
		return 1
	}
	return 2
}

// usable reports whether a remembered answer still is one.
func (m *Middleware) usable(ctx context.Context) func(TokenSet) bool {
	return func(set TokenSet) bool {
		_, err := m.verifier.Verify(ctx, set.SessionToken)
		return !ReasonOf(err).Refreshable()
	}
}

// deviceOf says for whom the application asks. Only an application is believed.
func (m *Middleware) deviceOf(r *http.Request) *Device {
	if !m.devices {
		return nil
	}
	d := Device{UserAgent: r.UserAgent()}
	if ip := m.clientIP(r); ip.IsValid() {
		d.IP = ip.Unmap().WithZone("").String()
	}
	if len(d.UserAgent) > maxAgent {
		d.UserAgent = d.UserAgent[:maxAgent]
	}
	return &d
}

// maxAgent is what is passed on of a user agent, in bytes. Real ones have about 200.
const maxAgent = 512

// logTrade logs what the server said: the end of a session and unreadable tokens, which
// are what users complain of, as information; what keeps it from answering as a warning.
func (m *Middleware) logTrade(ctx context.Context, token string, asked bool, err error) {
	level := slog.LevelDebug
	switch {
	case err == nil || !asked || ctx.Err() != nil:
	case severity(err) == 2:
		level = slog.LevelWarn
	default:
		level = slog.LevelInfo
	}
	if !m.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("token", shortDigest(token)), slog.Bool("asked", asked)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	m.log.LogAttrs(ctx, level, "session refresh", attrs...)
}

// shortDigest tells tokens apart in a log and leads back to none.
func shortDigest(token string) string {
	d := digestOf(token)
	return hex.EncodeToString(d[:4])
}
