package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/server"
)

func TestFeedPoll(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		// A snapshot is an answer although it is empty.
		start := time.Now()
		first := f.list("?wait=25s")
		if !first.Snapshot || len(first.Entries) != 0 || first.More || time.Since(start) != 0 || first.ServerTime.IsZero() {
			t.Fatalf("%+v after %v", first, time.Since(start))
		}
		if list := f.list("?after=" + first.Cursor); list.Snapshot || time.Since(start) != 0 {
			t.Errorf("%+v after %v", list, time.Since(start))
		}
		if list := f.list("?wait=25s&after=" + first.Cursor); list.Snapshot || len(list.Entries) != 0 || list.Cursor != first.Cursor || time.Since(start) != 25*time.Second {
			t.Errorf("%+v after %v", list, time.Since(start))
		}
		go func() {
			time.Sleep(5 * time.Second)
			f.revoke(f.project)
		}()
		start = time.Now()
		list := f.list("?wait=25s&after=" + first.Cursor)
		if took := time.Since(start); len(list.Entries) != 1 || took > 5200*time.Millisecond || took < 5*time.Second {
			t.Fatalf("%+v after %v", list, took)
		}
		// What was acknowledged is in the next answer, at once.
		f.revoke(f.project)
		if list := f.list("?after=" + list.Cursor); len(list.Entries) != 1 || list.Entries[0].Seq != 2 {
			t.Errorf("%+v", list)
		}
		for _, wait := range []string{"26s", "-1s", "1", "soon", "1h"} {
			answer := f.ask("?wait=" + wait)
			problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusBadRequest, latchkey.CodeInvalidRequest)
		}
	})
}

func TestFeedPollsInPages(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		for range 2500 {
			f.revoke(f.project)
		}
		query := ""
		for i, want := range []int{1000, 1000, 500} {
			list := f.list(query)
			if len(list.Entries) != want || list.More != (i < 2) || list.Snapshot != (i == 0) || list.Entries[0].Seq != int64(1000*i+1) {
				t.Fatalf("page %d: %d entries, more %v, snapshot %v", i, len(list.Entries), list.More, list.Snapshot)
			}
			query = "?after=" + list.Cursor
		}
	})
}

// Attacks 15 and 28: a key opens the feed of its own project and no other, and nothing
// of another project is in it.
func TestAttack15FeedOfAnotherProject(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		mine, other := f.project, f.world.project()
		s := f.follow("")
		s.gets("snapshot", "live")
		f.revoke(other)
		f.revoke(mine)
		var r latchkey.Revocation
		f.must(json.Unmarshal([]byte(s.gets("revocation").Data), &r))
		if r.ID != mine.ID.String() {
			t.Errorf("the entry is %+v", r)
		}
		f.project = other
		for _, accept := range []string{events, "Accept: application/json"} {
			answer := f.ask("", accept)
			problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
		}
		f.project.ID = id.NewProject(f.clock.Now())
		answer := f.ask("", events)
		problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusUnauthorized, latchkey.CodeUnauthenticated)
	})
}

// Attack 42: while the store can't be read nobody is told that he knows everything, so
// that strict verifiers notice; those who poll are told to come back.
func TestAttack42FeedWithoutStore(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		s := f.follow("")
		s.gets("snapshot", "live")
		broken := errors.New("the disk is gone")
		f.store.after.Store(&broken)
		f.revoke(f.project)
		for range 3 {
			time.Sleep(10 * time.Second)
			select {
			case e := <-s.events:
				t.Errorf("%+v while the store fails", e)
			default:
			}
		}
		answer := f.ask("?after=0.00000000&wait=10s")
		problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusServiceUnavailable, latchkey.CodeUnavailable)
		f.store.after.Store(nil)
		time.Sleep(time.Second)
		s.gets("revocation")
		time.Sleep(9500 * time.Millisecond)
		s.gets("live")
	})
}

func TestFeedIsFull(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t, func(d *server.Deps) { d.Config.FeedSubscribers = 1 })
		s := f.follow("")
		s.gets("snapshot", "live")
		answer := f.ask("", events)
		problem(t, answer.StatusCode, answer.Header, read(t, answer.Body), http.StatusServiceUnavailable, latchkey.CodeUnavailable)
		if answer.Header.Get("Retry-After") == "" {
			t.Error("it doesn't say when to try again")
		}
		s.answer.Body.Close()
		synctest.Wait()
		f.follow("").gets("snapshot", "live")
	})
}
