package storetest

import (
	"errors"
	"fmt"
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

func roleChecks() []check {
	return []check{
		{"come back as they went in", roleInsert},
		{"unknown ones are not found", roleUnknown},
		{"a name is taken once at a level", roleTaken},
		{"have permissions of the catalogue only", rolePermissions},
		{"are listed by level, page by page", rolePages},
		{"a level holds so many", roleFull},
		{"change with their events", roleChange},
		{"keep id, project, tenant and time of creation", roleFixed},
		{"tell verifiers once, by name", roleEntries},
		{"one of many concurrent inserts gets the name", roleInsertRace},
	}
}

func (w *world) role(level id.Tenant, name string, permissions ...string) directory.Role {
	now := session.Instant(w.clock.Now())
	return directory.Role{
		ID: id.NewRole(now), Project: w.project.ID, Tenant: level, Name: name, Description: "may " + name, Permissions: permissions,
		CreatedAt: now, UpdatedAt: now,
	}
}

// newRole adds a role, and its permissions first where they are missing.
func (w *world) newRole(t testing.TB, level id.Tenant, name string, permissions ...string) directory.Role {
	t.Helper()
	for _, name := range permissions {
		err := w.Permissions().Insert(w.ctx, w.permission(name), w.event(w.project.ID, audit.PermissionCreated))
		if fault.KindOf(err) != fault.Conflict {
			ok(t, err)
		}
	}
	r := w.role(level, name, permissions...)
	ok(t, w.Roles().Insert(w.ctx, r, w.event(r.Project, audit.RoleCreated)))
	w.news(t)
	return r
}

func (w *world) changeRole(t testing.TB, r id.Role, change func(*directory.Role)) directory.Role {
	t.Helper()
	changed, err := w.Roles().Change(w.ctx, w.project.ID, r, func(old directory.Role) (directory.Role, []audit.Event, error) {
		change(&old)
		return old, nil, nil
	})
	ok(t, err)
	return changed
}

func (w *world) findRole(t testing.TB, r id.Role) directory.Role {
	t.Helper()
	found, err := w.Roles().Find(w.ctx, w.project.ID, r)
	ok(t, err)
	return found
}

func (w *world) deleteRole(t testing.TB, r id.Role) {
	t.Helper()
	ok(t, w.Roles().Delete(w.ctx, w.project.ID, r, w.event(w.project.ID, audit.RoleDeleted)))
	w.news(t)
}

// outdated is the entry for a change of a role with this name just now.
func (w *world) outdated(name string) revocation.Entry {
	return w.entry(revocation.Role, latchkey.RoleMark(name))
}

// outdatedIn is the entry for a change of a tenant's own role with this name just now.
func (w *world) outdatedIn(t id.Tenant, name string) revocation.Entry {
	return w.entry(revocation.Role, latchkey.TenantRoleMark(t.String(), name))
}

// places fails unless err is fault.Invalid at exactly these places.
func places(t testing.TB, err error, want ...string) {
	t.Helper()
	refused(t, err, fault.Invalid)
	var e *fault.Error
	var got []string
	if errors.As(err, &e) {
		for _, f := range e.Fields {
			got = append(got, f.Pointer+" "+f.Code)
		}
	}
	same(t, "the places that are refused", want, got)
}

func roleInsert(t *testing.T, w *world) {
	tenant := w.newTenant(t)
	full := filled[directory.Role](t)
	for _, name := range full.Permissions {
		ok(t, w.Permissions().Insert(w.ctx, w.permission(name), w.event(w.project.ID, audit.PermissionCreated)))
	}
	w.news(t)
	full.ID, full.Project, full.Tenant = id.NewRole(w.clock.Now()), w.project.ID, tenant.ID
	for _, r := range []directory.Role{full, w.role(id.Tenant{}, full.Name), {ID: id.NewRole(w.clock.Now()), Project: w.project.ID, Name: "bare"}} {
		e := w.event(r.Project, audit.RoleCreated)
		ok(t, w.Roles().Insert(w.ctx, r, e))
		w.told(t, e)
		same(t, "the role", r, w.findRole(t, r.ID))
	}
	again := w.role(id.Tenant{}, "another")
	again.ID = full.ID
	refused(t, w.Roles().Insert(w.ctx, again, w.event(w.project.ID, audit.RoleCreated)), fault.Conflict)
	w.told(t)
	w.fed(t)
}

func roleUnknown(t *testing.T, w *world) {
	r := w.newRole(t, id.Tenant{}, "editor")
	e := w.event(w.project.ID, audit.RoleDeleted)
	for _, which := range []struct {
		project id.Project
		role    id.Role
	}{
		{w.project.ID, id.NewRole(w.clock.Now())},
		{w.project.ID, id.Role{}},
		{w.newProject(t).ID, r.ID},
		{id.NewProject(w.clock.Now()), r.ID},
	} {
		_, err := w.Roles().Find(w.ctx, which.project, which.role)
		refused(t, err, fault.NotFound)
		_, err = w.Roles().Change(w.ctx, which.project, which.role, func(r directory.Role) (directory.Role, []audit.Event, error) {
			return r, []audit.Event{e}, nil
		})
		refused(t, err, fault.NotFound)
		refused(t, w.Roles().Delete(w.ctx, which.project, which.role, e), fault.NotFound)
		if which.project != w.project.ID {
			list, err := w.Roles().List(w.ctx, directory.RoleQuery{Project: which.project, Limit: 9})
			ok(t, err)
			same(t, "the roles of another project", 0, len(list))
		}
	}
	nowhere := w.role(id.NewTenant(w.clock.Now()), "editor")
	refused(t, w.Roles().Insert(w.ctx, nowhere, e), fault.NotFound)
	nowhere.Tenant, nowhere.Project = id.Tenant{}, id.NewProject(w.clock.Now())
	refused(t, w.Roles().Insert(w.ctx, nowhere, e), fault.NotFound)
	w.told(t)
	w.fed(t)
	same(t, "the role", r, w.findRole(t, r.ID))
}

func roleTaken(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	for _, level := range []id.Tenant{{}, tenant, other} {
		w.newRole(t, level, "editor")
		w.newRole(t, level, "Editor") // another name
		viewer := w.newRole(t, level, "viewer")
		refused(t, w.Roles().Insert(w.ctx, w.role(level, "editor"), w.event(w.project.ID, audit.RoleCreated)), fault.Conflict)
		_, err := w.Roles().Change(w.ctx, w.project.ID, viewer.ID, func(r directory.Role) (directory.Role, []audit.Event, error) {
			r.Name, r.Description = "editor", "changed"
			return r, []audit.Event{w.event(w.project.ID, audit.RoleUpdated)}, nil
		})
		refused(t, err, fault.Conflict)
		same(t, "the role", viewer, w.findRole(t, viewer.ID))
		w.changeRole(t, viewer.ID, func(r *directory.Role) { r.Description = "keeps its own name" })
		w.deleteRole(t, viewer.ID)
		w.newRole(t, level, "viewer")
	}
	w.told(t)
}

func rolePermissions(t *testing.T, w *world) {
	r := w.newRole(t, id.Tenant{}, "editor", "doc.read", "doc.write")
	e := w.event(w.project.ID, audit.RoleCreated)
	places(t, w.Roles().Insert(w.ctx, w.role(id.Tenant{}, "viewer", "a", "doc.read", "doc.Read"), e), "/permissions/0 unknown", "/permissions/2 unknown")
	_, err := w.Roles().Change(w.ctx, w.project.ID, r.ID, func(r directory.Role) (directory.Role, []audit.Event, error) {
		r.Permissions = append(r.Permissions, "doc.share")
		return r, []audit.Event{e}, nil
	})
	places(t, err, "/permissions/2 unknown")
	w.told(t)
	w.fed(t)
	same(t, "the role", r, w.findRole(t, r.ID))
	// Those of another project don't count.
	mine := w.project
	w.project = w.newProject(t)
	places(t, w.Roles().Insert(w.ctx, w.role(id.Tenant{}, "editor", "doc.read"), e), "/permissions/0 unknown")
	w.project = mine
}

func rolePages(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	levels := map[id.Tenant][]directory.Role{}
	for i := range 6 {
		for _, level := range []id.Tenant{tenant, {}} {
			w.clock.Move(time.Millisecond)
			levels[level] = append(levels[level], w.newRole(t, level, fmt.Sprint("role ", 9-i)))
		}
	}
	for level, all := range levels {
		pages(t, all, func(after id.Role, limit int) ([]directory.Role, error) {
			return w.Roles().List(w.ctx, directory.RoleQuery{Project: w.project.ID, Tenant: level, After: after, Limit: limit})
		}, func(r directory.Role) id.Role { return r.ID })
		q := directory.RoleQuery{Project: w.project.ID, Tenant: level, Name: "role 7", Limit: 9}
		list, err := w.Roles().List(w.ctx, q)
		ok(t, err)
		same(t, "the role of a name", all[2:3], list)
		q.After = all[2].ID
		list, err = w.Roles().List(w.ctx, q)
		ok(t, err)
		same(t, "those after it", 0, len(list))
	}
	for _, q := range []directory.RoleQuery{{Tenant: id.NewTenant(w.clock.Now()), Limit: 9}, {Name: "Role 7", Limit: 9}, {Limit: -1}} {
		q.Project = w.project.ID
		list, err := w.Roles().List(w.ctx, q)
		ok(t, err)
		same(t, "the number of roles", 0, len(list))
	}
}

func roleFull(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	for i := range directory.MaxTenantRoles {
		ok(t, w.Roles().Insert(w.ctx, w.role(tenant, fmt.Sprint("role ", i)), w.event(w.project.ID, audit.RoleCreated)))
	}
	w.news(t)
	refused(t, w.Roles().Insert(w.ctx, w.role(tenant, "one more"), w.event(w.project.ID, audit.RoleCreated)), fault.Conflict)
	w.told(t)
	w.newRole(t, id.Tenant{}, "one more")
	list, err := w.Roles().List(w.ctx, directory.RoleQuery{Project: w.project.ID, Tenant: tenant, Limit: 1000})
	ok(t, err)
	same(t, "the number of roles", directory.MaxTenantRoles, len(list))
	w.changeRole(t, list[0].ID, func(r *directory.Role) { r.Name = "renamed" })
	w.deleteRole(t, list[1].ID)
	w.newRole(t, tenant, "one more")
}

func roleChange(t *testing.T, w *world) {
	r := w.newRole(t, w.newTenant(t).ID, "editor", "doc.read", "doc.write")
	w.clock.Move(time.Hour)
	want := filled[directory.Role](t)
	want.ID, want.Project, want.Tenant, want.CreatedAt, want.Permissions = r.ID, r.Project, r.Tenant, r.CreatedAt, []string{"doc.write"}
	e := w.event(r.Project, audit.RoleUpdated)
	got, err := w.Roles().Change(w.ctx, r.Project, r.ID, func(old directory.Role) (directory.Role, []audit.Event, error) {
		if d := differ(r, old); d != "" {
			return old, nil, errors.New("not the stored role: " + d)
		}
		old.Permissions[0] = "scribbled"
		return want, []audit.Event{e}, nil
	})
	ok(t, err)
	same(t, "the returned role", want, got)
	same(t, "the stored role", want, w.findRole(t, r.ID))
	w.told(t, e)
	no := fault.New(fault.Invalid, "no")
	_, err = w.Roles().Change(w.ctx, r.Project, r.ID, func(old directory.Role) (directory.Role, []audit.Event, error) {
		old.Name, old.Permissions[0] = "changed", "changed"
		return old, []audit.Event{e}, no
	})
	if err != error(no) {
		t.Fatalf("error %v, want the very error of change", err)
	}
	same(t, "the stored role", want, w.findRole(t, r.ID))
}

func roleFixed(t *testing.T, w *world) {
	r, victim := w.newRole(t, w.newTenant(t).ID, "editor"), w.newRole(t, id.Tenant{}, "viewer")
	got := w.changeRole(t, r.ID, func(r *directory.Role) {
		r.ID, r.Project, r.Tenant, r.CreatedAt = victim.ID, id.NewProject(w.clock.Now()), id.Tenant{}, r.CreatedAt.Add(-time.Hour)
	})
	same(t, "the returned role", r, got)
	for _, want := range []directory.Role{r, victim} {
		same(t, "the stored role", want, w.findRole(t, want.ID))
	}
}

func roleEntries(t *testing.T, w *world) {
	r := w.newRole(t, id.Tenant{}, "editor", "doc.read", "doc.write").ID
	for range 3 {
		u := w.user()
		u.Roles = []id.Role{r}
		ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	}
	w.fed(t)
	w.changeRole(t, r, func(r *directory.Role) { r.Description, r.UpdatedAt = "another", r.UpdatedAt.Add(time.Hour) })
	w.fed(t)
	w.changeRole(t, r, func(r *directory.Role) { r.Permissions = r.Permissions[:1] })
	w.fed(t, w.outdated("editor"))
	w.changeRole(t, r, func(r *directory.Role) { r.Name = "author" })
	w.fed(t, w.outdated("editor"))
	w.deleteRole(t, r)
	w.fed(t, w.outdated("author"))
	// What happens in one tenant doesn't concern those of the same name elsewhere.
	tenant := w.newTenant(t).ID
	own := w.newRole(t, tenant, "editor", "doc.read").ID
	w.changeRole(t, own, func(r *directory.Role) { r.Permissions = nil })
	w.fed(t, w.outdatedIn(tenant, "editor"))
	w.changeRole(t, own, func(r *directory.Role) { r.Name = "author" })
	w.fed(t, w.outdatedIn(tenant, "editor"))
	w.deleteRole(t, own)
	w.fed(t, w.outdatedIn(tenant, "author"))
}

func roleInsertRace(t *testing.T, w *world) {
	errs := together(16, func(int) error {
		return w.Roles().Insert(w.ctx, w.role(id.Tenant{}, "editor"), w.event(w.project.ID, audit.RoleCreated))
	})
	onlyWinner(t, errs, fault.Conflict)
	same(t, "the number of events", 1, len(w.news(t)))
}
