package memory_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		s := memory.Open(now)
		t.Cleanup(func() { s.Close() })
		return s
	})
}

// What was acknowledged lasts as long as the process: "opening it again" gives the same
// store. That proves the test as much as the store, for where the reference fails, the
// test expects too much.
func TestDurable(t *testing.T) {
	stores := map[string]*memory.Store{}
	storetest.RunDurable(t, func(t *testing.T, dir string, now func() time.Time) storetest.Store {
		if stores[dir] == nil {
			stores[dir] = memory.Open(now)
		}
		return stores[dir]
	})
}

// TestAgree lets the reference play against itself: what differs there would be the
// comparison's own doing.
func TestAgree(t *testing.T) {
	clock := storetest.NewClock()
	a, b := memory.Open(clock.Now), memory.Open(clock.Now)
	data := make([]byte, 0, 3000)
	for i := range cap(data) {
		data = append(data, byte(i*i>>3+i*7))
	}
	for n := range 40 {
		storetest.Agree(t, data[n*70:][:200], clock, a, b)
	}
}
