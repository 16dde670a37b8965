package latchkey

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// Where streams are held back it is polled, and streaming is tried again later.
func TestFallbackToPollingAndBack(t *testing.T) {
	hold := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	holdAll := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>")
	}
	packed := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		fmt.Fprint(w, "…")
	}
	for name, bad := range map[string]http.HandlerFunc{"held": hold, "held whole": holdAll, "a page": page, "compressed": packed} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") == "text/event-stream" {
					bad(w, r)
					return
				}
				s.list(w, r)
			}
			for i := range 8 {
				s.revoke("session", fmt.Sprintf("ses_%d", i))
			}
			log, logged := logFeed(slog.LevelWarn)
			r := s.client(logged)
			runFeed(t, r)
			pass(25 * time.Second)
			if got := r.Status(); got.Mode != "poll" || !got.Complete || got.Entries != 8 || got.LastError != "" {
				t.Fatalf("%s: %+v after %q", name, got, s.requests())
			}
			s.revoke("session", "ses_8")
			synctest.Wait()
			if !r.revoked("ses_8") {
				t.Errorf("%s: polling isn't prompt", name)
			}
			if text := log.take(); strings.Count(text, "doesn't work") != 1 {
				t.Errorf("%s: logged %s", name, text)
			}
			// One more try, which fails, and twice as long until the next.
			s.requests()
			pass(pollingTime + 20*time.Second)
			streams := 0
			for _, a := range s.requests() {
				if strings.HasPrefix(a, "stream") {
					streams++
				}
			}
			if got := r.Status(); streams != 1 || got.Mode != "poll" || got.Silence > pollWait {
				t.Errorf("%s: streamed %d times, %+v", name, streams, got)
			}
			s.with(func() { s.handler = nil })
			pass(pollingTime)
			if got := r.Status(); got.Mode != "poll" {
				t.Errorf("%s: too early: %+v", name, got)
			}
			pass(pollingTime + 20*time.Second)
			if got := r.Status(); got.Mode != "stream" || got.LastError != "" || got.Silence > 10*time.Second {
				t.Errorf("%s: streaming isn't tried again: %+v", name, got)
			}
		})
	}
}

// Streaming is tried again also when polling doesn't work any more.
func TestStreamsAgainWhenPollsFail(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.handler = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "closed for repair")
		}
		r := s.client()
		runFeed(t, r)
		pass(time.Minute)
		if got := r.Status(); got.Mode != "poll" || got.LastError == "" {
			t.Errorf("%+v", got)
		}
		s.with(func() {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") == "text/event-stream" {
					s.stream(w, r)
					return
				}
				w.WriteHeader(http.StatusNotAcceptable)
			}
		})
		pass(pollingTime)
		if got := r.Status(); got.Mode != "stream" || got.LastError != "" || !got.Complete {
			t.Errorf("%+v", got)
		}
	})
}

// An outage isn't a proxy that holds streams back.
func TestOutageIsNoReasonToPoll(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		s.down = true
		r := s.client()
		runFeed(t, r)
		pass(10 * time.Minute)
		s.with(func() { s.down = false })
		pass(longestPause)
		if got := r.Status(); got.Mode != "stream" || !got.Complete {
			t.Errorf("%+v", got)
		}
	})
}
