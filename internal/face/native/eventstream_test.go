package native_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// taped is an answer that can be read while it is being written.
type taped struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (r *taped) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

func (r *taped) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

// told is what a stream has sent.
type told struct {
	names  []string
	events []string // ids
	last   string   // id of the last event of the stream
}

func (r *taped) told(t testing.TB) told {
	t.Helper()
	var out told
	for block := range strings.SplitSeq(r.text(), "\n\n") {
		name := ""
		for line := range strings.SplitSeq(block, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "event":
				name = value
				out.names = append(out.names, value)
			case "id":
				out.last = value
			case "data":
				var e latchkey.Event
				must(t, json.Unmarshal([]byte(value), &e))
				if name == "event" {
					out.events = append(out.events, e.ID)
				}
			}
		}
	}
	return out
}

// follow opens a stream of events; end closes it.
func (w *world) follow(t *testing.T, query, last string) (answer *taped, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := w.manage("GET", "/events"+query, "")
	c.header = http.Header{"Accept": {"text/event-stream"}}
	if last != "" {
		c.header.Set("Last-Event-Id", last)
	}
	answer = &taped{ResponseRecorder: httptest.NewRecorder()}
	var running sync.WaitGroup
	running.Go(func() { w.watch.Run(ctx) })
	running.Go(func() { w.handler.ServeHTTP(answer, c.request(t).WithContext(ctx)) })
	synctest.Wait()
	return answer, func() { cancel(); running.Wait() }
}

// written adds an event to a project.
func (w *world) written(t testing.TB, p id.Project) string {
	t.Helper()
	w.clock.Move(time.Millisecond)
	u := w.newUser(t, p, fmt.Sprintf("%d@example.com", w.clock.Now().UnixNano()))
	events, err := w.store.Events().List(t.Context(), audit.Query{Project: p, User: u, Limit: 1})
	must(t, err)
	return events[0].ID.String()
}

// Who follows gets what is written from then on, soon, and after a break what was written
// meanwhile: everything once.
func TestEventStream(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		other := w.another(t)
		w.written(t, w.project)
		answer, end := w.follow(t, "?type=user.*", "")
		if got := answer.told(t); !slices.Equal(got.names, []string{"live"}) || answer.Header().Get("Content-Type") != "text/event-stream" ||
			answer.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("it begins with %v, %v", got, answer.Header())
		}
		var want []string
		for range 3 {
			want = append(want, w.written(t, w.project))
			w.written(t, other.project)
			w.makeKey(t, w.key, `{"name":"another type"}`)
			time.Sleep(150 * time.Millisecond)
			synctest.Wait()
			if got := answer.told(t).events; !slices.Equal(got, want) {
				t.Fatalf("told %v, want %v", got, want)
			}
		}
		last := answer.told(t).last
		end()
		for range 600 { // more than one step
			want = append(want, w.written(t, w.project))
		}
		again, end := w.follow(t, "?type=user.*", last)
		if got := again.told(t); !slices.Equal(got.events, want[3:]) || slices.Contains(got.names, "reset") {
			t.Errorf("%d after the break, want %d: %v", len(got.events), len(want)-3, got.names[:2])
		}
		// A silent stream tells its place, from which nothing comes again.
		time.Sleep(10 * time.Second)
		synctest.Wait()
		last = again.told(t).last
		end()
		third, end := w.follow(t, "?type=user.*&after="+last, "")
		if got := third.told(t); len(got.events) != 0 || !slices.Equal(got.names, []string{"live"}) {
			t.Errorf("told again: %v", got)
		}
		end()
	})
}

// A place that isn't of this log starts over; that of the beginning has everything.
func TestEventStreamPlaces(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.written(t, w.project)
		all, err := w.store.Events().List(t.Context(), audit.Query{Project: w.project, Limit: 999})
		must(t, err)
		end, err := audit.End(t.Context(), w.store.Events())
		must(t, err)
		for after, reset := range map[string]bool{
			"0.00000000": false, "nonsense": true, "99999.00000000": true, audit.Cursor{Seq: end.Seq, Tag: end.Tag + 1}.String(): true, "-1.00000000": true,
		} {
			answer, end := w.follow(t, "?after="+after, "")
			got := answer.told(t)
			if slices.Contains(got.names, "reset") != reset || len(got.events) != len(all) {
				t.Errorf("%s: %d events of %d, %v", after, len(got.events), len(all), got.names)
			}
			end()
		}
		for _, c := range []call{w.manage("GET", "/events?after=0.00000000", ""), w.manage("GET", "/events?after="+strings.Repeat("1", 41), "")} {
			w.refused(t, c, latchkey.CodeInvalidRequest)
		}
		c := w.manage("GET", "/events?pageToken=x", "")
		c.header = http.Header{"Accept": {"text/event-stream"}}
		w.refused(t, c, latchkey.CodeInvalidRequest)
	})
}

// A server that drains, and a key that is gone, end a stream; one project can't hold all
// places.
func TestEventStreamEnds(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		full := 0
		var ends []func()
		for range 25 {
			answer, end := w.follow(t, "", "")
			ends = append(ends, end)
			if answer.Code == http.StatusServiceUnavailable {
				full++
			}
		}
		if full != 5 {
			t.Errorf("%d of 25 were refused, want 5", full)
		}
		close(w.draining)
		synctest.Wait()
		leave, err := w.watch.Follow(w.project)
		if err != nil {
			t.Error("the places are still held after the drain")
		} else {
			leave()
		}
		for _, end := range ends {
			end()
		}
	})
	for name, gone := range map[string]func(t *testing.T, w *world) call{
		"key": func(t *testing.T, w *world) call {
			keys, err := w.directory.Keys(t.Context(), w.project, id.ManagementKey{}, 9)
			must(t, err)
			return w.manage("DELETE", "/management-keys/"+keys[0].ID.String(), "")
		},
		"project": func(_ *testing.T, w *world) call {
			return w.manage("DELETE", "", fmt.Sprintf(`{"confirm":%q}`, w.project))
		},
	} {
		bubbletest.Run(t, func(t *testing.T) {
			w := newWorld(t)
			answer, end := w.follow(t, "", "")
			defer end()
			w.ok(t, gone(t, w), nil)
			time.Sleep(61 * time.Second)
			synctest.Wait()
			before := len(answer.text())
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(answer.text()) != before {
				t.Errorf("the stream goes on without its %s", name)
			}
		})
	}
}

// slow is an answer whose reader takes as long for each part as it may.
type slow struct{ *taped }

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(9 * time.Second)
	return s.taped.Write(b)
}

// Attack: somebody whose key is gone goes on reading, so slowly that there is always more.
func TestAttackSlowReaderOutlivesItsKey(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		for range 20 * 256 { // 20 parts, three minutes
			w.written(t, w.project)
		}
		keys, err := w.directory.Keys(t.Context(), w.project, id.ManagementKey{}, 9)
		must(t, err)
		c := w.manage("GET", "/events?after=0.00000000", "")
		c.header = http.Header{"Accept": {"text/event-stream"}}
		answer, ended := slow{&taped{ResponseRecorder: httptest.NewRecorder()}}, make(chan struct{})
		go func() {
			defer close(ended)
			w.handler.ServeHTTP(answer, c.request(t))
		}()
		synctest.Wait()
		w.ok(t, w.manage("DELETE", "/management-keys/"+keys[0].ID.String(), ""), nil)
		time.Sleep(80 * time.Second)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the stream goes on without its key")
		}
		<-ended
	})
}
