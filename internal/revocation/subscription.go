package revocation

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Subscription is one reader's place in the feed of a project. It is for one goroutine
// at a time and has to be closed.
type Subscription struct {
	// Snapshot is true when the reader's cursor isn't known, so that everything that
	// matters comes again; false when it goes on where the reader was.
	Snapshot bool

	hub    *Hub
	tail   *tail
	at     Cursor
	closed sync.Once
}

// Subscribe returns a reader's place: behind the cursor, or at the beginning when given
// is false or the cursor isn't one of this store. Everything that was committed before
// the call is found by the first calls of Next. fault.Unavailable when there are too many
// subscribers or the store can't be read.
func (h *Hub) Subscribe(ctx context.Context, p id.Project, after Cursor, given bool) (*Subscription, error) {
	t, first, err := h.enter(p)
	if err != nil {
		return nil, err
	}
	s := &Subscription{hub: h, tail: t}
	if err := s.begin(ctx, first, after, given); err != nil {
		s.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "The revocation feed can't be read now.").After(retryEvery)
	}
	return s, nil
}

// enter counts one more reader of a project. The first one has to load its tail.
func (h *Hub) enter(p id.Project) (t *tail, first bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, there := h.tails[p]
	if h.full(t) {
		return nil, false, errMany()
	}
	if !there {
		t = newTail(p, h.c.Keep)
		h.tails[p] = t
	}
	h.subscribers++
	t.readers++
	return t, !there, nil
}

// full reports whether there is no place for one more reader of a tail, nil for a new
// one. The last places are for projects that have few: else whoever has a key of one
// could keep the verifiers of all others from learning of revocations.
func (h *Hub) full(t *tail) bool {
	share := h.c.MaxSubscribers / sharesOfPlaces
	few := t == nil || t.readers < share
	return h.subscribers >= h.c.MaxSubscribers || h.subscribers >= h.c.MaxSubscribers-share && !few
}

// Close gives the place up. Closing again does nothing.
func (s *Subscription) Close() {
	s.closed.Do(func() {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		s.hub.subscribers--
		s.tail.readers--
		s.tail.left = time.Now()
	})
}

func (s *Subscription) begin(ctx context.Context, first bool, after Cursor, given bool) error {
	if first {
		s.tail.failed = s.hub.load(ctx, s.tail)
		close(s.tail.done)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.tail.done:
	}
	if s.tail.failed != nil {
		return s.tail.failed
	}
	if err := s.hub.poll(ctx); err != nil {
		return err
	}
	known := false
	var err error
	if given {
		known, err = s.hub.knows(ctx, s.tail, after)
	}
	if known {
		s.at = after
	}
	s.Snapshot = !known
	return err
}

// load fills a tail that is in the hub's hands already: what is committed after it was
// read here comes by polling, since the polls' position is at most that of before.
func (h *Hub) load(ctx context.Context, t *tail) error {
	// Others wait for it, so it doesn't end with the first one's request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadPatience)
	defer cancel()
	err := h.fill(ctx, t)
	if err != nil {
		// Those who wait for it fail with it; the next one starts afresh.
		h.mu.Lock()
		if h.tails[t.project] == t {
			delete(h.tails, t.project)
		}
		h.mu.Unlock()
	}
	return err
}

func (h *Hub) fill(ctx context.Context, t *tail) error {
	last, err := h.c.Store.Last(ctx)
	if err != nil {
		return err
	}
	h.mu.Lock()
	if h.position == unset {
		h.position = last
	}
	h.mu.Unlock()
	for seq := int64(0); ; {
		entries, err := h.c.Store.Of(ctx, t.project, seq, pageOfEntries)
		if err == nil {
			err = t.load(entries)
		}
		if err != nil {
			return err
		}
		if len(entries) < pageOfEntries {
			break
		}
		seq = entries[len(entries)-1].Seq
	}
	return t.start()
}

// knows reports whether the store has handed out this cursor. One of a store that was
// replaced by an older copy has a number that is free or an entry with another tag.
func (h *Hub) knows(ctx context.Context, t *tail, c Cursor) (bool, error) {
	known, ask := t.holds(c)
	if known || !ask {
		return known, nil
	}
	entries, err := h.c.Store.Of(ctx, t.project, c.Seq-1, 1)
	return err == nil && len(entries) == 1 && entries[0].Cursor() == c, err
}

// Next returns at most limit lines that follow, and moves behind them. Without any, the
// reader has caught up, and the channel is closed as soon as there is more; it is nil
// when there may be more now. The lines are shared and must not be changed.
func (s *Subscription) Next(ctx context.Context, limit int) ([]Line, <-chan struct{}, error) {
	lines, at, wait, below := s.tail.after(s.at.Seq, limit)
	if !below {
		s.at = at
		return lines, wait, nil
	}
	// So many entries matter that memory doesn't hold them all.
	entries, err := s.hub.c.Store.Of(ctx, s.tail.project, s.at.Seq, limit)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, err, "The revocation feed can't be read now.").After(retryEvery)
	}
	for _, e := range entries {
		line, err := encode(e)
		if err != nil {
			return nil, nil, err
		}
		lines, s.at = append(lines, line), line.Cursor
	}
	if len(lines) == 0 { // they were swept meanwhile
		s.at = s.tail.bottom()
	}
	return lines, nil, nil
}

// Cursor returns the reader's place.
func (s *Subscription) Cursor() Cursor { return s.at }
