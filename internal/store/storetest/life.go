package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func lifeChecks() []check {
	return []check{
		{"a new name is a new version", lifeRename},
		{"disabling ends all sessions for good", lifeDisable},
		{"nobody signs in to a disabled project", lifeAdmission},
		{"what is the same isn't written", lifeSame},
		{"an error of the change changes nothing", lifeRefused},
		{"deleting gives the custom domain back", lifeDomain},
		{"management keys know that their project was deleted", lifeKeys},
		{"nothing is erased while a token may be valid", lifeOutlived},
		{"a project is erased in steps, its own row last", lifeErased},
	}
}

// turn changes the project of the world, with one event.
func (w *world) turn(t testing.TB, change func(*directory.Project)) (directory.Project, audit.Event) {
	t.Helper()
	e := w.event(w.project.ID, audit.ProjectRenamed)
	p, err := w.Lives().Change(w.ctx, w.project.ID, func(p directory.Project) (directory.Project, []audit.Event, error) {
		change(&p)
		return p, []audit.Event{e}, nil
	})
	ok(t, err)
	found, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the project", p, found)
	return p, e
}

func (w *world) become(t testing.TB, s directory.Status) directory.Project {
	t.Helper()
	p, _ := w.turn(t, func(p *directory.Project) { p.Status = s })
	return p
}

func lifeRename(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	got, e := w.turn(t, func(p *directory.Project) { *p = directory.Project{Name: "Ω", Status: p.Status} }) // nothing else counts
	want := w.project
	want.Name, want.Version = "Ω", 2
	same(t, "the project", want, got)
	w.told(t, e)
	same(t, "the session", "active", w.status(t, row.ID))
	same(t, "the feed", 0, len(w.entries(t)))
	_, err := w.Lives().Change(w.ctx, id.NewProject(w.clock.Now()), func(p directory.Project) (directory.Project, []audit.Event, error) {
		return p, nil, nil
	})
	refused(t, err, fault.NotFound)
}

func lifeDisable(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.clock.Move(time.Second)
	got, e := w.turn(t, func(p *directory.Project) { p.Status = directory.Disabled })
	want := w.project
	want.Status, want.Version, want.Epoch = directory.Disabled, 2, 1
	same(t, "the project", want, got)
	w.told(t, e)
	feed := w.entries(t)
	if len(feed) != 1 || feed[0].Kind != revocation.Project || feed[0].ID != w.project.ID.String() || !feed[0].At.Equal(session.Instant(w.clock.Now())) {
		t.Fatalf("verifiers are told %+v", feed)
	}
	same(t, "the session", string(session.ProjectDisabled), w.status(t, row.ID))
	w.become(t, directory.Enabled)
	same(t, "the session of an enabled project", string(session.Superseded), w.status(t, row.ID))
	w.decided(t, w.newest(t, row), session.Revoked)
	w.decided(t, w.newest(t, w.signIn(t, row.User)), session.Replay) // a new one lives
	same(t, "the feed", 0, len(w.entries(t)))
}

func lifeAdmission(t *testing.T, w *world) {
	u := w.newUser(t)
	for _, s := range []directory.Status{directory.Disabled, directory.Deleted} {
		w.become(t, s)
		w.news(t)
		_, err := w.insert(t, w.row(u.ID), session.Admission{EndOthers: true})
		refused(t, err, fault.Conflict)
		// Who has read the project before learns first that it has changed.
		_, err = w.Sessions().Insert(w.ctx, w.row(u.ID), 1, session.Admission{})
		if !errors.Is(err, session.ErrVersion) {
			t.Errorf("an old version: %v", err)
		}
		w.told(t)
	}
}

func lifeSame(t *testing.T, w *world) {
	p, err := w.Lives().Change(w.ctx, w.project.ID, func(p directory.Project) (directory.Project, []audit.Event, error) {
		p.Version, p.Epoch, p.SealedMAC[0] = 9, 9, 'X'
		return p, nil, nil
	})
	ok(t, err)
	same(t, "the project", w.project, p)
	found, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the stored project", w.project, found)
	same(t, "the feed", 0, len(w.entries(t)))
}

func lifeRefused(t *testing.T, w *world) {
	_, err := w.Lives().Change(w.ctx, w.project.ID, func(p directory.Project) (directory.Project, []audit.Event, error) {
		p.Status = directory.Disabled
		return p, []audit.Event{w.event(p.ID, audit.ProjectDisabled)}, fault.New(fault.Invalid, "no")
	})
	refused(t, err, fault.Invalid)
	found, err := w.Projects().Find(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "the project", w.project, found)
	w.told(t)
}

