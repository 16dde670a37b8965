package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func userChecks() []check {
	return []check{
		{"come back as they went in", userInsert},
		{"unknown ones are not found", userUnknown},
		{"a login id is taken once in a project", userLoginTaken},
		{"login ids are compared byte for byte", userLoginBytes},
		{"are listed ascending, page by page", userPages},
		{"change with their events", userChange},
		{"keep id, project and time of creation", userFixed},
		{"a refused change changes nothing", userRefusedChange},
		{"a change can't take another's login id", userChangeTaken},
		{"change one after the other", userChangeRace},
		{"deleting frees login ids", userDelete},
		{"one that comes back has no sessions from before", userReturns},
		{"one of many concurrent inserts gets the login id", userInsertRace},
	}
}

func userInsert(t *testing.T, w *world) {
	u := w.fullUser(t)
	u.LoginIDs = []string{"z@example.org", "a@example.org", "+4915112345678"}
	e := w.event(u.Project, audit.UserCreated).Of(id.Session{}, u.ID)
	ok(t, w.Users().Insert(w.ctx, u, e))
	w.told(t, e)
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user", u, got)
	for _, login := range u.LoginIDs {
		got, err = w.Users().FindByLogin(w.ctx, u.Project, login)
		ok(t, err)
		same(t, "the user "+login, u, got)
	}
	plain := directory.User{
		ID: id.NewUser(w.clock.Now()), Project: u.Project, LoginIDs: []string{"b"}, Status: directory.Disabled,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt.Add(time.Millisecond),
	}
	ok(t, w.Users().Insert(w.ctx, plain, w.event(u.Project, audit.UserCreated)))
	got, err = w.Users().Find(w.ctx, u.Project, plain.ID)
	ok(t, err)
	same(t, "the plain user", plain, got)
}

func userUnknown(t *testing.T, w *world) {
	u := w.newUser(t)
	other := w.newProject(t)
	unknown := id.NewUser(w.clock.Now())
	for _, who := range []struct {
		project id.Project
		user    id.User
		login   string
	}{
		{w.project.ID, unknown, "nobody@example.org"},
		{other.ID, u.ID, u.LoginIDs[0]}, // isolation between projects
		{id.NewProject(w.clock.Now()), u.ID, u.LoginIDs[0]},
	} {
		_, err := w.Users().Find(w.ctx, who.project, who.user)
		refused(t, err, fault.NotFound)
		_, err = w.Users().FindByLogin(w.ctx, who.project, who.login)
		refused(t, err, fault.NotFound)
		_, err = w.Users().Change(w.ctx, who.project, who.user, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Name = "changed"
			return u, []audit.Event{w.event(w.project.ID, audit.UserUpdated)}, nil
		})
		refused(t, err, fault.NotFound)
		refused(t, w.Users().Delete(w.ctx, who.project, who.user, w.event(w.project.ID, audit.UserDeleted)), fault.NotFound)
	}
	w.told(t)
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user", u, got)
	for _, p := range []id.Project{other.ID, id.NewProject(w.clock.Now())} {
		list, err := w.Users().List(w.ctx, p, id.User{}, 9)
		ok(t, err)
		same(t, "the users of another project", []directory.User{}, list)
	}
}

func userLoginTaken(t *testing.T, w *world) {
	u := w.newUser(t)
	v := w.user()
	v.LoginIDs = []string{"free@example.org", u.LoginIDs[0]}
	refused(t, w.Users().Insert(w.ctx, v, w.event(v.Project, audit.UserCreated)), fault.Conflict)
	w.told(t)
	_, err := w.Users().Find(w.ctx, v.Project, v.ID)
	refused(t, err, fault.NotFound)
	_, err = w.Users().FindByLogin(w.ctx, v.Project, "free@example.org")
	refused(t, err, fault.NotFound)
	// Another project's users are other people.
	v.Project = w.newProject(t).ID
	ok(t, w.Users().Insert(w.ctx, v, w.event(v.Project, audit.UserCreated)))
	got, err := w.Users().FindByLogin(w.ctx, v.Project, u.LoginIDs[0])
	ok(t, err)
	same(t, "the other project's user", v, got)
}

func userLoginBytes(t *testing.T, w *world) {
	logins := []string{"ada", "Ada", "ADA", "ada ", "ada%", "ad_", "\u00e4da", "a\u0308da", "1", "01", "1.0", "0x1", "'; drop table users; --"}
	users := map[string]id.User{}
	for _, login := range logins {
		u := w.user()
		u.LoginIDs = []string{login}
		ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
		users[login] = u.ID
	}
	for _, login := range logins {
		u, err := w.Users().FindByLogin(w.ctx, w.project.ID, login)
		ok(t, err)
		same(t, login, users[login], u.ID)
	}
	for _, login := range []string{"", "aDa", " ada", "ad", "adaa", "%", "1e0"} {
		_, err := w.Users().FindByLogin(w.ctx, w.project.ID, login)
		refused(t, err, fault.NotFound)
	}
}

