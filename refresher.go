package latchkey

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"
)

// maxFlights bounds the refreshes that are under way or remembered: about 20 MB of
// tokens at the most, and far more than one process can have under way in 9 seconds.
const maxFlights = 4096

var (
	errRefreshLate    = errors.New("the answer to the refresh came too late and was dropped")
	errRefreshBusy    = errors.New("too many refreshes are under way")
	errRefreshGivenUp = errors.New("the refresh took too long and was given up")
	errRefreshUnasked = errors.New("the request carries more refresh tokens than are tried")
)

// digest names a refresh token without holding it.
type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// refresher trades refresh tokens, once for however many requests bring the same one.
// An answer is remembered for a moment: tabs send the cookie that was just replaced, and
// get the same answer without asking the server again.
//
// Nothing is remembered longer than 9 seconds after it was asked for. By then less than
// half of the server's default reuse window is over, so whoever is handed the remembered
// token holds one that can't be two generations old.
type refresher struct {
	ask      func(context.Context, RefreshRequest) (TokenSet, error)
	readOnly bool
	now      func() time.Time

	mu      sync.Mutex
	flights map[digest]*flight
}

// flight is one question to the server, and its answer.
type flight struct {
	began time.Time
	done  chan struct{} // closed once the fields below are final
	set   TokenSet
	next  digest // of the refresh token in set
	err   error
	until time.Time // when the answer is forgotten
}

func newRefresher(ask func(context.Context, RefreshRequest) (TokenSet, error), readOnly bool, now func() time.Time) *refresher {
	return &refresher{ask: ask, readOnly: readOnly, now: now, flights: map[digest]*flight{}}
}

// refresh returns the answer to trading the token in. It reports whether the server had
// to be asked on this call's account, which it isn't unless mayAsk. A remembered answer
// counts only if usable agrees.
//
// The question isn't given up when ctx ends: others may wait for it, and the server may
// have rotated already. Only this call ends.
func (f *refresher) refresh(ctx context.Context, token string, device *Device, mayAsk bool, usable func(TokenSet) bool) (TokenSet, bool, error) {
	key := digestOf(token)
	fl := f.find(key)
	if fl != nil && fl.landed() && fl.err == nil && !usable(fl.set) {
		f.drop(key, fl)
		fl = nil
	}
	asked := false
	if fl == nil {
		if !mayAsk {
			return TokenSet{}, false, errRefreshUnasked
		}
		fl, asked = f.start(ctx, key, RefreshRequest{Token: token, ReadOnly: f.readOnly, Device: device})
	}
	if fl == nil {
		return TokenSet{}, false, errRefreshBusy
	}
	select {
	case <-fl.done:
		return fl.set, asked, fl.err
	case <-ctx.Done():
		return TokenSet{}, asked, errRefreshGivenUp
	}
}

func (fl *flight) landed() bool {
	select {
	case <-fl.done:
		return true
	default:
		return false
	}
}

// find returns what is under way or remembered, nil when that is nothing.
func (f *refresher) find(key digest) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current(key)
}

func (f *refresher) current(key digest) *flight {
	fl := f.flights[key]
	if fl == nil {
		return nil
	}
	// A clock that was set back must not prolong anything.
	now := f.now()
	if age := now.Sub(fl.began); age < 0 || age >= refreshBound {
		return nil
	}
	if !fl.until.IsZero() && !now.Before(fl.until) {
		return nil
	}
	return fl
}

// start asks the server, unless another request began to do so meanwhile.
func (f *refresher) start(ctx context.Context, key digest, r RefreshRequest) (fl *flight, asked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.current(key); fl != nil {
		return fl, false
	}
	if len(f.flights) >= maxFlights && !f.evict() {
		return nil, false
	}
	fl = &flight{began: f.now(), done: make(chan struct{})}
	f.flights[key] = fl
	go f.fly(context.WithoutCancel(ctx), key, fl, r)
	return fl, true
}

// evict forgets one answer. It reports false when all that is there is under way.
func (f *refresher) evict() bool {
	for key, fl := range f.flights {
		if fl.landed() {
			delete(f.flights, key)
			return true
		}
	}
	return false
}

func (f *refresher) fly(ctx context.Context, key digest, fl *flight, r RefreshRequest) {
	ctx, cancel := context.WithTimeout(ctx, refreshBound)
	defer cancel()
	set, err := f.ask(ctx, r)
	now := f.now()
	age := now.Sub(fl.began)
	if err == nil && (ctx.Err() != nil || age < 0 || age >= refreshBound) {
		// Another request may have got a newer token by now; this one would replace it.
		set, err = TokenSet{}, errRefreshLate
	}
	hold := min(holdAnswer(err), refreshBound-age)
	f.mu.Lock()
	fl.set, fl.err, fl.until = set, err, now.Add(hold)
	if set.RefreshToken != "" {
		fl.next = digestOf(set.RefreshToken)
	}
	if hold <= 0 && f.flights[key] == fl {
		delete(f.flights, key)
	}
	f.mu.Unlock()
	close(fl.done)
	if hold > 0 {
		time.AfterFunc(hold, func() { f.drop(key, fl) })
	}
}

// holdAnswer is how long an answer is good for others. A lost answer is none: the next
// request asks again, which is how it comes by the token that got lost.
func holdAnswer(err error) time.Duration {
	refusal, refused := serverRefusal(err)
	switch {
	case err == nil, refused && (refusal.Terminal || refusal.Status == http.StatusUnauthorized):
		return refreshBound
	case refused:
		return refusal.RetryAfter
	}
	return 0
}

func (f *refresher) drop(key digest, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights[key] == fl {
		delete(f.flights, key)
	}
}

// forget drops what is remembered of sessions by their refresh tokens, presented or
// answered: after a sign-out no late tab may bring them back.
func (f *refresher) forget(tokens []string) {
	gone := make(map[digest]bool, len(tokens))
	for _, t := range tokens {
		gone[digestOf(t)] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, fl := range f.flights {
		if gone[key] || gone[fl.next] {
			delete(f.flights, key)
		}
	}
}

// serverRefusal returns the refusal by the server that err is.
func serverRefusal(err error) (*Error, bool) {
	var refusal *Error
	ok := errors.As(err, &refusal)
	return refusal, ok
}
