package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

// paper is what a command prints, which may be read meanwhile.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *paper) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *paper) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

func happened(t *testing.T, events audit.Store, p id.Project, kind audit.Type) audit.Event {
	t.Helper()
	e := audit.New(p, time.Now(), kind, audit.Origin{Actor: audit.CLI, IP: "192.0.2.1"}).With("name", "two words").With("count", 2.0).With("reason", "revoked")
	if err := events.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// A tail prints what happens from the beginning that was asked for until it is interrupted,
// soon, and nothing that isn't wanted.
func TestFollowEvents(t *testing.T) {
	for name, c := range map[string]struct {
		since time.Duration
		want  int
	}{"from now on": {0, 0}, "since some time": {10 * time.Minute, 700}, "since long ago": {24 * time.Hour, 701}} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				events := memory.Open(time.Now).Events()
				p, other := id.NewProject(time.Now()), id.NewProject(time.Now())
				happened(t, events, p, audit.SessionEnded)
				time.Sleep(time.Hour)
				for range 700 { // more than a page
					happened(t, events, p, audit.SessionEnded)
				}
				q := audit.Query{Project: p, Types: []audit.Type{audit.SessionEnded}}
				if c.since > 0 {
					q.From = time.Now().Add(-c.since)
				}
				out := &paper{}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() {
					if err := (&terminal{out: out, err: io.Discard, json: true}).followEvents(ctx, events, q); err != nil {
						t.Error(err)
					}
				})
				time.Sleep(time.Second)
				synctest.Wait()
				var want []string
				for range 3 {
					want = append(want, happened(t, events, p, audit.SessionEnded).ID.String())
					happened(t, events, p, audit.UserCreated)
					happened(t, events, other, audit.SessionEnded)
					time.Sleep(150 * time.Millisecond)
					synctest.Wait()
					lines := out.lines()
					if len(lines) != c.want+len(want) {
						t.Fatalf("%d lines, want %d", len(lines), c.want+len(want))
					}
					var last latchkey.Event
					if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.ID != want[len(want)-1] {
						t.Fatalf("the last line is %s (%v)", lines[len(lines)-1], err)
					}
				}
				cancel()
				running.Wait()
			})
		})
	}
}

// broken is paper that can't be written to, such as a full disk.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestEventsOnBrokenPaper(t *testing.T) {
	events := memory.Open(time.Now).Events()
	p := id.NewProject(time.Now())
	happened(t, events, p, audit.SessionEnded)
	for _, machine := range []bool{false, true} {
		to := &terminal{out: broken{}, err: io.Discard, json: machine}
		if err := to.followEvents(t.Context(), events, audit.Query{Project: p, From: time.Now().Add(-time.Hour)}); !errors.Is(err, errBroken) {
			t.Errorf("the tail ends with %v", err)
		}
	}
	if err := (&terminal{out: broken{}, err: io.Discard, json: true}).listEvents(t.Context(), events, audit.Query{Project: p}, 1); !errors.Is(err, errBroken) {
		t.Errorf("the list ends with %v", err)
	}
}

// A list goes on over pages that are short or empty, and ends when it has enough.
func TestListEvents(t *testing.T) {
	events := memory.Open(time.Now).Events()
	p := id.NewProject(time.Now())
	for i := range 3 * audit.Look {
		kind := audit.SessionCreated
		if i < 600 || i == audit.Look {
			kind = audit.SessionEnded
		}
		happened(t, events, p, kind)
	}
	for limit, want := range map[int]int{1: 1, 50: 50, 601: 601, maxListed: 601} {
		out := &paper{}
		err := (&terminal{out: out, err: io.Discard, json: true}).listEvents(t.Context(), events, audit.Query{Project: p, Types: []audit.Type{audit.SessionEnded}}, limit)
		if lines := out.lines(); err != nil || len(lines) != want {
			t.Errorf("up to %d: %d lines, want %d (%v)", limit, len(lines), want, err)
		}
	}
}

func TestEventLine(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, u := id.NewSession(at), id.NewUser(at)
	for _, c := range []struct {
		event audit.Event
		want  string
	}{
		{audit.Event{At: at, Type: audit.KeyCreated, Origin: audit.Origin{Actor: audit.System}}, "2026-03-01 12:00:00Z  key.created                actor=system"},
		{
			audit.Event{At: at, Type: audit.RefreshRecovered, Origin: audit.Origin{Actor: audit.UserActor(u), IP: "192.0.2.1"}, Session: s, User: u},
			fmt.Sprintf("2026-03-01 12:00:00Z  session.refresh_recovered  actor=user:%s user=%s session=%s ip=192.0.2.1", u, u, s),
		},
		{
			audit.Event{At: at, Type: audit.UserUpdated, Origin: audit.Origin{Actor: audit.CLI}, Data: map[string]any{
				"b": "word", "a": "two words", "c": []any{"x", 1.0}, "d": "", "e": true, "f": "\x1b[2J",
			}},
			`2026-03-01 12:00:00Z  user.updated               actor=cli a="two words" b=word c=["x",1] d="" e=true f=[2J`,
		},
	} {
		out := &paper{}
		if err := (&terminal{out: out}).eventLine(c.event.Public()); err != nil || out.text.String() != c.want+"\n" {
			t.Errorf("printed\n%q, want\n%q (%v)", out.text.String(), c.want, err)
		}
	}
}

func TestMeantType(t *testing.T) {
	for given, want := range map[string]string{
		"user.craeted": "did you mean user.created?", "sesion.ended": "did you mean session.ended?", "users.*": "did you mean user.*?", "Session.Ended": "did you mean session.ended?",
		"key.swallowed_by_whom": "there are key.created, key.activated, key.retired, key.removed, key.revoked",
		"login":                 "kinds of them are project.*, settings.*, user.*,", "": "kinds of them are project.*,",
	} {
		if got := meantType(given); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", given, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "10m": now.Add(-10 * time.Minute), "7d": now.AddDate(0, 0, -7), "1h30m": now.Add(-90 * time.Minute),
		"2026-02-03": time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), "2026-02-03T04:05:06Z": time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		"2026-02-03T04:05:06.789+02:00": time.Date(2026, 2, 3, 2, 5, 6, 789e6, time.UTC),
	} {
		if got, bad := misuse(nil).moment("from", text, now); bad != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, bad, want)
		}
	}
	for _, text := range []string{"yesterday", "-10m", "0", "off", "10", "2026-02-30", "2026-02-03 04:05", "12:00"} {
		if got, bad := misuse(nil).moment("from", text, now); len(bad) != 1 || !got.IsZero() || !strings.Contains(bad[0], "--from") {
			t.Errorf("%q: %v, %v", text, got, bad)
		}
	}
}
