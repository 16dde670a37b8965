package latchkey

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// revocationFeed is what a Verifier asks of *Revocations.
type revocationFeed interface {
	Run(ctx context.Context) error
	Status() FeedStatus
	version() uint64
	judge(c *Claims) Reason
	silence(now time.Time) time.Duration
	onKey(f func())
	export() []byte
	restore(b []byte) error
}

// Verifier checks session tokens locally: signature, type, issuer, audience and times
// with the project's public keys, and revocation with what the feed told. It is safe for
// concurrent use. Whoever makes one should also run it; see Run.
type Verifier struct {
	issuer, audience string
	skew             time.Duration
	maxSilence       time.Duration
	keys             *KeySet
	feed             revocationFeed // nil: none
	cache            *verifiedTokens
	stateFile        string
	log              *slog.Logger
	now              func() time.Time

	made     time.Time
	running  atomic.Bool
	unrun    atomic.Bool // that nobody runs it was logged
	accepted spreadCounter
	refused  map[Reason]*atomic.Uint64
}

// NewVerifier returns a Verifier. It reads StateFile if there is one and fetches nothing
// yet. The error reports all problems of c at once.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	c = c.withDefaults()
	problems := c.check()
	if c.Keys == nil && len(problems) == 0 {
		keys, err := NewKeySet(KeySetConfig{URL: c.Issuer + keySetPath, HTTPClient: c.HTTPClient, Logger: c.Logger, Now: c.Now})
		c.Keys, problems = keys, appendError(problems, err)
	}
	if c.Key != "" && c.Revocations == nil && checkAddress("Issuer", c.Issuer) == nil {
		feed, err := NewRevocations(RevocationsConfig{Issuer: c.Issuer, Key: c.Key, HTTPClient: c.HTTPClient, Logger: c.Logger, Now: c.Now})
		c.Revocations, problems = feed, appendError(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	var feed revocationFeed
	if c.Revocations != nil {
		feed = c.Revocations
	}
	return c.verifier(feed)
}

// verifier makes the Verifier of a config that is checked and complete.
func (c VerifierConfig) verifier(feed revocationFeed) (*Verifier, error) {
	v := &Verifier{
		issuer: c.Issuer, audience: c.Audience, skew: c.ClockSkew, maxSilence: c.MaxSilence,
		keys: c.Keys, feed: feed, cache: newVerifiedTokens(c.CacheBytes),
		stateFile: c.StateFile, log: c.Logger, now: c.Now, made: c.Now(), refused: map[Reason]*atomic.Uint64{},
	}
	for _, r := range allReasons() {
		v.refused[r] = new(atomic.Uint64)
	}
	if feed != nil {
		feed.onKey(c.Keys.demand)
	}
	if err := v.loadState(); err != nil {
		return nil, err
	}
	return v, nil
}

// Verify checks a session token and what a route needs of it beyond. It returns the
// claims, or nil and a *TokenError. ctx only bounds the wait for keys that must be
// fetched first; usually there is none.
func (v *Verifier) Verify(ctx context.Context, token string, need ...Requirement) (*Claims, error) {
	now := v.now()
	claims, spread, refused := v.check(ctx, token, now)
	for i := 0; refused == nil && i < len(need); i++ {
		refused = v.unmet(&need[i], claims, now)
	}
	if refused != nil {
		v.refused[refused.Reason].Add(1)
		// Claims beside an error get used by those who forget to look at the error.
		return nil, refused
	}
	v.accepted.add(spread)
	return claims, nil
}

// check returns, with the claims, a number that differs from token to token where one is
// at hand.
func (v *Verifier) check(ctx context.Context, token string, now time.Time) (*Claims, uint64, *TokenError) {
	if e := v.cache.find(token); e != nil {
		claims, refused, known := v.again(ctx, e, now)
		if known {
			return claims, e.hash, refused
		}
	}
	claims, refused := v.verify(ctx, token, now)
	return claims, 0, refused
}

// again checks what may have changed since a token was verified. It doesn't know when
// the key has gone or was replaced: that is a question for verify.
func (v *Verifier) again(ctx context.Context, e *verifiedToken, now time.Time) (c *Claims, refused *TokenError, known bool) {
	ring, err := v.keys.current(ctx, now)
	if err != nil {
		return nil, nil, false
	}
	if e.ring.Load() != ring {
		if !e.key.same(ring.keys[e.key.id]) {
			v.cache.drop(e)
			return nil, nil, false
		}
		e.ring.Store(ring)
	}
	at := now.UnixNano()
	switch {
	case at >= e.until:
		return nil, refuseToken(ReasonExpired, ""), true
	case at < e.from:
		return nil, refuseToken(ReasonNotYetValid, ""), true
	}
	if v.feed != nil {
		// The version is read first: an entry that comes meanwhile is judged next time.
		if version := v.feed.version(); e.judged.Load() != version {
			if reason := v.feed.judge(e.claims); reason != "" {
				return nil, refuseToken(reason, ""), true
			}
			e.judged.Store(version)
		}
	}
	return e.claims, nil, true
}

// verify checks a token that isn't known.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (*Claims, *TokenError) {
	s, refused := cutToken(token)
	if refused != nil {
		return nil, refused
	}
	k, ring, refused := v.key(ctx, s.header, now)
	if refused != nil {
		return nil, refused
	}
	payload, refused := authentic(k, s)
	if refused != nil {
		return nil, refused
	}
	ring.remember(s.header, k)
	claims, bound, ok := parseClaims(payload)
	if !ok {
		return nil, refuseToken(ReasonMalformed, "the claims aren't such as the server writes")
	}
	claims.KeyID = k.id
	if refused := v.destined(claims, bound); refused != nil {
		return nil, refused
	}
	from, until := v.validity(claims)
	switch {
	case !now.Before(until):
		return nil, refuseToken(ReasonExpired, "")
	case now.Before(from):
		return nil, refuseToken(ReasonNotYetValid, "")
	}
	var judged uint64
	if v.feed != nil {
		v.noticeUnrun(now)
		judged = v.feed.version()
		if reason := v.feed.judge(claims); reason != "" {
			return nil, refuseToken(reason, "")
		}
	}
	v.cache.add(token, claims, k, ring, judged, from, until)
	return claims, nil
}

