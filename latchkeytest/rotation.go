package latchkeytest

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// session is one sign-in, with the lineage of its refresh tokens: the newest, and the one
// that it was made from.
type session struct {
	id, user   string
	claims     Claims
	device     latchkey.Device
	amr        []string
	authTime   time.Time
	rotatedAt  time.Time
	replayedAt time.Time // when the newest was last handed out again
	expires    time.Time
	endedAt    time.Time
	reason     string
	parent     string
	newest     string
	text       string // of the newest
	confirmed  bool
	rotations  int
}

// signIn starts a session. The caller holds the lock.
func (i *Issuer) signIn(user string, claims Claims) latchkey.TokenSet {
	now := i.now()
	s := &session{id: newID("ses"), user: user, claims: claims, amr: []string{"pwd"}, authTime: now, rotatedAt: now, expires: now.Add(i.config.SessionTTL)}
	i.sessions[s.id] = s
	i.succeed(s, "", now)
	return i.tokenSet(s, s.newest, s.text, now)
}

// succeed gives the session a new refresh token, made from parent.
func (i *Issuer) succeed(s *session, parent string, now time.Time) {
	s.parent, s.newest = parent, strings.ToLower(rand.Text())
	s.rotatedAt, s.replayedAt, s.confirmed = now, time.Time{}, false
	var err error
	if s.text, err = i.refreshToken(s); err != nil {
		i.t.Errorf("latchkeytest: signing a refresh token: %v", err)
	}
}

func (i *Issuer) tokenSet(s *session, held, refresh string, now time.Time) latchkey.TokenSet {
	text, err := i.sessionToken(s, held, now)
	if err != nil {
		i.t.Errorf("latchkeytest: signing a session token: %v", err)
	}
	return latchkey.TokenSet{
		SessionToken: text, SessionExpiresAt: i.tokenEnd(s, now), RefreshToken: refresh, RefreshExpiresAt: s.expires.UTC().Truncate(time.Second),
		Session: i.view(s), ServerTime: now.UTC(),
	}
}

// view is the session as the API shows it.
func (i *Issuer) view(s *session) latchkey.Session {
	out := latchkey.Session{
		ID: s.id, User: s.user, State: "active", EndReason: s.reason, CreatedAt: s.authTime.UTC(), AuthTime: s.authTime.UTC(), LastSeenAt: s.rotatedAt.UTC(),
		ExpiresAt: s.expires.UTC(), AMR: slices.Clone(s.amr), Device: s.device,
	}
	switch {
	case !s.endedAt.IsZero():
		at := s.endedAt.UTC()
		out.State, out.EndedAt = "ended", &at
	case !i.now().Before(s.expires):
		out.State = "expired"
	}
	return out
}

// over is the refusal of a session that has ended, nil for one that lives.
func (i *Issuer) over(s *session, now time.Time) *refusal {
	switch {
	case s == nil:
		return refuse(latchkey.CodeSessionRevoked, "The session was ended; sign in again.")
	case s.reason == "token_reuse":
		return refuse(latchkey.CodeTokenReuse, "The session was ended because one of its refresh tokens was used by two holders; sign in again.")
	case !s.endedAt.IsZero():
		return refuse(latchkey.CodeSessionRevoked, "The session was ended; sign in again.")
	case !now.Before(s.expires):
		return refuse(latchkey.CodeSessionExpired, "The session has run out; sign in again.")
	}
	return nil
}

// minStale is the least age at which a refresh is too old to be judged.
const minStale = 10 * time.Second

