package sqlite

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

func TestCeiling(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	for _, c := range []struct {
		t    time.Time
		want int64
	}{
		{at, at.UnixMilli()},
		{at.Add(1), at.UnixMilli() + 1},
		{at.Add(-1), at.UnixMilli()},
		{at.Add(time.Millisecond), at.UnixMilli() + 1},
		{time.UnixMilli(-1).Add(-1), -1},
		{time.UnixMilli(-1), -1},
	} {
		if got := ceiling(c.t); got != c.want {
			t.Errorf("ceiling of %v is %d, want %d", c.t, got, c.want)
		}
	}
}

// selected runs a query of one row with one parameter, which comes back.
func selected(t testing.TB, c *engine.Conn, put func(*engine.Stmt), read func(*engine.Stmt)) error {
	t.Helper()
	q := c.Query("SELECT ?")
	put(q)
	if q.Next() {
		read(q)
	}
	return q.Close()
}

func TestDamagedValuesAreErrors(t *testing.T) {
	s, _ := fresh(t, Options{})
	var ids [16]byte
	var document struct{ A int }
	for name, c := range map[string]struct {
		put  func(*engine.Stmt)
		read func(*engine.Stmt)
	}{
		"list cut":     {func(q *engine.Stmt) { q.Blob([]byte{5, 'a'}) }, func(q *engine.Stmt) { readStrings(q) }},
		"list garbled": {func(q *engine.Stmt) { q.Blob(slices.Repeat([]byte{0xff}, 11)) }, func(q *engine.Stmt) { readStrings(q) }},
		"step-up cut":  {func(q *engine.Stmt) { q.Blob([]byte{5, 0x80}) }, func(q *engine.Stmt) { readStepUp(q, new(session.Profile)) }},
		"its methods":  {func(q *engine.Stmt) { q.Blob([]byte{2, 2, 5, 'a'}) }, func(q *engine.Stmt) { readStepUp(q, new(session.Profile)) }},
		"identifier":   {func(q *engine.Stmt) { q.Blob([]byte{1, 2}) }, func(q *engine.Stmt) { q.ReadInto(ids[:]) }},
		"JSON":         {func(q *engine.Stmt) { q.Text(`{"A":`) }, func(q *engine.Stmt) { readJSON(q, &document) }},
		"network":      {func(q *engine.Stmt) { q.Blob([]byte{1, 2, 3}) }, func(q *engine.Stmt) { readNetwork(q) }},
		"not JSON":     {func(q *engine.Stmt) { putJSON(q, func() {}) }, func(*engine.Stmt) {}},
	} {
		if err := selected(t, s.queue.conn, c.put, c.read); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzStrings(f *testing.F) {
	s, _ := fresh(f, Options{})
	f.Add([]byte("a\nbc\n\nd"))
	f.Add([]byte("\xff\x00\n"))
	f.Add(slices.Repeat([]byte("x"), 300))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list, got []string
		for part := range slices.Chunk(data, max(1, len(data)/3)) {
			list = append(list, string(part))
		}
		if err := selected(t, s.queue.conn, func(q *engine.Stmt) { putStrings(q, list) }, func(q *engine.Stmt) { got = readStrings(q) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(list, got) {
			t.Errorf("%q became %q", list, got)
		}
		// Any bytes are a list or an error, never a panic.
		selected(t, s.queue.conn, func(q *engine.Stmt) { q.Blob(data) }, func(q *engine.Stmt) { got = readStrings(q) })
	})
}
