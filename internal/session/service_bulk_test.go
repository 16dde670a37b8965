package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// stepping does something after each step of EndMatching.
type stepping struct {
	session.BulkStore
	steps  int
	widest int // rows that one step may look at
	after  func(step int) error
}

func (s *stepping) EndMatching(ctx context.Context, f session.Filter, e session.Ending) (int, id.Session, error) {
	n, next, err := s.BulkStore.EndMatching(ctx, f, e)
	s.steps++
	s.widest = max(s.widest, f.Limit)
	if err == nil && s.after != nil {
		err = s.after(s.steps)
	}
	return n, next, err
}

func (o *office) stepping() *stepping {
	s := &stepping{BulkStore: o.store.Bulk()}
	o.on(session.Deps{Store: o.store.Sessions(), Bulk: s, Now: o.now})
	return s
}

func (o *office) signInMany(u id.User, n int) (last session.Row) {
	o.t.Helper()
	for range n {
		last = o.signIn(u)
	}
	return last
}

// active returns how many sessions of the project are active.
func (o *office) active() int {
	o.t.Helper()
	n, err := o.Count(o.t.Context(), session.Filter{Project: o.project})
	o.must(err)
	return n
}

func TestCountSeesTheActiveOnly(t *testing.T) {
	o := newOffice(t)
	o.signInMany(o.ada, 3)
	ended := o.signIn(o.bob)
	if _, err := o.End(t.Context(), o.project, ended.ID, byClerk); err != nil {
		t.Fatal(err)
	}
	for _, status := range []session.Status{"", session.Active, session.Over, session.Expired} {
		n, err := o.Count(t.Context(), session.Filter{Project: o.project, Status: status})
		if err != nil || n != 3 {
			t.Errorf("%q: %d, %v, want 3", status, n, err)
		}
	}
	if n, err := o.Count(t.Context(), session.Filter{Project: o.project, User: o.bob}); err != nil || n != 0 {
		t.Errorf("of the other user: %d, %v", n, err)
	}
}

func TestEndUser(t *testing.T) {
	o := newOffice(t)
	kept, gone, other := o.signIn(o.ada), o.signInMany(o.ada, 3), o.signIn(o.bob)
	if n, err := o.EndUser(t.Context(), o.project, o.ada, kept.ID, byClerk); err != nil || n != 3 {
		t.Errorf("%d, %v, want 3", n, err)
	}
	o.expect("sessions.ended revoked 3")
	o.looks(kept, session.Active, "")
	o.looks(gone, session.Over, session.Superseded)
	o.looks(other, session.Active, "")
	if n, err := o.EndUser(t.Context(), o.project, o.ada, id.Session{}, byClerk); err != nil || n != 1 {
		t.Errorf("without exception: %d, %v, want 1", n, err)
	}
	o.looks(kept, session.Over, session.Superseded)
	o.looks(o.signIn(o.ada), session.Active, "")
	_, err := o.EndUser(t.Context(), o.project, id.NewUser(opening), id.Session{}, byClerk)
	o.refused(err, fault.NotFound)
}

// A session of somebody else isn't kept, and keeps nobody.
func TestEndUserKeepsOwnOnly(t *testing.T) {
	o := newOffice(t)
	own, other := o.signIn(o.ada), o.signIn(o.bob)
	if n, err := o.EndUser(t.Context(), o.project, o.ada, other.ID, byClerk); err != nil || n != 1 {
		t.Errorf("%d, %v, want 1", n, err)
	}
	o.looks(own, session.Over, session.Superseded)
	if n, err := o.EndUser(t.Context(), o.project, o.bob, own.ID, byClerk); err != nil || n != 1 {
		t.Errorf("%d, %v, want 1", n, err)
	}
	o.looks(own, session.Over, session.Superseded)
}

func TestEndProject(t *testing.T) {
	o := newOffice(t)
	one, other := o.signInMany(o.ada, 2), o.signIn(o.bob)
	if _, err := o.End(t.Context(), o.project, other.ID, byClerk); err != nil {
		t.Fatal(err)
	}
	o.said()
	if n, err := o.EndProject(t.Context(), o.project, byClerk); err != nil || n != 2 {
		t.Errorf("%d, %v, want 2", n, err)
	}
	o.expect("sessions.ended revoked 0")
	o.looks(one, session.Over, session.Superseded)
	o.looks(other, session.Over, session.Ended)
	o.looks(o.signIn(o.ada), session.Active, "")
	_, err := o.EndProject(t.Context(), id.NewProject(opening), byClerk)
	o.refused(err, fault.NotFound)
	broken, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.EndProject(broken, o.project, byClerk); !errors.Is(err, context.Canceled) {
		t.Errorf("a failure looks like %v", err)
	}
}

