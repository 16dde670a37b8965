package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func tenantChecks() []check {
	return []check{
		{"come back as they went in", tenantInsert},
		{"unknown ones are not found", tenantUnknown},
		{"are listed ascending, page by page", tenantPages},
		{"are found by text and status", tenantSearch},
		{"change with their events", tenantChange},
		{"keep id, project and time of creation", tenantFixed},
		{"a refused change changes nothing", tenantRefusedChange},
		{"change one after the other", tenantChangeRace},
		{"tell verifiers what they need to know", tenantEntries},
		{"tell verifiers of members when they are enabled", tenantOpens},
		{"settings grow the project's version", tenantVersion},
		{"their settings are listed while they count", tenantOverrides},
		{"deleting takes their roles along", tenantDelete},
		{"one that comes back has no sessions from before", tenantReturns},
	}
}

func (w *world) tenant() directory.Tenant {
	now := session.Instant(w.clock.Now())
	return directory.Tenant{
		ID: id.NewTenant(now), Project: w.project.ID, Name: "Acme Ltd.", Status: directory.Enabled, CreatedAt: now, UpdatedAt: now,
	}
}

// newTenant adds an enabled tenant without settings.
func (w *world) newTenant(t testing.TB) directory.Tenant {
	t.Helper()
	tenant := w.tenant()
	ok(t, w.Tenants().Insert(w.ctx, tenant, w.event(tenant.Project, audit.TenantCreated)))
	w.news(t)
	return tenant
}

// changeTenant changes a tenant of the project.
func (w *world) changeTenant(t testing.TB, tenant id.Tenant, change func(*directory.Tenant)) directory.Tenant {
	t.Helper()
	changed, err := w.Tenants().Change(w.ctx, w.project.ID, tenant, func(old directory.Tenant) (directory.Tenant, []audit.Event, error) {
		change(&old)
		return old, nil, nil
	})
	ok(t, err)
	return changed
}

func (w *world) findTenant(t testing.TB, tenant id.Tenant) directory.Tenant {
	t.Helper()
	found, err := w.Tenants().Find(w.ctx, w.project.ID, tenant)
	ok(t, err)
	return found
}

func tenantInsert(t *testing.T, w *world) {
	full := filled[directory.Tenant](t)
	full.ID, full.Project, full.Status = id.NewTenant(w.clock.Now()), w.project.ID, directory.Disabled
	plain := w.tenant()
	for _, tenant := range []directory.Tenant{full, plain} {
		e := w.event(tenant.Project, audit.TenantCreated)
		ok(t, w.Tenants().Insert(w.ctx, tenant, e))
		w.told(t, e)
		same(t, "the tenant", tenant, w.findTenant(t, tenant.ID))
		refused(t, w.Tenants().Insert(w.ctx, tenant, e), fault.Conflict)
		w.told(t)
	}
	// Names aren't unique, and another project may have the same id.
	w.newTenant(t)
	plain.Project = w.newProject(t).ID
	ok(t, w.Tenants().Insert(w.ctx, plain, w.event(plain.Project, audit.TenantCreated)))
}

func tenantUnknown(t *testing.T, w *world) {
	tenant := w.newTenant(t)
	e := w.event(w.project.ID, audit.TenantDeleted)
	for _, which := range []struct {
		project id.Project
		tenant  id.Tenant
	}{
		{w.project.ID, id.NewTenant(w.clock.Now())},
		{w.project.ID, id.Tenant{}},
		{w.newProject(t).ID, tenant.ID},
		{id.NewProject(w.clock.Now()), tenant.ID},
	} {
		_, err := w.Tenants().Find(w.ctx, which.project, which.tenant)
		refused(t, err, fault.NotFound)
		_, err = w.Tenants().Change(w.ctx, which.project, which.tenant, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
			t.Name = "changed"
			return t, []audit.Event{e}, nil
		})
		refused(t, err, fault.NotFound)
		refused(t, w.Tenants().Delete(w.ctx, which.project, which.tenant, e), fault.NotFound)
		if which.project != w.project.ID {
			list, next, err := w.Tenants().List(w.ctx, directory.TenantQuery{Project: which.project, Limit: 9})
			ok(t, err)
			same(t, "where to go on", id.Tenant{}, next)
			same(t, "the tenants of another project", 0, len(list))
		}
	}
	stranger := w.tenant()
	stranger.Project = id.NewProject(w.clock.Now())
	refused(t, w.Tenants().Insert(w.ctx, stranger, e), fault.NotFound)
	w.told(t)
	w.fed(t)
	same(t, "the tenant", tenant, w.findTenant(t, tenant.ID))
}

