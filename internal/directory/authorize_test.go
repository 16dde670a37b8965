package directory_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

func TestAuthorize(t *testing.T) {
	at := time.UnixMilli(1)
	a := directory.Tenant{ID: id.NewTenant(at), Name: "A", Status: directory.Enabled, Attributes: json.RawMessage(`{"x":1}`)}
	b := directory.Tenant{ID: id.NewTenant(at.Add(time.Second)), Name: "B", Status: directory.Enabled}
	off := directory.Tenant{ID: id.NewTenant(at), Name: "off", Status: directory.Disabled}
	editor := directory.Role{ID: id.NewRole(at), Name: "editor", Permissions: []string{"read", "write"}}
	viewer := directory.Role{ID: id.NewRole(at), Name: "viewer", Permissions: []string{"read"}}
	own := directory.Role{ID: id.NewRole(at), Tenant: a.ID, Name: "editor", Permissions: []string{"delete"}}
	r := directory.Resolved{Tenants: []directory.Tenant{off, b, a}, Roles: []directory.Role{viewer, own, editor}}
	gone, goneTenant := id.NewRole(at), id.NewTenant(at)
	for name, c := range map[string]struct {
		g    directory.Grants
		want directory.Authorization
	}{
		"nothing": {},
		"roles of the project, sorted, permissions once": {
			grants([]id.Role{viewer.ID, editor.ID, gone}),
			directory.Authorization{Roles: []string{"editor", "viewer"}, Permissions: []string{"read", "write"}},
		},
		"a tenant's role counts in no other place": {
			grants([]id.Role{own.ID}, in(b.ID, own.ID), in(a.ID)),
			directory.Authorization{Tenants: []directory.TenantAuthorization{{ID: a.ID, Name: "A", Attributes: a.Attributes}, {ID: b.ID, Name: "B"}}},
		},
		"two roles of one name in a tenant": {
			grants(nil, in(a.ID, own.ID, editor.ID)),
			directory.Authorization{Tenants: []directory.TenantAuthorization{
				{ID: a.ID, Name: "A", Attributes: a.Attributes, Roles: []string{"editor"}, Permissions: []string{"delete", "read", "write"}},
			}},
		},
		"disabled and deleted tenants give nothing": {grants(nil, in(off.ID, editor.ID), in(goneTenant, editor.ID)), directory.Authorization{}},
	} {
		if got := r.Authorize(c.g); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if only := r.Authorize(grants(nil, in(off.ID), in(b.ID))); only.Sole() != b.ID {
		t.Errorf("the only tenant is %v", only.Sole())
	}
	if both := r.Authorize(grants(nil, in(a.ID), in(b.ID))); !both.Sole().IsZero() {
		t.Errorf("one of two tenants is the only one: %v", both.Sole())
	} else if part, ok := both.In(b.ID); !ok || part.Name != "B" {
		t.Errorf("the part of a tenant: %+v, %v", part, ok)
	} else if _, ok := both.In(off.ID); ok {
		t.Error("there is a part of a tenant that isn't theirs")
	}
}

// A user who differs in one member only isn't the same, and a copy shares nothing: also in
// members that come in days to come.
func TestUserEqualAndClone(t *testing.T) {
	u := directory.User{
		ID: id.NewUser(time.UnixMilli(1)), Project: id.NewProject(time.UnixMilli(1)), LoginIDs: []string{"a", "b"}, Name: "n", Email: "e", Phone: "p",
		Status: directory.Enabled, Attributes: json.RawMessage(`{"a":1}`), Epoch: 1, CreatedAt: time.UnixMilli(1), UpdatedAt: time.UnixMilli(2),
		Grants: grants([]id.Role{id.NewRole(time.UnixMilli(1))}, in(id.NewTenant(time.UnixMilli(1)), id.NewRole(time.UnixMilli(1)))),
	}
	if !u.Equal(u.Clone()) {
		t.Fatal("a copy isn't the same")
	}
	v := reflect.ValueOf(&u).Elem()
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("%s isn't set, so this test shows nothing of it", v.Type().Field(i).Name)
		}
		other := u.Clone()
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		if u.Equal(other) || other.Equal(u) {
			t.Errorf("without %s the user is the same", v.Type().Field(i).Name)
		}
	}
	c := u.Clone()
	c.LoginIDs[0], c.Attributes[0], c.Roles[0], c.Memberships[0].Roles[0] = "x", 'x', id.Role{}, id.Role{}
	c.Memberships[0].Tenant = id.Tenant{}
	if u.LoginIDs[0] != "a" || u.Attributes[0] != '{' || u.Roles[0].IsZero() || u.Memberships[0].Roles[0].IsZero() || u.Memberships[0].Tenant.IsZero() {
		t.Error("a copy shares something")
	}
}

