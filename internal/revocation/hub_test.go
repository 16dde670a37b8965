package revocation_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

func TestWhereAReaderGoesOn(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		for range 5 {
			w.revoke()
		}
		entries, err := w.store.Revocations().After(t.Context(), 0, 9)
		w.must(err)
		third := entries[2].Cursor()
		for name, c := range map[string]struct {
			cursor   revocation.Cursor
			given    bool
			snapshot bool
			want     []int64
		}{
			"without a cursor":            {revocation.Cursor{}, false, true, []int64{1, 2, 3, 4, 5}},
			"from the beginning":          {revocation.Cursor{}, true, false, []int64{1, 2, 3, 4, 5}},
			"from the third":              {third, true, false, []int64{4, 5}},
			"from the last":               {entries[4].Cursor(), true, false, nil},
			"with another tag":            {revocation.Cursor{Seq: 3, Tag: third.Tag + 1}, true, true, []int64{1, 2, 3, 4, 5}},
			"from the future":             {revocation.Cursor{Seq: 99, Tag: third.Tag}, true, true, []int64{1, 2, 3, 4, 5}},
			"the last, with another tag":  {revocation.Cursor{Seq: 5, Tag: entries[4].Tag + 1}, true, true, []int64{1, 2, 3, 4, 5}},
			"the beginning, with another": {revocation.Cursor{Tag: 7}, true, true, []int64{1, 2, 3, 4, 5}},
		} {
			s := w.subscribe(c.cursor, c.given)
			if s.Snapshot != c.snapshot {
				t.Errorf("%s: snapshot %v, want %v", name, s.Snapshot, c.snapshot)
			}
			if got, _ := w.rest(s, 2); !slices.Equal(got, c.want) {
				t.Errorf("%s: entries %v, want %v", name, got, c.want)
			}
			s.Close()
			s.Close()
		}
		if n := w.hub.Subscribers(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	})
}

func TestAReaderIsWoken(t *testing.T) {
	for name, c := range map[string]struct {
		deaf  bool
		least time.Duration
		most  time.Duration
	}{
		"by a commit of this process":    {false, 0, 0},
		"by a commit of another process": {true, 0, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				w := newWorld(t, c.deaf)
				s := w.subscribe(revocation.Cursor{}, false)
				defer s.Close()
				for seq := int64(1); seq < 20; seq++ {
					wait := w.gets(s)
					time.Sleep(time.Duration(seq) * 7 * time.Millisecond) // the bubble's clock, at any point between two polls
					start := time.Now()
					w.revoke()
					<-wait
					if took := time.Since(start); took > c.most {
						t.Fatalf("woken after %v, want at most %v", took, c.most)
					}
					w.gets(s, seq)
				}
			})
		})
	}
}

// Whoever asks after a change was acknowledged is told of it, whoever has made it.
func TestWhatWasCommittedBeforeIsThere(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, true)
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		for seq := int64(1); seq < 5; seq++ {
			w.revoke()
			other := w.subscribe(s.Cursor(), true)
			w.gets(other, seq)
			w.gets(s, seq)
			other.Close()
		}
	})
}

func TestProjectsAreApart(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		p, u := w.project()
		mine := w.subscribe(revocation.Cursor{}, false)
		theirs, err := w.hub.Subscribe(t.Context(), p, revocation.Cursor{}, false)
		w.must(err)
		defer mine.Close()
		defer theirs.Close()
		w.revoke()
		w.revokeOf(p, u)
		w.revoke()
		synctest.Wait()
		w.gets(mine, 1, 3)
		w.gets(theirs, 2)
		// A cursor of one isn't known to the other.
		s, err := w.hub.Subscribe(t.Context(), p, mine.Cursor(), true)
		w.must(err)
		defer s.Close()
		if !s.Snapshot {
			t.Error("the cursor of another project is known")
		}
		nobody, err := w.hub.Subscribe(t.Context(), id.NewProject(time.Now()), revocation.Cursor{}, false)
		w.must(err)
		defer nobody.Close()
		w.gets(nobody)
	})
}

func TestNobodyReadsNothing(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		w.revoke()
		time.Sleep(time.Hour)
		synctest.Wait() // the hub wakes at the same instant
		if n := w.spy.reads.Load(); n != 0 {
			t.Errorf("the store was read %d times for nobody", n)
		}
		s := w.subscribe(revocation.Cursor{}, false)
		w.gets(s, 1)
		cursor := s.Cursor()
		s.Close()
		w.spy.reads.Store(0)
		w.revoke()
		time.Sleep(59 * time.Second)
		synctest.Wait() // the hub wakes at the same instant
		if n := w.spy.reads.Load(); n != 0 {
			t.Errorf("the store was read %d times for nobody", n)
		}
		// The project is in memory still, and catches up.
		s = w.subscribe(cursor, true)
		w.gets(s, 2)
		if n := w.spy.reads.Load(); n != 1 {
			t.Errorf("the store was read %d times, want once", n)
		}
		s.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait() // the hub wakes at the same instant
		w.revoke()
		// Not any more; the cursor is good all the same.
		s = w.subscribe(cursor, true)
		defer s.Close()
		if s.Snapshot {
			t.Error("a cursor of before isn't known")
		}
		w.gets(s, 2, 3)
	})
}

