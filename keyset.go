package latchkey

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How a key set is kept. A server publishes a key at least a day before it signs with
// it, so the age of a set only matters when a key is revoked.
const (
	defaultKeyAge = 5 * time.Minute // without max-age in the answer
	minKeyAge     = time.Minute
	maxKeyAge     = 24 * time.Hour

	// unknownInterval is the least time between two fetches that an unknown kid causes:
	// anybody can make up kids.
	unknownInterval = 10 * time.Second
	unknownMemory   = time.Minute // how long an unknown kid causes no other fetch
	maxUnknown      = 1024        // kids remembered as unknown

	firstBackoff = time.Second // after the first failed fetch; doubles
	maxBackoff   = 30 * time.Second

	// renewalWait is how long a fetch may take before callers go on with a set that is
	// long past its age.
	renewalWait = 2 * time.Second
)

// KeySetConfig says where a key set is.
type KeySetConfig struct {
	URL        string           // required; https, or http to this machine
	HTTPClient *http.Client     // default: one of its own. Redirects to another host are refused with any.
	Logger     *slog.Logger     // default: slog.Default()
	Now        func() time.Time // default: time.Now
}

// KeySet is the set of public keys that a project signs with, fetched when it is first
// needed and kept fresh. It is safe for concurrent use: any number of callers that wait
// share one fetch.
//
// A set that can't be fetched again stays in use however old it is, and Status tells its
// age. An outage of the server must not sign everybody out, and that a key was revoked is
// told by the revocation feed as well. A key that is missing from a set that was fetched
// is gone at once.
type KeySet struct {
	url    string // "" for a set that is never fetched
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	ring    atomic.Pointer[keyring]
	staleAt atomic.Int64  // Unix nanoseconds; from then on a caller starts a fetch
	refetch chan struct{} // asks run for a fetch now

	mu        sync.Mutex
	flight    *keyFlight // the fetch that is being made
	started   time.Time  // the last one
	notBefore time.Time  // no other one before, after failures
	failures  int        // in a row
	demanded  int        // times that somebody wanted what is published from then on
	satisfied int        // of these
	unknown   map[string]time.Time
	askAfter  time.Time // until then unknown kids cause no fetch

	body      []byte // what ring was made of
	tag       string
	fetchedAt time.Time
	maxAge    time.Duration
	renewAt   time.Time
	skew      time.Duration
	fetches   uint64
	failed    uint64
	lastError string
	lastCause error
}

// keyFlight is a fetch that any number of callers wait for.
type keyFlight struct {
	done chan struct{}
	err  error // to be read when done is closed
}

func (f *keyFlight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NewKeySet returns the set at an address. Nothing is fetched yet. The error reports all
// problems of c.
func NewKeySet(c KeySetConfig) (*KeySet, error) {
	if err := checkAddress("URL", c.URL); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &KeySet{
		url: c.URL, client: sameHostClient(c.HTTPClient), log: c.Logger, now: c.Now,
		refetch: make(chan struct{}, 1), unknown: map[string]time.Time{}, maxAge: defaultKeyAge,
	}, nil
}

// StaticKeySet returns a set that is never fetched: the keys of a JWKS that the caller
// has. It is an error when none of them is usable.
func StaticKeySet(jwks []byte) (*KeySet, error) {
	ring, _, err := parseKeySet(jwks)
	if err != nil {
		return nil, err
	}
	s := &KeySet{log: slog.New(slog.DiscardHandler), now: time.Now}
	s.ring.Store(ring)
	s.staleAt.Store(math.MaxInt64)
	return s, nil
}

// current returns the keys to verify with. It fetches them when there are none, has them
// fetched in the background when they are past their age, and waits for that a little
// when they are long past it, unless the server can't be reached.
func (s *KeySet) current(ctx context.Context, now time.Time) (*keyring, error) {
	ring := s.ring.Load()
	if ring != nil && now.UnixNano() < s.staleAt.Load() {
		return ring, nil
	}
	return s.renew(ctx, now, ring)
}

func (s *KeySet) renew(ctx context.Context, now time.Time, ring *keyring) (*keyring, error) {
	s.mu.Lock()
	f, cause, failing := s.begin(now), s.lastCause, s.failures > 0
	long := !now.Before(s.fetchedAt.Add(2 * s.maxAge))
	patience := s.started.Add(renewalWait).Sub(now)
	s.mu.Unlock()
	switch {
	case ring == nil && f == nil:
		return nil, cause
	case ring == nil:
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
	case f != nil && long && !failing && patience > 0:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		// The old set is in use still if this fails, and that is the answer then.
		_ = f.wait(ctx)
	}
	return s.ring.Load(), nil
}

// find returns the key with a kid from the newest keys. On a kid that it doesn't know it
// has the set fetched again, unless that was done a moment ago. A nil key without an
// error says that there is none.
func (s *KeySet) find(ctx context.Context, now time.Time, kid string) (*publicKey, *keyring, error) {
	ring, err := s.current(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	if k := ring.keys[kid]; k != nil || s.url == "" {
		return k, ring, nil
	}
	f, err := s.ask(now, kid)
	if f == nil {
		return nil, ring, err
	}
	if err := f.wait(ctx); err != nil {
		return nil, nil, err
	}
	if ring = s.ring.Load(); ring.keys[kid] == nil {
		s.forgo(now, kid)
	}
	return ring.keys[kid], ring, nil
}

// ask returns the fetch that may bring a key that isn't known, nil if there is none to
// wait for.
func (s *KeySet) ask(now time.Time, kid string) (*keyFlight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.unknown[kid]) {
		return nil, nil
	}
	if s.flight != nil {
		return s.flight, nil
	}
	if now.Before(s.askAfter) {
		// Whether the key exists isn't known when the last attempt to learn it failed.
		return nil, s.lastCause
	}
	f := s.begin(now)
	if f == nil {
		return nil, s.lastCause
	}
	return f, nil
}

// forgo remembers that a kid is in no set, so that it causes no other fetch for a while.
func (s *KeySet) forgo(now time.Time, kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unknown) >= maxUnknown {
		clear(s.unknown)
	}
	s.unknown[strings.Clone(kid)] = now.Add(unknownMemory)
}

