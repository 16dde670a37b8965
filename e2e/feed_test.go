package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/latchkey-dev/latchkey"
)

// follow reads the revocation feed of the process until the test ends.
func (p *process) follow(key string) <-chan sse.Event {
	p.world.t.Helper()
	r, err := http.NewRequestWithContext(p.world.t.Context(), "GET", p.ready.Issuer+"/revocations", nil)
	if err != nil {
		p.world.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.world.t.Fatal(err)
	}
	p.world.t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		p.world.t.Fatalf("the feed answers %d", answer.StatusCode)
	}
	events := make(chan sse.Event, 100)
	go func() {
		defer close(events)
		for e, err := range sse.Read(answer.Body, nil) {
			if err != nil {
				return
			}
			events <- e
		}
	}()
	return events
}

// next returns the next event of a type, and how long it took.
func next(t *testing.T, events <-chan sse.Event, kind string) (latchkey.Revocation, time.Duration) {
	t.Helper()
	start := time.Now()
	for late := time.After(10 * time.Second); ; {
		select {
		case e, open := <-events:
			if !open {
				t.Fatal("the feed has ended")
			}
			if e.Type != kind {
				continue
			}
			var r latchkey.Revocation
			if err := json.Unmarshal([]byte(e.Data), &r); err != nil {
				t.Fatal(err)
			}
			return r, time.Since(start)
		case <-late:
			t.Fatalf("no %s in ten seconds", kind)
		}
	}
}

// TestRevocationReachesSubscribers ends sessions by every door: a subscriber of the
// running server is told within a second, whichever process did it. What it was told is
// there again after a restart.
func TestRevocationReachesSubscribers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	args := []string{"dev", "--addr", "127.0.0.1:0", "--data", w.path("data")}
	p := w.start(args...)
	in := tenancy{ID: p.ready.Project, ManagementKey: p.ready.ManagementKey}
	byCLI, byAPI := p.signIn(in, "a@example.com"), p.signIn(in, "b@example.com")
	events := p.follow(p.ready.VerifyKey)
	next(t, events, "live")
	told := func(kind, about string) {
		t.Helper()
		r, took := next(t, events, "revocation")
		if r.Kind != kind || r.ID != about || took > time.Second {
			t.Errorf("told of %s %s after %v, want %s %s", r.Kind, r.ID, took, kind, about)
		}
	}
	w.run("session", "revoke", "--data", w.path("data"), byCLI.Session.ID).must(t)
	told("session", byCLI.Session.ID)
	p.ask(call{method: "POST", path: in.user("/session/logout"), bearer: byAPI.RefreshToken}).must(t, nil)
	told("session", byAPI.Session.ID)

	p.stop()
	for e := range events {
		if e.Type == "revocation" {
			t.Errorf("told twice: %+v", e)
		}
	}
	p = w.start(args...)
	events = p.follow(p.ready.VerifyKey)
	next(t, events, "snapshot")
	told("session", byCLI.Session.ID)
	told("session", byAPI.Session.ID)
}
