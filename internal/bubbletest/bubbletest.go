// Package bubbletest runs tests in bubbles of testing/synctest, where time is fake. Tests
// call it instead of synctest.Test; it has nothing else of that package's. Its count of
// open bubbles is the state of a process of tests, which have one number of processors.
package bubbletest

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Run is synctest.Test. Under the race detector there is one processor while bubbles are
// open. All timers of a bubble share one context of the detector, and two processors that
// are in it at once end the process with a segmentation fault or a failed check of
// ThreadSanitizer's (golang/go#78156, seen with Go 1.26). The detector finds as much: it
// goes by what happens before what, not by what happens at once.
func Run(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if race {
		open.enter()
		defer open.leave()
	}
	synctest.Test(t, f)
}

// open is how many bubbles are open in this process: tests run beside each other.
var open processors

type processors struct {
	mu      sync.Mutex
	bubbles int
	before  int // processors there were before the first
}

func (p *processors) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bubbles++; p.bubbles == 1 {
		p.before = runtime.GOMAXPROCS(1)
	}
}

func (p *processors) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bubbles--; p.bubbles == 0 {
		runtime.GOMAXPROCS(p.before)
	}
}
