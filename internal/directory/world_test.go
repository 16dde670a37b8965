package directory_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

var (
	start    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	operator = audit.Origin{Actor: audit.CLI, IP: "192.0.2.7", RequestID: "req-1"}
)

// clock moves by a millisecond with every reading, so that identifiers made one after
// the other sort in this order.
type clock struct{ past atomic.Int64 }

func (c *clock) now() time.Time { return start.Add(time.Duration(c.past.Add(int64(time.Millisecond)))) }

func (c *clock) reach(t time.Time) { c.past.Store(int64(t.Sub(start))) }

func (c *clock) pass(d time.Duration) { c.past.Add(int64(d)) }

// world is a directory on the reference store, with one project.
type world struct {
	*directory.Service
	t       *testing.T
	clock   *clock
	store   *memory.Store
	master  *secret.Ring
	project id.Project
	seen    map[id.Event]bool
}

// deps returns what the service of newWorld stands on, for tests that put something of
// their own between.
func (w *world) deps() directory.Deps {
	return directory.Deps{
		Projects: w.store.Projects(), Lives: w.store.Lives(), Users: w.store.Users(), Batches: w.store.Batches(), Holders: w.store.Holders(), Tenants: w.store.Tenants(), Roles: w.store.Roles(),
		Permissions: w.store.Permissions(), Keys: w.store.ManagementKeys(), AccessKeys: w.store.AccessKeys(), Now: w.clock.now,
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: new(clock), seen: map[id.Event]bool{}}
	w.store = memory.Open(w.clock.now)
	w.on(w.deps())
	var err error
	if w.master, err = secret.ParseRing(secret.NewMasterKey()); err != nil {
		t.Fatal(err)
	}
	p, err := w.CreateProject(t.Context(), "Shop", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	w.project = p.ID
	w.said()
	return w
}

// on replaces the service by one on d.
func (w *world) on(d directory.Deps) {
	w.t.Helper()
	s, err := directory.New(d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Service = s
}

// said returns the events written since the last call, oldest first.
func (w *world) said() []audit.Event {
	w.t.Helper()
	all, err := w.store.Events().List(w.t.Context(), audit.Query{Project: w.project, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(all)
	var fresh []audit.Event
	for _, e := range all {
		if !w.seen[e.ID] {
			fresh = append(fresh, e)
		}
		w.seen[e.ID] = true
	}
	return fresh
}

// expect fails unless exactly events of these types were written since the last call,
// each by the operator.
func (w *world) expect(types ...audit.Type) []audit.Event {
	w.t.Helper()
	events := w.said()
	var got []audit.Type
	for _, e := range events {
		got = append(got, e.Type)
		if e.Origin != operator {
			w.t.Errorf("the event %s is of %+v", e.Type, e.Origin)
		}
	}
	if !slices.Equal(got, types) {
		w.t.Fatalf("events %v, want %v", got, types)
	}
	return events
}

func (w *world) user(logins ...string) directory.User {
	w.t.Helper()
	u, err := w.CreateUser(w.t.Context(), w.project, directory.UserChange{LoginIDs: &logins}, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	w.said()
	return u
}

// refused fails unless err is a refusal of this kind.
func refused(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("got %v, want a refusal of kind %s", err, kind)
	}
}

// at returns the pointers of what is wrong, in order.
func at(err error) string {
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	var pointers []string
	for _, f := range refusal.Fields {
		pointers = append(pointers, f.Pointer)
	}
	return strings.Join(pointers, " ")
}

func TestNewNeedsEverything(t *testing.T) {
	whole := newWorld(t).deps()
	for name, lacking := range map[string]func(*directory.Deps){
		"projects":    func(d *directory.Deps) { d.Projects = nil },
		"users":       func(d *directory.Deps) { d.Users = nil },
		"batches":     func(d *directory.Deps) { d.Batches = nil },
		"holders":     func(d *directory.Deps) { d.Holders = nil },
		"tenants":     func(d *directory.Deps) { d.Tenants = nil },
		"roles":       func(d *directory.Deps) { d.Roles = nil },
		"permissions": func(d *directory.Deps) { d.Permissions = nil },
		"keys":        func(d *directory.Deps) { d.Keys = nil },
		"clock":       func(d *directory.Deps) { d.Now = nil },
	} {
		d := whole
		if lacking(&d); func() error { _, err := directory.New(d); return err }() == nil {
			t.Errorf("a service without %s", name)
		}
	}
}
