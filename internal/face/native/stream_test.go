package native_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// held is an answer that keeps the deadline of its writes.
type held struct {
	*httptest.ResponseRecorder
	mu                sync.Mutex
	deadline, written time.Time
	set               []time.Time // all of them
}

func (h *held) SetWriteDeadline(at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline, h.set = at, append(h.set, at)
	return nil
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written = h.deadline
	return h.ResponseRecorder.Write(b)
}

// deadlines returns that of now and that of the last write.
func (h *held) deadlines() (now, written time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deadline, h.written
}

// Every write to a subscriber has a deadline, and the silence between two has none: with
// HTTP/2 a deadline that passes ends a stream in which nobody writes.
func TestStreamDeadlines(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		c := call{method: "GET", path: "/" + w.project.String() + "/revocations", bearer: w.key, header: http.Header{"Accept": {"text/event-stream"}}}
		out := &held{ResponseRecorder: httptest.NewRecorder()}
		done := make(chan struct{})
		go func() {
			w.handler.ServeHTTP(out, c.request(t).WithContext(ctx))
			close(done)
		}()
		for range 3 {
			synctest.Wait()
			if silent, written := out.deadlines(); !silent.IsZero() || time.Until(written) < 9*time.Second {
				t.Errorf("silent until %v, written until %v", silent, written)
			}
			time.Sleep(10 * time.Second)
		}
		cancel()
		<-done
		deadline, _ := out.deadlines()
		if left := time.Until(deadline); left <= 0 || left > time.Minute {
			t.Errorf("the end of the answer has %v", left)
		}
	})
}
