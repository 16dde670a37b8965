package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func documentChecks() []check {
	return []check{
		{"what is saved is kept as it is", checkDocumentKept},
		{"nothing was saved", checkNoDocuments},
		{"versions are listed newest first", checkVersionList},
		{"a change is one transaction", checkDocumentChange},
		{"a step that fails changes nothing", checkDocumentRefused},
		{"verifiers are told of the shares", checkDocumentFeed},
		{"deletion", checkDocumentDeleted},
		{"old versions go, those in use stay", checkVersionsPruned},
		{"projects don't see each other's", checkDocumentsOfOthers},
		{"saving at once", checkDocumentsTogether},
		{"what tokens don't name outdates all of them", checkConcealed},
	}
}

// saveDocument makes a version of a kind.
func (w *world) saveDocument(t testing.TB, k document.Kind, percent int) (document.State, document.Version) {
	t.Helper()
	return w.saveConcealing(t, k, percent, false)
}

func (w *world) saveConcealing(t testing.TB, k document.Kind, percent int, conceals bool) (document.State, document.Version) {
	t.Helper()
	now := session.Instant(w.clock.Now())
	var v document.Version
	state, err := w.Documents().Change(w.ctx, w.project.ID, k, func(s document.State) (document.Step, error) {
		after := s.Saved(percent)
		v = document.Version{N: after.Last, Document: json.RawMessage(fmt.Sprintf(`{ "claims" : {"n":%d} }`, after.Last)),
			Comment: "why", CreatedAt: now, Actor: audit.CLI, Conceals: conceals}
		return document.Step{State: after, Save: &v, Event: w.event(w.project.ID, audit.TemplateSaved)}, nil
	})
	ok(t, err)
	return state, v
}

func (w *world) moveDocument(t testing.TB, k document.Kind, move func(document.State) (document.State, error)) document.State {
	t.Helper()
	state, err := w.Documents().Change(w.ctx, w.project.ID, k, func(s document.State) (document.Step, error) {
		after, err := move(s)
		return document.Step{State: after, Event: w.event(w.project.ID, audit.TemplateRolledOut)}, err
	})
	ok(t, err)
	return state
}

func checkDocumentKept(t *testing.T, w *world) {
	first, one := w.saveDocument(t, document.User, 100)
	state, two := w.saveDocument(t, document.User, 30)
	_, other := w.saveDocument(t, document.SignIn, 100)
	same(t, "the first state", document.State{Stable: 1, Last: 1}, first)
	same(t, "the state", document.State{Stable: 1, Candidate: 2, Percent: 30, Last: 2}, state)
	got, err := w.Documents().Find(w.ctx, w.project.ID, document.User)
	ok(t, err)
	same(t, "the state that is found", state, got)
	v, err := w.Documents().Version(w.ctx, w.project.ID, document.User, 2)
	ok(t, err)
	same(t, "a version", two, v)
	all, err := w.Documents().InUse(w.ctx, w.project.ID)
	ok(t, err)
	same(t, "what is in use", []document.Current{
		{Kind: document.User, State: state, Versions: []document.Version{one, two}},
		{Kind: document.SignIn, State: document.State{Stable: 1, Last: 1}, Versions: []document.Version{other}},
	}, all)
	// What a caller does to an answer doesn't reach the store.
	v.Document[0] = 'x'
	again, err := w.Documents().Version(w.ctx, w.project.ID, document.User, 2)
	ok(t, err)
	same(t, "the version again", two, again)
	whole := filled[document.Version](t)
	whole.CreatedAt = session.Instant(whole.CreatedAt)
	_, err = w.Documents().Change(w.ctx, w.project.ID, document.AccessKey, func(s document.State) (document.Step, error) {
		whole.N = s.Last + 1
		return document.Step{State: document.State{Stable: 1, Last: 1}, Save: &whole, Event: w.event(w.project.ID, audit.TemplateSaved)}, nil
	})
	ok(t, err)
	v, err = w.Documents().Version(w.ctx, w.project.ID, document.AccessKey, 1)
	ok(t, err)
	same(t, "a version with everything", whole, v)
}

func checkNoDocuments(t *testing.T, w *world) {
	unknown := id.NewProject(w.clock.Now())
	state, err := w.Documents().Find(w.ctx, w.project.ID, document.User)
	ok(t, err)
	same(t, "the state", document.State{}, state)
	_, err = w.Documents().Find(w.ctx, unknown, document.User)
	refused(t, err, fault.NotFound)
	for _, p := range []id.Project{w.project.ID, unknown} {
		all, err := w.Documents().InUse(w.ctx, p)
		ok(t, err)
		list, err := w.Documents().List(w.ctx, p, document.User, 0, 10)
		ok(t, err)
		if len(all) > 0 || len(list) > 0 {
			t.Errorf("%v %v", all, list)
		}
		_, err = w.Documents().Version(w.ctx, p, document.User, 1)
		refused(t, err, fault.NotFound)
	}
	_, err = w.Documents().Change(w.ctx, unknown, document.User, func(s document.State) (document.Step, error) { return document.Step{State: s}, nil })
	refused(t, err, fault.NotFound)
}

