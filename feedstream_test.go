package latchkey

import (
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func TestStream(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.revoke("session", "ses_old")
		r := s.client()
		if got := r.Status(); got.Mode != "off" || got.Complete || got.Silence < 100*365*24*time.Hour || !got.LastHeard.IsZero() {
			t.Errorf("before: %+v", got)
		}
		runFeed(t, r)
		if got := r.Status(); got.Mode != "stream" || !got.Complete || got.Silence != 0 || got.Entries != 1 || got.Lag != 0 || !r.revoked("ses_old") {
			t.Errorf("at once: %+v, %v", got, r.revoked("ses_old"))
		}
		version := r.version()
		time.Sleep(3 * time.Second)
		s.revoke("session", "ses_1")
		synctest.Wait()
		if !r.revoked("ses_1") || r.version() == version || r.Status().Silence != 0 {
			t.Errorf("not revoked at once: %+v", r.Status())
		}
		pass(7 * time.Second)
		if got := r.Status(); got.Silence != 0 || got.Reconnects != 0 || got.LastError != "" {
			t.Errorf("after the heartbeat: %+v", got)
		}
		pass(9 * time.Second)
		if got := r.Status(); got.Silence != 9*time.Second || r.silence(time.Now()) != got.Silence {
			t.Errorf("before the next heartbeat: %+v", got)
		}
		// An hour, in which everything ends but the feed.
		pass(time.Hour)
		if got := r.Status(); got.Entries != 0 || got.Reconnects != 0 || r.revoked("ses_1") {
			t.Errorf("after an hour: %+v", got)
		}
		if got := s.requests(); !reflect.DeepEqual(got, []string{"stream "}) {
			t.Errorf("%q", got)
		}
	})
}

func TestStreamLag(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		r := s.client()
		runFeed(t, r)
		now := time.Now()
		s.add(Revocation{Kind: "session", ID: "ses_1", At: now.Add(-700 * time.Millisecond), Until: now.Add(time.Hour)})
		s.add(Revocation{Kind: "session", ID: "ses_2", At: now.Add(-200 * time.Millisecond), Until: now.Add(time.Hour)})
		synctest.Wait()
		if got := r.Status(); got.Lag != 700*time.Millisecond || got.LastLag != 200*time.Millisecond {
			t.Errorf("%+v", got)
		}
		pass(2 * time.Minute)
		if got := r.Status(); got.Lag != 0 || got.LastLag != 200*time.Millisecond {
			t.Errorf("later: %+v", got)
		}
	})
}

// The server goes away in the middle of an event and comes back with more: nothing is
// missing, and what was known was known all the time.
func TestAttack22ServerRestartLeavesNoGap(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.revoke("session", "ses_1")
		log, logged := logFeed(slog.LevelInfo)
		r := s.client(logged)
		runFeed(t, r)
		s.with(func() {
			s.handler = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "event: revocation\nid: 2.a\ndata: {\"seq\":2,\"kind\":\"ses")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		})
		s.endStreams()
		pass(3 * time.Second)
		s.with(func() { s.down, s.handler = true, nil })
		s.revoke("session", "ses_2")
		pass(2 * time.Minute)
		if got := r.Status(); !got.Complete || got.Silence < 2*time.Minute || got.LastError == "" || !r.revoked("ses_1") || r.revoked("ses_2") {
			t.Errorf("during the outage: %+v", got)
		}
		s.with(func() { s.down = false })
		s.revoke("session", "ses_3")
		pass(longestPause)
		if got := r.Status(); got.LastError != "" || got.Silence > 10*time.Second || got.Reconnects < 5 || got.Lag != 0 {
			t.Errorf("after it: %+v", got)
		}
		for _, id := range []string{"ses_1", "ses_2", "ses_3"} {
			if !r.revoked(id) {
				t.Errorf("%s isn't revoked", id)
			}
		}
		asked := s.requests()
		for _, a := range asked[1:] {
			if a != "stream 1.a" {
				t.Errorf("%q among %q", a, asked)
			}
		}
		if text := log.take(); strings.Count(text, "level=WARN") > 5 || !strings.Contains(text, "heard again") {
			t.Errorf("logged:\n%s", text)
		}
	})
}

// A client that starts with what another one has saved goes on where that one was.
func TestAttack22ClientRestartLeavesNoGap(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.revoke("session", "ses_1")
		first := s.client()
		stop := runFeed(t, first)
		state := first.export()
		stop()
		s.revoke("session", "ses_2")
		s.with(func() { s.down = true })
		second := s.client()
		if err := second.restore(state); err != nil {
			t.Fatal(err)
		}
		runFeed(t, second)
		if got := second.Status(); got.Complete || !second.revoked("ses_1") {
			t.Errorf("without the server: %+v", got)
		}
		s.with(func() { s.down = false })
		pass(longestPause)
		if !second.revoked("ses_1") || !second.revoked("ses_2") || !second.Status().Complete {
			t.Errorf("with the server: %+v", second.Status())
		}
		if got := s.requests(); !reflect.DeepEqual(got, []string{"stream ", "stream 1.a"}) {
			t.Errorf("%q", got)
		}
	})
}

