package latchkey

import (
	"context"
	"errors"
	"time"
)

// demand asks for a fetch now: a key was revoked. It doesn't wait.
func (s *KeySet) demand() {
	if s.url == "" {
		return
	}
	s.mu.Lock()
	s.demanded++
	s.mu.Unlock()
	select {
	case s.refetch <- struct{}{}:
	default:
	}
}

// urgent reports whether a demand isn't met yet. mu is held.
func (s *KeySet) urgent() bool { return s.demanded > s.satisfied }

// run keeps the set fresh until ctx ends.
func (s *KeySet) run(ctx context.Context) {
	if s.url == "" {
		<-ctx.Done()
		return
	}
	for {
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.refetch:
			timer.Stop()
			continue
		}
		s.mu.Lock()
		f := s.begin(s.now())
		s.mu.Unlock()
		if f != nil {
			_ = f.wait(ctx) // settle has noted and logged a failure
		}
	}
}

// pause is how long run waits until the next fetch.
func (s *KeySet) pause() time.Duration {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.renewAt
	if s.urgent() || s.ring.Load() == nil {
		// At least a second apart, whatever the feed says. A fetch that began before the
		// demand doesn't meet it: it may bring what was published before.
		at = s.started.Add(time.Second)
	}
	if at.Before(s.notBefore) {
		at = s.notBefore
	}
	return max(at.Sub(now), 0)
}

// KeySetStatus is what is known of a key set.
type KeySetStatus struct {
	Keys      int           // usable ones
	FetchedAt time.Time     // zero: never, or a static set
	Age       time.Duration // since then
	Fetches   uint64        // attempts
	Failures  uint64        // of these
	LastError string        // of the last attempt; "" when it succeeded

	// ClockOffset is how far the server's clock is ahead of this machine's, to a second,
	// as the last answer said. Over ClockSkew tokens are refused without reason.
	ClockOffset time.Duration
}

// Status returns the state of the set.
func (s *KeySet) Status() KeySetStatus {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := KeySetStatus{
		FetchedAt: s.fetchedAt, Age: s.ageAt(now), Fetches: s.fetches, Failures: s.failed,
		LastError: s.lastError, ClockOffset: s.skew,
	}
	if ring := s.ring.Load(); ring != nil {
		st.Keys = len(ring.keys)
	}
	return st
}

var errNoKeys = errors.New("the key set has no keys")

// snapshot returns what a restart needs.
func (s *KeySet) snapshot() (body []byte, tag string, fetchedAt time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body, s.tag, s.fetchedAt
}

// restore takes over what snapshot returned in another process. It is an error when it
// holds no usable keys, or when the set has been fetched already.
func (s *KeySet) restore(body []byte, tag string, fetchedAt time.Time) error {
	ring, ignored, err := parseKeySet(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.url == "" || s.ring.Load() != nil {
		return errNoKeys
	}
	s.replace(ring, ignored, keyAnswer{body: body})
	s.tag = tag
	if now := s.now(); fetchedAt.After(now) {
		fetchedAt = now // a clock was set back; the set must not stay for ever for that
	}
	s.age(fetchedAt, minKeyAge)
	return nil
}
