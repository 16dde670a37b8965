package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// refreshExpiry is when the refresh token of a row ends. It depends on nothing but what
// a rotation wrote, so that a replay mints the same bytes again. Whole seconds, as the
// claim has them.
func (p *project) refreshExpiry(row session.Row) time.Time {
	if !p.policy.Rotate {
		// The token stays while refreshes move the idle time on.
		return row.AbsoluteAt.Truncate(time.Second)
	}
	return row.ExpiresAt().Truncate(time.Second)
}

// moment is when tokens are minted, and as the outcome of what.
type moment struct {
	rule   session.Rule
	at     time.Time     // by the store's clock
	behind time.Duration // how far that is behind, see session.Verdict
	// held is the refresh token that the client holds afterwards: with session.Read the
	// one that it presented. A session token that named the newest would confirm, once it
	// is seen again, a token that the client never got.
	held id.Refresh
}

// mint makes the tokens of a session. What the client asked for, then what a template
// adds, and then what is granted in tenants, is left out of the session token when it is
// too long: it never keeps a client from its tokens. Without a grant they open less than
// they should, never more. At the sign-in, and when claims are set (see Fits), what
// wouldn't fit without all of the others either is refused instead of left out.
func (p *project) mint(b bearer, m moment) (Set, error) {
	shape := p.shape(b, m.at)
	set, err := p.mintShaped(b, m, shape)
	if shape.nsec != nil && m.rule == session.Create && fault.KindOf(err) == fault.ClaimsTooLarge {
		alone := shape.leaner()
		alone.authorization = directory.Authorization{}
		if set, err := p.mintShaped(b, m, alone); err != nil {
			return set, err
		}
	}
	for shorter, ok := shape.shorter(b.row.Tenant); ok && fault.KindOf(err) == fault.ClaimsTooLarge; shorter, ok = shape.shorter(b.row.Tenant) {
		shape = shorter
		set, err = p.mintShaped(b, m, shape)
	}
	set.failed = shape.failed()
	return set, err
}

func (p *project) mintShaped(b bearer, m moment, shape shape) (Set, error) {
	row := b.row
	set := p.outline(b, m)
	st, err := p.ring.Mint(p.ring.Active(), key.AccessToken, p.sessionClaims(b, m, set, shape))
	if err != nil {
		return Set{}, tooLarge("session token", err, row)
	}
	set.Session = secret.New(st)
	if m.rule != session.Read {
		if set.Refresh, err = p.mintRefresh(row, p.audience(row.Audience), set.RefreshExpiresAt); err != nil {
			return Set{}, err
		}
	}
	return set, p.fit(set)
}

// outline is a set before there are tokens in it.
func (p *project) outline(b bearer, m moment) Set {
	row := b.row
	set := Set{Row: row, Rule: m.rule, At: m.at, RefreshExpiresAt: p.refreshExpiry(row)}
	// Tokens never outlive the session, nor a step-up that they tell of. Whole seconds,
	// as the claim has them.
	expires := earlier(m.at.Add(b.policy.SessionTokenTTL), row.RunsOut(b.policy))
	if row.SteppedUp(m.at, b.policy.StepUpTTL) {
		expires = earlier(expires, row.StepUpEnds(b.policy.StepUpTTL))
	}
	set.SessionExpiresAt = expires.Truncate(time.Second)
	return set
}

