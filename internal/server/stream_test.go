package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
)

func TestFeedStream(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		f.revoke(f.project)
		s := f.follow("")
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"} {
			if got := s.answer.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		s.gets("snapshot")
		old := s.gets("revocation")
		if live := s.gets("live"); live.LastEventID != old.LastEventID || !strings.Contains(live.Data, `"serverTime":"20`) {
			t.Errorf("live is %+v", live)
		}
		start := time.Now()
		f.revoke(f.project)
		e := s.gets("revocation")
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		var r latchkey.Revocation
		f.must(json.Unmarshal([]byte(e.Data), &r))
		if r.Seq != 2 || r.Kind != "project" || r.ID != f.project.ID.String() || !r.Until.After(r.At) {
			t.Errorf("the entry is %+v", r)
		}
		// A heartbeat, every ten seconds, for longer than the server gives to an answer.
		for range 12 {
			time.Sleep(9500 * time.Millisecond)
			if live := s.gets("live"); live.LastEventID != e.LastEventID {
				t.Errorf("live is %+v, want %s", live, e.LastEventID)
			}
			time.Sleep(500 * time.Millisecond)
		}
		// Who comes back goes on where he was; the header goes before the query.
		for _, again := range []*follower{f.follow("?after=" + old.LastEventID), f.follow("?after=9.99999999", "Last-Event-ID: "+old.LastEventID)} {
			again.gets("revocation", "live")
		}
		f.follow("?after=" + e.LastEventID).gets("live")
		f.follow("?after=nonsense").gets("snapshot", "revocation", "revocation", "live")
		for name, want := range map[string]float64{
			"latchkey_feed_subscribers": 5, "latchkey_feed_snapshots_total": 2, "latchkey_feed_entries_sent_total": 6, "latchkey_feed_lag_seconds": 1,
		} {
			if got := f.metric(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

func TestFeedStreamIsOnlyForWhoAsks(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		for accept, want := range map[string]bool{
			"text/event-stream": true, "application/json, Text/Event-Stream;q=0.5": true, "text/event-stream; q=0": false,
			"*/*": false, "": false, "text/event-streams": false, ";;;, text/event-stream": true,
		} {
			answer := f.ask("", "Accept: "+accept)
			if got := answer.Header.Get("Content-Type") == "text/event-stream"; got != want {
				t.Errorf("%q: a stream: %v, want %v", accept, got, want)
			}
			answer.Body.Close()
		}
		synctest.Wait()
		if n := f.metric("latchkey_feed_subscribers"); n != 0 {
			t.Errorf("%v subscribers are left", n)
		}
	})
}

func TestFeedStreamEndsByItself(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		var ends []time.Duration
		for range 3 {
			ends = append(ends, f.follow("").ends(17*time.Minute))
		}
		if slices.Min(ends) < 14*time.Minute || slices.Max(ends) > 16*time.Minute || ends[0] == ends[1] && ends[1] == ends[2] {
			t.Errorf("streams end after %v", ends)
		}
		// Its connection serves others then.
		f.answers("/livez", http.StatusOK)
	})
}

func TestFeedDrain(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		var streams []*follower
		for range 5 {
			s := f.follow("")
			s.gets("snapshot", "live")
			streams = append(streams, s)
		}
		polled := make(chan latchkey.RevocationList, 1)
		go func() { polled <- f.list("?after=0.00000000&wait=25s") }()
		synctest.Wait()
		start := time.Now()
		f.sigterm()
		if err := <-f.ended; err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("drained after %v: %v", time.Since(start), err)
		}
		f.ended <- nil // for the end of the test
		for _, s := range streams {
			s.ends(time.Second)
		}
		if list := <-polled; len(list.Entries) != 0 || list.Cursor != "0.00000000" {
			t.Errorf("the poll was answered %+v", list)
		}
	})
}

// A subscriber who doesn't read is cut off; the others don't wait for him.
func TestFeedSlowReader(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := feed(t)
		c, err := f.pipes.dial(t.Context(), "", "")
		f.must(err)
		defer c.Close()
		fmt.Fprintf(c, "GET /%s/revocations HTTP/1.1\r\nHost: latchkey\r\n%s\r\nAuthorization: Bearer %s\r\n\r\n", f.project.ID, events, f.secret)
		_, err = bufio.NewReaderSize(c, 16).ReadString('\n') // the status, no more
		f.must(err)
		other := f.follow("")
		other.gets("snapshot", "live")
		f.revoke(f.project)
		other.gets("revocation")
		if n := f.metric("latchkey_feed_subscribers"); n != 2 {
			t.Errorf("%v subscribers, want 2", n)
		}
		time.Sleep(11 * time.Second)
		if n := f.metric("latchkey_feed_subscribers"); n != 1 {
			t.Errorf("%v subscribers, want 1", n)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("the connection isn't closed: %v", err)
		}
		other.gets("live")
	})
}

func TestFeedEndsWithItsKey(t *testing.T) {
	for name, revoke := range map[string]func(f *feeding) error{
		"deleted": func(f *feeding) error {
			return f.app.Directory.DeleteKey(f.t.Context(), f.project.ID, f.key.ID, directory.ManagementKey{}, operator)
		},
		"rotated": func(f *feeding) error {
			_, _, err := f.app.Directory.RotateKey(f.t.Context(), f.project.ID, f.key.ID, directory.ManagementKey{}, operator)
			return err
		},
		"expired": func(f *feeding) error { f.clock.Move(2 * time.Hour); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				f := feed(t)
				f.key, f.secret = f.verifyKey(f.project, f.clock.Now().Add(time.Hour))
				s := f.follow("")
				time.Sleep(3 * time.Minute)
				f.must(revoke(f))
				s.ends(time.Minute + time.Second)
				if answer := f.ask("", events); answer.StatusCode != http.StatusUnauthorized {
					t.Errorf("followed again: %d", answer.StatusCode)
				}
			})
		})
	}
}
