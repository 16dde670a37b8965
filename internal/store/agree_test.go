package store_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// pair is the reference and a store to be compared with it, which have been through
// the same calls from the start.
type pair struct {
	clock *storetest.Clock
	a, b  storetest.Store
}

// pairs makes one pair after another.
type pairs struct {
	blank []byte // a database without anything in it but the schema
	dir   string
	pair
	left int // calls of agree until the next pair
}

// newPairs leaves nothing behind once the test is over.
func newPairs(t testing.TB) *pairs {
	t.Helper()
	p := &pairs{dir: inMemory(t)}
	path := filepath.Join(p.dir, "blank.db")
	if _, _, err := sqlite.Migrate(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.blank, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close(t) })
	return p
}

// inMemory returns a folder that is in memory where the system has one. Nobody asks
// here what a crash leaves, and waiting for a disk takes nine tenths of the time.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "latchkey")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *pairs) close(t testing.TB) {
	t.Helper()
	if p.a == nil {
		return
	}
	if err := p.a.Close(); err != nil {
		t.Error(err)
	}
	p.a = nil
}

// agree opens another pair every so often: what calls leave behind, such as their
// projects, makes later ones slower, and so does opening a pair for each.
func (p *pairs) agree(t testing.TB, data []byte) {
	t.Helper()
	if p.left == 0 {
		p.close(t)
		path := filepath.Join(p.dir, "agree.db")
		if err := os.WriteFile(path, p.blank, 0o600); err != nil {
			t.Fatal(err)
		}
		p.clock = storetest.NewClock()
		s, err := sqlite.Open(context.Background(), path, sqlite.Options{Now: p.clock.Now}) // for later tests, too
		if err != nil {
			t.Fatal(err)
		}
		p.a, p.b, p.left = s, memory.Open(p.clock.Now), 500
	}
	left := p.left - 1
	p.left = 0 // for a call that fails: its pair isn't equal any more
	storetest.Agree(t, data, p.clock, p.a, p.b)
	p.left = left
}

// TestAgree does the same random operations to the memory store and to SQLite.
// LATCHKEY_LONG makes it thorough.
func TestAgree(t *testing.T) {
	p := newPairs(t)
	runs := 200
	if os.Getenv("LATCHKEY_LONG") != "" {
		runs = 10_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range runs {
		data := make([]byte, random.IntN(400))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		p.agree(t, data)
	}
}

// FuzzAgree is TestAgree with operations that a fuzzer chooses.
func FuzzAgree(f *testing.F) {
	p := newPairs(f)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) { p.agree(t, data) })
}