func TestEndMatching(t *testing.T) {
	o := newOffice(t)
	o.signInMany(o.ada, 3)
	expired := o.signIn(o.bob)
	o.pass(time.Hour)
	old := o.signInMany(o.bob, 2)
	border := o.now()
	fresh := o.signIn(o.bob)
	for _, c := range []struct {
		what   string
		filter session.Filter
		want   int
	}{
		{"of nobody", session.Filter{User: id.NewUser(opening)}, 0},
		{"made before all", session.Filter{CreatedTo: opening}, 0},
		{"of one user, made before", session.Filter{User: o.bob, CreatedTo: border}, 2},
		{"again", session.Filter{User: o.bob, CreatedTo: border}, 0},
		// Status is for lists: only what is active can end.
		{"the rest", session.Filter{Status: session.Expired}, 1},
	} {
		c.filter.Project = o.project
		if n, err := o.EndMatching(t.Context(), c.filter, byClerk); err != nil || n != c.want {
			t.Errorf("%s: %d, %v, want %d", c.what, n, err, c.want)
		}
	}
	o.expect("sessions.ended revoked 2", "sessions.ended revoked 1")
	o.looks(old, session.Over, session.Ended)
	o.looks(fresh, session.Over, session.Ended)
	o.looks(expired, session.Expired, "")
}

// Who signs in during the call isn't concerned, however late the caller's own bound:
// otherwise the call would never end while users come.
func TestEndMatchingSparesLaterSessions(t *testing.T) {
	for what, to := range map[string]time.Time{"no bound": {}, "a bound in the future": opening.Add(1000 * time.Hour)} {
		o := newOffice(t)
		o.signInMany(o.ada, 501)
		s := o.stepping()
		var later []session.Row
		s.after = func(int) error {
			if len(later) < 5000 {
				later = append(later, o.signIn(o.ada), o.signIn(o.bob))
			}
			return nil
		}
		if n, err := o.EndMatching(t.Context(), session.Filter{Project: o.project, CreatedTo: to}, byClerk); err != nil || n != 501 {
			t.Errorf("%s: %d, %v, want 501", what, n, err)
		}
		if n := o.active(); n != len(later) || s.steps > 3 {
			t.Errorf("%s: %d of %d later ones are active after %d steps", what, n, len(later), s.steps)
		}
	}
}

// A session made in the millisecond of the call was made before it as far as anybody
// can tell.
func TestEndMatchingTakesThisMillisecond(t *testing.T) {
	o := newOffice(t)
	o.signIn(o.ada)
	frozen := func() time.Time { return opening.Add(time.Duration(o.past.Load())).Add(999 * time.Microsecond) }
	o.on(session.Deps{Store: o.store.Sessions(), Bulk: o.store.Bulk(), Now: frozen})
	last := o.signIn(o.ada)
	o.past.Store(int64(last.CreatedAt.Sub(opening)))
	if n, err := o.EndMatching(t.Context(), session.Filter{Project: o.project}, byClerk); err != nil || n != 2 {
		t.Errorf("%d, %v, want 2", n, err)
	}
}

func TestEndMatchingInSteps(t *testing.T) {
	o := newOffice(t)
	o.signInMany(o.ada, 1200)
	s := o.stepping()
	if n, err := o.EndMatching(t.Context(), session.Filter{Project: o.project, Limit: 7, After: id.Session{}}, byClerk); err != nil || n != 1200 {
		t.Errorf("%d, %v, want 1200", n, err)
	}
	if s.steps < 3 || s.widest > 500 {
		t.Errorf("%d steps of at most %d rows", s.steps, s.widest)
	}
}

func TestEndMatchingStops(t *testing.T) {
	o := newOffice(t)
	o.signInMany(o.ada, 1200)
	s := o.stepping()
	ctx, cancel := context.WithCancel(t.Context())
	s.after = func(int) error { cancel(); return nil }
	n, err := o.EndMatching(ctx, session.Filter{Project: o.project}, byClerk)
	if !errors.Is(err, context.Canceled) || s.steps != 1 || n == 0 || n+o.active() != 1200 {
		t.Errorf("ended %d in %d steps, %v; %d are active", n, s.steps, err, o.active())
	}

	fire := errors.New("disk on fire")
	s.steps, s.after = 0, func(step int) error {
		if step == 2 {
			return fire
		}
		return nil
	}
	n2, err := o.EndMatching(t.Context(), session.Filter{Project: o.project}, byClerk)
	if !errors.Is(err, fire) || s.steps != 2 || n+n2+o.active() != 1200 {
		t.Errorf("ended %d in %d steps, %v; %d are active", n2, s.steps, err, o.active())
	}
}

// A filter that selects nothing costs no more than one that selects all: the caller gets an
// empty page and goes on.
func TestListLooksAtABoundedNumber(t *testing.T) {
	o := newOffice(t)
	const many = 400
	first := o.signIn(o.ada)
	o.signInMany(o.ada, many-1)
	found, next, err := o.List(t.Context(), session.Filter{Project: o.project, Status: session.Expired, Limit: 5})
	if err != nil || len(found) != 0 || next.IsZero() || next == first.ID {
		t.Fatalf("the first page holds %d sessions and goes on at %v, %v", len(found), next, err)
	}
	found, next, err = o.List(t.Context(), session.Filter{Project: o.project, Status: session.Expired, Limit: 5, After: next})
	if err != nil || len(found) != 0 || !next.IsZero() {
		t.Fatalf("the last page holds %d sessions and goes on at %v, %v", len(found), next, err)
	}
}