// listTenants follows a list to its end.
func (w *world) listTenants(t testing.TB, q directory.TenantQuery) []directory.Tenant {
	t.Helper()
	q.Project = w.project.ID
	return follow(t, q.Limit, func(after id.Tenant) ([]directory.Tenant, id.Tenant, error) {
		q.After = after
		return w.Tenants().List(w.ctx, q)
	}, func(t directory.Tenant) id.Tenant { return t.ID })
}

// follow reads a list page by page. Pages are ascending, never longer than limit, and
// lead on until they say that there is no more.
func follow[T any, I interface {
	comparable
	Compare(I) int
}](t testing.TB, limit int, page func(after I) ([]T, I, error), key func(T) I) []T {
	t.Helper()
	var all []T
	var after, none I
	for {
		list, next, err := page(after)
		ok(t, err)
		if len(list) > limit {
			t.Fatalf("a page of at most %d has %d", limit, len(list))
		}
		for _, v := range list {
			if key(v).Compare(after) <= 0 {
				t.Fatalf("%v comes after %v", key(v), after)
			}
			after = key(v)
		}
		all = append(all, list...)
		if next == none {
			return all
		}
		if next.Compare(after) < 0 {
			t.Fatalf("a list leads back from %v to %v", after, next)
		}
		after = next
	}
}

func tenantPages(t *testing.T, w *world) {
	var all []directory.Tenant
	for range 7 {
		w.clock.Move(time.Millisecond)
		all = append(all, w.newTenant(t))
	}
	for limit := range len(all) + 1 {
		same(t, "the list", all, w.listTenants(t, directory.TenantQuery{Limit: limit + 1}))
	}
	for _, limit := range []int{0, -1} {
		list, next, err := w.Tenants().List(w.ctx, directory.TenantQuery{Project: w.project.ID, Limit: limit})
		ok(t, err)
		same(t, "the tenants within no limit", 0, len(list))
		same(t, "where to go on", id.Tenant{}, next)
	}
}

func tenantSearch(t *testing.T, w *world) {
	named := map[string]id.Tenant{}
	for _, name := range []string{"Acme Ltd.", "Umbrella", "Ökö & Söhne 100%", "acme_2", "AB"} {
		w.clock.Move(time.Millisecond)
		tenant := w.newTenant(t)
		w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Name = name })
		named[name] = tenant.ID
	}
	w.changeTenant(t, named["Umbrella"], func(t *directory.Tenant) { t.Status = directory.Disabled })
	acme := named["Acme Ltd."]
	for _, c := range []struct {
		q    directory.TenantQuery
		want []string
	}{
		{directory.TenantQuery{Text: "ACME"}, []string{"Acme Ltd.", "acme_2"}},
		{directory.TenantQuery{Text: "acme "}, []string{"Acme Ltd."}},
		{directory.TenantQuery{Text: "me l"}, []string{"Acme Ltd."}},
		{directory.TenantQuery{Text: "SÖHNE"}, []string{"Ökö & Söhne 100%"}},
		{directory.TenantQuery{Text: "0%"}, []string{"Ökö & Söhne 100%"}},
		{directory.TenantQuery{Text: "_"}, []string{"acme_2"}},
		{directory.TenantQuery{Text: "%"}, []string{"Ökö & Söhne 100%"}},
		{directory.TenantQuery{Text: "ab"}, []string{"AB"}},
		{directory.TenantQuery{Text: "b"}, []string{"Umbrella", "AB"}},
		{directory.TenantQuery{Text: "zzz"}, nil},
		{directory.TenantQuery{Text: "acmex"}, nil},
		{directory.TenantQuery{Text: strings.ToUpper(acme.String())}, []string{"Acme Ltd."}},
		{directory.TenantQuery{Text: acme.String()[:20]}, nil},
		{directory.TenantQuery{Text: id.NewTenant(w.clock.Now()).String()}, nil},
		{directory.TenantQuery{Status: directory.Disabled}, []string{"Umbrella"}},
		{directory.TenantQuery{Status: directory.Disabled, Text: "acme"}, nil},
		{directory.TenantQuery{Status: directory.Enabled, Text: "b"}, []string{"AB"}},
	} {
		for _, limit := range []int{1, 9} {
			c.q.Limit = limit
			var got []string
			for _, tenant := range w.listTenants(t, c.q) {
				got = append(got, tenant.Name)
			}
			same(t, "the tenants for "+c.q.Text, c.want, got)
		}
	}
	list, next, err := w.Tenants().List(w.ctx, directory.TenantQuery{Project: w.project.ID, Text: acme.String(), After: acme, Limit: 9})
	ok(t, err)
	same(t, "the tenants after the only one", 0, len(list))
	same(t, "where to go on", id.Tenant{}, next)
}

