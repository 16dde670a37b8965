package store_test

import (
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

func newPair(t testing.TB) pair {
	t.Helper()
	p := pair{clock: storetest.NewClock()}
	p.b = memory.Open(p.clock.Now)
	path := filepath.Join(t.TempDir(), "agree.db")
	if _, _, err := sqlite.Migrate(t.Context(), path, func(string) {}); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: p.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p.a = s
	return p
}

// TestAgree does the same random operations to the memory store and to SQLite.
// LATCHKEY_LONG makes it thorough.
func TestAgree(t *testing.T) {
	p := newPair(t)
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
		storetest.Agree(t, data, p.clock, p.a, p.b)
	}
}

// FuzzAgree is TestAgree with operations that a fuzzer chooses. One pair of stores
// serves all executions of a process: opening a database for each would take most of
// the time.
func FuzzAgree(f *testing.F) {
	p := newPair(f)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) { storetest.Agree(t, data, p.clock, p.a, p.b) })
}
