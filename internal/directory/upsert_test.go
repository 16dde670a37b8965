package directory_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// racing puts what others do between the verbs of a service, and counts its writes.
type racing struct {
	directory.UserStore
	beforeInsert func()
	beforeChange func()
	broken       error // of FindByLogin
	finds        int
	writes       atomic.Int64
}

func (s *racing) FindByLogin(ctx context.Context, p id.Project, login string) (directory.User, error) {
	if s.finds++; s.broken != nil {
		return directory.User{}, s.broken
	}
	return s.UserStore.FindByLogin(ctx, p, login)
}

func (s *racing) Insert(ctx context.Context, u directory.User, e audit.Event) error {
	if s.beforeInsert != nil {
		s.beforeInsert()
	}
	s.writes.Add(1)
	return s.UserStore.Insert(ctx, u, e)
}

func (s *racing) Change(ctx context.Context, p id.Project, u id.User, change func(directory.User) (directory.User, []audit.Event, error)) (directory.User, error) {
	if s.beforeChange != nil {
		s.beforeChange()
	}
	s.writes.Add(1)
	return s.UserStore.Change(ctx, p, u, change)
}

// race returns a world with racing between the service and its users.
func race(t *testing.T) (*world, *racing) {
	t.Helper()
	w := newWorld(t)
	s := &racing{UserStore: w.store.Users()}
	d := w.deps()
	d.Users = s
	w.on(d)
	return w, s
}

func logins(l ...string) directory.UserChange { return directory.UserChange{LoginIDs: &l} }

func TestUpsert(t *testing.T) {
	w, store := race(t)
	made, err := w.Upsert(t.Context(), w.project, somebody, operator)
	if err != nil {
		t.Fatal(err)
	}
	w.expect(audit.UserCreated)

	store.writes.Store(0)
	again, err := w.Upsert(t.Context(), w.project, somebody, operator)
	if err != nil || !reflect.DeepEqual(again, made) {
		t.Errorf("the same once more gives\n%+v, %v, want\n%+v", again, err, made)
	}
	if w.expect(); store.writes.Load() != 0 {
		t.Error("an unchanged user was written")
	}

	// Only what is said counts: a sign-in that gives no name doesn't take it away.
	again, err = w.Upsert(t.Context(), w.project, logins("ada", "ada@example.com"), operator)
	if err != nil || !reflect.DeepEqual(again, made) || store.writes.Load() != 0 {
		t.Errorf("less once more gives\n%+v, %v and %d writes", again, err, store.writes.Load())
	}

	for what, c := range map[string]directory.UserChange{
		"name":  {LoginIDs: somebody.LoginIDs, Name: new("Countess")},
		"email": {LoginIDs: somebody.LoginIDs, Email: new("")},
		"phone": {LoginIDs: somebody.LoginIDs, Phone: new("+15551234567")},
		"order": logins("ada@example.com", "ada"),
		"more":  logins("ada", "new"),
	} {
		changed, err := w.Upsert(t.Context(), w.project, c, operator)
		if err != nil || changed.ID != made.ID {
			t.Errorf("%s: %v, %v", what, changed.ID, err)
		}
		w.expect(audit.UserUpdated)
	}

	off := logins("ada")
	off.Status = new(directory.Disabled)
	if u, err := w.Upsert(t.Context(), w.project, off, operator); err != nil || u.Status != directory.Disabled || u.Epoch != made.Epoch+1 {
		t.Errorf("disabled: %+v, %v", u, err)
	}
	w.expect(audit.UserDisabled)
	if u, err := w.Upsert(t.Context(), w.project, logins("ada"), operator); err != nil || u.Status != directory.Disabled {
		t.Errorf("a sign-in enabled the user again: %+v, %v", u, err)
	}
	w.expect()
}

func TestUpsertFindsByAnyLogin(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", "a@example.com")
	u, err := w.Upsert(t.Context(), w.project, logins("new", "newer", "a@example.com"), operator)
	if err != nil || u.ID != ada.ID {
		t.Fatalf("%v, %v, want %v", u.ID, err, ada.ID)
	}
	_, err = w.UserByLogin(t.Context(), w.project, "ada")
	refused(t, err, fault.NotFound)
}

func TestUpsertOfTwoUsers(t *testing.T) {
	w := newWorld(t)
	w.user("ada")
	w.user("bob")
	_, err := w.Upsert(t.Context(), w.project, logins("ada", "bob"), operator)
	refused(t, err, fault.Conflict)
	w.expect()
}