// fit refuses tokens that a client couldn't keep or send.
func (p *project) fit(set Set) error {
	row := set.Row
	for i, t := range []secret.Text{set.Session, set.Refresh} {
		what, limit := [...]string{"session token", "refresh token"}[i], claim.MaxToken
		size := len(t.Reveal())
		if name := p.cookieNames[i]; name != "" {
			what, limit, size = what+"'s cookie", claim.MaxCookie, size+len(name)
		}
		if err := claim.Fit(what, size, limit, row.Claims, row.NSec); err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (p *project) mintRefresh(row session.Row, audience []byte, expires time.Time) (secret.Text, error) {
	if p.opaque {
		return p.opaqueToken(row), nil
	}
	claims := p.refreshClaims(row, audience, expires)
	// The key that signed the row's refresh token signs it again, so that a replay is
	// byte-identical even when another key has become active meanwhile. Only when that
	// one was revoked or is gone, the active one does.
	text, err := p.ring.Mint(row.SigningKey, key.RefreshToken, claims)
	if errors.Is(err, key.ErrRevoked) || errors.Is(err, key.ErrUnknown) {
		text, err = p.ring.Mint(p.ring.Active(), key.RefreshToken, claims)
	}
	if err == nil {
		p.minted.add(text)
	}
	return secret.New(text), tooLarge("refresh token", err, row)
}

// tooLarge says which claims make a token too long to be signed.
func tooLarge(what string, err error, row session.Row) error {
	if errors.Is(err, key.ErrTooLong) {
		return claim.Fit(what, claim.MaxToken+1, claim.MaxToken, row.Claims, row.NSec)
	}
	return err
}

// writer encodes claims without reflection: this is the hot path, and every name and
// most values are known to need no escaping.
type writer struct{ bytes.Buffer }

func (w *writer) name(n string) {
	if w.Len() == 0 {
		w.WriteString(`{"`)
	} else {
		w.WriteString(`,"`)
	}
	w.WriteString(n)
	w.WriteString(`":`)
}

// plain writes a string that is known to need no escaping: identifiers and times.
func (w *writer) plain(name, value string) {
	w.name(name)
	w.WriteByte('"')
	w.WriteString(value)
	w.WriteByte('"')
}

func (w *writer) raw(name string, value []byte) {
	w.name(name)
	w.Write(value)
}

func (w *writer) int(name string, n int64) {
	w.name(name)
	w.Write(strconv.AppendInt(w.AvailableBuffer(), n, 10))
}

// strings writes a list; nil is an empty one, because clients expect the array.
func (w *writer) strings(name string, list []string) {
	w.name(name)
	w.list(list)
}

func (w *writer) list(list []string) {
	if len(list) == 0 {
		w.WriteString("[]")
		return
	}
	w.Write(quote(list))
}

// members writes the members of a canonical JSON object at this level.
func (w *writer) members(object json.RawMessage) {
	if len(object) > len("{}") {
		w.WriteByte(',')
		w.Write(object[1 : len(object)-1])
	}
}

func (p *project) sessionClaims(b bearer, m moment, set Set, shape shape) []byte {
	row := b.row
	var w writer
	w.Grow(1024)
	w.raw("iss", p.issuer)
	if shape.subject == "" {
		w.plain("sub", row.User.String())
	} else {
		w.raw("sub", quote(shape.subject))
	}
	w.raw("aud", p.audience(row.Audience, shape.audience))
	w.int("iat", m.at.Unix())
	w.int("nbf", m.at.Unix())
	w.int("exp", set.SessionExpiresAt.Unix())
	w.int("auth_time", row.AuthTime.Unix())
	w.plain("jti", id.NewRefresh().String())
	w.plain("sid", row.ID.String())
	w.plain("rid", m.held.String())
	w.raw("drn", p.sessionDRN)
	steppedUp := row.SteppedUp(m.at, b.policy.StepUpTTL)
	if steppedUp {
		w.strings("amr", row.StepUpAMR)
	} else {
		w.strings("amr", row.AMR)
	}
	// A string in RFC 3339: clients that exist compare it as text.
	w.plain("rexp", set.RefreshExpiresAt.UTC().Format(time.RFC3339))
	w.grants(shape.authorization)
	if !row.Tenant.IsZero() {
		w.plain("dct", row.Tenant.String())
	}
	if steppedUp {
		w.raw("su", []byte("true"))
	}
	if row.Actor != "" {
		w.actor(row.Actor)
	}
	if shape.subject != "" {
		w.plain("dsub", row.User.String())
	}
	// What the store said at this instant, by its clock. Verifiers compare it with the
	// instants of the revocation feed: whole seconds, as iat has them, couldn't tell a
	// token from before a change from one of the same second after it.
	w.int("epc", m.at.Add(m.behind).UnixMilli())
	w.custom(shape.nsec, overlay(row.Claims, shape.claims))
	w.WriteByte('}')
	return w.Bytes()
}

// actor writes who acts as the user (RFC 8693, 4.1).
func (w *writer) actor(who string) {
	w.name("act")
	w.WriteString(`{"sub":`)
	w.Write(quote(who))
	w.WriteByte('}')
}

// custom writes what the server doesn't vouch for, apart, and the secure claims.
func (w *writer) custom(nsec, claims json.RawMessage) {
	if len(nsec) > 0 {
		w.raw("nsec", nsec)
	}
	w.members(claims)
}

func (p *project) refreshClaims(row session.Row, audience []byte, expires time.Time) []byte {
	var w writer
	w.Grow(768)
	w.raw("iss", p.issuer)
	w.plain("sub", row.User.String())
	w.raw("aud", audience)
	w.int("iat", row.RotatedAt.Unix())
	w.int("exp", expires.Unix())
	w.int("auth_time", row.AuthTime.Unix())
	w.plain("sid", row.ID.String())
	w.plain("rid", row.Newest.String())
	w.plain("prt", row.Parent.String())
	w.raw("drn", p.refreshDRN)
	w.strings("amr", row.AMR)
	if p.claimsInRT {
		w.custom(row.NSec, row.Claims)
	}
	w.WriteByte('}')
	return w.Bytes()
}

// RefreshToken mints the refresh token of a stored row, as a replay would. It is for
// loading sessions from elsewhere and for benchmarks: what hands out tokens to callers
// is SignIn and Refresh.
func (s *Service) RefreshToken(ctx context.Context, row session.Row) (secret.Text, error) {
	p, err := s.current(ctx, row.Project)
	if err != nil {
		return secret.Text{}, err
	}
	return p.mintRefresh(row, p.audience(row.Audience), p.refreshExpiry(row))
}
