package latchkey

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func pollOnly(c *RevocationsConfig) { c.Poll = true }

func TestPoll(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		r := s.client(pollOnly)
		runFeed(t, r)
		if got := r.Status(); got.Mode != "poll" || !got.Complete || got.Silence != 0 {
			t.Errorf("an empty feed isn't complete at once: %+v", got)
		}
		pass(5 * time.Second)
		for i := range 8 {
			s.revoke("session", fmt.Sprintf("ses_%d", i))
		}
		synctest.Wait()
		if got := r.Status(); got.Entries != 8 || got.Silence != 0 || got.Reconnects != 0 {
			t.Errorf("not at once: %+v", got)
		}
		for range 60 {
			pass(time.Minute)
			if got := r.Status(); got.Silence > pollWait || got.LastError != "" {
				t.Fatalf("quiet: %+v", got)
			}
		}
		asked := s.requests()
		if len(asked) > 260 || asked[0] != "poll  0s" || asked[1] != "poll 0.a 15s" || asked[len(asked)-1] != "poll 8.a 15s" {
			t.Errorf("%d polls: %q", len(asked), asked[:5])
		}
	})
}

// What comes in several parts is complete with the last one.
func TestPollInParts(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		for i := range 7 {
			s.revoke("session", fmt.Sprintf("ses_%d", i))
		}
		r := s.client(pollOnly)
		s.handler = func(w http.ResponseWriter, req *http.Request) {
			if r.Status().Complete {
				t.Error("complete before the last part")
			}
			s.list(w, req)
			if req.FormValue("after") == "6.a" {
				s.with(func() { s.handler = nil })
			}
		}
		runFeed(t, r)
		if got := r.Status(); !got.Complete || got.Entries != 7 || got.Lag != 0 {
			t.Errorf("%+v", got)
		}
		if got := s.requests(); !reflect.DeepEqual(got, []string{"poll  0s", "poll 3.a 0s", "poll 6.a 0s", "poll 7.a 15s"}) {
			t.Errorf("%q", got)
		}
	})
}

// A server that has gone wrong is neither believed nor asked in a tight loop.
func TestPollOfABrokenServer(t *testing.T) {
	answer := func(list RevocationList, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			json.NewEncoder(w).Encode(list)
		}
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		}
	}
	n := 0
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		err     string // in LastError; empty: none
		most    int    // requests in a minute
	}{
		"doesn't wait": {answer(RevocationList{Cursor: "1.a"}, "application/json"), "", 62},
		"never knows the cursor": {func(w http.ResponseWriter, r *http.Request) {
			n++
			answer(RevocationList{Snapshot: true, Cursor: fmt.Sprint(n)}, "application/json")(w, r)
		}, "", 62},
		"has more, never sends it": {answer(RevocationList{Cursor: "1.a", More: true}, "application/json"), "doesn't send it", 20},
		"has more, no cursor":      {answer(RevocationList{More: true}, "application/json"), "doesn't send it", 20},
		"has a cursor of any size": {answer(RevocationList{Cursor: strings.Repeat("1", maxStreamID+1)}, "application/json"), "", 62},
		"sends a page":             {answer(RevocationList{}, "text/html"), "isn't JSON", 20},
		"sends nonsense":           {text("nonsense"), "isn't a list", 20},
		"sends nothing":            {text(""), "isn't a list", 20},
		"sends too much":           {text(`{"entries":[` + strings.Repeat(" ", maxPoll) + `]}`), "too long", 20},
		"never answers":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "heard", 6},
	} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newFeedServer(t)
			s.handler = c.handler
			r := s.client(pollOnly)
			runFeed(t, r)
			pass(time.Minute)
			got := r.Status()
			if (got.LastError == "") != (c.err == "") || !strings.Contains(got.LastError, c.err) || got.Complete != (c.err == "") {
				t.Errorf("%s: %+v", name, got)
			}
			if asked := len(s.requests()); asked > c.most {
				t.Errorf("%s: asked %d times in a minute", name, asked)
			}
		})
	}
}

// An entry that can't be read doesn't spoil the others.
func TestPollWithABadEntry(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		s := newFeedServer(t)
		good := feedEntry("session", "ses_1", 0)
		good.At, good.Until = time.Now(), time.Now().Add(time.Minute)
		body, _ := json.Marshal(good)
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"entries":[{"at":"yesterday"},7,null,%s,{"kind":"new","id":"x_1","at":"2000-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"}],"cursor":"5.a"}`, body)
		}
		r := s.client(pollOnly)
		runFeed(t, r)
		if got := r.Status(); got.Malformed < 3 || got.Unknown < 1 || got.Entries != 1 || !r.revoked("ses_1") {
			t.Errorf("%+v", got)
		}
	})
}