func userPages(t *testing.T, w *world) {
	var all []directory.User
	for range 7 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newUser(t))
	}
	pages(t, all, func(after id.User, limit int) ([]directory.User, error) {
		return w.Users().List(w.ctx, w.project.ID, after, limit)
	}, func(u directory.User) id.User { return u.ID })
}

func userChange(t *testing.T, w *world) {
	u := w.newUser(t)
	w.clock.Move(time.Hour)
	events := []audit.Event{
		w.event(u.Project, audit.UserUpdated).Of(id.Session{}, u.ID), w.event(u.Project, audit.UserDisabled).Of(id.Session{}, u.ID),
	}
	want := w.fullUser(t)
	want.ID, want.Project, want.CreatedAt = u.ID, u.Project, u.CreatedAt
	want.LoginIDs, want.Email, want.Status = []string{"new@example.org", u.LoginIDs[0]}, "", directory.Disabled
	got, err := w.Users().Change(w.ctx, u.Project, u.ID, func(old directory.User) (directory.User, []audit.Event, error) {
		if d := differ(u, old); d != "" {
			return old, nil, errors.New("not the stored user: " + d)
		}
		return want, events, nil
	})
	ok(t, err)
	same(t, "the returned user", want, got)
	got, err = w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the stored user", want, got)
	w.told(t, events...)
	// A login id that was given up is free, one that was kept is not.
	w.change(t, u.ID, func(u *directory.User) { u.LoginIDs = u.LoginIDs[:1] })
	_, err = w.Users().FindByLogin(w.ctx, u.Project, u.LoginIDs[0])
	refused(t, err, fault.NotFound)
	_, err = w.Users().FindByLogin(w.ctx, u.Project, "new@example.org")
	ok(t, err)
}

func userFixed(t *testing.T, w *world) {
	u := w.newUser(t)
	victim := w.newUser(t)
	got := w.change(t, u.ID, func(u *directory.User) {
		u.ID, u.Project, u.CreatedAt = victim.ID, id.NewProject(w.clock.Now()), u.CreatedAt.Add(-time.Hour)
	})
	same(t, "the returned user", u, got)
	for _, want := range []directory.User{u, victim} {
		got, err := w.Users().Find(w.ctx, w.project.ID, want.ID)
		ok(t, err)
		same(t, "the stored user", want, got)
	}
}

func userRefusedChange(t *testing.T, w *world) {
	u := w.newUser(t)
	no := fault.New(fault.Invalid, "no")
	_, err := w.Users().Change(w.ctx, u.Project, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Name, u.LoginIDs[0] = "changed", "changed"
		return u, []audit.Event{w.event(u.Project, audit.UserUpdated)}, no
	})
	if err != error(no) {
		t.Fatalf("error %v, want the very error of change", err)
	}
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the user", u, got)
	w.told(t)
}

func userChangeTaken(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	_, err := w.Users().Change(w.ctx, u.Project, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Name, u.LoginIDs = "changed", []string{"mine@example.org", v.LoginIDs[0]}
		return u, []audit.Event{w.event(u.Project, audit.UserUpdated)}, nil
	})
	refused(t, err, fault.Conflict)
	w.told(t)
	for _, want := range []directory.User{u, v} {
		got, err := w.Users().FindByLogin(w.ctx, u.Project, want.LoginIDs[0])
		ok(t, err)
		same(t, "the user", want, got)
	}
	_, err = w.Users().FindByLogin(w.ctx, u.Project, "mine@example.org")
	refused(t, err, fault.NotFound)
}

func userChangeRace(t *testing.T, w *world) {
	u := w.newUser(t)
	const n = 32
	for _, err := range together(n, func(int) error {
		_, err := w.Users().Change(w.ctx, u.Project, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Epoch++
			return u, []audit.Event{w.event(u.Project, audit.UserUpdated)}, nil
		})
		return err
	}) {
		ok(t, err)
	}
	got, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	same(t, "the epoch", int64(n), got.Epoch)
	same(t, "the number of events", n, len(w.news(t)))
}

func userDelete(t *testing.T, w *world) {
	u := w.newUser(t)
	e := w.event(u.Project, audit.UserDeleted).Of(id.Session{}, u.ID)
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, e))
	w.told(t, e)
	_, err := w.Users().Find(w.ctx, u.Project, u.ID)
	refused(t, err, fault.NotFound)
	_, err = w.Users().FindByLogin(w.ctx, u.Project, u.LoginIDs[0])
	refused(t, err, fault.NotFound)
	refused(t, w.Users().Delete(w.ctx, u.Project, u.ID, e), fault.NotFound)
	heir := w.user()
	heir.LoginIDs = u.LoginIDs
	ok(t, w.Users().Insert(w.ctx, heir, w.event(u.Project, audit.UserCreated)))
}

func userInsertRace(t *testing.T, w *world) {
	errs := together(16, func(int) error {
		u := w.user()
		u.LoginIDs = append(u.LoginIDs, "one@example.org")
		return w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated))
	})
	onlyWinner(t, errs, fault.Conflict)
	all, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 99)
	ok(t, err)
	same(t, "the number of users", 1, len(all))
	same(t, "the number of events", 1, len(w.news(t)))
}
