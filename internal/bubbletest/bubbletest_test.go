package bubbletest

import (
	"runtime"
	"testing"
	"time"
)

// One processor in bubbles under the race detector, and all that there were afterwards,
// also for bubbles beside each other and for one that fails.
func TestRun(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	want := before
	if race {
		want = 1
	}
	t.Run("together", func(t *testing.T) {
		for range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for range 20 {
					Run(t, func(t *testing.T) {
						if n := runtime.GOMAXPROCS(0); n != want {
							t.Errorf("%d processors, want %d", n, want)
						}
						from := time.Now()
						time.Sleep(time.Hour) // of the bubble's
						if time.Since(from) != time.Hour {
							t.Error("time isn't fake")
						}
					})
				}
			})
		}
	})
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors afterwards, want %d", n, before)
	}
	var p processors
	func() {
		defer func() { _ = recover() }()
		p.enter()
		defer p.leave()
		panic("a test that fails")
	}()
	if n := runtime.GOMAXPROCS(0); n != before || p.bubbles != 0 {
		t.Errorf("%d processors and %d bubbles after a failure, want %d and none", n, p.bubbles, before)
	}
}
