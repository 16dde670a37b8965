package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
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

func TestFeedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
			synctest.Test(t, func(t *testing.T) {
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

func TestFeedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
