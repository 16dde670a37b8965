package directory_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// role makes a role, with permissions that are made first.
func (w *world) role(tenant, name string, permissions ...string) directory.Role {
	w.t.Helper()
	w.permit(permissions...)
	r, err := w.CreateRole(w.t.Context(), w.project, tenant, directory.RoleChange{Name: &name, Permissions: &permissions}, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	w.said()
	return r
}

func (w *world) permit(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if _, err := w.CreatePermission(w.t.Context(), w.project, name, "", operator); err != nil && fault.KindOf(err) != fault.Conflict {
			w.t.Fatal(err)
		}
	}
	w.said()
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	for name, good := range map[string]bool{
		"a": true, "A1": true, "invoice:read": true, "a.b_c:d/e-f g": true, strings.Repeat("a", 60): true, "role_1": true, "a/../b": true,
		"": false, " a": false, "a ": false, ".a": false, "a-": false, strings.Repeat("a", 61): false, "ä": false, "a\nb": false, "a\x00": false, "a*": false, "a,b": false,
		id.NewRole(start).String(): false, "rt_a": false, "lk_mgmt_a": false, "eyJa.b.c": false, "..": false,
	} {
		_, err := w.CreatePermission(t.Context(), w.project, name, "", operator)
		_, roleErr := w.CreateRole(t.Context(), w.project, "", directory.RoleChange{Name: &name}, operator)
		if good {
			if err != nil || roleErr != nil {
				t.Errorf("%q: %v, %v", name, err, roleErr)
			}
			continue
		}
		for _, err := range []error{err, roleErr} {
			if refused(t, err, fault.Invalid); at(err) != "/name" {
				t.Errorf("%q: wrong is %q", name, at(err))
			}
		}
	}
}

// Very many roles lose a permission in several steps, before the answer is given.
func TestDeletePermissionOfManyRoles(t *testing.T) {
	w := newWorld(t)
	var all []directory.Role
	for i := range 450 {
		all = append(all, w.role("", fmt.Sprint("role ", i), "a", "b"))
	}
	if err := w.DeletePermission(t.Context(), w.project, "a", operator); err != nil {
		t.Fatal(err)
	}
	w.expect(audit.PermissionDeleted)
	for _, r := range all {
		if now, err := w.Role(t.Context(), w.project, r.ID); err != nil || !slices.Equal(now.Permissions, []string{"b"}) {
			t.Fatalf("the role has %v, %v", now.Permissions, err)
		}
	}
	w.permit("a") // nothing of it is left behind
	refused(t, w.DeletePermission(t.Context(), w.other(), "a", operator), fault.NotFound)
}

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreatePermission(t.Context(), w.project, "b", "what b is", operator)
	if err != nil || made.Name != "b" || made.Description != "what b is" || made.Project != w.project || made.CreatedAt.IsZero() {
		t.Errorf("made %+v, %v", made, err)
	}
	w.expect(audit.PermissionCreated)
	_, err = w.CreatePermission(t.Context(), w.project, "b", "", operator)
	refused(t, err, fault.Conflict)
	w.permit("a", "c")
	described, err := w.DescribePermission(t.Context(), w.project, "b", "new", operator)
	if err != nil || described.Description != "new" {
		t.Errorf("described %+v, %v", described, err)
	}
	w.expect(audit.PermissionUpdated)
	page, err := w.Permissions(t.Context(), w.project, "a", 5)
	if err != nil || len(page) != 2 || page[0] != described || page[1].Name != "c" {
		t.Errorf("the page is %+v, %v", page, err)
	}
	reader := w.role("", "reader", "a", "b")
	if err := w.DeletePermission(t.Context(), w.project, "b", operator); err != nil {
		t.Fatal(err)
	}
	if events := w.expect(audit.PermissionDeleted); events[0].Data["name"] != "b" {
		t.Errorf("the event says %v", events[0].Data)
	}
	if now, err := w.Role(t.Context(), w.project, reader.ID); err != nil || !slices.Equal(now.Permissions, []string{"a"}) {
		t.Errorf("the role has %v, %v", now.Permissions, err)
	}
	for _, p := range []id.Project{w.project, w.other()} {
		_, err = w.DescribePermission(t.Context(), p, "b", "", operator)
		refused(t, err, fault.NotFound)
		refused(t, w.DeletePermission(t.Context(), p, "b", operator), fault.NotFound)
	}
	_, err = w.DescribePermission(t.Context(), w.project, "a", "a\nb", operator)
	refused(t, err, fault.Invalid)
	_, err = w.CreatePermission(t.Context(), w.project, " ", strings.Repeat("x", 501), operator)
	if refused(t, err, fault.Invalid); at(err) != "/name /description" {
		t.Errorf("wrong is %q", at(err))
	}
	w.expect()
}

