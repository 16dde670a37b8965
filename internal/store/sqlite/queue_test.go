package sqlite

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// busy is a store whose leader is held up, so that calls pile up behind it.
type busy struct {
	*Store
	release chan struct{}
	all     sync.WaitGroup
	commits []int // calls in each transaction

	mu  sync.Mutex
	ran []string
}

// hold runs in a synctest bubble.
func hold(t *testing.T, o Options) *busy {
	t.Helper()
	b := &busy{release: make(chan struct{})}
	o.OnCommit = func(calls int, d time.Duration) { b.commits = append(b.commits, calls) }
	b.Store, _ = fresh(t, o)
	if err := b.queue.conn.Run("CREATE TABLE notes (text TEXT UNIQUE)"); err != nil {
		t.Fatal(err)
	}
	b.all.Go(func() {
		if err := b.write(context.Background(), func(*transaction) error { <-b.release; return nil }); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return b
}

// call makes a call that is to wait; done gets its result.
func (b *busy) call(ctx context.Context, name string, run func(*transaction) error) (done *error) {
	done = new(error)
	b.all.Go(func() {
		*done = b.write(ctx, func(tx *transaction) error {
			b.mu.Lock()
			b.ran = append(b.ran, name)
			b.mu.Unlock()
			return run(tx)
		})
	})
	synctest.Wait()
	return done
}

// note is a call that writes.
func note(text string) func(*transaction) error {
	return func(tx *transaction) error { return tx.Query("INSERT INTO notes VALUES (?)").Text(text).Exec() }
}

func (b *busy) notes(t *testing.T) []string {
	t.Helper()
	var all []string
	err := b.read(t.Context(), func(c *engine.Conn) error {
		q := c.Query("SELECT text FROM notes ORDER BY rowid")
		for q.Next() {
			all = append(all, q.ReadText())
		}
		return q.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (b *busy) finish() {
	close(b.release)
	b.all.Wait()
}

func equal[T comparable](t *testing.T, what string, want, got []T) {
	t.Helper()
	if !slices.Equal(want, got) {
		t.Errorf("%s: want %v, got %v", what, want, got)
	}
}

func TestCallsThatWaitShareATransactionInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		max     int
		commits []int
	}{"all": {0, []int{1, 5}}, "two": {2, []int{1, 2, 2, 1}}, "one": {1, []int{1, 1, 1, 1, 1, 1}}} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				b := hold(t, Options{MaxBatch: c.max})
				order := []string{"a", "b", "c", "d", "e"}
				var done []*error
				for _, text := range order {
					done = append(done, b.call(t.Context(), text, note(text)))
				}
				b.finish()
				for _, err := range done {
					if *err != nil {
						t.Error(*err)
					}
				}
				equal(t, "order of calls", order, b.ran)
				equal(t, "what is stored", order, b.notes(t))
				equal(t, "calls in each transaction", c.commits, b.commits)
			})
		})
	}
}

func TestACallThatWaitsCanBeCancelled(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		b := hold(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		first := b.call(ctx, "first", note("first")) // the next leader
		second := b.call(ctx, "second", note("second"))
		third := b.call(t.Context(), "third", note("third"))
		cancel()
		synctest.Wait()
		for _, err := range []error{*first, *second} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
		}
		b.finish()
		if *third != nil {
			t.Error(*third)
		}
		equal(t, "calls", []string{"third"}, b.ran)
		if err := b.write(ctx, note("late")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		equal(t, "what is stored", []string{"third"}, b.notes(t))
	})
}

func TestACallThatWasTakenUpTellsItsResult(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		b := hold(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		leader := b.call(t.Context(), "leader", func(tx *transaction) error {
			cancel()
			synctest.Wait() // the other call has seen it
			return note("leader")(tx)
		})
		follower := b.call(ctx, "follower", note("follower"))
		b.finish()
		if *leader != nil || *follower != nil {
			t.Errorf("errors %v and %v, want none", *leader, *follower)
		}
		equal(t, "what is stored", []string{"leader", "follower"}, b.notes(t))
	})
}

func TestWhoIsToldToLeadDoesSo(t *testing.T) {
	q := &queue{}
	c := &call{told: true}
	q.waiting = []*call{c}
	if q.leave(c) {
		t.Error("the next leader left, and nobody would lead")
	}
	c.told = false
	if !q.leave(c) || len(q.waiting) != 0 {
		t.Error("a call that waits couldn't leave")
	}
	if q.leave(c) {
		t.Error("a call that was taken up left")
	}
}

