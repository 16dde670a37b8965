package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
)

const (
	day    = 24 * time.Hour
	keeps  = 30 * day // ended sessions
	listed = 90 * day // events
)

func (w *world) workers() *server.Workers {
	return &server.Workers{App: w.app, Log: w.logger, KeepEnded: keeps, KeepEvents: listed, Metrics: w.metrics}
}

// keys returns the states of a project's keys, oldest first.
func (w *world) keys(p id.Project) []key.State {
	w.t.Helper()
	all, err := w.app.Keys.List(w.t.Context(), p)
	w.must(err)
	var states []key.State
	for _, k := range all {
		states = append(states, k.State)
	}
	return states
}

// sessions adds n sessions of u that end by themselves after a lifetime.
func (w *world) sessions(p directory.Project, u id.User, n int, lifetime time.Duration) {
	w.t.Helper()
	current, err := w.app.Directory.Project(w.t.Context(), p.ID)
	w.must(err)
	for range n {
		now := w.clock.Now()
		_, err := w.store.Sessions().Insert(w.t.Context(), session.Row{ID: id.NewSession(now), Project: p.ID, User: u, State: session.State{
			Newest: id.NewRefresh(), CreatedAt: now, RotatedAt: now, AbsoluteAt: now.Add(lifetime),
		}}, current.Version, session.Admission{})
		w.must(err)
	}
}

func (w *world) stored(p directory.Project, status session.Status) int {
	w.t.Helper()
	n, err := w.store.Bulk().Count(w.t.Context(), session.Filter{Project: p.ID, Status: status})
	w.must(err)
	return n
}

func (w *world) user(p directory.Project) id.User {
	w.t.Helper()
	u, err := w.app.Directory.Upsert(w.t.Context(), p.ID, directory.UserChange{LoginIDs: &[]string{"ada"}}, operator)
	w.must(err)
	return u.ID
}

// What is over for long enough goes, in chunks; what lives, or was over not long ago,
// stays.
func TestRoundRemovesSessions(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		p := w.project()
		u := w.user(p)
		w.sessions(p, u, 450, time.Hour)
		w.sessions(p, u, 7, 365*day) // live
		w.clock.Move(time.Hour + keeps)
		w.sessions(p, u, 5, time.Hour)
		w.clock.Move(time.Hour) // the five are over, but still shown
		var chunks []int
		w.store.sweep = func(limit, removed int) error {
			if limit < 1 || limit > 200 {
				t.Errorf("a transaction may remove %d sessions", limit)
			}
			chunks = append(chunks, removed)
			return nil
		}
		start := time.Now()
		w.workers().Round(t.Context())
		if !slices.Equal(chunks, []int{200, 200, 50}) {
			t.Errorf("removed in chunks of %v", chunks)
		}
		if time.Since(start) == 0 {
			t.Error("there is no pause between chunks, in which refreshes could pass")
		}
		if live, over := w.stored(p, session.Active), w.stored(p, session.Expired); live != 7 || over != 5 {
			t.Errorf("%d live and %d expired sessions are left", live, over)
		}
		if got := w.series("latchkey_swept_total")[`latchkey_swept_total{kind="session"}`]; got != "450" {
			t.Errorf("counted %s", got)
		}
		if _, text := w.log.take(t); !strings.Contains(text, `"count":450`) {
			t.Errorf("the log doesn't tell: %s", text)
		}

		chunks = nil
		w.workers().Round(t.Context())
		if !slices.Equal(chunks, []int{0}) {
			t.Errorf("the next round removed %v", chunks)
		}
		if _, text := w.log.take(t); text != "" {
			t.Errorf("a round with nothing to do says %s", text)
		}
	})
}

