package revocation

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Line is an entry as it is sent: encoded once, and shared by all who read it.
type Line struct {
	Cursor Cursor
	At     time.Time
	JSON   []byte // a latchkey.Revocation; not to be changed
	until  int64  // Unix milliseconds
}

func encode(e Entry) (Line, error) {
	b, err := json.Marshal(latchkey.Revocation{
		Seq: e.Seq, Kind: string(e.Kind), ID: e.ID, Except: e.Except.String(), At: e.At.UTC(), Until: e.Until.UTC(),
	})
	return Line{Cursor: e.Cursor(), At: e.At, JSON: b, until: e.Until.UnixMilli()}, err
}

// tail is the end of one project's feed in memory, shared by all of its subscribers.
// What a subscriber was given is never written to again, so it needs no copy.
type tail struct {
	project id.Project
	keep    int           // lines at most
	done    chan struct{} // closed when it was loaded, or failed to be
	failed  error         // why it failed; read after done

	mu      sync.RWMutex
	loaded  bool
	pending []Entry // came while it was being loaded
	lines   []Line  // ascending; without some that are over
	floor   int64   // entries up to there that matter may be missing from lines
	end     Cursor  // of the last entry that came, whether it is still there or not
	ready   chan struct{}

	// These are guarded by Hub.mu.
	readers int
	left    time.Time // when the last reader left
}

func newTail(p id.Project, keep int) *tail {
	return &tail{project: p, keep: keep, done: make(chan struct{}), ready: make(chan struct{})}
}

// come adds entries, in their order, and wakes who waits. Those that it has already are
// passed: loading and polling overlap.
func (t *tail) come(entries ...Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.loaded {
		t.pending = append(t.pending, entries...)
		return nil
	}
	return t.add(entries)
}

func (t *tail) add(entries []Entry) error {
	came := false
	for _, e := range entries {
		if e.Seq <= t.end.Seq {
			continue
		}
		line, err := encode(e)
		if err != nil {
			return err
		}
		t.lines, t.end, came = append(t.lines, line), line.Cursor, true
	}
	if over := len(t.lines) - t.keep; over > 0 {
		t.floor = t.lines[over-1].Cursor.Seq
		t.lines = t.lines[over:]
	}
	if came && t.loaded {
		close(t.ready)
		t.ready = make(chan struct{})
	}
	return nil
}

// start ends the loading: what came meanwhile follows what was loaded.
func (t *tail) start() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loaded = true
	err := t.add(t.pending)
	t.pending = nil
	return err
}

// load adds what was read while it is loaded.
func (t *tail) load(entries []Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.add(entries)
}

// forget drops the lines that don't matter any more at now, once they are enough to be
// worth a new list: readers may hold parts of the one that there is.
func (t *tail) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	matters := 0
	for _, l := range t.lines {
		if l.until > now.UnixMilli() {
			matters++
		}
	}
	if over := len(t.lines) - matters; over == 0 || matters > 0 && over < 64 && over < matters/8 {
		return
	}
	lines := make([]Line, 0, matters)
	for _, l := range t.lines {
		if l.until > now.UnixMilli() {
			lines = append(lines, l)
		}
	}
	t.lines = lines
}

// bottom is the place from which memory goes on.
func (t *tail) bottom() Cursor {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return Cursor{Seq: t.floor}
}

// holds reports whether the cursor is one that was handed out, as far as memory tells.
// It is false, with ask set, for one that only the store can know.
func (t *tail) holds(c Cursor) (known, ask bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c == t.end || c == (Cursor{}) {
		return true, false
	}
	if i, found := t.search(c.Seq); found {
		return t.lines[i].Cursor == c, false
	}
	return false, c.Seq <= t.floor
}

// search returns where the line with this number is, or would be.
func (t *tail) search(seq int64) (int, bool) {
	return slices.BinarySearchFunc(t.lines, seq, func(l Line, seq int64) int { return cmp.Compare(l.Cursor.Seq, seq) })
}

// after returns at most limit lines behind a number and the place behind them. Without
// any, wait is closed as soon as there is one. below means that the store has to be asked.
func (t *tail) after(seq int64, limit int) (lines []Line, at Cursor, wait <-chan struct{}, below bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if seq < t.floor {
		return nil, Cursor{}, nil, true
	}
	i, found := t.search(seq)
	if found {
		i++
	}
	lines = t.lines[i:min(i+limit, len(t.lines)):min(i+limit, len(t.lines))]
	if len(lines) == 0 {
		return nil, t.end, t.ready, false
	}
	return lines, lines[len(lines)-1].Cursor, nil, false
}