// begin returns the fetch that is being made, or starts one; nil when the last one
// failed a moment ago. The fetch belongs to nobody: a caller that gives up leaves it to
// the others. mu is held.
func (s *KeySet) begin(now time.Time) *keyFlight {
	if s.flight != nil {
		return s.flight
	}
	if now.Before(s.notBefore) {
		return nil
	}
	f := &keyFlight{done: make(chan struct{})}
	s.flight, s.started = f, now
	s.askAfter = now.Add(unknownInterval + rand.N(unknownInterval/5))
	q := keyQuestion{tag: s.tag, fresh: s.urgent(), demand: s.demanded}
	go func() {
		a, err := s.fetch(q)
		f.err = s.settle(a, q, err)
		close(f.done)
	}()
	return f
}

// settle takes over what a fetch brought. What failed changes nothing but the time of
// the next attempt.
func (s *KeySet) settle(a keyAnswer, q keyQuestion, err error) error {
	var ring *keyring
	var ignored []ignoredKey
	if err == nil && !a.unchanged {
		ring, ignored, err = parseKeySet(a.body)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	s.fetches++
	if err != nil {
		s.fail(now, err)
		return err
	}
	s.failures, s.lastError, s.lastCause, s.notBefore = 0, "", nil, time.Time{}
	s.satisfied = q.demand
	if !a.unchanged {
		s.replace(ring, ignored, a)
	}
	s.tag = a.tag
	s.age(now, a.maxAge)
	if !a.date.IsZero() {
		s.skew = a.date.Sub(now)
	}
	return nil
}

func (s *KeySet) fail(now time.Time, err error) {
	backoff := min(firstBackoff<<min(s.failures, 10), maxBackoff)
	s.failures++
	s.failed++
	s.notBefore = now.Add(backoff + rand.N(backoff/4))
	s.lastCause = err
	s.lastError = err.Error()
	if s.failures&(s.failures-1) != 0 {
		return // told at 1, 2, 4, 8 and so on: a long outage mustn't fill the log
	}
	s.log.Warn("latchkey: the key set can't be fetched", "error", err, "failures", s.failures, "age", s.ageAt(now).Round(time.Second))
}

// replace puts new keys in the place of the old ones. The same bytes leave the old ones,
// so that what was verified with them needn't be looked at again.
func (s *KeySet) replace(ring *keyring, ignored []ignoredKey, a keyAnswer) {
	if s.ring.Load() != nil && string(a.body) == string(s.body) {
		return
	}
	for _, k := range ignored {
		s.log.Warn("latchkey: a key of the key set isn't used", "kid", k.id, "why", k.why)
	}
	s.body = a.body
	s.ring.Store(ring)
}

func (s *KeySet) age(fetchedAt time.Time, maxAge time.Duration) {
	s.fetchedAt, s.maxAge = fetchedAt, maxAge
	// Ahead of its age, and not at the moment when everybody else does.
	s.renewAt = fetchedAt.Add(maxAge*3/4 - rand.N(maxAge/8))
	s.staleAt.Store(fetchedAt.Add(maxAge).UnixNano())
}

func (s *KeySet) ageAt(now time.Time) time.Duration {
	if s.fetchedAt.IsZero() {
		return 0
	}
	return max(now.Sub(s.fetchedAt), 0)
}