func TestUpsertRefuses(t *testing.T) {
	w, store := race(t)
	for _, c := range []directory.UserChange{{}, {LoginIDs: new([]string{})}, {Name: new("Ada")}} {
		_, err := w.Upsert(t.Context(), w.project, c, operator)
		refused(t, err, fault.Invalid)
		if at(err) != "/loginIds" {
			t.Errorf("wrong is %q", at(err))
		}
	}
	if store.finds != 0 {
		t.Error("the store was asked for nobody")
	}

	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprint("login", i))
	}
	_, err := w.Upsert(t.Context(), w.project, logins(many...), operator)
	refused(t, err, fault.Invalid)
	if store.finds > 10 {
		t.Errorf("a thousand login ids cost %d searches", store.finds)
	}

	w.user("ada")
	bad := logins("ada")
	bad.Email = new("no address")
	_, err = w.Upsert(t.Context(), w.project, bad, operator)
	refused(t, err, fault.Invalid)

	store.broken = errors.New("disk on fire")
	if _, err := w.Upsert(t.Context(), w.project, logins("ada"), operator); !errors.Is(err, store.broken) {
		t.Errorf("got %v", err)
	}
	store.broken = nil
	_, err = w.Upsert(t.Context(), id.NewProject(start), logins("ada"), operator)
	refused(t, err, fault.NotFound)
	w.expect()
}

// Somebody else makes the user between the search and the insert.
func TestUpsertLosesTheInsert(t *testing.T) {
	w, store := race(t)
	var first directory.User
	store.beforeInsert = sync.OnceFunc(func() { first = w.inserted("ada") })
	u, err := w.Upsert(t.Context(), w.project, logins("ada"), operator)
	if err != nil || u.ID != first.ID {
		t.Errorf("%v, %v, want the user %v of the other", u.ID, err, first.ID)
	}
	w.expect(audit.UserCreated)
}

// Somebody else deletes the user between the search and the change.
func TestUpsertLosesTheUser(t *testing.T) {
	w, store := race(t)
	old := w.user("ada")
	store.beforeChange = sync.OnceFunc(func() {
		if err := w.store.Users().Delete(t.Context(), w.project, old.ID, w.event(audit.UserDeleted)); err != nil {
			t.Error(err)
		}
	})
	c := logins("ada")
	c.Name = new("Ada")
	u, err := w.Upsert(t.Context(), w.project, c, operator)
	if err != nil || u.ID == old.ID || u.Name != "Ada" {
		t.Errorf("%+v, %v, want a new user", u, err)
	}
	w.expect(audit.UserDeleted, audit.UserCreated)
}

// Whoever makes and deletes a user all the time doesn't keep a call for ever.
func TestUpsertGivesUp(t *testing.T) {
	w, store := race(t)
	store.beforeInsert = func() { w.inserted("ada") }
	inner := store.UserStore
	store.UserStore = forgetful{inner, w}
	_, err := w.Upsert(t.Context(), w.project, logins("ada"), operator)
	refused(t, err, fault.Conflict)
	if n := store.writes.Load(); n < 2 || n > 10 {
		t.Errorf("gave up after %d attempts", n)
	}
}

// forgetful deletes whoever was in the way of an insert.
type forgetful struct {
	directory.UserStore
	w *world
}

func (s forgetful) Insert(ctx context.Context, u directory.User, e audit.Event) error {
	err := s.UserStore.Insert(ctx, u, e)
	if other, found := s.UserStore.FindByLogin(ctx, u.Project, u.LoginIDs[0]); found == nil {
		return errors.Join(err, s.Delete(ctx, u.Project, other.ID, s.w.event(audit.UserDeleted)))
	}
	return err
}

func (w *world) event(t audit.Type) audit.Event {
	return audit.New(w.project, w.clock.now(), t, operator)
}

// inserted adds a user as somebody else does.
func (w *world) inserted(login string) directory.User {
	w.t.Helper()
	u := directory.User{ID: id.NewUser(w.clock.now()), Project: w.project, LoginIDs: []string{login}, Status: directory.Enabled}
	if err := w.store.Users().Insert(w.t.Context(), u, w.event(audit.UserCreated)); err != nil {
		w.t.Error(err)
	}
	return u
}

// together runs do many times at once and returns what it returned.
func together[T any](t *testing.T, do func(i int) (T, error)) []T {
	t.Helper()
	const callers = 16
	var wait sync.WaitGroup
	begin := make(chan struct{})
	results := make([]T, callers)
	for i := range callers {
		wait.Go(func() {
			<-begin
			var err error
			if results[i], err = do(i); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	wait.Wait()
	return results
}

func TestUpsertTogether(t *testing.T) {
	w := newWorld(t)
	users := together(t, func(int) (directory.User, error) {
		return w.Upsert(t.Context(), w.project, somebody, operator)
	})
	for _, u := range users {
		if u.ID != users[0].ID {
			t.Errorf("two users were made: %v and %v", u.ID, users[0].ID)
		}
	}
	w.expect(audit.UserCreated)
}

// Each has another login id in mind besides the common one: it stays one user, with the
// login ids of one of them.
func TestUpsertTogetherOverlapping(t *testing.T) {
	w := newWorld(t)
	users := together(t, func(i int) (directory.User, error) {
		return w.Upsert(t.Context(), w.project, logins("common", fmt.Sprint("own", i)), operator)
	})
	for _, u := range users {
		if u.ID != users[0].ID {
			t.Errorf("two users were made: %v and %v", u.ID, users[0].ID)
		}
	}
	all, _, err := w.Users(t.Context(), directory.UserQuery{Project: w.project, Limit: 100})
	if err != nil || len(all) != 1 || len(all[0].LoginIDs) != 2 || all[0].LoginIDs[0] != "common" {
		t.Errorf("%+v, %v", all, err)
	}
}