func tenantChange(t *testing.T, w *world) {
	tenant := w.newTenant(t)
	w.clock.Move(time.Hour)
	events := []audit.Event{w.event(tenant.Project, audit.TenantUpdated), w.event(tenant.Project, audit.TenantSettings)}
	want := filled[directory.Tenant](t)
	want.ID, want.Project, want.CreatedAt, want.Status = tenant.ID, tenant.Project, tenant.CreatedAt, directory.Disabled
	got, err := w.Tenants().Change(w.ctx, tenant.Project, tenant.ID, func(old directory.Tenant) (directory.Tenant, []audit.Event, error) {
		same(t, "the tenant that is changed", tenant, old)
		return want, events, nil
	})
	ok(t, err)
	same(t, "the returned tenant", want, got)
	same(t, "the stored tenant", want, w.findTenant(t, tenant.ID))
	w.told(t, events...)
	want.Settings, want.Attributes = latchkey.TenantSettings{}, nil
	w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { *t = want })
	same(t, "the stored tenant", want, w.findTenant(t, tenant.ID))
}

func tenantFixed(t *testing.T, w *world) {
	tenant, victim := w.newTenant(t), w.newTenant(t)
	got := w.changeTenant(t, tenant.ID, func(t *directory.Tenant) {
		t.ID, t.Project, t.CreatedAt = victim.ID, id.NewProject(w.clock.Now()), t.CreatedAt.Add(-time.Hour)
	})
	same(t, "the returned tenant", tenant, got)
	for _, want := range []directory.Tenant{tenant, victim} {
		same(t, "the stored tenant", want, w.findTenant(t, want.ID))
	}
}

func tenantRefusedChange(t *testing.T, w *world) {
	tenant := w.tenant()
	tenant.Attributes, tenant.Settings.MaxSessions = json.RawMessage(`{"a":1}`), new(3)
	ok(t, w.Tenants().Insert(w.ctx, tenant, w.event(tenant.Project, audit.TenantCreated)))
	w.news(t)
	no := fault.New(fault.Invalid, "no")
	_, err := w.Tenants().Change(w.ctx, tenant.Project, tenant.ID, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
		t.Name, t.Attributes[1], *t.Settings.MaxSessions = "changed", 'x', 9
		return t, []audit.Event{w.event(t.Project, audit.TenantUpdated)}, no
	})
	if err != error(no) {
		t.Fatalf("error %v, want the very error of change", err)
	}
	same(t, "the tenant", tenant, w.findTenant(t, tenant.ID))
	w.told(t)
	w.fed(t)
}