func TestAFailureFailsItsCallAlone(t *testing.T) {
	conflict := fault.New(fault.Conflict, "no")
	for name, c := range map[string]struct {
		run   func(*transaction) error
		kind  fault.Kind
		times int // how often the others run
	}{
		"a plain refusal": {func(*transaction) error { return conflict }, fault.Conflict, 1},
		"ErrVersion":      {func(*transaction) error { return session.ErrVersion }, fault.Internal, 1},
		"a constraint":    {note("before"), fault.Internal, 2},
		"broken SQL":      {func(tx *transaction) error { return tx.Query("SELECT secret FROM nowhere").Exec() }, fault.Internal, 2},
		"a refusal after a write": {func(tx *transaction) error {
			if err := note("half")(tx); err != nil {
				return err
			}
			return conflict
		}, fault.Conflict, 2},
		"a panic after a write": {func(tx *transaction) error {
			if err := note("half")(tx); err != nil {
				return err
			}
			panic("bug")
		}, fault.Internal, 2},
		"a panic in a query": {func(tx *transaction) error {
			tx.Query("SELECT 1 UNION SELECT 2").Next()
			panic("bug")
		}, fault.Internal, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				b := hold(t, Options{})
				before := b.call(t.Context(), "before", note("before"))
				bad := b.call(t.Context(), "bad", c.run)
				after := b.call(t.Context(), "after", note("after"))
				b.finish()
				if *before != nil || *after != nil {
					t.Errorf("the others failed with %v and %v", *before, *after)
				}
				if *bad == nil || fault.KindOf(*bad) != c.kind {
					t.Errorf("error %v, want one of the kind %v", *bad, c.kind)
				}
				var refused *fault.Error
				if errors.As(*bad, &refused) && strings.Contains(refused.Detail, "no") && *bad != error(conflict) {
					t.Errorf("%q isn't for callers", refused.Detail)
				}
				equal(t, "what is stored", []string{"before", "after"}, b.notes(t))
				times := 0
				for _, name := range b.ran {
					if name == "before" {
						times++
					}
				}
				if times != c.times {
					t.Errorf("the first call ran %d times, want %d", times, c.times)
				}
				if err := b.write(t.Context(), note("next")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestCloseWaitsForThoseBefore(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		b := hold(t, Options{})
		before := b.call(t.Context(), "before", note("before"))
		closed := make(chan error, 1)
		b.all.Go(func() { closed <- b.Close() })
		synctest.Wait()
		if len(closed) != 0 {
			t.Error("closed while calls were under way")
		}
		late := b.call(t.Context(), "late", note("late"))
		b.finish()
		if err := errors.Join(*before, <-closed, b.Close()); err != nil {
			t.Error(err)
		}
		if fault.KindOf(*late) != fault.Unavailable {
			t.Errorf("error %v after Close, want unavailable", *late)
		}
		if err := b.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error %v after Close, want unavailable", err)
		}
		equal(t, "calls", []string{"before"}, b.ran)
	})
}

// unavailable fails unless err tells to come again in a second.
func unavailable(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter != time.Second {
		t.Fatalf("error %v, want unavailable with a time to come again", err)
	}
	if errors.Unwrap(err) == nil || strings.Contains(strings.ToLower(f.Detail), "sqlite") {
		t.Errorf("%q with cause %v: the cause belongs in the log, and only there", f.Detail, errors.Unwrap(err))
	}
}

func TestALockedFileIsUnavailable(t *testing.T) {
	s, path := fresh(t, Options{})
	other, err := engine.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := errors.Join(s.queue.conn.Run("PRAGMA busy_timeout = 10"), other.Run("BEGIN IMMEDIATE")); err != nil {
		t.Fatal(err)
	}
	unavailable(t, s.Projects().Insert(t.Context(), project(), audit.Event{}))
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("reads wait for writers: %v", err)
	}
	if err := other.Run("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Projects().Insert(t.Context(), project(), audit.Event{}); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskIsUnavailable(t *testing.T) {
	s, _ := fresh(t, Options{})
	if err := s.queue.conn.Run("PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	p := project()
	p.SealedMAC = make([]byte, 1<<20)
	unavailable(t, s.Projects().Insert(t.Context(), p, audit.Event{}))
	if err := s.queue.conn.Run("PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Projects().Insert(t.Context(), p, audit.Event{}); err != nil {
		t.Error(err)
	}
}