// A session that lives is never removed, however short ended ones are kept.
func TestRoundNeverRemovesLiveSessions(t *testing.T) {
	w := newApp(t, slog.LevelError)
	p := w.project()
	w.sessions(p, w.user(p), 20, time.Hour)
	workers := w.workers()
	workers.KeepEnded, workers.KeepEvents = 0, 0
	for range 60 {
		w.clock.Move(time.Minute - time.Millisecond)
		workers.Round(t.Context())
		if n := w.stored(p, session.Active); n != 20 {
			t.Fatalf("%d are left", n)
		}
	}
	w.clock.Move(time.Minute + time.Millisecond)
	workers.Round(t.Context())
	if n := w.stored(p, ""); n != 0 {
		t.Errorf("%d are left after their end", n)
	}
}

func TestRoundRemovesEvents(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelError)
		p := w.project()
		for i := range 405 {
			_, err := w.app.Directory.CreateUser(t.Context(), p.ID, directory.UserChange{LoginIDs: &[]string{fmt.Sprint(i)}}, operator)
			w.must(err)
		}
		w.clock.Move(listed)
		w.workers().Round(t.Context()) // also makes a key
		events := func(types ...audit.Type) int {
			all, err := w.store.Events().List(t.Context(), audit.Query{Project: p.ID, Types: types, Limit: 10_000})
			w.must(err)
			return len(all)
		}
		if n := events(audit.UserCreated); n != 405 {
			t.Errorf("%d events are left of 405 that are %v old", n, listed)
		}
		w.clock.Move(time.Millisecond)
		w.workers().Round(t.Context())
		if n := events(audit.UserCreated, audit.ProjectCreated); n != 0 {
			t.Errorf("%d events are left", n)
		}
		if events() == 0 {
			t.Error("younger events went, too")
		}
	})
}

func TestRoundTendsKeys(t *testing.T) {
	w := newApp(t, slog.LevelError)
	// Its creation was interrupted before the first key.
	bare, err := w.app.Directory.CreateProject(t.Context(), "bare", w.app.Master, operator)
	w.must(err)
	made := w.project()
	both := func(want ...key.State) {
		t.Helper()
		w.workers().Round(t.Context())
		for _, p := range []directory.Project{bare, made} {
			if got := w.keys(p.ID); !slices.Equal(got, want) {
				t.Errorf("%s has the keys %v, want %v", p.Name, got, want)
			}
		}
	}
	both(key.Active)
	w.clock.Move(29 * day)
	both(key.Active, key.Next)
	w.clock.Move(day)
	both(key.Retired, key.Active)
	both(key.Retired, key.Active)
}

// One project's trouble doesn't keep the others' keys from being replaced, nor old rows
// from being removed.
func TestRoundSurvivesOneProject(t *testing.T) {
	w := newApp(t, slog.LevelError)
	var all []directory.Project
	for i := range 5 {
		p, err := w.app.Directory.CreateProject(t.Context(), fmt.Sprint(i), w.app.Master, operator)
		w.must(err)
		all = append(all, p)
		w.clock.Move(time.Second)
	}
	broken := all[1].ID
	w.store.apply = func(p id.Project) error {
		if p == broken {
			return errors.New("disk on fire")
		}
		return nil
	}
	w.workers().Round(t.Context())
	for _, p := range all {
		if got := w.keys(p.ID); (len(got) == 1) == (p.ID == broken) {
			t.Errorf("project %s has the keys %v", p.Name, got)
		}
	}
	if entries, text := w.log.take(t); len(entries) != 1 || entries[0]["level"] != "ERROR" || !strings.Contains(text, "disk on fire") {
		t.Errorf("logged %s", text)
	}
	if got := w.series("latchkey_task_failures_total"); got[`latchkey_task_failures_total{task="keys"}`] != "1" || got[`latchkey_task_failures_total{task="sweep"}`] != "0" {
		t.Errorf("counted %v", got)
	}
	done := w.series("latchkey_task_last_success_timestamp_seconds")
	if done[`latchkey_task_last_success_timestamp_seconds{task="keys"}`] != "0" || done[`latchkey_task_last_success_timestamp_seconds{task="sweep"}`] == "0" {
		t.Errorf("successes %v", done)
	}
	w.store.apply = nil
	w.workers().Round(t.Context())
	if got := w.keys(broken); len(got) != 1 {
		t.Errorf("the next round left %v", got)
	}
}