func lifeDomain(t *testing.T, w *world) {
	ok(t, w.atDomain(t, w.project, "auth.shop.example"))
	p := w.become(t, directory.Deleted)
	same(t, "deletedAt", session.Instant(w.clock.Now()), p.DeletedAt)
	same(t, "the domain", "", p.Settings.CustomDomain)
	domains, err := w.Projects().Domains(w.ctx, "", 9)
	ok(t, err)
	same(t, "the domains", 0, len(domains))
	ok(t, w.atDomain(t, w.newProject(t), "auth.shop.example"))
}

func lifeKeys(t *testing.T, w *world) {
	k := w.newManagementKey(t)
	for _, s := range []directory.Status{directory.Disabled, directory.Deleted} {
		w.become(t, s)
		found, err := w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
		ok(t, err)
		same(t, string(s), s == directory.Deleted, found.ProjectDeleted)
	}
}

// lifeOutlived: the longest life is that of an access key's token.
func lifeOutlived(t *testing.T, w *world) {
	p := w.become(t, directory.Deleted)
	end := p.DeletedAt.Add(p.Settings.AccessKeyTokenTTL.Std() + revocation.Leeway)
	w.clock.Set(end.Add(-time.Millisecond))
	w.erase(t, 9, 0)
	w.clock.Set(end.Add(time.Millisecond))
	w.erase(t, 9, 0) // the feed still tells
	_, err := w.Revocations().Sweep(w.ctx, w.clock.Now(), 9)
	ok(t, err)
	if n, err := w.Lives().Erase(w.ctx, 9); err != nil || n == 0 {
		t.Errorf("erased %d, %v", n, err)
	}
	_, err = w.Projects().Find(w.ctx, p.ID)
	refused(t, err, fault.NotFound)
}

func (w *world) erase(t testing.TB, limit, want int) {
	t.Helper()
	n, err := w.Lives().Erase(w.ctx, limit)
	ok(t, err)
	same(t, "the number of rows", want, n)
}

func lifeErased(t *testing.T, w *world) {
	other := w.newProject(t)
	kept := directory.User{ID: id.NewUser(w.clock.Now()), Project: other.ID, LoginIDs: []string{"ada"}, Status: directory.Enabled}
	ok(t, w.Users().Insert(w.ctx, kept, w.event(other.ID, audit.UserCreated)))
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{w.key()}}))
	for i := range 7 {
		u := w.newUser(t)
		w.signIn(t, u.ID)
		if i == 3 {
			ok(t, w.Users().Delete(w.ctx, w.project.ID, u.ID, w.event(w.project.ID, audit.UserDeleted)))
		}
	}
	k := w.newManagementKey(t)
	w.become(t, directory.Deleted)
	w.clock.Move(100 * 24 * time.Hour)
	_, err := w.Revocations().Sweep(w.ctx, w.clock.Now(), 99)
	ok(t, err)
	steps := 0
	for more := true; more; steps++ {
		keys, err := w.Keys().List(w.ctx, w.project.ID)
		ok(t, err)
		same(t, "signing keys while the project is there", 1, len(keys))
		n, err := w.Lives().Erase(w.ctx, 3)
		ok(t, err)
		if n > 3 || steps > 99 {
			t.Fatalf("%d rows in step %d", n, steps)
		}
		_, err = w.Projects().Find(w.ctx, w.project.ID)
		more = err == nil
	}
	w.erase(t, 3, 0)
	_, err = w.ManagementKeys().FindByDigest(w.ctx, k.Digest)
	refused(t, err, fault.NotFound)
	users, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 9)
	ok(t, err)
	events, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Limit: 99})
	ok(t, err)
	same(t, "what is left", fmt.Sprint(0, 0), fmt.Sprint(len(users), len(events)))
	// A project of the same id begins anew, and another one lost nothing.
	ok(t, w.Projects().Insert(w.ctx, w.project, w.event(w.project.ID, audit.ProjectCreated)))
	found, err := w.Users().FindByLogin(w.ctx, other.ID, "ada")
	ok(t, err)
	same(t, "the other project's user", kept.ID, found.ID)
	left, err := w.Events().List(w.ctx, audit.Query{Project: other.ID, Limit: 99})
	ok(t, err)
	same(t, "the other project's events", 2, len(left))
}