func tenantChangeRace(t *testing.T, w *world) {
	tenant := w.newTenant(t)
	const n = 32
	for _, err := range together(n, func(int) error {
		_, err := w.Tenants().Change(w.ctx, tenant.Project, tenant.ID, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
			t.Epoch++
			return t, nil, nil
		})
		return err
	}) {
		ok(t, err)
	}
	same(t, "the epoch", int64(n), w.findTenant(t, tenant.ID).Epoch)
	same(t, "the number of entries", n, len(w.entries(t)))
}

func tenantEntries(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	ended, outdated := w.entry(revocation.Tenant, tenant.String()), w.entry(revocation.Epoch, tenant.String())
	w.fed(t)
	for _, c := range []struct {
		what   string
		change func(*directory.Tenant)
		want   []revocation.Entry
	}{
		{"nothing", func(t *directory.Tenant) {}, nil},
		{"its time", func(t *directory.Tenant) { t.UpdatedAt = t.UpdatedAt.Add(time.Hour) }, nil},
		{"its name", func(t *directory.Tenant) { t.Name = "Umbrella" }, []revocation.Entry{outdated}},
		{"its attributes", func(t *directory.Tenant) { t.Attributes = json.RawMessage(`{"plan":"pro"}`) }, []revocation.Entry{outdated}},
		{"its settings", func(t *directory.Tenant) { t.Settings.MaxSessions = new(1) }, []revocation.Entry{outdated}},
		{"nothing of its settings", func(t *directory.Tenant) { t.Settings.MaxSessions = new(1) }, nil},
		{"its epoch", func(t *directory.Tenant) { t.Epoch++ }, []revocation.Entry{ended}},
		{"disabled", func(t *directory.Tenant) { t.Status = directory.Disabled }, []revocation.Entry{ended, outdated}},
		{"enabled", func(t *directory.Tenant) { t.Status = directory.Enabled }, nil},
		{"disabled and ended", func(t *directory.Tenant) { t.Status, t.Epoch = directory.Disabled, 9 }, []revocation.Entry{ended, outdated}},
	} {
		w.changeTenant(t, tenant, c.change)
		same(t, "the entries after a change of "+c.what, c.want, w.entries(t))
	}
	ok(t, w.Tenants().Delete(w.ctx, w.project.ID, tenant, w.event(w.project.ID, audit.TenantDeleted)))
	w.fed(t, ended, outdated)
}

// A tenant that is enabled gives its members something that no token says yet.
func tenantOpens(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	status := func(s directory.Status) []revocation.Entry {
		w.entries(t)
		w.changeTenant(t, tenant, func(t *directory.Tenant) { t.Status = s })
		return w.entries(t)
	}
	status(directory.Disabled)
	join := func() id.User {
		w.clock.Move(time.Millisecond)
		u := w.user()
		u.Memberships = []directory.Membership{{Tenant: tenant}}
		ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
		return u.ID
	}
	ada, bob, gone := join(), join(), join()
	w.newUser(t) // who isn't a member
	_, err := w.Users().Change(w.ctx, w.project.ID, gone, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Memberships = nil
		return u, nil, nil
	})
	ok(t, err)
	same(t, "what is told of a tenant that is enabled",
		[]revocation.Entry{w.entry(revocation.Epoch, ada.String()), w.entry(revocation.Epoch, bob.String())}, status(directory.Enabled))
	same(t, "what is told of one that was enabled", 0, len(status(directory.Enabled)))
	status(directory.Disabled)
	for range directory.MaxTold - 2 {
		join()
	}
	same(t, "how many are told of", directory.MaxTold, len(status(directory.Enabled)))
	status(directory.Disabled)
	join()
	same(t, "what is told of very many", []revocation.Entry{w.entry(revocation.Epoch, w.project.ID.String())}, status(directory.Enabled))
}