// The store was restored from an older copy: it knows neither the cursor nor the latest
// entries. What is known stays known.
func TestAttack42SnapshotNeverUnrevokes(t *testing.T) {
	for _, poll := range []bool{false, true} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.revoke("session", "ses_1")
			s.revoke("session", "ses_2")
			r := s.client(func(c *RevocationsConfig) { c.Poll = poll })
			runFeed(t, r)
			version := r.version()
			s.with(func() { s.store, s.entries = "b", s.entries[:1] })
			s.endStreams()
			pass(20 * time.Second)
			s.revoke("session", "ses_3")
			pass(2 * time.Second)
			for _, id := range []string{"ses_1", "ses_2", "ses_3"} {
				if !r.revoked(id) {
					t.Errorf("poll %v: %s isn't revoked", poll, id)
				}
			}
			if r.version() != version+1 {
				t.Errorf("poll %v: the version grew by %d", poll, r.version()-version)
			}
		})
	}
}

func TestDuplicatesAndDisorder(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		now := time.Now()
		line := func(seq int, id string) string {
			return fmt.Sprintf("event: revocation\nid: %d.a\ndata: {\"seq\":%d,\"kind\":\"session\",\"id\":%q,\"at\":%q,\"until\":%q,\"new\":[1]}\n\n",
				seq, seq, id, now.Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
		}
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			fmt.Fprint(w, line(7, "ses_7"), line(5, "ses_5"), line(7, "ses_7"), "event: weather\ndata: rain\n\n", line(9, "ses_9"))
			fmt.Fprint(w, "event: revocation\nid: 10.a\ndata: nonsense\n\n", line(11, "not an id"))
			fmt.Fprintf(w, "event: live\nid: 12.a\ndata: {\"serverTime\":%q}\n\n", now.Format(time.RFC3339))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
		log, logged := logFeed(slog.LevelWarn)
		r := s.client(logged)
		runFeed(t, r)
		if got := r.Status(); got.Entries != 3 || got.Malformed != 2 || got.Unknown != 0 || !got.Complete || r.version() != 3 || r.place() != "12.a" {
			t.Errorf("%+v, version %d, cursor %q", got, r.version(), r.place())
		}
		if text := log.take(); strings.Count(text, "makes no sense") != 1 {
			t.Errorf("%s", text)
		}
	})
}

// A connection that died without a word is dropped, also when a proxy keeps it warm with
// comments.
func TestHeartbeatTimeout(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		r := s.client()
		runFeed(t, r)
		pass(12 * time.Second) // a second heartbeat: streaming works
		s.with(func() { s.mute = true })
		s.revoke("session", "ses_1")
		pass(7 * time.Second)
		s.with(func() {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for r.Context().Err() == nil {
					if _, err := fmt.Fprint(w, ": still here\n\nretry: 2000\n\n"); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
			}
		})
		if got := r.Status(); got.Reconnects != 0 || got.LastError != "" {
			t.Errorf("after 9 s: %+v", got)
		}
		pass(20 * time.Second) // 10 s, and 25 s from then
		if got := r.Status(); got.Reconnects != 1 || !strings.Contains(got.LastError, "heard") || got.Mode != "stream" {
			t.Errorf("after 29 s: %+v", got)
		}
		s.with(func() { s.mute, s.handler = false, nil })
		pass(14 * time.Second) // comments aren't heard
		if got := r.Status(); got.LastError != "" || !r.revoked("ses_1") {
			t.Errorf("at last: %+v", got)
		}
		if s.open != 1 {
			t.Errorf("%d requests are open", s.open)
		}
	})
}

func TestHugeEventEndsTheConnection(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		sent := 0
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: revocation\nid: 1.a\n")
			for {
				n, err := fmt.Fprintf(w, "data: %s\n", strings.Repeat(" ", 1000))
				if err != nil {
					return
				}
				sent += n
			}
		}
		r := s.client()
		stop := runFeed(t, r)
		if got := r.Status(); !strings.Contains(got.LastError, "too long") || got.Complete || r.place() != "" {
			t.Errorf("%+v, cursor %q", got, r.place())
		}
		stop()
		synctest.Wait()
		if sent > 1<<20 {
			t.Errorf("%d bytes were taken", sent)
		}
	})
}
