package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

var (
	opening = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clerk   = audit.Origin{Actor: audit.CLI, IP: "192.0.2.7", RequestID: "req-1"}
	byClerk = session.Ending{Reason: session.Ended, Origin: clerk}
)

// office is the service on the reference store, with one project and two users. Its
// clock moves by a millisecond with every reading, so that what is made later sorts
// later.
type office struct {
	*session.Service
	t        *testing.T
	past     atomic.Int64
	store    *memory.Store
	project  id.Project
	ada, bob id.User
	seen     map[id.Event]bool
	lint     claim.LintPolicy // of changes of claims; "" is off
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, seen: map[id.Event]bool{}}
	o.store = memory.Open(o.now)
	o.on(session.Deps{Store: o.store.Sessions(), Bulk: o.store.Bulk(), Now: o.now})
	o.project = o.newProject()
	o.ada, o.bob = o.newUser("ada"), o.newUser("bob")
	o.said()
	return o
}

func (o *office) now() time.Time {
	return opening.Add(time.Duration(o.past.Add(int64(time.Millisecond))))
}

func (o *office) pass(d time.Duration) { o.past.Add(int64(d)) }

// on replaces the service by one on d.
func (o *office) on(d session.Deps) {
	o.t.Helper()
	s, err := session.New(d)
	o.must(err)
	o.Service = s
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) newProject() id.Project {
	o.t.Helper()
	p := id.NewProject(o.now())
	o.must(o.store.Projects().Insert(o.t.Context(), directory.Project{ID: p}, o.event(audit.ProjectCreated)))
	return p
}

func (o *office) newUser(login string) id.User {
	o.t.Helper()
	u := directory.User{ID: id.NewUser(o.now()), Project: o.project, LoginIDs: []string{login}, Status: directory.Enabled}
	o.must(o.store.Users().Insert(o.t.Context(), u, o.event(audit.UserCreated)))
	return u.ID
}

func (o *office) event(t audit.Type) audit.Event { return audit.New(o.project, o.now(), t, clerk) }

// signIn adds a session of an hour.
func (o *office) signIn(u id.User) session.Row {
	o.t.Helper()
	now := o.now()
	row, err := o.store.Sessions().Insert(o.t.Context(), session.Row{ID: id.NewSession(now), Project: o.project, User: u, State: session.State{
		Newest: id.NewRefresh(), CreatedAt: now, RotatedAt: now, AbsoluteAt: now.Add(time.Hour),
	}}, 1, session.Admission{})
	o.must(err)
	return row
}

// said returns the types of the events written since the last call, oldest first.
func (o *office) said() []string {
	o.t.Helper()
	events, err := o.store.Events().List(o.t.Context(), audit.Query{Project: o.project, Limit: 10_000})
	o.must(err)
	var fresh []string
	for _, e := range slices.Backward(events) {
		if !o.seen[e.ID] {
			fresh = append(fresh, fmt.Sprint(e.Type, " ", e.Data["reason"], " ", e.Data["count"]))
			if e.Origin != clerk {
				o.t.Errorf("the event %s is of %+v", e.Type, e.Origin)
			}
		}
		o.seen[e.ID] = true
	}
	return fresh
}

// expect fails unless exactly these events were written since the last call, as "type
// reason count".
func (o *office) expect(events ...string) {
	o.t.Helper()
	if got := o.said(); !slices.Equal(got, events) {
		o.t.Errorf("events %q, want %q", got, events)
	}
}

// looks fails unless the session is seen like this.
func (o *office) looks(s session.Row, status session.Status, reason session.Reason) {
	o.t.Helper()
	found, err := o.Get(o.t.Context(), o.project, s.ID)
	if err != nil || found.ID != s.ID || found.Status != status || found.Reason != reason {
		o.t.Errorf("the session is %s %q, %v; want %s %q", found.Status, found.Reason, err, status, reason)
	}
}

func (o *office) refused(err error, kind fault.Kind) {
	o.t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		o.t.Errorf("got %v, want a refusal of kind %s", err, kind)
	}
}

func TestServiceNeedsEverything(t *testing.T) {
	o := newOffice(t)
	for what, d := range map[string]session.Deps{
		"store": {Bulk: o.store.Bulk(), Now: o.now}, "bulk": {Store: o.store.Sessions(), Now: o.now},
		"clock": {Store: o.store.Sessions(), Bulk: o.store.Bulk()},
	} {
		if _, err := session.New(d); err == nil {
			t.Errorf("a service without its %s", what)
		}
	}
}

func TestGet(t *testing.T) {
	o := newOffice(t)
	s, other := o.signIn(o.ada), o.signIn(o.bob)
	o.looks(s, session.Active, "")
	if _, err := o.End(t.Context(), o.project, s.ID, session.Ending{Reason: session.Logout, Origin: clerk}); err != nil {
		t.Fatal(err)
	}
	o.looks(s, session.Over, session.Logout)
	o.looks(other, session.Active, "")
	o.pass(time.Hour)
	o.looks(other, session.Expired, "")
	o.must(o.store.Users().Delete(t.Context(), o.project, o.bob, o.event(audit.UserDeleted)))
	o.looks(other, session.Over, session.UserDeleted)

	_, err := o.Get(t.Context(), o.project, id.NewSession(opening))
	o.refused(err, fault.NotFound)
	_, err = o.Get(t.Context(), o.newProject(), s.ID)
	o.refused(err, fault.NotFound)
}

