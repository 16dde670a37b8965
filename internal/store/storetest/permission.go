package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func permissionChecks() []check {
	return []check{
		{"come back as they went in", permissionInsert},
		{"are listed by name, page by page", permissionPages},
		{"are described anew", permissionDescribe},
		{"the catalogue holds so many", permissionFull},
		{"deleting takes them from every role", permissionDelete},
		{"deleting goes on where it has stopped", permissionSteps},
	}
}

func (w *world) permission(name string) directory.Permission {
	return directory.Permission{Project: w.project.ID, Name: name, Description: "to " + name, CreatedAt: session.Instant(w.clock.Now())}
}

func (w *world) listPermissions(t testing.TB) []directory.Permission {
	t.Helper()
	list, err := w.Permissions().List(w.ctx, w.project.ID, "", 99)
	ok(t, err)
	return list
}

func permissionInsert(t *testing.T, w *world) {
	p := filled[directory.Permission](t)
	p.Project = w.project.ID
	e := w.event(p.Project, audit.PermissionCreated)
	ok(t, w.Permissions().Insert(w.ctx, p, e))
	w.told(t, e)
	refused(t, w.Permissions().Insert(w.ctx, p, e), fault.Conflict)
	upper := p
	upper.Name, upper.Description, upper.CreatedAt = strings.ToUpper(p.Name), "", time.Time{}
	ok(t, w.Permissions().Insert(w.ctx, upper, e))
	same(t, "the permissions", []directory.Permission{upper, p}, w.listPermissions(t))
	p.Project = w.newProject(t).ID
	ok(t, w.Permissions().Insert(w.ctx, p, w.event(p.Project, audit.PermissionCreated)))
	p.Project = id.NewProject(w.clock.Now())
	refused(t, w.Permissions().Insert(w.ctx, p, e), fault.NotFound)
	list, err := w.Permissions().List(w.ctx, p.Project, "", 9)
	ok(t, err)
	same(t, "the permissions of nobody", 0, len(list))
}