func TestRoundSurvivesTheStore(t *testing.T) {
	w := newApp(t, slog.LevelError)
	p := w.project()
	w.sessions(p, w.user(p), 3, time.Hour)
	w.clock.Move(2 * listed)
	w.store.sweep = func(int, int) error { return errors.New("disk on fire") }
	w.workers().Round(t.Context())
	if n, err := w.store.Events().Sweep(t.Context(), w.clock.Now().Add(-listed), 1000); err != nil || n != 0 {
		t.Errorf("trouble with sessions left %d events, %v", n, err)
	}
	if _, text := w.log.take(t); !strings.Contains(text, "disk on fire") {
		t.Errorf("logged %s", text)
	}
}

// More projects than a page of the store.
func TestEachProject(t *testing.T) {
	w := newApp(t, slog.LevelError)
	var want, got []id.Project
	for range 201 {
		p, err := w.app.Directory.CreateProject(t.Context(), "p", w.app.Master, operator)
		w.must(err)
		want = append(want, p.ID)
		w.clock.Move(time.Millisecond)
	}
	w.must(w.app.EachProject(t.Context(), func(p directory.Project) error { got = append(got, p.ID); return nil }))
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d projects, or in another order", len(got), len(want))
	}
	enough := errors.New("enough")
	calls := 0
	if err := w.app.EachProject(t.Context(), func(directory.Project) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("stopped after %d with %v", calls, err)
	}
}

func TestWorkersRun(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		ctx, stop := context.WithCancel(t.Context())
		var rounds []time.Duration
		start := time.Now()
		w.store.sweep = func(int, int) error { rounds = append(rounds, time.Since(start)); return nil }
		ended := make(chan struct{})
		go func() { w.workers().Run(ctx); close(ended) }()
		<-time.After(2*time.Minute + time.Second)
		stop()
		<-ended
		if want := []time.Duration{0, time.Minute, 2 * time.Minute}; !slices.Equal(rounds, want) {
			t.Errorf("rounds at %v, want %v", rounds, want)
		}
		if _, text := w.log.take(t); text != "" {
			t.Errorf("stopping is logged: %s", text)
		}
	})
}

// Stopping doesn't wait until millions of rows are removed.
func TestWorkersStopInARound(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		p := w.project()
		w.sessions(p, w.user(p), 1000, time.Hour)
		w.clock.Move(2 * keeps)
		ctx, stop := context.WithCancel(t.Context())
		w.store.sweep = func(int, int) error { stop(); return nil }
		w.workers().Run(ctx)
		if n := w.stored(p, ""); n != 800 {
			t.Errorf("%d sessions are left", n)
		}
		if entries, text := w.log.take(t); len(entries) != 1 || entries[0]["level"] != "INFO" {
			t.Errorf("stopping half way is logged: %s", text)
		}
	})
}

// Attack 41: a clock that is ahead for a while makes no revocation be forgotten that
// verifiers need when it is right again.
func TestAttack41RoundWhileTheClockIsAhead(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelError)
		p := w.project()
		set := w.signIn(p, "ada")
		workers := w.workers()
		entries := func() int {
			workers.Round(t.Context())
			list, err := w.store.Revocations().Of(t.Context(), p.ID, 0, 99)
			w.must(err)
			return len(list)
		}
		entries()
		_, err := w.app.Sessions.End(t.Context(), p.ID, set.Row.ID, session.Ending{Reason: session.Ended})
		w.must(err)
		w.clock.Move(time.Hour)
		if entries() != 1 {
			t.Error("the entry is gone while the clock is ahead")
		}
		w.clock.Move(-time.Hour)
		time.Sleep(time.Hour)
		w.clock.Move(time.Hour)
		if entries() != 0 {
			t.Error("the entry stays when it is over")
		}
	})
}
