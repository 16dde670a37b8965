package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// measured is the variable that makes the test binary a process whose memory is
// measured: it has the path of the database to use.
const measured = "LATCHKEY_TEST_MEASURED"

// useMuch reads, refreshes and counts sessions all over the table and prints how much
// memory the process has then.
func useMuch(path string) error {
	ctx := context.Background()
	clock := newTick()
	s, err := Open(ctx, path, Options{Now: clock.Now})
	if err != nil {
		return err
	}
	defer s.Close()
	projects, err := s.Projects().List(ctx, id.Project{}, 1)
	if err != nil {
		return err
	}
	everything := session.Filter{Project: projects[0].ID, Limit: 1}
	n, err := s.Bulk().Count(ctx, everything)
	if err != nil {
		return err
	}
	for range min(n/10, 20_000) {
		everything.After = id.NewSession(epoch.Add(time.Duration(1+rand.IntN(n)) * time.Millisecond))
		rows, _, _, err := s.Bulk().List(ctx, everything)
		if err != nil {
			return err
		}
		if _, _, err := s.Sessions().Rotate(ctx, refresh(rows[0], 1, unlimited())); err != nil {
			return err
		}
	}
	runtime.GC()
	fmt.Println(resident())
	return nil
}

// resident returns the bytes of memory that this process has, where the system tells;
// elsewhere what Go has asked it for.
func resident() int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if word := strings.Fields(line); word[0] == "VmRSS:" {
				kilobytes, _ := strconv.ParseInt(word[1], 10, 64)
				return kilobytes << 10
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// TestMemory compares two processes that use a small and a large store in the same way.
func TestMemory(t *testing.T) {
	n := 50_000
	if slow { // the detector's own memory hides a difference of any size
		n = 2_000
	}
	if long() {
		n = 1_000_000
	}
	const few = 1_000
	small, large := memoryWith(t, few), memoryWith(t, n)
	t.Logf("%d sessions: %d KiB; %d sessions: %d KiB", few, small>>10, n, large>>10)
	if large-small > 32<<20 {
		t.Errorf("%d sessions take %d KiB of memory more than %d", n, (large-small)>>10, few)
	}
}

func memoryWith(t *testing.T, n int) int64 {
	t.Helper()
	s, path := fresh(t, Options{})
	populate(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), self)
	process.Env = append(os.Environ(), measured+"="+path)
	process.Stderr = os.Stderr
	out, err := process.Output()
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
