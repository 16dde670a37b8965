package directory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Each user of a batch is for itself, in the order of the request, and of two that want
// the same the first has it.
func TestBatch(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	taken := w.user("taken")
	var all []directory.UserChange
	want := map[int]fault.Kind{}
	add := func(c directory.UserChange, refused fault.Kind) {
		if refused != 0 {
			want[len(all)] = refused
		}
		all = append(all, c)
	}
	for i := range 200 {
		c := logins(fmt.Sprint("user", i), fmt.Sprint("alias", i))
		c.GrantChange = h.everybody
		add(c, 0)
		switch i % 5 {
		case 0:
			add(logins("other", fmt.Sprint("alias", i)), fault.Conflict) // the one before has it
		case 1:
			add(logins("taken"), fault.Conflict)
		case 2:
			add(directory.UserChange{}, fault.Invalid)
		case 3:
			add(directory.UserChange{LoginIDs: &[]string{fmt.Sprint("free", i)}, GrantChange: grant([]string{"king"})}, fault.Invalid)
		case 4:
			add(logins(fmt.Sprint("free", i-1)), 0) // who wanted it was refused for something else
		}
	}
	for i, o := range w.CreateUsers(t.Context(), w.project, all, operator) {
		if kind, refused := want[i]; refused != (o.Err != nil) || refused && fault.KindOf(o.Err) != kind {
			t.Fatalf("%d: %+v, want %v", i, o, kind)
		}
		if o.Err == nil && (o.User.LoginIDs[0] != (*all[i].LoginIDs)[0] || len(o.User.Memberships) != len(*orNone(all[i].Tenants))) {
			t.Fatalf("%d made %+v", i, o.User)
		}
	}
	var users []id.User
	q := directory.UserQuery{Project: w.project, Limit: 1000}
	list, _, err := w.Users(t.Context(), q)
	if err != nil || len(list) != 1+200+40 {
		t.Fatalf("%d users, %v", len(list), err)
	}
	for _, u := range list {
		users = append(users, u.ID)
	}
	users = append(users, taken.ID, id.NewUser(start))
	gone := w.DeleteUsers(t.Context(), w.project, users, operator)
	for i, err := range gone {
		if unknown := i >= len(list); unknown != (fault.KindOf(err) == fault.NotFound && err != nil) || !unknown && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if list, _, err := w.Users(t.Context(), q); err != nil || len(list) != 0 {
		t.Errorf("%d users are left, %v", len(list), err)
	}
}

func orNone(m *[]directory.MembershipChange) *[]directory.MembershipChange {
	if m == nil {
		return new([]directory.MembershipChange)
	}
	return m
}

// Once nobody waits for the answer any more, nothing more is begun.
func TestBatchOfNobody(t *testing.T) {
	w := newWorld(t)
	b := w.user("b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	made := w.CreateUsers(ctx, w.project, []directory.UserChange{logins("a"), logins("a"), {}}, operator)
	for i, o := range made {
		if errors.Is(o.Err, context.Canceled) != (i < 2) || !o.User.ID.IsZero() {
			t.Errorf("%d: %+v", i, o)
		}
	}
	for _, err := range w.DeleteUsers(ctx, w.project, []id.User{b.ID}, operator) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("deleted: %v", err)
		}
	}
	if made, gone := w.CreateUsers(t.Context(), w.project, nil, operator), w.DeleteUsers(t.Context(), w.project, nil, operator); len(made)+len(gone) != 0 {
		t.Errorf("empty batches made %v and %v", made, gone)
	}
}

// halfway is a store that fails after some edits.
type halfway struct {
	directory.BatchStore
	n int
}

func (s halfway) Apply(ctx context.Context, p id.Project, edits []directory.UserEdit) ([]error, error) {
	done, err := s.BatchStore.Apply(ctx, p, edits[:s.n])
	if err == nil {
		err = fault.New(fault.Unavailable, "The disk is full.")
	}
	return done, err
}

// When the store fails midway, the outcomes say which users are there.
func TestBatchThatFailsMidway(t *testing.T) {
	w := newWorld(t)
	d := w.deps()
	d.Batches = halfway{d.Batches, 2}
	w.on(d)
	made := w.CreateUsers(t.Context(), w.project, []directory.UserChange{logins("a"), {}, logins("b"), logins("c"), logins("d")}, operator)
	for i, kind := range []fault.Kind{0, fault.Invalid, 0, fault.Unavailable, fault.Unavailable} {
		if fault.KindOf(made[i].Err) != kind || (made[i].Err == nil) != (kind == 0) || made[i].User.ID.IsZero() != (kind != 0) {
			t.Errorf("%d: %+v, want %v", i, made[i], kind)
		}
	}
	w.expect(audit.UserCreated, audit.UserCreated)
}
