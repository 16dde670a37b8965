package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// victim is the variable that makes the test binary a process to be killed: it has the
// path of the database to write to.
const victim = "LATCHKEY_TEST_VICTIM"

func TestMain(m *testing.M) {
	for variable, run := range map[string]func(string) error{victim: suffer, measured: useMuch} {
		if path := os.Getenv(variable); path != "" {
			if err := run(path); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// suffer refreshes and ends sessions for as long as it lives, and tells of each change
// once the store has acknowledged it.
func suffer(path string) error {
	clock := newTick()
	s, err := Open(context.Background(), path, Options{Now: clock.Now})
	if err != nil {
		return err
	}
	projects, err := s.Projects().List(context.Background(), id.Project{}, 1)
	if err != nil {
		return err
	}
	rows, _, _, err := s.Bulk().List(context.Background(), session.Filter{Project: projects[0].ID, Status: session.Active, Limit: 10_000})
	if err != nil {
		return err
	}
	for _, row := range rows { // goes on where the process before was killed
		clock.ms.Store(max(clock.ms.Load(), row.RotatedAt.UnixMilli()))
	}
	var told sync.Mutex
	failed := make(chan error)
	for mine := range slices.Chunk(rows, len(rows)/16+1) {
		go func() { failed <- work(s, mine, &told) }()
	}
	return <-failed
}

// work changes sessions that nobody else changes, over and over.
func work(s *Store, rows []session.Row, told *sync.Mutex) error {
	for at := 0; ; at = (at + 1) % len(rows) {
		row := &rows[at]
		if !row.EndedAt.IsZero() {
			continue
		}
		word := "rotated"
		if rand.IntN(200) == 0 {
			word, row.EndedAt = "ended", epoch
			if _, err := s.Sessions().End(context.Background(), row.Project, row.ID, session.Ending{Reason: session.Logout}); err != nil {
				return err
			}
		} else {
			after, v, err := s.Sessions().Rotate(context.Background(), refresh(*row, 1, unlimited()))
			if err != nil || v.Rule != session.Rotate {
				return fmt.Errorf("decided as %v: %w", v.Rule, err)
			}
			*row = after
		}
		told.Lock()
		_, err := fmt.Println(word, row.ID, row.Newest)
		told.Unlock()
		if err != nil {
			return err
		}
	}
}

// acknowledged is the last that a process told of a session.
type acknowledged struct {
	newest id.Refresh
	ended  bool
}

// TestKilledProcess kills a server again and again and looks for what it had
// acknowledged.
func TestKilledProcess(t *testing.T) {
	rounds, changes := 5, 1000 // more than between two checkpoints
	if long() {
		rounds, changes = 200, 2000
	}
	s, path := fresh(t, Options{})
	p, rows := populate(t, s, 200+20*rounds) // since some end in each round
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	known := map[id.Session]acknowledged{}
	for _, row := range rows {
		known[row.ID] = acknowledged{newest: row.Newest}
	}
	for round := range rounds {
		changes := murder(t, path, 1+rand.IntN(changes), known)
		start := time.Now()
		after := open(t, path, Options{})
		took := time.Since(start)
		t.Logf("round %d: killed after %d acknowledged changes, opened in %v", round, changes, took)
		if took > time.Second {
			t.Errorf("opening took %v", took)
		}
		verify(t, after, p.ID, known)
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// murder starts a process, kills it after some changes, and notes what it told.
func murder(t *testing.T, path string, after int, known map[id.Session]acknowledged) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), self)
	process.Env = append(os.Environ(), victim+"="+path)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	changes := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word := strings.Fields(lines.Text())
		if len(word) != 3 {
			break // cut off by the kill
		}
		sid, err := id.ParseSession(word[1])
		if err != nil {
			t.Fatal(err)
		}
		newest, err := id.ParseRefresh(word[2])
		if err != nil {
			t.Fatal(err)
		}
		known[sid] = acknowledged{newest, word[0] == "ended"}
		if changes++; changes == after {
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := process.Wait(); err == nil || changes < after {
		t.Fatalf("the process ended by itself after %d changes: %v", changes, err)
	}
	return changes
}

// verify fails unless the store holds all that was acknowledged. One more change of
// each session may have been made without its answer.
func verify(t *testing.T, s *Store, p id.Project, known map[id.Session]acknowledged) {
	t.Helper()
	for sid, last := range known {
		row, _, err := s.Sessions().Find(t.Context(), p, sid)
		if err != nil {
			t.Fatal(err)
		}
		if last.ended && row.EndedAt.IsZero() {
			t.Fatalf("session %v was ended and lives again", sid)
		}
		if row.Newest != last.newest && row.Parent != last.newest {
			t.Fatalf("session %v has newest token %v of %v, and %v was acknowledged", sid, row.Newest, row.Parent, last.newest)
		}
		known[sid] = acknowledged{row.Newest, !row.EndedAt.IsZero()}
	}
}

// TestImagesOfARunningStore copies the files while others write, as a crash would leave
// them: with the changes of a transaction that is never committed.
func TestImagesOfARunningStore(t *testing.T) {
	clock := newTick()
	s, path := fresh(t, Options{Now: clock.Now})
	p, rows := populate(t, s, 320)
	known := map[id.Session]acknowledged{}
	var mu sync.Mutex
	for _, row := range rows {
		known[row.ID] = acknowledged{newest: row.Newest}
	}
	var over atomic.Bool
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for at := i; !over.Load(); at = (at + 16) % len(rows) {
				after, v, err := s.Sessions().Rotate(context.Background(), refresh(rows[at], 1, unlimited()))
				if err != nil || v.Rule != session.Rotate {
					t.Errorf("decided as %v: %v", v.Rule, err)
					return
				}
				rows[at] = after
				mu.Lock()
				known[after.ID] = acknowledged{newest: after.Newest}
				mu.Unlock()
			}
		})
	}
	for range 4 {
		image := filepath.Join(t.TempDir(), "image.db")
		var then map[id.Session]acknowledged
		err := s.write(t.Context(), func(tx *transaction) error {
			mu.Lock()
			then = maps.Clone(known)
			mu.Unlock()
			// 16 MB, twice the cache: they spill into the log before any commit.
			if err := tx.Query("UPDATE sessions SET newest = zeroblob(12), trace = zeroblob(50000)").Exec(); err != nil {
				return err
			}
			copyFile(t, path, image)
			copyFile(t, path+"-wal", image+"-wal")
			return fault.New(fault.Conflict, "undone")
		})
		if fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		verify(t, open(t, image, Options{}), p.ID, then)
	}
	over.Store(true)
	all.Wait()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Error(err)
		return
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Error(err)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
}

