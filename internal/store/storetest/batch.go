package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

func batchChecks() []check {
	return []check{
		{"add, change, leave and delete in order", batchAll},
		{"a refused edit leaves the others alone", batchRefused},
		{"what stays the same isn't written", batchSame},
		{"any number of edits", batchMany},
		{"an unknown project has no users", batchUnknown},
		{"edits of one user after the other", batchRace},
		{"verifiers are told of all at once", batchWide},
		{"those that are there are found, and who has a login id", batchStored},
	}
}

// put is an edit that stores u, whoever is there.
func put(u directory.User, events ...audit.Event) directory.UserEdit {
	return directory.UserEdit{User: u.ID, Edit: func(directory.User) (directory.User, []audit.Event, error) { return u, events, nil }}
}

func (w *world) apply(t testing.TB, edits ...directory.UserEdit) []error {
	t.Helper()
	errs, err := w.Batches().Apply(w.ctx, w.project.ID, edits)
	ok(t, err)
	same(t, "the number of outcomes", len(edits), len(errs))
	return errs
}

func batchAll(t *testing.T, w *world) {
	added := w.fullUser(t)
	kept, changed, gone := w.newUser(t), w.newUser(t), w.newUser(t)
	w.signIn(t, gone.ID)
	w.entries(t)
	events := []audit.Event{
		w.event(w.project.ID, audit.UserCreated).Of(id.Session{}, added.ID),
		w.event(w.project.ID, audit.UserUpdated).Of(id.Session{}, changed.ID),
		w.event(w.project.ID, audit.UserDeleted).Of(id.Session{}, gone.ID),
	}
	for _, err := range w.apply(t,
		put(added, events[0]),
		directory.UserEdit{User: changed.ID, Edit: func(u directory.User) (directory.User, []audit.Event, error) {
			if d := differ(changed, u); d != "" {
				return u, nil, errors.New("not the stored user: " + d)
			}
			u.Name, u.LoginIDs[0], u.CreatedAt = "Grace", "grace", u.CreatedAt.Add(-time.Hour)
			return u, []audit.Event{events[1]}, nil
		}},
		directory.UserEdit{User: gone.ID, Edit: func(directory.User) (directory.User, []audit.Event, error) {
			return directory.User{}, []audit.Event{events[2]}, nil
		}},
		directory.UserEdit{User: id.NewUser(w.clock.Now()), Edit: func(u directory.User) (directory.User, []audit.Event, error) {
			same(t, "a user that isn't there", directory.User{}, u)
			return u, nil, nil
		}},
	) {
		ok(t, err)
	}
	w.told(t, events...)
	w.fed(t, w.entry(revocation.Epoch, changed.ID.String()), w.entry(revocation.User, gone.ID.String()))
	changed.Name, changed.LoginIDs = "Grace", []string{"grace"}
	for _, want := range []directory.User{added, kept, changed} {
		got, err := w.Users().FindByLogin(w.ctx, w.project.ID, want.LoginIDs[0])
		ok(t, err)
		same(t, "the user", want, got)
	}
	_, err := w.Users().Find(w.ctx, w.project.ID, gone.ID)
	refused(t, err, fault.NotFound)
	same(t, "the members", []id.User{added.ID}, w.searchBy(t, added.Memberships[0].Tenant, id.Role{}))
}

func batchRefused(t *testing.T, w *world) {
	u := w.newUser(t)
	a, b, c, d := w.user(), w.user(), w.user(), w.user()
	b.LoginIDs = []string{"free", u.LoginIDs[0]}
	c.Roles = []id.Role{id.NewRole(w.clock.Now())}
	no := fault.New(fault.Invalid, "no")
	d.LoginIDs = []string{a.LoginIDs[0]} // of the same batch
	e := w.event(w.project.ID, audit.UserCreated)
	errs := w.apply(t, put(a), put(b, e), put(c, e), put(d, e),
		directory.UserEdit{User: u.ID, Edit: func(u directory.User) (directory.User, []audit.Event, error) {
			u.Name, u.LoginIDs[0] = "changed", "changed"
			return u, []audit.Event{e}, no
		}},
		put(w.user()))
	ok(t, errs[0])
	refused(t, errs[1], fault.Conflict)
	places(t, errs[2], "/roles/0 unknown")
	refused(t, errs[3], fault.Conflict)
	if errs[4] != error(no) {
		t.Fatalf("error %v, want the very error of the edit", errs[4])
	}
	ok(t, errs[5])
	w.told(t)
	w.fed(t)
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user", u, got)
	all, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 99)
	ok(t, err)
	same(t, "the number of users", 3, len(all))
	_, err = w.Users().FindByLogin(w.ctx, u.Project, "free")
	refused(t, err, fault.NotFound)
}