func tenantVersion(t *testing.T, w *world) {
	grows := func(what string, by int64, do func()) {
		t.Helper()
		before := w.version(t)
		do()
		same(t, "the project's version after "+what, before+by, w.version(t))
	}
	var tenant, strict directory.Tenant
	grows("a tenant", 0, func() { tenant = w.newTenant(t) })
	strict = w.tenant()
	strict.Settings.OnLimit = new("deny")
	grows("a tenant with settings", 1, func() { ok(t, w.Tenants().Insert(w.ctx, strict, w.event(w.project.ID, audit.TenantCreated))) })
	grows("a name", 0, func() { w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Name = "Umbrella" }) })
	grows("disabling one without settings", 0, func() { w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Status = directory.Disabled }) })
	grows("settings", 1, func() { w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Settings.MaxSessions = new(2) }) })
	grows("the same settings", 0, func() { w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Settings.MaxSessions = new(2) }) })
	grows("enabling", 1, func() { w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Status = directory.Enabled }) })
	grows("no settings", 1, func() {
		w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Settings = latchkey.TenantSettings{} })
	})
	grows("deleting", 0, func() {
		ok(t, w.Tenants().Delete(w.ctx, w.project.ID, tenant.ID, w.event(w.project.ID, audit.TenantDeleted)))
	})
	grows("deleting one with settings", 1, func() {
		ok(t, w.Tenants().Delete(w.ctx, w.project.ID, strict.ID, w.event(w.project.ID, audit.TenantDeleted)))
	})
}

func tenantOverrides(t *testing.T, w *world) {
	overrides := func(want ...directory.Tenant) {
		t.Helper()
		got, err := w.Tenants().Overrides(w.ctx, w.project.ID)
		ok(t, err)
		same(t, "the tenants with settings", want, got)
	}
	var all []directory.Tenant
	for range 3 {
		w.clock.Move(time.Millisecond)
		w.newTenant(t)
		strict := w.tenant()
		strict.Settings = filled[directory.Tenant](t).Settings
		ok(t, w.Tenants().Insert(w.ctx, strict, w.event(w.project.ID, audit.TenantCreated)))
		all = append(all, strict)
	}
	overrides(all...)
	w.changeTenant(t, all[1].ID, func(t *directory.Tenant) { t.Status = directory.Disabled })
	overrides(all[0], all[2])
	ok(t, w.Tenants().Delete(w.ctx, w.project.ID, all[0].ID, w.event(w.project.ID, audit.TenantDeleted)))
	overrides(all[2])
	for _, p := range []id.Project{w.newProject(t).ID, id.NewProject(w.clock.Now())} {
		got, err := w.Tenants().Overrides(w.ctx, p)
		ok(t, err)
		same(t, "those of another project", 0, len(got))
	}
}

func tenantDelete(t *testing.T, w *world) {
	tenant, other := w.newTenant(t), w.newTenant(t)
	gone, kept, common := w.newRole(t, tenant.ID, "editor"), w.newRole(t, other.ID, "editor"), w.newRole(t, id.Tenant{}, "editor")
	e := w.event(w.project.ID, audit.TenantDeleted)
	ok(t, w.Tenants().Delete(w.ctx, w.project.ID, tenant.ID, e))
	w.told(t, e)
	_, err := w.Tenants().Find(w.ctx, w.project.ID, tenant.ID)
	refused(t, err, fault.NotFound)
	refused(t, w.Tenants().Delete(w.ctx, w.project.ID, tenant.ID, e), fault.NotFound)
	same(t, "the tenants", []directory.Tenant{other}, w.listTenants(t, directory.TenantQuery{Limit: 9}))
	same(t, "the tenants of this id", 0, len(w.listTenants(t, directory.TenantQuery{Text: tenant.ID.String(), Limit: 9})))
	_, err = w.Roles().Find(w.ctx, w.project.ID, gone.ID)
	refused(t, err, fault.NotFound)
	for _, r := range []directory.Role{kept, common} {
		found, err := w.Roles().Find(w.ctx, w.project.ID, r.ID)
		ok(t, err)
		same(t, "a role", r, found)
	}
	refused(t, w.Roles().Insert(w.ctx, w.role(tenant.ID, "viewer"), e), fault.NotFound)
	// An import may bring it back.
	ok(t, w.Tenants().Insert(w.ctx, tenant, w.event(w.project.ID, audit.TenantCreated)))
	same(t, "the tenant", tenant, w.findTenant(t, tenant.ID))
}
