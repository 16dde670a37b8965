package audit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

const (
	// watchEvery is how soon followers learn that something was written, by whichever
	// process.
	watchEvery = 100 * time.Millisecond

	// watchRetry is how soon a store that failed is asked again.
	watchRetry = time.Second

	// Each follower reads the log for itself, so there are few of them.
	maxFollowers  = 200
	maxOfProject  = 20
	followerRetry = 5 * time.Second
)

// Watch tells those who follow the log that it has grown. It asks the store once for all of
// them, and only while somebody follows; what was written each follower reads by itself. It
// is safe for concurrent use.
type Watch struct {
	store Store
	log   *slog.Logger

	mu        sync.Mutex
	last      int64
	grown     chan struct{} // closed when it has
	followers map[id.Project]int
	total     int
	failing   bool
}

// NewWatch returns a watch that doesn't run yet.
func NewWatch(s Store, log *slog.Logger) (*Watch, error) {
	if s == nil || log == nil {
		return nil, errors.New("audit: a dependency of the watch is missing")
	}
	return &Watch{store: s, log: log, grown: make(chan struct{}), followers: map[id.Project]int{}}, nil
}

// Run looks for what is new until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var failed time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.wanted() && time.Since(failed) >= watchRetry && !w.look(ctx) {
			failed = time.Now()
		}
	}
}

func (w *Watch) wanted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total > 0
}

// look wakes the followers if there is something new, and reports whether it could find
// out.
func (w *Watch) look(ctx context.Context) bool {
	last, err := w.store.Last(ctx)
	if ctx.Err() != nil {
		return true
	}
	w.mu.Lock()
	was := w.failing
	w.failing = err != nil
	if err == nil && last != w.last {
		w.last = last
		close(w.grown)
		w.grown = make(chan struct{})
	}
	w.mu.Unlock()
	if err != nil && !was {
		w.log.Error("the audit log can't be read; it will be tried again", "error", err)
	}
	return err == nil
}

// Grown returns what is closed when the log has grown. Whoever asks before reading the
// log misses nothing.
func (w *Watch) Grown() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.grown
}

// Follow counts one more follower of a project's events, of all events for none, until leave
// is called. fault.Unavailable when there are too many.
func (w *Watch) Follow(p id.Project) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Whoever has a key of one project must not keep those of all others away.
	if !p.IsZero() && (w.total >= maxFollowers || w.followers[p] >= maxOfProject) {
		return nil, fault.New(fault.Unavailable, "As many readers as this server takes follow the events already.").After(followerRetry)
	}
	w.total++
	w.followers[p]++
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.total--
		if w.followers[p]--; w.followers[p] == 0 {
			delete(w.followers, p)
		}
	}), nil
}
