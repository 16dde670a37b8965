package revocation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Bell wakes a Hub. The store rings it after each commit that wrote entries; nobody
// waits for it.
type Bell struct{ c chan struct{} }

// NewBell returns a bell.
func NewBell() *Bell { return &Bell{make(chan struct{}, 1)} }

// Ring wakes the Hub, unless it is about to wake already. It never blocks.
func (b *Bell) Ring() {
	select {
	case b.c <- struct{}{}:
	default:
	}
}

// HubConfig is what a Hub stands on.
type HubConfig struct {
	Store Store
	Now   func() time.Time // the store's clock
	Bell  *Bell            // nil: what is written is found by polling alone
	Log   *slog.Logger

	MaxSubscribers int // at the same time; 0 for 10,000
	Keep           int // entries of one project in memory; 0 for 16,384
}

const (
	maxSubscribers = 10_000
	keptEntries    = 16_384

	// sharesOfPlaces is how many shares the places have, the last of which is kept for
	// projects that hold less than one.
	sharesOfPlaces = 8

	// pollEvery is how soon an entry is found that another process wrote: the command
	// line on the same file, another server on the same database.
	pollEvery = 100 * time.Millisecond

	// retryEvery is how soon a store that failed is asked again.
	retryEvery = time.Second

	// tidyEvery is how often memory is tidied.
	tidyEvery = time.Second

	// keepUnread is how long a project's entries stay in memory without a reader:
	// longer than clients take to come back.
	keepUnread = time.Minute

	// freshFor is for how long after the store was read nothing is claimed to have
	// been missed.
	freshFor = 5 * time.Second

	// loadPatience is how long the entries of a project may take to be read.
	loadPatience = 30 * time.Second

	// fullRetry is what those are told who find no place.
	fullRetry = 5 * time.Second

	pageOfEntries = 1000
)

// unset is the position of a Hub that reads for nobody.
const unset = -1

// Hub hands the entries of a store to any number of subscribers. It holds the end of
// the feed of each project that somebody reads, once, and copies nothing for a
// subscriber; it has no goroutine but that of Run. It is safe for concurrent use.
type Hub struct {
	c HubConfig

	reading sync.Mutex // one poll at a time; before mu

	mu          sync.Mutex
	tails       map[id.Project]*tail
	position    int64     // entries up to there were given to the tails
	read        time.Time // when a poll that succeeded last began; by the wall clock
	failing     bool      // the last poll failed
	subscribers int
	passed      Passed // of the store's clock
}

// NewHub returns a hub that doesn't run yet. Without Run, subscribers get what is there
// when they ask.
func NewHub(c HubConfig) (*Hub, error) {
	if c.Store == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("revocation: a dependency of the hub is missing")
	}
	if c.Bell == nil {
		c.Bell = NewBell()
	}
	if c.MaxSubscribers == 0 {
		c.MaxSubscribers = maxSubscribers
	}
	if c.Keep == 0 {
		c.Keep = keptEntries
	}
	return &Hub{c: c, tails: map[id.Project]*tail{}, position: unset}, nil
}

// Run reads what is new and gives it to subscribers until ctx ends: at once when the
// bell rings, and every 100 ms for what other processes write. While nobody subscribes
// it leaves the store alone.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var tidied, failed time.Time
	for {
		now := time.Now()
		if h.wanted() && now.Sub(failed) >= retryEvery {
			if err := h.poll(ctx); err != nil {
				failed = now
			}
		}
		if now.Sub(tidied) >= tidyEvery {
			tidied = now
			h.tidy()
		}
		select {
		case <-ctx.Done():
			return
		case <-h.c.Bell.c:
		case <-tick.C:
		}
	}
}

func (h *Hub) wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subscribers > 0
}

// Subscribers returns how many there are.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subscribers
}

// Fresh reports whether everything that was written until a moment ago has been handed
// to the subscribers. When it is false, the store fails: what subscribers know may be
// incomplete, and they must not be told otherwise.
func (h *Hub) Fresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.read) < freshFor
}

// poll gives the tails what was written since the last time. Should the store fail, the
// position stays: nothing is passed over.
func (h *Hub) poll(ctx context.Context) error {
	h.reading.Lock()
	defer h.reading.Unlock()
	for {
		began := time.Now()
		h.mu.Lock()
		from := h.position
		h.mu.Unlock()
		if from == unset {
			return nil
		}
		entries, err := h.c.Store.After(ctx, from, pageOfEntries)
		if err == nil {
			err = h.hand(entries)
		}
		h.report(ctx, err, began)
		if err != nil || len(entries) < pageOfEntries {
			return err
		}
	}
}

// hand gives entries to the tails that want them.
func (h *Hub) hand(entries []Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(entries) > 0 {
		same := 1 // a run of one project wakes its subscribers once
		for same < len(entries) && entries[same].Project == entries[0].Project {
			same++
		}
		if t, ok := h.tails[entries[0].Project]; ok {
			if err := t.come(entries[:same]...); err != nil {
				return err
			}
		}
		h.position = entries[same-1].Seq
		entries = entries[same:]
	}
	return nil
}

// report logs the first failure of an outage, and its end.
func (h *Hub) report(ctx context.Context, err error, began time.Time) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	was := h.failing
	h.failing = err != nil
	if err == nil {
		h.read = began
	}
	h.mu.Unlock()
	switch {
	case err != nil && !was:
		h.c.Log.Error("the revocation feed can't be read; it will be tried again", "error", err)
	case err == nil && was:
		h.c.Log.Info("the revocation feed can be read again")
	}
}

// tidy forgets entries that are over and projects that nobody has read for a while.
func (h *Hub) tidy() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.passed.By(h.c.Now())
	for p, t := range h.tails {
		if t.readers == 0 && time.Since(t.left) >= keepUnread {
			delete(h.tails, p)
			continue
		}
		t.forget(now)
	}
	if len(h.tails) == 0 {
		h.position = unset
	}
}

func errMany() error {
	return fault.New(fault.Unavailable, "As many verifiers as this server takes follow its revocation feed already.").After(fullRetry)
}