func permissionPages(t *testing.T, w *world) {
	names := []string{"A", "a", "a.b", "a:b", "b", "doc.read", "doc.write"}
	var all []directory.Permission
	for _, name := range names {
		all = append(all, w.permission(name))
	}
	for i := range all {
		ok(t, w.Permissions().Insert(w.ctx, all[(i*3)%len(all)], w.event(w.project.ID, audit.PermissionCreated)))
	}
	for _, limit := range []int{1, 2, 6, 7, 8} {
		var got []directory.Permission
		for after := ""; ; after = got[len(got)-1].Name {
			page, err := w.Permissions().List(w.ctx, w.project.ID, after, limit)
			ok(t, err)
			if len(page) > limit {
				t.Fatalf("a page of at most %d has %d", limit, len(page))
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		same(t, "the permissions", all, got)
	}
}

func permissionDescribe(t *testing.T, w *world) {
	p, other := w.permission("doc.read"), w.permission("doc.write")
	for _, p := range []directory.Permission{p, other} {
		ok(t, w.Permissions().Insert(w.ctx, p, w.event(p.Project, audit.PermissionCreated)))
	}
	w.news(t)
	p.Description = "to read"
	e := w.event(p.Project, audit.PermissionUpdated)
	got, err := w.Permissions().Describe(w.ctx, p.Project, p.Name, p.Description, e)
	ok(t, err)
	same(t, "the returned permission", p, got)
	same(t, "the permissions", []directory.Permission{p, other}, w.listPermissions(t))
	w.told(t, e)
	w.fed(t)
	_, err = w.Permissions().Describe(w.ctx, p.Project, "doc.share", "", e)
	refused(t, err, fault.NotFound)
	_, err = w.Permissions().Describe(w.ctx, w.newProject(t).ID, p.Name, "", e)
	refused(t, err, fault.NotFound)
	w.told(t)
}

func permissionFull(t *testing.T, w *world) {
	for i := range directory.MaxPermissions {
		ok(t, w.Permissions().Insert(w.ctx, w.permission(fmt.Sprint("p", i)), w.event(w.project.ID, audit.PermissionCreated)))
	}
	w.news(t)
	e := w.event(w.project.ID, audit.PermissionCreated)
	refused(t, w.Permissions().Insert(w.ctx, w.permission("one more"), e), fault.Conflict)
	w.told(t)
	ok(t, w.Permissions().Delete(w.ctx, w.project.ID, "p7", e))
	ok(t, w.Permissions().Insert(w.ctx, w.permission("one more"), w.event(w.project.ID, audit.PermissionCreated)))
}

func (w *world) deletePermission(t testing.TB, name string) {
	t.Helper()
	ok(t, w.Permissions().Delete(w.ctx, w.project.ID, name, w.event(w.project.ID, audit.PermissionDeleted)))
	w.news(t)
}

// strip takes deleted permissions away, and looks at as many roles as it may.
func (w *world) strip(t testing.TB, limit, want int) {
	t.Helper()
	n, err := w.Permissions().Strip(w.ctx, limit)
	ok(t, err)
	same(t, "what was looked at", want, n)
}

func permissionDelete(t *testing.T, w *world) {
	tenant := w.newTenant(t).ID
	editor := w.newRole(t, id.Tenant{}, "editor", "doc.read", "doc.write")
	w.clock.Move(time.Millisecond) // entries come in the order of the roles
	viewer := w.newRole(t, tenant, "viewer", "doc.read")
	twin, none := w.newRole(t, tenant, "editor", "doc.write"), w.newRole(t, tenant, "none")
	w.fed(t)
	e := w.event(w.project.ID, audit.PermissionDeleted)
	ok(t, w.Permissions().Delete(w.ctx, w.project.ID, "doc.write", e))
	w.told(t, e)
	w.strip(t, 9, 5)
	w.told(t)
	w.fed(t, w.outdated("editor")) // both of that name by one
	editor.Permissions, twin.Permissions = []string{"doc.read"}, nil
	for _, want := range []directory.Role{editor, viewer, twin, none} {
		same(t, "the role "+want.Name, want, w.findRole(t, want.ID))
	}
	same(t, "the number of permissions", 1, len(w.listPermissions(t)))
	refused(t, w.Permissions().Delete(w.ctx, w.project.ID, "doc.write", e), fault.NotFound)
	refused(t, w.Permissions().Delete(w.ctx, w.newProject(t).ID, "doc.read", e), fault.NotFound)
	w.told(t)
	w.deletePermission(t, "doc.read")
	w.strip(t, 9, 5)
	w.fed(t, w.outdated("editor"), w.outdated("viewer"))
	// One of the same name is another permission.
	ok(t, w.Permissions().Insert(w.ctx, w.permission("doc.read"), w.event(w.project.ID, audit.PermissionCreated)))
	same(t, "the number of permissions", 0, len(w.findRole(t, editor.ID).Permissions))
}

// A deletion that is cut off after any step is gone on with, by whoever comes next. In
// between no role gets the permission anew, and each that loses it is told.
func permissionSteps(t *testing.T, w *world) {
	var roles []directory.Role
	for _, name := range []string{"a", "b", "b", "c"} {
		w.clock.Move(time.Millisecond)
		roles = append(roles, w.newRole(t, w.newTenant(t).ID, name, "doc.read", "doc.write"))
	}
	w.fed(t)
	have := func(want ...int) {
		t.Helper()
		var got []int
		for _, r := range roles {
			got = append(got, len(w.findRole(t, r.ID).Permissions))
		}
		same(t, "how many permissions the roles have", want, got)
	}
	w.strip(t, 9, 0)
	w.deletePermission(t, "doc.read")
	have(2, 2, 2, 2)
	w.fed(t)
	e := w.event(w.project.ID, audit.PermissionCreated)
	pending := func() {
		t.Helper()
		refused(t, w.Permissions().Insert(w.ctx, w.permission("doc.read"), e), fault.Conflict)
		places(t, w.Roles().Insert(w.ctx, w.role(id.Tenant{}, "late", "doc.read"), e), "/permissions/0 unknown")
		ok(t, w.Permissions().Delete(w.ctx, w.project.ID, "doc.read", e)) // again
		w.told(t)
		for _, p := range w.listPermissions(t) {
			if p.Name == "doc.read" {
				t.Error("the permission is still in the catalogue")
			}
		}
	}
	pending()
	w.strip(t, 0, 0)
	w.strip(t, 2, 2)
	have(1, 1, 2, 2)
	w.fed(t, w.outdated("a"), w.outdated("b"))
	pending()
	_, err := w.Roles().Change(w.ctx, w.project.ID, roles[0].ID, func(r directory.Role) (directory.Role, []audit.Event, error) {
		r.Permissions = []string{"doc.read"}
		return r, []audit.Event{e}, nil
	})
	places(t, err, "/permissions/0 unknown")
	w.deletePermission(t, "doc.write") // another one, before the first is done
	mine := w.project
	w.project = w.newProject(t)
	w.newRole(t, id.Tenant{}, "c", "doc.read")
	w.project = mine
	w.strip(t, 1, 1)
	have(1, 1, 1, 2)
	w.fed(t, w.outdated("b")) // the other one of that name
	w.strip(t, 1, 1)
	w.fed(t, w.outdated("c"))
	pending()
	w.strip(t, 1, 1) // no role is left: the permission itself
	have(1, 1, 1, 1)
	w.fed(t)
	ok(t, w.Permissions().Insert(w.ctx, w.permission("doc.read"), e))
	w.told(t, e)
	w.strip(t, 9, 5)
	have(0, 0, 0, 0)
	w.fed(t, w.outdated("a"), w.outdated("b"), w.outdated("c"))
	w.strip(t, 9, 0)
}
