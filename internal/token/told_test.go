package token

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/document"
)

// What fails for everybody is told once a minute, and takes a bounded amount of memory.
func TestTold(t *testing.T) {
	t.Parallel()
	var s told
	now := time.UnixMilli(1_700_000_000_000)
	at := place{kind: document.User, version: 1, path: "/claims/a"}
	other := at
	other.version = 2
	for i, c := range []struct {
		at   place
		wait time.Duration
		due  bool
	}{{at, 0, true}, {at, 0, false}, {other, 0, true}, {at, quiet - 1, false}, {at, 1, true}, {other, 0, true}, {at, -time.Hour, true}, {at, time.Second, false}} {
		now = now.Add(c.wait)
		if got := s.due(c.at, now); got != c.due {
			t.Errorf("%d: %v", i, got)
		}
	}
	s.forget(at)
	if !s.due(at, now) {
		t.Error("what couldn't be written isn't due again")
	}
	for i := range 3 * maxTold {
		s.due(place{path: fmt.Sprint(i)}, now)
	}
	if len(s.m) != maxTold {
		t.Errorf("%d places are remembered", len(s.m))
	}
	if s.due(place{path: "new"}, now) {
		t.Error("beyond the bound")
	}
	if !s.due(place{path: "new"}, now.Add(quiet)) || len(s.m) != 1 {
		t.Errorf("after a while %d places are remembered", len(s.m))
	}
}