func TestRoleLife(t *testing.T) {
	w := newWorld(t)
	w.permit("a", "b", "c")
	acme := w.tenant("ACME")
	made, err := w.CreateRole(t.Context(), w.project, acme.ID.String(), directory.RoleChange{
		Name: new("clerk"), Description: new("writes"), Permissions: &[]string{"b", "a"}}, operator)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Role{
		ID: made.ID, Project: w.project, Tenant: acme.ID, Name: "clerk", Description: "writes", Permissions: []string{"a", "b"},
		CreatedAt: made.ID.Time(), UpdatedAt: made.ID.Time(),
	}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("created\n%+v, want\n%+v", made, want)
	}
	about := func(more map[string]any) map[string]any {
		more["role"], more["tenant"] = made.ID.String(), acme.ID.String()
		return more
	}
	if e := w.expect(audit.RoleCreated)[0]; !reflect.DeepEqual(e.Data, about(map[string]any{"name": "clerk", "permissions": []any{"a", "b"}})) {
		t.Errorf("the event says %v", e.Data)
	}
	same, err := w.ChangeRole(t.Context(), w.project, made.ID, directory.RoleChange{Name: new("clerk"), Permissions: &[]string{"a", "b"}}, operator)
	if err != nil || !reflect.DeepEqual(same, want) {
		t.Errorf("a change to what is there made %+v, %v", same, err)
	}
	w.expect()
	changed, err := w.ChangeRole(t.Context(), w.project, made.ID, directory.RoleChange{Name: new("boss"), Permissions: &[]string{"c", "b"}}, operator)
	if err != nil || changed.Name != "boss" || !slices.Equal(changed.Permissions, []string{"b", "c"}) || changed.Tenant != acme.ID || changed.Description != "writes" {
		t.Errorf("changed %+v, %v", changed, err)
	}
	if e := w.expect(audit.RoleUpdated)[0]; !reflect.DeepEqual(e.Data, about(map[string]any{
		"name": "boss", "formerName": "clerk", "added": []any{"c"}, "removed": []any{"a"}})) {
		t.Errorf("the event says %v", e.Data)
	}
	if list, err := w.Roles(t.Context(), directory.RoleQuery{Project: w.project, Tenant: acme.ID, Limit: 5}); err != nil || len(list) != 1 || list[0].ID != made.ID {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := w.DeleteRole(t.Context(), w.project, made.ID, operator); err != nil {
		t.Fatal(err)
	}
	if e := w.expect(audit.RoleDeleted)[0]; !reflect.DeepEqual(e.Data, about(map[string]any{"name": "boss"})) {
		t.Errorf("the event says %v", e.Data)
	}
	for _, p := range []id.Project{w.project, w.other()} {
		_, err := w.Role(t.Context(), p, made.ID)
		refused(t, err, fault.NotFound)
		_, err = w.ChangeRole(t.Context(), p, made.ID, directory.RoleChange{Description: new("x")}, operator)
		refused(t, err, fault.NotFound)
		refused(t, w.DeleteRole(t.Context(), p, made.ID, operator), fault.NotFound)
	}
	w.expect()
}

func TestRoleRules(t *testing.T) {
	w := newWorld(t)
	w.permit("a", "b")
	acme, other := w.tenant("ACME"), w.other()
	clerk, boss := w.role("", "clerk"), w.role("", "boss")
	own := w.role(acme.ID.String(), "clerk") // another level, so the name is free
	foreign, err := w.CreateTenant(t.Context(), other, directory.TenantChange{Name: new("Foreign")}, operator)
	if err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 201 {
		many = append(many, fmt.Sprint("p", i))
	}
	for what, c := range map[string]struct {
		tenant string
		change directory.RoleChange
		wrong  string
	}{
		"no name":               {"", directory.RoleChange{}, "/name"},
		"unknown permissions":   {"", directory.RoleChange{Name: new("x"), Permissions: &[]string{"a", "c", "b", " "}}, "/permissions/1 /permissions/3"},
		"a permission twice":    {"", directory.RoleChange{Name: new("x"), Permissions: &[]string{"a", "b", "a"}}, "/permissions/2"},
		"too many":              {"", directory.RoleChange{Name: new("x"), Permissions: &many}, "/permissions"},
		"no tenant":             {"acme", directory.RoleChange{Name: new("x")}, "/tenant"},
		"a tenant that is gone": {id.NewTenant(start).String(), directory.RoleChange{Name: new("x")}, "/tenant"},
		"another's tenant":      {foreign.ID.String(), directory.RoleChange{Name: new("x")}, "/tenant"},
		"everything at once": {"x", directory.RoleChange{Name: new(""), Description: new("\x00"), Permissions: &[]string{"a", "a", "z"}},
			"/name /description /permissions/1 /tenant /permissions/2"},
	} {
		_, err := w.CreateRole(t.Context(), w.project, c.tenant, c.change, operator)
		if refused(t, err, fault.Invalid); at(err) != c.wrong {
			t.Errorf("%s: wrong is %q, want %q", what, at(err), c.wrong)
		}
		if c.tenant == "" && c.change.Name != nil {
			_, err := w.ChangeRole(t.Context(), w.project, clerk.ID, c.change, operator)
			if refused(t, err, fault.Invalid); at(err) != c.wrong {
				t.Errorf("%s, in a change: wrong is %q, want %q", what, at(err), c.wrong)
			}
		}
	}
	_, err = w.CreateRole(t.Context(), w.project, "", directory.RoleChange{Name: new("clerk")}, operator)
	refused(t, err, fault.Conflict)
	_, err = w.CreateRole(t.Context(), w.project, acme.ID.String(), directory.RoleChange{Name: new("clerk")}, operator)
	refused(t, err, fault.Conflict)
	_, err = w.ChangeRole(t.Context(), w.project, boss.ID, directory.RoleChange{Name: new("clerk")}, operator)
	refused(t, err, fault.Conflict)
	if _, err = w.CreateRole(t.Context(), other, "", directory.RoleChange{Name: new("clerk")}, operator); err != nil {
		t.Errorf("the name in another project: %v", err)
	}
	_, err = w.CreateRole(t.Context(), other, "", directory.RoleChange{Name: new("x"), Permissions: &[]string{"a"}}, operator)
	refused(t, err, fault.Invalid) // the other project's catalogue is empty
	if now, err := w.Role(t.Context(), w.project, own.ID); err != nil || !reflect.DeepEqual(now, own) {
		t.Errorf("the tenant's role became %+v, %v", now, err)
	}
	w.expect()
}