// key returns the key that a header names, and the keys that it is among.
func (v *Verifier) key(ctx context.Context, segment string, now time.Time) (*publicKey, *keyring, *TokenError) {
	ring, err := v.keys.current(ctx, now)
	if err == nil {
		if k := ring.byHeader(segment); k != nil {
			return k, ring, nil
		}
	}
	h, refused := parseHeader(segment)
	if refused == nil {
		refused = h.fits()
	}
	if refused != nil {
		return nil, nil, refused
	}
	var k *publicKey
	if err == nil {
		k, ring, err = v.keys.find(ctx, now, h.keyID)
	}
	switch {
	case err != nil:
		return nil, nil, &TokenError{Reason: ReasonKeysUnavailable, cause: err}
	case k == nil:
		return nil, nil, refuseToken(ReasonUnknownKey, "")
	case k.algorithm != h.algorithm:
		// The key says which algorithm is right; the token can only agree.
		return nil, nil, refuseToken(ReasonAlgorithm, "")
	}
	return k, ring, nil
}

// authentic checks the signature of a token and returns its payload.
func authentic(k *publicKey, s jwsSegments) (string, *TokenError) {
	// A length that can't be is refused before it costs anything.
	if len(s.signature) != base64.RawURLEncoding.EncodedLen(k.size()) {
		return "", refuseToken(ReasonSignature, "it has not the length that the algorithm gives it")
	}
	var space [512]byte // of RSA with 4096 bits
	signature, err := strictBase64.AppendDecode(space[:0], []byte(s.signature))
	if err != nil {
		return "", refuseToken(ReasonMalformed, "the signature isn't base64url")
	}
	if !k.verifies([]byte(s.input), signature) {
		return "", refuseToken(ReasonSignature, "")
	}
	payload, err := strictBase64.DecodeString(s.payload)
	if err != nil {
		return "", refuseToken(ReasonMalformed, "the claims aren't base64url")
	}
	return string(payload), nil
}

// destined checks whose token it is and for whom.
func (v *Verifier) destined(c *Claims, bound bool) *TokenError {
	switch {
	case c.Issuer != v.issuer:
		return refuseToken(ReasonIssuer, "")
	case !slices.Contains(c.Audience, v.audience):
		return refuseToken(ReasonAudience, "")
	case bound:
		// Whoever stole it must not be able to use it without the key that it is bound to
		// (RFC 9449 section 7.2). No proof is checked here, so nobody can.
		return refuseToken(ReasonType, "it is bound to a key, and proofs of one aren't checked here")
	case c.Subject == "" || c.ExpiresAt.IsZero() || c.IssuedAt.IsZero():
		return refuseToken(ReasonMalformed, "sub, exp and iat are needed")
	}
	return nil
}

// validity returns from when and until when a token holds, clock skew included.
func (v *Verifier) validity(c *Claims) (from, until time.Time) {
	from = c.IssuedAt
	if c.NotBefore.After(from) {
		from = c.NotBefore
	}
	return from.Add(-v.skew), c.ExpiresAt.Add(v.skew)
}

func (v *Verifier) unmet(need *Requirement, c *Claims, now time.Time) *TokenError {
	if need.Strict && (v.feed == nil || v.feed.silence(now) > v.maxSilence) {
		return refuseToken(ReasonFeedSilent, "")
	}
	if reason := need.unmet(c, now); reason != "" {
		return refuseToken(reason, "")
	}
	return nil
}

// unrunAfter is how long a new Verifier may be without Run before that looks forgotten.
const unrunAfter = 10 * time.Second

// noticeUnrun says once that nobody runs a Verifier which has a feed: revoked tokens
// would pass until they expire, and nothing else would show it. Whoever runs the feed by
// itself hears of revocations, too.
func (v *Verifier) noticeUnrun(now time.Time) {
	if v.running.Load() || now.Sub(v.made) < unrunAfter || v.feed.silence(now) <= v.maxSilence {
		return
	}
	if !v.unrun.Swap(true) {
		v.log.Warn("latchkey: nobody runs this Verifier, so it hears of no revocation; start go verifier.Run(ctx)", "issuer", v.issuer)
	}
}

var errRunning = errors.New("this Verifier is being run already")

// Run keeps the keys fresh ahead of their age, follows the revocation feed and keeps
// StateFile until ctx ends; then it returns nil. Without Run everything works, but keys
// are fetched when somebody needs them, and nothing is known of revocations. When the
// feed can't be followed at all the rest goes on, and the reason is returned at the end.
func (v *Verifier) Run(ctx context.Context) error {
	if v.running.Swap(true) {
		return errRunning
	}
	defer v.running.Store(false)
	var feedErr error
	var workers sync.WaitGroup
	workers.Go(func() { v.keys.run(ctx) })
	if v.feed != nil {
		workers.Go(func() {
			if feedErr = v.feed.Run(ctx); feedErr != nil {
				v.log.Error("latchkey: the revocation feed is not followed any more", "error", feedErr)
			}
		})
	}
	if v.stateFile != "" {
		workers.Go(func() { v.keepState(ctx) })
	}
	workers.Wait()
	v.saveState()
	return feedErr
}
