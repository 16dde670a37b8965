package latchkeytest

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// follower is a Verifier that follows the issuer's feed.
type follower struct {
	verifier *latchkey.Verifier
	audience string
	now      func() time.Time
}

// patience is how long a Verifier may take to hear of something. It is a connection in
// the same process: only a mistake takes so long.
const patience = 10 * time.Second

// Verifier returns a running Verifier of the issuer's tokens that lives in the issuer's
// time, follows its feed until the test ends, and knows all of it already.
func (i *Issuer) Verifier(change ...func(*latchkey.VerifierConfig)) *latchkey.Verifier {
	i.t.Helper()
	c := latchkey.VerifierConfig{Issuer: i.URL(), Key: i.verify, Now: i.Now}
	for _, f := range change {
		f(&c)
	}
	v, err := latchkey.NewVerifier(c)
	if err != nil {
		i.t.Fatalf("latchkeytest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		// It ends with the context, which is no news.
		_ = v.Run(ctx)
	}()
	i.t.Cleanup(func() { cancel(); <-done })
	if c.Key != "" || c.Revocations != nil {
		i.mu.Lock()
		i.followers = append(i.followers, &follower{v, c.Audience, c.Now})
		i.mu.Unlock()
		i.Settle()
	}
	return v
}

// Client returns a client with the management key that lives in the issuer's time.
func (i *Issuer) Client(change ...func(*latchkey.ClientConfig)) *latchkey.Client {
	i.t.Helper()
	c := latchkey.ClientConfig{Issuer: i.URL(), Key: i.key, Now: i.Now}
	for _, f := range change {
		f(&c)
	}
	out, err := latchkey.NewClient(c)
	if err != nil {
		i.t.Fatalf("latchkeytest: %v", err)
	}
	return out
}

// Settle waits until the issuer's Verifiers have heard all that the feed says, and fails
// the test when one doesn't. While the server is down it does nothing. Whatever changes
// the feed through the issuer's methods waits by itself; Settle is for changes through
// HTTP, such as a logout, and for the time after Up.
func (i *Issuer) Settle() {
	i.t.Helper()
	i.mu.Lock()
	followers, down := i.followers, i.up.Err() != nil
	i.mu.Unlock()
	if down || len(followers) == 0 {
		return
	}
	// Entries come in order: who knows of this one knows of all before it.
	sid := newID("ses")
	i.mu.Lock()
	i.feed.add(i.entry("session", sid, "", i.now()))
	i.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, f := range followers {
		if !f.refuses(i.probe(f, sid), late.C) {
			i.t.Errorf("latchkeytest: a Verifier hasn't heard of a revocation for %v: %s", patience, f.verifier.Status().Feed.LastError)
			return
		}
	}
}

// probe is a token that the follower accepts until it hears of sid.
func (i *Issuer) probe(f *follower, sid string) string {
	now := time.Now()
	if f.now != nil {
		now = f.now()
	}
	return i.Sign(Claims{
		"sid": sid, "aud": []string{i.id, f.audience}, "iat": NumericDate(now), "nbf": NumericDate(now), "exp": NumericDate(now.Add(time.Minute)),
	})
}

func (f *follower) refuses(token string, late <-chan time.Time) bool {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		if _, err := f.verifier.Verify(context.Background(), token); latchkey.ReasonOf(err) == latchkey.ReasonRevoked {
			return true
		}
		select {
		case <-again.C:
		case <-late:
			return false
		}
	}
}
