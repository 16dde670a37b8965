package latchkeytest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// feed is the revocation feed: entries in the order in which they came. None is ever
// forgotten: a test doesn't live so long.
type feed struct {
	tag string // of cursors, so that one of another issuer isn't known

	mu      sync.Mutex
	entries []latchkey.Revocation
	changed chan struct{} // closed at the next entry
}

func newFeed() *feed { return &feed{tag: rand.Text()[:8], changed: make(chan struct{})} }

// add appends an entry and wakes those who wait for one.
func (f *feed) add(e latchkey.Revocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Seq = int64(len(f.entries)) + 1
	f.entries = append(f.entries, e)
	close(f.changed)
	f.changed = make(chan struct{})
}

// behind returns the entries behind a place, and a channel that is closed when there are
// more.
func (f *feed) behind(seq int) ([]latchkey.Revocation, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[seq:len(f.entries):len(f.entries)], f.changed
}

func (f *feed) cursor(seq int) string { return fmt.Sprintf("%d.%s", seq, f.tag) }

// place reads a cursor: where to go on, or a snapshot from the start.
func (f *feed) place(cursor string) (seq int, snapshot bool) {
	number, tag, _ := strings.Cut(cursor, ".")
	n, err := strconv.Atoi(number)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || tag != f.tag || n < 0 || n > len(f.entries) {
		return 0, true
	}
	return n, false
}

// entry is one that matters as long as any token of the issuer may.
func (i *Issuer) entry(kind, id, except string, now time.Time) latchkey.Revocation {
	return latchkey.Revocation{Kind: kind, ID: id, Except: except, At: now.UTC(), Until: now.Add(i.config.SessionTTL).UTC()}
}

// publish adds an entry and waits until the issuer's Verifiers know of it.
func (i *Issuer) publish(kind, id string) {
	i.t.Helper()
	i.mu.Lock()
	i.feed.add(i.entry(kind, id, "", i.now()))
	i.tick()
	i.mu.Unlock()
	i.Settle()
}

const (
	heartbeat = 10 * time.Second
	longest   = 25 * time.Second // wait of a poll
	retry     = 100              // milliseconds after which a follower comes back
)

func (i *Issuer) revocations(w http.ResponseWriter, r *http.Request) {
	if key := bearer(r); key != i.key && key != i.verify {
		writeRefusal(w, refuse(latchkey.CodeUnauthenticated, "A key with the scope verify is wanted."))
		return
	}
	cursor := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		cursor = last
	}
	seq, snapshot := i.feed.place(cursor)
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		i.stream(w, r.Context(), seq, snapshot)
		return
	}
	wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil {
		wait = 0
	}
	write(w, http.StatusOK, "application/json", i.poll(r.Context(), seq, snapshot, min(wait, longest)))
}

func (i *Issuer) poll(ctx context.Context, seq int, snapshot bool, wait time.Duration) latchkey.RevocationList {
	entries, changed := i.feed.behind(seq)
	if len(entries) == 0 && !snapshot && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		entries, _ = i.feed.behind(seq)
	}
	if entries == nil {
		entries = []latchkey.Revocation{}
	}
	return latchkey.RevocationList{Snapshot: snapshot, Entries: entries, Cursor: i.feed.cursor(seq + len(entries)), ServerTime: i.Now().UTC()}
}

// stream sends what is behind a place, and then what comes, until the follower is gone.
func (i *Issuer) stream(w http.ResponseWriter, ctx context.Context, seq int, snapshot bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	fmt.Fprintf(w, "retry: %d\n\n", retry)
	if snapshot {
		i.event(w, "snapshot", "", map[string]time.Time{"serverTime": i.Now().UTC()})
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for first := true; ; first = false {
		entries, changed := i.feed.behind(seq)
		for _, e := range entries {
			seq++
			i.event(w, "revocation", i.feed.cursor(seq), e)
		}
		if first || len(entries) == 0 {
			i.event(w, "live", i.feed.cursor(seq), map[string]time.Time{"serverTime": i.Now().UTC()})
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}

// event writes one event. A follower that is gone is noticed at the flush.
func (i *Issuer) event(w http.ResponseWriter, name, id string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		i.t.Errorf("latchkeytest: writing an event: %v", err)
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	fmt.Fprintf(w, "event: %s\n%sdata: %s\n\n", name, id, b)
}