func checkVersionList(t *testing.T, w *world) {
	for range 5 {
		w.saveDocument(t, document.User, 100)
	}
	w.saveDocument(t, document.SignIn, 100)
	for _, c := range []struct {
		before, limit int
		want          []int
	}{{0, 10, []int{5, 4, 3, 2, 1}}, {0, 2, []int{5, 4}}, {4, 2, []int{3, 2}}, {1, 5, nil}, {0, 0, nil}, {0, -1, nil}} {
		list, err := w.Documents().List(w.ctx, w.project.ID, document.User, c.before, c.limit)
		ok(t, err)
		var got []int
		for _, v := range list {
			got = append(got, v.N)
		}
		same(t, fmt.Sprint("the list before ", c.before), c.want, got)
	}
}

func checkDocumentChange(t *testing.T, w *world) {
	version := w.version(t)
	state, _ := w.saveDocument(t, document.SignIn, 100)
	same(t, "the version of the project", version+1, w.version(t))
	w.told(t, w.event(w.project.ID, audit.TemplateSaved))
	// Nothing that decides is changed, yet whoever has it in memory looks again.
	got := w.moveDocument(t, document.SignIn, func(s document.State) (document.State, error) { return s, nil })
	same(t, "the state", state, got)
	same(t, "the version of the project", version+2, w.version(t))
	w.told(t, w.event(w.project.ID, audit.TemplateRolledOut))
}

func checkDocumentRefused(t *testing.T, w *world) {
	state, _ := w.saveDocument(t, document.User, 50)
	w.news(t)
	version, last := w.version(t), w.lastEntry(t)
	why := errors.New("no")
	v := filled[document.Version](t)
	_, err := w.Documents().Change(w.ctx, w.project.ID, document.User, func(s document.State) (document.Step, error) {
		return document.Step{State: s.Saved(100), Save: &v, Event: w.event(w.project.ID, audit.TemplateSaved)}, why
	})
	if !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	got, err := w.Documents().Find(w.ctx, w.project.ID, document.User)
	ok(t, err)
	same(t, "the state", state, got)
	same(t, "the version of the project", version, w.version(t))
	same(t, "the feed", last, w.lastEntry(t))
	w.told(t)
}

func (w *world) lastEntry(t testing.TB) int64 {
	t.Helper()
	last, err := w.Revocations().Last(w.ctx)
	ok(t, err)
	return last
}

// shares returns the marks of the feed's entries behind a place.
func (w *world) shares(t testing.TB, after int64) []string {
	t.Helper()
	list, err := w.Revocations().Of(w.ctx, w.project.ID, after, 100)
	ok(t, err)
	var marks []string
	for _, e := range list {
		if e.Kind != revocation.Share || !e.At.Equal(session.Instant(w.clock.Now())) || e.Until.Sub(e.At) != w.project.Settings.SessionTokenTTL.Std()+revocation.Leeway {
			t.Errorf("%+v", e)
		}
		marks = append(marks, e.ID)
	}
	return marks
}

func checkDocumentFeed(t *testing.T, w *world) {
	for _, c := range []struct {
		move func()
		want []string
	}{
		{func() { w.saveDocument(t, document.User, 100) }, []string{latchkey.ShareMark(0, 100)}},
		{func() { w.saveDocument(t, document.User, 10) }, []string{latchkey.ShareMark(0, 10)}},
		{func() {
			w.moveDocument(t, document.User, func(s document.State) (document.State, error) { return s.RolledOut(60) })
		}, []string{latchkey.ShareMark(10, 60)}},
		{func() { w.moveDocument(t, document.User, document.State.RolledBack) }, []string{latchkey.ShareMark(0, 60)}},
		{func() { w.saveDocument(t, document.User, 0) }, nil},
		{func() { w.saveDocument(t, document.SignIn, 100) }, nil},
		{func() { w.saveDocument(t, document.AccessKey, 100) }, nil},
	} {
		w.clock.Move(time.Second)
		last := w.lastEntry(t)
		c.move()
		same(t, "the shares", c.want, w.shares(t, last))
	}
}

func checkDocumentDeleted(t *testing.T, w *world) {
	w.saveDocument(t, document.User, 100)
	w.saveDocument(t, document.User, 50)
	w.saveDocument(t, document.SignIn, 100)
	last := w.lastEntry(t)
	state, err := w.Documents().Change(w.ctx, w.project.ID, document.User, func(s document.State) (document.Step, error) {
		return document.Step{State: s.Deleted(), Clear: true, Event: w.event(w.project.ID, audit.TemplateDeleted)}, nil
	})
	ok(t, err)
	same(t, "the state", document.State{Last: 2}, state)
	same(t, "the shares", []string{latchkey.ShareMark(0, 100)}, w.shares(t, last))
	list, err := w.Documents().List(w.ctx, w.project.ID, document.User, 0, 10)
	ok(t, err)
	same(t, "the versions", []document.Version(nil), list)
	all, err := w.Documents().InUse(w.ctx, w.project.ID)
	ok(t, err)
	if len(all) != 1 || all[0].Kind != document.SignIn {
		t.Errorf("%+v", all)
	}
	// A number never comes twice: whoever has seen version 2 doesn't take another for it.
	state, _ = w.saveDocument(t, document.User, 100)
	same(t, "the state", document.State{Stable: 3, Last: 3}, state)
}

