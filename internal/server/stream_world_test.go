package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// feeding is a server with a project whose users can be revoked.
type feeding struct {
	*running
	project directory.Project
	key     directory.ManagementKey
	secret  string
}

func feed(t *testing.T, change ...func(*server.Deps)) *feeding {
	t.Helper()
	f := &feeding{running: run(t, func(d *server.Deps) {
		for _, c := range change {
			c(d)
		}
	})}
	t.Cleanup(func() { // in a bubble nothing may outlive the test
		f.sigterm()
		<-f.ended
	})
	f.project = f.world.project()
	f.key, f.secret = f.verifyKey(f.project, time.Time{})
	return f
}

func (f *feeding) verifyKey(p directory.Project, expires time.Time) (directory.ManagementKey, string) {
	f.t.Helper()
	k, clear, err := f.app.Directory.CreateKey(f.t.Context(), p.ID,
		directory.NewKey{Name: "v", Kind: secret.Verify, ExpiresAt: expires}, directory.ManagementKey{}, operator)
	f.must(err)
	return k, clear.Reveal()
}

// revoke writes one entry of the project.
func (f *feeding) revoke(p directory.Project) {
	f.t.Helper()
	_, err := f.app.Sessions.EndProject(f.t.Context(), p.ID, session.Ending{Reason: session.Ended, Origin: operator})
	f.must(err)
}

// ask asks for the feed; headers are "Name: value".
func (f *feeding) ask(query string, headers ...string) *http.Response {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), "GET", "http://latchkey/"+f.project.ID.String()+"/revocations"+query, nil)
	f.must(err)
	r.Header.Set("Authorization", "Bearer "+f.secret)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := f.client.Do(r)
	f.must(err)
	return answer
}

const events = "Accept: text/event-stream"

// follower reads a stream.
type follower struct {
	f      *feeding
	answer *http.Response
	events chan sse.Event // closed at the end
	err    error          // of reading, once events is closed
}

func (f *feeding) follow(query string, headers ...string) *follower {
	f.t.Helper()
	answer := f.ask(query, append(headers, events)...)
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		f.t.Fatalf("answered %d, %s: %s", answer.StatusCode, got, read(f.t, answer.Body))
	}
	s := &follower{f: f, answer: answer, events: make(chan sse.Event, 1000)}
	go func() {
		defer close(s.events)
		for e, err := range sse.Read(answer.Body, nil) {
			if err != nil {
				s.err = err
				return
			}
			s.events <- e
		}
	}()
	f.t.Cleanup(func() { answer.Body.Close() })
	return s
}

// gets fails unless the next events are of these types, without a second between them.
func (s *follower) gets(types ...string) (last sse.Event) {
	s.f.t.Helper()
	for _, want := range types {
		select {
		case e, open := <-s.events:
			if !open || e.Type != want {
				s.f.t.Fatalf("the event %+v, want %s (the stream goes on: %v)", e, want, open)
			}
			last = e
		case <-time.After(time.Second):
			s.f.t.Fatalf("no %s", want)
		}
	}
	return last
}

// ends fails unless the stream ends by itself within d, and returns after how long.
func (s *follower) ends(d time.Duration) time.Duration {
	s.f.t.Helper()
	start := time.Now()
	for late := time.After(d); ; {
		select {
		case _, open := <-s.events:
			if !open {
				if s.err != nil {
					s.f.t.Errorf("the stream was cut off: %v", s.err)
				}
				return time.Since(start)
			}
		case <-late:
			s.f.t.Fatalf("the stream goes on after %v", d)
		}
	}
}

func (f *feeding) list(query string, headers ...string) latchkey.RevocationList {
	f.t.Helper()
	answer := f.ask(query, headers...)
	body := read(f.t, answer.Body)
	var list latchkey.RevocationList
	if err := json.Unmarshal([]byte(body), &list); err != nil || answer.StatusCode != 200 {
		f.t.Fatalf("answered %d: %s", answer.StatusCode, body)
	}
	return list
}

// metric returns the value of a metric without labels, once everybody is done: what a
// subscriber has read isn't counted yet.
func (f *feeding) metric(name string) float64 {
	f.t.Helper()
	synctest.Wait()
	families, err := f.metrics.Gather()
	f.must(err)
	for _, family := range families {
		if m := family.GetMetric(); family.GetName() == name && len(m) == 1 {
			return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue() + float64(m[0].GetHistogram().GetSampleCount())
		}
	}
	f.t.Fatalf("there is no %s", name)
	return 0
}
