package directory_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func TestLoginIDsAreUnique(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.user("ada", "a@example.com"), w.user("bob")
	_, err := w.CreateUser(t.Context(), w.project, directory.UserChange{LoginIDs: &[]string{"eve", "a@example.com"}}, operator)
	refused(t, err, fault.Conflict)
	_, err = w.ChangeUser(t.Context(), w.project, bob.ID, directory.UserChange{LoginIDs: &[]string{"bob", "ada"}}, operator)
	refused(t, err, fault.Conflict)
	w.expect()
	_, err = w.UserByLogin(t.Context(), w.project, "eve")
	refused(t, err, fault.NotFound)
	if _, err := w.ChangeUser(t.Context(), w.project, ada.ID, directory.UserChange{LoginIDs: &[]string{"a@example.com"}}, operator); err != nil {
		t.Errorf("a user may not keep a login id of their own: %v", err)
	}
	if _, err := w.ChangeUser(t.Context(), w.project, bob.ID, directory.UserChange{LoginIDs: &[]string{"bob", "ada"}}, operator); err != nil {
		t.Errorf("a login id that was given up stays taken: %v", err)
	}
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateUser(t.Context(), other.ID, directory.UserChange{LoginIDs: &[]string{"ada"}}, operator); err != nil {
		t.Errorf("a login id is taken in another project, too: %v", err)
	}
}

func TestChangeUser(t *testing.T) {
	w := newWorld(t)
	old, err := w.CreateUser(t.Context(), w.project, somebody, operator)
	if err != nil {
		t.Fatal(err)
	}
	w.said()
	w.clock.pass(time.Hour)
	want := old
	for _, c := range []struct {
		change directory.UserChange
		apply  func()
	}{
		{directory.UserChange{Name: new("Countess")}, func() { want.Name = "Countess" }},
		{directory.UserChange{Email: new("")}, func() { want.Email = "" }},
		{directory.UserChange{Phone: new("+15551234567")}, func() { want.Phone = "+15551234567" }},
		{directory.UserChange{LoginIDs: &[]string{"ada"}}, func() { want.LoginIDs = []string{"ada"} }},
	} {
		c.apply()
		got, err := w.ChangeUser(t.Context(), w.project, old.ID, c.change, operator)
		if err != nil {
			t.Fatal(err)
		}
		if !got.UpdatedAt.After(want.UpdatedAt) {
			t.Errorf("updated at %v, before at %v", got.UpdatedAt, want.UpdatedAt)
		}
		want.UpdatedAt = got.UpdatedAt
		if !reflect.DeepEqual(got, want) {
			t.Errorf("changed to\n%+v, want\n%+v", got, want)
		}
		if e := w.expect(audit.UserUpdated); e[0].User != old.ID {
			t.Errorf("the event concerns %v", e[0].User)
		}
	}
}

func TestUnknownUser(t *testing.T) {
	w := newWorld(t)
	here := w.user("ada")
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		project id.Project
		user    id.User
	}{
		"no such user":    {w.project, id.NewUser(start)},
		"no user":         {w.project, id.User{}},
		"another project": {other.ID, here.ID},
		"no such project": {id.NewProject(start), here.ID},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := w.User(t.Context(), c.project, c.user)
			refused(t, err, fault.NotFound)
			_, err = w.ChangeUser(t.Context(), c.project, c.user, directory.UserChange{Name: new("x")}, operator)
			refused(t, err, fault.NotFound)
			refused(t, w.DeleteUser(t.Context(), c.project, c.user, operator), fault.NotFound)
		})
	}
	w.expect()
}

func TestListUsers(t *testing.T) {
	w := newWorld(t)
	var want, got []id.User
	for i := range 5 {
		want = append(want, w.user(fmt.Sprint("login", i)).ID)
	}
	for q := (directory.UserQuery{Project: w.project, Limit: 2}); ; {
		page, next, err := w.Users(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			got = append(got, u.ID)
		}
		if q.After = next; next.IsZero() {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

// signIn makes a session of the user and returns what tells how it looks from
// outside.
func (w *world) signIn(u directory.User) func() (session.Status, session.Reason) {
	w.t.Helper()
	now := session.Instant(w.clock.now())
	row := session.Row{ID: id.NewSession(now), Project: w.project, User: u.ID, State: session.State{
		Newest: id.NewRefresh(), CreatedAt: now, RotatedAt: now, AbsoluteAt: now.Add(time.Hour),
	}}
	row, err := w.store.Sessions().Insert(w.t.Context(), row, 1, session.Admission{})
	if err != nil {
		w.t.Fatal(err)
	}
	return func() (session.Status, session.Reason) {
		w.t.Helper()
		row, subject, err := w.store.Sessions().Find(w.t.Context(), w.project, row.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		return row.Status(subject, w.clock.now())
	}
}

func TestDisablingEndsSessionsForGood(t *testing.T) {
	w := newWorld(t)
	u, other := w.user("ada"), w.user("bob")
	old, others := w.signIn(u), w.signIn(other)
	become := func(to directory.Status, event audit.Type, epoch int64) {
		t.Helper()
		changed, err := w.ChangeUser(t.Context(), w.project, u.ID, directory.UserChange{Status: &to}, operator)
		if err != nil || changed.Status != to || changed.Epoch != epoch {
			t.Fatalf("became %s, epoch %d, %v; want %s, epoch %d", changed.Status, changed.Epoch, err, to, epoch)
		}
		w.expect(event)
	}
	looks := func(s func() (session.Status, session.Reason), status session.Status, reason session.Reason) {
		t.Helper()
		if gotStatus, gotReason := s(); gotStatus != status || gotReason != reason {
			t.Errorf("the session is %s %q, want %s %q", gotStatus, gotReason, status, reason)
		}
	}
	looks(old, session.Active, "")
	become(directory.Enabled, audit.UserUpdated, 0) // as before
	looks(old, session.Active, "")
	become(directory.Disabled, audit.UserDisabled, 1)
	looks(old, session.Over, session.UserDisabled)
	become(directory.Disabled, audit.UserUpdated, 1) // again
	become(directory.Enabled, audit.UserEnabled, 1)
	looks(old, session.Over, session.Superseded)
	fresh := w.signIn(u)
	looks(fresh, session.Active, "")
	looks(others, session.Active, "")

	if err := w.DeleteUser(t.Context(), w.project, u.ID, operator); err != nil {
		t.Fatal(err)
	}
	if e := w.expect(audit.UserDeleted); e[0].User != u.ID {
		t.Errorf("the event concerns %v", e[0].User)
	}
	looks(fresh, session.Over, session.UserDeleted)
	looks(others, session.Active, "")
	refused(t, w.DeleteUser(t.Context(), w.project, u.ID, operator), fault.NotFound)
	w.expect()
	if again := w.user("ada"); again.ID == u.ID {
		t.Error("a new user has the id of a deleted one")
	}
	looks(fresh, session.Over, session.UserDeleted)
}