// Every override of a tenant is one: also those that come in days to come.
func TestTenantSettingsAreTold(t *testing.T) {
	settings := reflect.TypeFor[latchkey.TenantSettings]()
	for i := range settings.NumField() {
		var strict, stricter, plain directory.Tenant
		for tenant, set := range map[*directory.Tenant]bool{&strict: false, &stricter: true} {
			f := reflect.ValueOf(&tenant.Settings).Elem().Field(i)
			f.Set(reflect.New(f.Type().Elem()))
			if v := f.Elem(); set {
				switch {
				case v.CanInt():
					v.SetInt(7)
				default:
					v.SetString("deny")
				}
			}
		}
		name := settings.Field(i).Name
		if plain.Overrides() || !strict.Overrides() {
			t.Errorf("%s: overrides %v without, %v with it", name, plain.Overrides(), strict.Overrides())
		}
		if c := strict.Clone(); c.Reversions(strict) || reflect.ValueOf(c.Settings).Field(i).Pointer() == reflect.ValueOf(strict.Settings).Field(i).Pointer() {
			t.Errorf("%s: a copy isn't the same, or shares it", name)
		}
		for _, change := range [][2]directory.Tenant{{plain, strict}, {strict, plain}, {strict, stricter}} {
			if !change[1].Reversions(change[0]) || len(change[1].Entries(change[0], revocation.Life{}, time.UnixMilli(1))) != 1 {
				t.Errorf("%s: a change isn't noticed", name)
			}
		}
	}
}

func TestWhoIsFound(t *testing.T) {
	u := directory.User{ID: id.NewUser(time.UnixMilli(1)), LoginIDs: []string{"ada@example.org", "ÖZGÜR"}, Name: "Ada Lovelace", Phone: "+441234567890"}
	for text, want := range map[string]bool{
		"": true, "ADA": true, "özgür": true, "Özg": true, "lovelace": true, "4412": true, "ozgur": false, "lovelaceada": false,
		u.ID.String(): true, id.NewUser(time.UnixMilli(2)).String(): false, u.ID.String()[:20]: false,
	} {
		if got := (directory.UserQuery{Text: text}).Matches(u); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	tenant := directory.Tenant{ID: id.NewTenant(time.UnixMilli(1)), Name: "Söhne & Co.", Status: directory.Disabled}
	for q, want := range map[directory.TenantQuery]bool{
		{Text: "SÖHNE"}: true, {Text: "co."}: true, {Text: "sohne"}: false, {Text: tenant.ID.String()}: true,
		{Text: id.NewTenant(time.UnixMilli(2)).String()}: false, {Status: directory.Enabled}: false, {Status: directory.Disabled, Text: "&"}: true,
	} {
		if got := q.Matches(tenant); got != want {
			t.Errorf("%+v: %v, want %v", q, got, want)
		}
	}
}

func TestRolesAreOutdatedByWhatTokensSay(t *testing.T) {
	r := directory.Role{Name: "editor", Description: "d", Permissions: []string{"read", "write"}}
	for name, c := range map[string]struct {
		change func(*directory.Role)
		want   bool
	}{
		"nothing":     {func(*directory.Role) {}, false},
		"description": {func(r *directory.Role) { r.Description = "x" }, false},
		"time":        {func(r *directory.Role) { r.UpdatedAt = time.UnixMilli(1) }, false},
		"name":        {func(r *directory.Role) { r.Name = "x" }, true},
		"permissions": {func(r *directory.Role) { r.Permissions = r.Permissions[:1] }, true},
	} {
		changed := r
		changed.Permissions = slices.Clone(r.Permissions)
		c.change(&changed)
		if got := changed.Outdated(r); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if e := r.Revocation(revocation.Life{}, time.UnixMilli(1)); e.Kind != revocation.Role || e.ID != latchkey.RoleMark("editor") {
		t.Errorf("verifiers are told %+v", e)
	}
}