func checkVersionsPruned(t *testing.T, w *world) {
	w.saveDocument(t, document.User, 100) // 1: to be the previous one
	w.saveDocument(t, document.User, 100) // 2: to be the stable one
	for range document.MaxVersions + 10 {
		w.saveDocument(t, document.User, 5)
	}
	list, err := w.Documents().List(w.ctx, w.project.ID, document.User, 0, 1000)
	ok(t, err)
	if n := len(list); n != document.MaxVersions || list[n-1].N != 1 || list[n-2].N != 2 || list[n-3].N != 15 || list[0].N != document.MaxVersions+12 {
		t.Errorf("%d versions, the oldest %d, %d, %d", n, list[n-1].N, list[n-2].N, list[n-3].N)
	}
}

func checkDocumentsOfOthers(t *testing.T, w *world) {
	w.saveDocument(t, document.User, 100)
	other := w.newProject(t)
	state, err := w.Documents().Find(w.ctx, other.ID, document.User)
	ok(t, err)
	same(t, "the state", document.State{}, state)
	_, err = w.Documents().Version(w.ctx, other.ID, document.User, 1)
	refused(t, err, fault.NotFound)
	all, err := w.Documents().InUse(w.ctx, other.ID)
	ok(t, err)
	if len(all) > 0 {
		t.Errorf("%+v", all)
	}
}

func checkDocumentsTogether(t *testing.T, w *world) {
	const writers = 8
	done := make(chan int, writers)
	for range writers {
		go func() {
			state, _ := w.saveDocument(t, document.User, 100)
			done <- state.Stable
		}()
	}
	seen := map[int]bool{}
	for range writers {
		seen[<-done] = true
	}
	state, err := w.Documents().Find(w.ctx, w.project.ID, document.User)
	ok(t, err)
	if len(seen) != writers || state.Last != writers || state.Stable != writers || state.Previous != writers-1 {
		t.Errorf("%v, %+v", seen, state)
	}
}

// While a template conceals something, a change of a role or a tenant outdates every token
// of the project: nothing in them says whom it concerns. Otherwise one entry is enough.
func checkConcealed(t *testing.T, w *world) {
	tenant, gone := w.newTenant(t).ID, w.newTenant(t).ID
	role := w.newRole(t, id.Tenant{}, "editor", "doc.read", "doc.write").ID
	w.clock.Move(time.Millisecond) // entries come in the order of the roles
	last := w.newRole(t, tenant, "viewer", "doc.read").ID
	other := w.newProject(t)
	all := w.entry(revocation.Epoch, w.project.ID.String())
	changes := func(more ...revocation.Entry) {
		t.Helper()
		told := func(entries ...revocation.Entry) { t.Helper(); w.fed(t, append(entries, more...)...) }
		w.changeRole(t, role, func(r *directory.Role) { r.Description += "x" })
		w.fed(t)
		w.changeRole(t, role, func(r *directory.Role) { r.Name = "author" })
		told(w.outdated("editor"))
		w.changeRole(t, role, func(r *directory.Role) { r.Name = "editor" })
		told(w.outdated("author"))
		_, err := w.Tenants().Change(w.ctx, w.project.ID, tenant, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
			t.Name += "x"
			return t, nil, nil
		})
		ok(t, err)
		told(w.entry(revocation.Epoch, tenant.String()))
	}
	rollOut := func(move func(document.State) (document.State, error)) {
		w.moveDocument(t, document.User, move)
		w.entries(t)
	}
	save := func(k document.Kind, percent int, conceals bool) {
		w.saveConcealing(t, k, percent, conceals)
		w.entries(t)
	}
	w.entries(t)
	changes()
	save(document.User, 100, false)
	save(document.SignIn, 100, true)
	save(document.AccessKey, 100, true)
	changes()
	save(document.User, 10, true)
	changes(all)
	rollOut(document.State.RolledBack)
	changes()
	save(document.User, 100, true)
	changes(all)

	mine := w.project // another project has nothing to do with it
	w.project = other
	theirs := w.newRole(t, id.Tenant{}, "editor").ID
	w.changeRole(t, theirs, func(r *directory.Role) { r.Name = "author" })
	w.fed(t, w.outdated("editor"))
	w.project = mine

	w.deletePermission(t, "doc.read")
	w.fed(t)
	w.strip(t, 9, 3)
	w.fed(t, w.outdated("editor"), w.outdated("viewer"), all)
	w.deleteRole(t, last)
	w.fed(t, w.outdatedIn(tenant, "viewer"), all)
	ok(t, w.Tenants().Delete(w.ctx, mine.ID, gone, w.event(mine.ID, audit.TenantDeleted)))
	w.fed(t, w.entry(revocation.Tenant, gone.String()), w.entry(revocation.Epoch, gone.String()), all)
	rollOut(func(s document.State) (document.State, error) { return s.Deleted(), nil })
	changes()
}