// TestTwoStoresOfOneFile lets two stores write at once, as a server and its command
// line do.
func TestTwoStoresOfOneFile(t *testing.T) {
	clock := newTick()
	a, path := fresh(t, Options{Now: clock.Now})
	b := open(t, path, Options{Now: clock.Now})
	p, rows := populate(t, a, 64)
	var all sync.WaitGroup
	for i := range rows {
		all.Go(func() {
			row := rows[i]
			for n := range 20 {
				s, other := a, b
				if (i+n)%2 == 0 {
					s, other = b, a
				}
				after, v, err := s.Sessions().Rotate(context.Background(), refresh(row, 1, unlimited()))
				if err != nil || v.Rule != session.Rotate {
					t.Errorf("decided as %v: %v", v.Rule, err)
					return
				}
				seen, _, err := other.Sessions().Find(context.Background(), p.ID, row.ID)
				if err != nil || seen.State != after.State {
					t.Errorf("the other store doesn't see what was acknowledged: %v", err)
					return
				}
				row = after
			}
		})
	}
	all.Wait()
}

// TestOneSessionManyCallers is the heart: one rotation in a window, one token for all.
func TestOneSessionManyCallers(t *testing.T) {
	var ms atomic.Int64
	ms.Store(epoch.Add(time.Hour).UnixMilli())
	commits := 0
	s, _ := fresh(t, Options{
		Now:      func() time.Time { return time.UnixMilli(ms.Load()) },
		OnCommit: func(int, time.Duration) { commits++ },
	})
	_, rows := populate(t, s, 1)
	row, before := rows[0], commits
	const callers, windows = 64, 20
	for range windows {
		ms.Add(20_000)
		made := make(chan session.Verdict, callers)
		newest := make(chan id.Refresh, callers)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				after, v, err := s.Sessions().Rotate(context.Background(), refresh(row, 1, unlimited()))
				if err != nil {
					t.Error(err)
				}
				made <- v
				newest <- after.Newest
			})
		}
		all.Wait()
		rotations := 0
		next := <-newest
		for range callers {
			if v := <-made; v.Rule == session.Rotate {
				rotations++
			} else if v.Rule != session.Replay {
				t.Fatalf("decided as %v", v.Rule)
			}
		}
		for range callers - 1 {
			if other := <-newest; other != next {
				t.Fatalf("two tokens: %v and %v", next, other)
			}
		}
		if rotations != 1 {
			t.Fatalf("%d rotations in one window", rotations)
		}
		row.Parent, row.Newest = row.Newest, next
	}
	if n := commits - before; n > callers*windows {
		t.Errorf("%d transactions for %d calls", n, callers*windows)
	}
}