func batchSame(t *testing.T, w *world) {
	u := w.fullUser(t)
	ok(t, w.apply(t, put(u))[0])
	ok(t, w.apply(t, put(u))[0])
	w.fed(t)
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user", u, got)
	w.deleteRole(t, u.Roles[0]) // staying the same asks for nothing
	w.entries(t)
	ok(t, w.apply(t, put(u))[0])
	w.fed(t)
}

func batchMany(t *testing.T, w *world) {
	var edits []directory.UserEdit
	for i := range 501 {
		w.clock.Move(time.Millisecond)
		u := w.user()
		u.Name = fmt.Sprint(i)
		if i%100 == 7 {
			u.LoginIDs = []string{"taken"}
		}
		edits = append(edits, put(u))
	}
	errs := w.apply(t, edits...)
	for i, err := range errs {
		if i%100 == 7 && i > 7 {
			refused(t, err, fault.Conflict)
		} else {
			ok(t, err)
		}
	}
	all, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 999)
	ok(t, err)
	same(t, "the number of users", 501-4, len(all))
	same(t, "the number of outcomes of nothing", 0, len(w.apply(t)))
}

func batchUnknown(t *testing.T, w *world) {
	u := w.newUser(t)
	errs, err := w.Batches().Apply(w.ctx, id.NewProject(w.clock.Now()), []directory.UserEdit{put(u)})
	refused(t, err, fault.NotFound)
	same(t, "the number of outcomes", 0, len(errs))
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	errs, err = w.Batches().Apply(ctx, w.project.ID, []directory.UserEdit{put(w.user())})
	if !errors.Is(err, context.Canceled) || len(errs) != 0 {
		t.Fatalf("%v and error %v, want context.Canceled", errs, err)
	}
	// The same id in another project is another user.
	mine := w.project
	w.project = w.newProject(t)
	u.Name = "another"
	ok(t, w.apply(t, put(u))[0])
	got, err := w.Users().Find(w.ctx, mine.ID, u.ID)
	ok(t, err)
	same(t, "the name", "Ada", got.Name)
}

// batchWide: who only looks different now is told of for all, whose sessions end apart.
func batchWide(t *testing.T, w *world) {
	ada, bob, eve := w.newUser(t), w.newUser(t), w.newUser(t)
	wide := func(u directory.User) directory.UserEdit {
		e := put(u)
		e.Wide = true
		return e
	}
	w.clock.Move(time.Second)
	ada.Name, bob.Name, eve.Status = "A", "B", directory.Disabled
	for _, err := range w.apply(t, wide(ada), wide(bob), wide(eve), wide(w.user())) {
		ok(t, err)
	}
	w.fed(t, w.entry(revocation.User, eve.ID.String()), w.entry(revocation.Epoch, w.project.ID.String()))
	ok(t, w.apply(t, wide(w.user()))[0])
	ok(t, w.apply(t, wide(ada))[0])
	w.fed(t) // nobody's token says anything that is old
}

func batchStored(t *testing.T, w *world) {
	ada, bob, gone := w.fullUser(t), w.newUser(t), w.newUser(t)
	w.signIn(t, gone.ID)
	ok(t, w.Users().Delete(w.ctx, w.project.ID, gone.ID, w.event(w.project.ID, audit.UserDeleted)))
	nobody := id.NewUser(w.clock.Now())
	added := w.apply(t, put(ada))[0]
	ok(t, added)
	users, holders, err := w.Batches().Stored(w.ctx, w.project.ID, []id.User{ada.ID, nobody, gone.ID},
		[]string{bob.LoginIDs[0], "nobody", gone.LoginIDs[0]})
	ok(t, err)
	same(t, "the users", map[id.User]directory.User{ada.ID: ada}, users)
	same(t, "the holders", map[string]id.User{bob.LoginIDs[0]: bob.ID}, holders)
	_, _, err = w.Batches().Stored(w.ctx, id.NewProject(w.clock.Now()), nil, nil)
	refused(t, err, fault.NotFound)
}

func batchRace(t *testing.T, w *world) {
	u := w.newUser(t)
	const n, each = 8, 4
	grow := directory.UserEdit{User: u.ID, Edit: func(u directory.User) (directory.User, []audit.Event, error) {
		u.Epoch++
		return u, nil, nil
	}}
	for _, err := range together(n, func(int) error {
		errs, err := w.Batches().Apply(w.ctx, w.project.ID, []directory.UserEdit{grow, grow, grow, grow})
		return errors.Join(append(errs, err)...)
	}) {
		ok(t, err)
	}
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the epoch", int64(n*each), got.Epoch)
}