// rotate decides what one refresh means. The caller holds the lock.
func (i *Issuer) rotate(c credential, readOnly bool, composedAt, now time.Time) (latchkey.TokenSet, *refusal) {
	s, w := i.sessions[c.session], i.config.ReuseWindow
	if no := i.over(s, now); no != nil {
		return latchkey.TokenSet{}, no
	}
	if !composedAt.IsZero() && now.Sub(composedAt) > max(w/2, minStale) {
		return latchkey.TokenSet{}, refuse(latchkey.CodeRequestExpired, "The request was composed too long ago to be judged; compose a new one with the token you hold now.")
	}
	inWindow := now.Sub(s.rotatedAt) < w
	quiet := !s.replayedAt.IsZero() && now.Sub(s.replayedAt) < w
	isParent := c.token == s.parent
	sibling := s.parent != "" && c.parent == s.parent
	switch {
	case c.token != s.newest && (!isParent && !sibling || s.confirmed && !inWindow && !quiet):
		i.close(s, "token_reuse", now)
		return latchkey.TokenSet{}, refuse(latchkey.CodeTokenReuse, "This refresh token was already replaced. Two holders of the session are proven, so it was ended; sign in again.")
	case readOnly, quiet && !inWindow:
		return i.tokenSet(s, c.token, "", now), nil
	case inWindow:
		s.replayedAt = now
	default:
		s.rotations++
		i.succeed(s, c.token, now)
	}
	return i.tokenSet(s, s.newest, s.text, now), nil
}

// arrived confirms the newest refresh token, once the window is over.
func (i *Issuer) arrived(s *session, token string, now time.Time) bool {
	if token != s.newest || now.Sub(s.rotatedAt) < i.config.ReuseWindow {
		return s.confirmed && token == s.newest
	}
	s.confirmed = true
	return true
}

// identify returns the live session that a token stands for.
func (i *Issuer) identify(c credential, now time.Time) (*session, *refusal) {
	s := i.sessions[c.session]
	if c.kind == typeRefresh {
		_, no := i.rotate(c, true, time.Time{}, now)
		return s, no
	}
	if no := i.over(s, now); no != nil {
		return s, no
	}
	if !now.Before(c.expires) {
		return s, refuse(latchkey.CodeUnauthenticated, "The session token has expired; refresh the session.")
	}
	i.arrived(s, c.token, now)
	return s, nil
}

// close ends a session. The caller holds the lock, and publishes what follows of it.
func (i *Issuer) close(s *session, reason string, now time.Time) bool {
	if s == nil || !s.endedAt.IsZero() || !now.Before(s.expires) {
		return false
	}
	s.endedAt, s.reason = now, reason
	i.feed.add(i.entry("session", s.id, "", now))
	return true
}

// closeAll ends all sessions of a user but keep, with one entry of the feed, and returns
// how many there were.
func (i *Issuer) closeAll(user, reason string, keep *session, now time.Time) int {
	n, except := 0, ""
	if keep != nil {
		except = keep.id
	}
	for _, s := range i.sessions {
		if s.user == user && s != keep && i.over(s, now) == nil {
			s.endedAt, s.reason = now, reason
			n++
		}
	}
	i.feed.add(i.entry("user", user, except, now))
	i.tick()
	return n
}

// tick lets the smallest time pass that tokens and entries tell apart: what is made after
// an entry mustn't look as if it had been there before.
func (i *Issuer) tick() { i.offset += time.Millisecond }

// end is close for those who don't hold the lock.
func (i *Issuer) end(sessionID, reason string) {
	i.t.Helper()
	i.mu.Lock()
	s := i.sessions[sessionID]
	if s == nil {
		i.t.Errorf("latchkeytest: there is no session %q", sessionID)
	}
	i.close(s, reason, i.now())
	i.mu.Unlock()
	i.Settle()
}

// revokeKey takes a key out and ends the sessions whose refresh tokens it signed.
func (i *Issuer) revokeKey(kid string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.IndexFunc(i.keys, func(k *signingKey) bool { return k.id == kid })
	if at < 0 {
		return false
	}
	i.keys[at].revoked = true
	if i.active() == nil {
		i.keys = append(i.keys, i.newKey())
	}
	for _, s := range i.sessions {
		if _, err := i.read(s.text); errors.Is(err, errKeyRevoked) {
			i.close(s, "key_revoked", i.now())
		}
	}
	return true
}
