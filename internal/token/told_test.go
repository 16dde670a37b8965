package token

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
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
		s.due(place{project: id.Project{byte(i), byte(i >> 8)}, path: fmt.Sprint(i)}, now)
	}
	if len(s.m) != maxTold {
		t.Errorf("%d places are remembered", len(s.m))
	}
	if s.due(place{path: "new"}, now) {
		t.Error("beyond the bound")
	}
	if !s.due(place{path: "new"}, now.Add(quiet)) || len(s.m) != 1 || len(s.of) != 1 {
		t.Errorf("after a while %d places of %d projects are remembered", len(s.m), len(s.of))
	}
}

// Attack 37: one project, in which very much fails, isn't the reason that nothing is told of
// the others.
func TestAttack37OneProjectMutesOthers(t *testing.T) {
	t.Parallel()
	var s told
	now := time.UnixMilli(1_700_000_000_000)
	loud, quietOne := id.NewProject(now), id.NewProject(now)
	told := 0
	for i := range 2 * maxTold {
		if s.due(place{project: loud, path: fmt.Sprint(i)}, now) {
			told++
		}
	}
	if told != maxToldOfOne {
		t.Errorf("%d were told of one project", told)
	}
	if !s.due(place{project: quietOne, path: "/denied"}, now) {
		t.Error("nothing is told of another project")
	}
	s.forget(place{project: loud, path: "0"})
	s.forget(place{project: loud, path: "0"})
	if !s.due(place{project: loud, path: "new"}, now) || s.due(place{project: loud, path: "newer"}, now) {
		t.Error("what was forgotten makes room, once")
	}
}
