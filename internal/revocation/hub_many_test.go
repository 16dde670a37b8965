package revocation_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// Attack 42: while the store fails nobody is told that nothing was revoked, and
// afterwards nothing is missing.
func TestAttack42StoreFails(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false)
		s := w.subscribe(revocation.Cursor{}, false)
		defer s.Close()
		wait := w.gets(s)
		if !w.hub.Fresh() {
			t.Error("not fresh while all is well")
		}
		w.spy.broken.Store(true)
		w.revoke()
		time.Sleep(time.Minute)
		if w.hub.Fresh() {
			t.Error("fresh although the store fails")
		}
		if _, err := w.hub.Subscribe(t.Context(), w.p, revocation.Cursor{}, false); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("subscribed: %v", err)
		}
		if other, err := w.hub.Subscribe(t.Context(), id.NewProject(time.Now()), revocation.Cursor{}, false); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("subscribed: %v, %v", other, err)
		}
		if n := strings.Count(w.log.take(), "can't be read"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		if n := w.spy.reads.Swap(0); n > 70 {
			t.Errorf("asked %d times in a minute", n)
		}
		w.spy.broken.Store(false)
		<-wait
		synctest.Wait() // what is handed out is handed out before it is reported
		w.gets(s, 1)
		if !w.hub.Fresh() || !strings.Contains(w.log.take(), "can be read again") {
			t.Error("not fresh again")
		}
		if n := w.hub.Subscribers(); n != 1 {
			t.Errorf("%d subscribers, want 1", n)
		}
	})
}

func TestTooManySubscribers(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false, func(c *revocation.HubConfig) { c.MaxSubscribers = 2 })
		a, b := w.subscribe(revocation.Cursor{}, false), w.subscribe(revocation.Cursor{}, false)
		defer b.Close()
		_, err := w.hub.Subscribe(t.Context(), w.p, revocation.Cursor{}, false)
		if fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("a third one: %v", err)
		}
		a.Close()
		w.subscribe(revocation.Cursor{}, false).Close()
	})
}

func TestSubscribingEndsWithTheRequest(t *testing.T) {
	w := newWorld(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.hub.Subscribe(ctx, w.p, revocation.Cursor{}, false); err == nil {
		t.Error("subscribed")
	}
	if n := w.hub.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

// Readers come, go and come back while others write: none misses an entry or gets one
// twice.
func TestNoGaps(t *testing.T) {
	const writers, each, readers = 8, 60, 24
	w := newWorld(t, true, func(c *revocation.HubConfig) { c.Keep = 50 })
	var writing, reading sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				w.revoke()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writing.Wait()
		close(done)
	}()
	for i := range readers {
		reading.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			var seen []int64
			var at revocation.Cursor
			for last := false; !last; {
				select {
				case <-done:
					last = true // all is committed, so this time sees the end
				default:
				}
				s, err := w.hub.Subscribe(t.Context(), w.p, at, len(seen) > 0)
				if err != nil {
					t.Error(err)
					return
				}
				if s.Snapshot != (len(seen) == 0) {
					t.Error("a snapshot in between")
				}
				got, _ := w.rest(s, 1+random.IntN(20))
				seen, at = append(seen, got...), s.Cursor()
				s.Close()
			}
			for i, seq := range seen {
				if seq != int64(i+1) {
					t.Errorf("entry %d came as number %d", seq, i+1)
					return
				}
			}
			if len(seen) != writers*each {
				t.Errorf("%d entries, want %d", len(seen), writers*each)
			}
		})
	}
	reading.Wait()
}

// Subscribers cost no goroutine and no copy of an entry.
func TestManySubscribers(t *testing.T) {
	const n = 10_000
	w := newWorld(t, false, func(c *revocation.HubConfig) { c.MaxSubscribers = 2 * n })
	for range 1000 {
		w.revoke()
	}
	first := w.subscribe(revocation.Cursor{}, false)
	defer first.Close()
	goroutines, before := runtime.NumGoroutine(), heap()
	all := make([]*revocation.Subscription, n-1)
	for i := range all {
		all[i] = w.subscribe(revocation.Cursor{}, false)
	}
	read := func(want int) {
		t.Helper()
		var line *byte
		for _, s := range all {
			lines, _, err := s.Next(t.Context(), 1000)
			if err != nil || len(lines) != want {
				t.Fatalf("%d lines: %v", len(lines), err)
			}
			if here := &lines[0].JSON[0]; line == nil {
				line = here
			} else if line != here {
				t.Fatal("two subscribers got different copies of an entry")
			}
			if lines, wait, err := s.Next(t.Context(), 1000); len(lines) != 0 || wait == nil || err != nil {
				t.Fatal("there is more")
			}
		}
	}
	read(1000)
	_, wait := w.rest(first, 1000)
	w.revoke()
	<-wait
	read(1)
	if grown := runtime.NumGoroutine() - goroutines; grown > 0 {
		t.Errorf("%d goroutines more", grown)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a subscriber", each)
	if each > 300 {
		t.Errorf("a subscriber takes %d bytes", each)
	}
	runtime.KeepAlive(all)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHubNeedsItsDeps(t *testing.T) {
	if _, err := revocation.NewHub(revocation.HubConfig{}); err == nil {
		t.Error("made without a store")
	}
}

// One project's verifiers, or whoever has got hold of its key, don't keep all others from
// their feeds.
func TestOneProjectLeavesRoomForOthers(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t, false, func(c *revocation.HubConfig) { c.MaxSubscribers = 16 })
		greedy := w.p
		fill := func() (n int) {
			for {
				s, err := w.hub.Subscribe(t.Context(), w.p, revocation.Cursor{}, false)
				if err != nil {
					if fault.KindOf(err) != fault.Unavailable {
						t.Fatal(err)
					}
					return n
				}
				n++
				t.Cleanup(s.Close)
			}
		}
		if n := fill(); n != 14 {
			t.Errorf("one project has %d of 16 places, want 14", n)
		}
		w.p, _ = w.project()
		if n := fill(); n != 2 {
			t.Errorf("another project has %d places, want 2", n)
		}
		w.p = greedy
		if n := fill(); n != 0 {
			t.Errorf("%d more than there are", n)
		}
	})
}