func TestList(t *testing.T) {
	o := newOffice(t)
	var made []session.Row
	for i := range 6 {
		made = append(made, o.signIn([]id.User{o.ada, o.bob}[i%2]))
	}
	if _, err := o.End(t.Context(), o.project, made[2].ID, byClerk); err != nil {
		t.Fatal(err)
	}
	_, err := o.store.Users().Change(t.Context(), o.project, o.bob, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Status = directory.Disabled
		return u, nil, nil
	})
	o.must(err)
	f := func(change func(*session.Filter)) session.Filter {
		f := session.Filter{Project: o.project, Limit: 10}
		change(&f)
		return f
	}
	for what, c := range map[string]struct {
		filter session.Filter
		want   []int // of made
	}{
		"all":          {f(func(*session.Filter) {}), []int{5, 4, 3, 2, 1, 0}},
		"a page":       {f(func(f *session.Filter) { f.Limit = 2 }), []int{5, 4}},
		"the next one": {f(func(f *session.Filter) { f.Limit, f.After = 2, made[4].ID }), []int{3, 2}},
		"of a user":    {f(func(f *session.Filter) { f.User = o.ada }), []int{4, 2, 0}},
		"active":       {f(func(f *session.Filter) { f.Status = session.Active }), []int{4, 0}},
		"over":         {f(func(f *session.Filter) { f.Status = session.Over }), []int{5, 3, 2, 1}},
		"of nobody":    {f(func(f *session.Filter) { f.User = id.NewUser(opening) }), nil},
		"of nothing":   {f(func(f *session.Filter) { f.Project = id.NewProject(opening) }), nil},
	} {
		got, next, err := o.List(t.Context(), c.filter)
		if more := c.filter.Limit == 2; next.IsZero() == more || more && next != got[1].ID {
			t.Errorf("%s: go on at %v", what, next)
		}
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %d sessions, %v; want %d", what, len(got), err, len(c.want))
			continue
		}
		for i, n := range c.want {
			// Each status comes with the user of its own session.
			status, reason := session.Active, session.Reason("")
			switch {
			case n%2 == 1:
				status, reason = session.Over, session.UserDisabled
			case n == 2:
				status, reason = session.Over, session.Ended
			}
			if got[i].ID != made[n].ID || got[i].Status != status || got[i].Reason != reason {
				t.Errorf("%s: entry %d is %s %q, want session %d %s %q", what, i, got[i].Status, got[i].Reason, n, status, reason)
			}
		}
	}
}

func TestEnd(t *testing.T) {
	o := newOffice(t)
	s, late := o.signIn(o.ada), o.signIn(o.ada)
	if active, err := o.End(t.Context(), o.project, s.ID, byClerk); err != nil || !active {
		t.Errorf("%v, %v", active, err)
	}
	o.expect("session.ended revoked <nil>")
	o.looks(s, session.Over, session.Ended)
	found, err := o.Get(t.Context(), o.project, s.ID)
	o.must(err)
	if n := len(found.Trace.Entries); n == 0 || found.Trace.Entries[n-1].Rule != session.End {
		t.Errorf("the trace is %+v", found.Trace)
	}

	// The first reason stays.
	again, err := o.End(t.Context(), o.project, s.ID, session.Ending{Reason: session.Logout, Origin: clerk})
	if err != nil || again {
		t.Errorf("ended again: %v, %v", again, err)
	}
	o.looks(s, session.Over, session.Ended)
	o.pass(time.Hour)
	if active, err := o.End(t.Context(), o.project, late.ID, byClerk); err != nil || active {
		t.Errorf("an expired one: %v, %v", active, err)
	}
	o.looks(late, session.Expired, "")
	_, err = o.End(t.Context(), o.project, id.NewSession(opening), byClerk)
	o.refused(err, fault.NotFound)
	o.expect()
}

func TestEndOwn(t *testing.T) {
	o := newOffice(t)
	own, others := o.signIn(o.ada), o.signIn(o.bob)
	_, foreign := o.EndOwn(t.Context(), o.project, o.ada, others.ID, byClerk)
	o.refused(foreign, fault.NotFound)
	_, unknown := o.EndOwn(t.Context(), o.project, o.ada, id.NewSession(opening), byClerk)
	o.refused(unknown, fault.NotFound)
	if foreign.Error() != unknown.Error() {
		t.Errorf("who tries learns which sessions exist: %v, not %v", foreign, unknown)
	}
	o.looks(others, session.Active, "")
	o.expect()

	for _, first := range []bool{true, false} {
		active, err := o.EndOwn(t.Context(), o.project, o.ada, own.ID, byClerk)
		if err != nil || active != first {
			t.Errorf("%v, %v, want %v", active, err, first)
		}
	}
	o.looks(own, session.Over, session.Ended)
	o.expect("session.ended revoked <nil>")

	broken, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.EndOwn(broken, o.project, o.ada, own.ID, byClerk); !errors.Is(err, context.Canceled) {
		t.Errorf("a failure looks like %v", err)
	}
}
