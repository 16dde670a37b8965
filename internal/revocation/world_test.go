package revocation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

// spy is a store that counts what is read, and fails or waits when it is told to.
type spy struct {
	revocation.Store
	reads  atomic.Int64
	broken atomic.Bool
	before atomic.Pointer[func()] // called after Of has read, before it returns
}

var errBroken = errors.New("the disk is gone")

func (s *spy) After(ctx context.Context, seq int64, limit int) ([]revocation.Entry, error) {
	s.reads.Add(1)
	if s.broken.Load() {
		return nil, errBroken
	}
	return s.Store.After(ctx, seq, limit)
}

func (s *spy) Of(ctx context.Context, p id.Project, seq int64, limit int) ([]revocation.Entry, error) {
	s.reads.Add(1)
	if s.broken.Load() {
		return nil, errBroken
	}
	list, err := s.Store.Of(ctx, p, seq, limit)
	if wait := s.before.Load(); wait != nil {
		(*wait)()
	}
	return list, err
}

func (s *spy) Last(ctx context.Context) (int64, error) {
	s.reads.Add(1)
	if s.broken.Load() {
		return 0, errBroken
	}
	return s.Store.Last(ctx)
}

// world is a hub on the memory store, and projects whose sessions can be ended.
type world struct {
	testing.TB
	store *memory.Store
	spy   *spy
	hub   *revocation.Hub
	log   *lines
	p     id.Project
	user  id.User
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// newWorld returns a hub that runs until the test ends; with deaf it isn't told of what
// the store commits, as if another process wrote it.
func newWorld(t testing.TB, deaf bool, change ...func(*revocation.HubConfig)) *world {
	t.Helper()
	bell := revocation.NewBell()
	o := memory.Options{Now: time.Now}
	if !deaf {
		o.OnRevocation = bell.Ring
	}
	w := &world{TB: t, store: memory.OpenWith(o), log: new(lines)}
	w.spy = &spy{Store: w.store.Revocations()}
	c := revocation.HubConfig{Store: w.spy, Now: time.Now, Bell: bell, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	for _, f := range change {
		f(&c)
	}
	var err error
	w.hub, err = revocation.NewHub(c)
	w.must(err)
	w.p, w.user = w.project()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.hub.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) project() (id.Project, id.User) {
	w.Helper()
	now := time.Now()
	p, u := id.NewProject(now), id.NewUser(now)
	w.must(w.store.Projects().Insert(context.Background(), directory.Project{ID: p, Name: "acme", Settings: policy.Defaults()}, audit.Event{ID: id.NewEvent(now)}))
	w.must(w.store.Users().Insert(context.Background(), directory.User{ID: u, Project: p, LoginIDs: []string{u.String()}, Status: directory.Enabled}, audit.Event{ID: id.NewEvent(now)}))
	return p, u
}

// revoke writes one entry of the project.
func (w *world) revoke() {
	w.Helper()
	w.revokeOf(w.p, w.user)
}

func (w *world) revokeOf(p id.Project, u id.User) {
	w.Helper()
	if _, err := w.store.Bulk().EndAll(context.Background(), p, u, id.Session{}, session.Ending{}); err != nil {
		w.Error(err)
	}
}

func (w *world) subscribe(after revocation.Cursor, given bool) *revocation.Subscription {
	w.Helper()
	s, err := w.hub.Subscribe(w.Context(), w.p, after, given)
	w.must(err)
	return s
}

// rest returns the numbers of all entries up to where the subscriber has caught up.
func (w *world) rest(s *revocation.Subscription, limit int) (seqs []int64, wait <-chan struct{}) {
	w.Helper()
	for {
		lines, wait, err := s.Next(w.Context(), limit)
		w.must(err)
		if len(lines) > limit {
			w.Fatalf("%d lines, at most %d", len(lines), limit)
		}
		for _, l := range lines {
			var r latchkey.Revocation
			w.must(json.Unmarshal(l.JSON, &r))
			if r.Seq != l.Cursor.Seq || !r.At.Equal(l.At) {
				w.Fatalf("line %+v holds %s", l.Cursor, l.JSON)
			}
			seqs = append(seqs, r.Seq)
		}
		if len(lines) > 0 && s.Cursor() != lines[len(lines)-1].Cursor {
			w.Fatalf("the place is %v, behind %v", s.Cursor(), lines[len(lines)-1].Cursor)
		}
		if wait != nil {
			return seqs, wait
		}
	}
}

// gets fails unless the subscriber's next entries, up to the end, are these.
func (w *world) gets(s *revocation.Subscription, want ...int64) <-chan struct{} {
	w.Helper()
	got, wait := w.rest(s, 3)
	if !slices.Equal(got, want) {
		w.Fatalf("entries %v, want %v", got, want)
	}
	return wait
}