// A cursor whose entry was swept goes on as long as memory knows it, and is never
// answered with the same snapshot again and again.
func TestCursorsOfWhatIsOver(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		w.revoke()
		s := w.subscribe(revocation.Cursor{}, false)
		w.gets(s, 1)
		cursor := s.Cursor()
		time.Sleep(time.Hour)
		if n, err := w.store.Revocations().Sweep(t.Context(), time.Now(), 9); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		again := w.subscribe(cursor, true)
		if again.Snapshot {
			t.Error("the last cursor isn't known")
		}
		w.gets(again)
		again.Close()
		s.Close()
		time.Sleep(time.Hour)
		for i, snapshot := range []bool{true, false, false} {
			s := w.subscribe(cursor, true)
			w.gets(s)
			if s.Snapshot != snapshot {
				t.Errorf("time %d: snapshot %v", i, s.Snapshot)
			}
			cursor = s.Cursor()
			s.Close()
		}
	})
}

func TestWhatIsOverLeavesMemory(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		for range 3 {
			w.revoke()
		}
		time.Sleep(10 * time.Minute)
		w.revoke()
		// The store has them all still: nothing was swept.
		time.Sleep(revocation.Leeway + time.Second)
		other := w.subscribe(revocation.Cursor{}, false)
		defer other.Close()
		w.gets(other, 4)
		w.gets(s, 4) // it was slow, and has missed nothing that matters
	})
}

// More entries than memory keeps: readers who are behind get the rest from the store.
func TestMoreThanMemoryKeeps(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false, func(c *revocation.HubConfig) { c.Keep = 4 })
		slow := w.subscribe(revocation.Cursor{}, false)
		defer slow.Close()
		var all []int64
		for seq := int64(1); seq <= 20; seq++ {
			w.revoke()
			synctest.Wait()
			all = append(all, seq)
		}
		w.gets(slow, all...)
		entries, err := w.store.Revocations().After(t.Context(), 0, 99)
		w.must(err)
		for _, i := range []int{0, 7, 14, 15, 16, 19} {
			s := w.subscribe(entries[i].Cursor(), true)
			if s.Snapshot {
				t.Errorf("the cursor of entry %d isn't known", i+1)
			}
			w.gets(s, all[i+1:]...)
			s.Close()
			s = w.subscribe(revocation.Cursor{Seq: entries[i].Seq, Tag: entries[i].Tag ^ 1}, true)
			if !s.Snapshot {
				t.Errorf("the cursor of entry %d is known with another tag", i+1)
			}
			w.gets(s, all...)
			s.Close()
		}
		// All of it was swept while a reader was on the way.
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		_, _, err = s.Next(t.Context(), 2)
		w.must(err)
		time.Sleep(10*time.Minute + revocation.Leeway + time.Minute)
		if n, err := w.store.Revocations().Sweep(t.Context(), time.Now(), 99); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		w.gets(s)
		if s.Cursor() != entries[19].Cursor() {
			t.Errorf("the place is %v, want the end", s.Cursor())
		}
	})
}

// What is committed while a project is being loaded is neither lost nor told twice.
func TestCommitsDuringTheLoading(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		w.revoke()
		p, _ := w.project()
		other, err := w.hub.Subscribe(t.Context(), p, revocation.Cursor{}, false) // so that polls go on
		w.must(err)
		defer other.Close()
		wait := func() {
			w.revoke()
			synctest.Wait() // polled
		}
		w.spy.before.Store(&wait)
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		w.spy.before.Store(nil)
		w.gets(s, 1, 2)
		w.revoke()
		synctest.Wait()
		w.gets(s, 3)
	})
}

// Attack 41: a clock that is ahead for a while makes nothing be forgotten that still
// matters when it is right again.
func TestAttack41ClockAheadForAWhile(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		var ahead atomic.Int64
		w := newWorld(t, false, func(c *revocation.HubConfig) {
			c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		})
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		time.Sleep(2 * time.Second)
		w.revoke()
		ahead.Store(int64(time.Hour))
		time.Sleep(2 * time.Minute)
		ahead.Store(0)
		time.Sleep(2 * time.Second)
		other := w.subscribe(revocation.Cursor{}, false)
		defer other.Close()
		w.gets(other, 1)
		// A step that stays is followed, too, if slowly.
		ahead.Store(int64(10 * time.Minute))
		time.Sleep(revocation.Leeway + 9*time.Minute)
		last := w.subscribe(revocation.Cursor{}, false)
		defer last.Close()
		w.gets(last)
	})
}
