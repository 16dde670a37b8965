package directory_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// house is a project with something to grant.
type house struct {
	acme, globex         directory.Tenant
	staff, auditor       directory.Role // of the project
	acmeStaff, acmeOwner directory.Role // of ACME; staff shadows the project's
	globexOwner          directory.Role
	everybody, nothing   directory.GrantChange
}

func (w *world) house() house {
	h := house{acme: w.tenant("ACME"), globex: w.tenant("Globex"), staff: w.role("", "staff", "read"), auditor: w.role("", "auditor", "audit")}
	h.acmeStaff, h.acmeOwner = w.role(h.acme.ID.String(), "staff"), w.role(h.acme.ID.String(), "owner", "read", "write")
	h.globexOwner = w.role(h.globex.ID.String(), "owner")
	h.everybody = grant([]string{"staff"}, place(h.acme, "staff", "auditor"), place(h.globex))
	h.nothing = grant([]string{})
	h.nothing.Tenants = &[]directory.MembershipChange{}
	return h
}

func place(t directory.Tenant, roles ...string) directory.MembershipChange {
	return directory.MembershipChange{Tenant: t.ID.String(), Roles: roles}
}

func grant(roles []string, tenants ...directory.MembershipChange) directory.GrantChange {
	var c directory.GrantChange
	if roles != nil {
		c.Roles = &roles
	}
	if tenants != nil {
		c.Tenants = &tenants
	}
	return c
}

func granted(u directory.User) directory.Grants {
	return directory.Grants{Roles: u.Roles, Memberships: u.Memberships}
}

func TestGrantAtCreation(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	u, err := w.CreateUser(t.Context(), w.project, directory.UserChange{
		LoginIDs: &[]string{"ada"}, Attributes: json.RawMessage(`{"b":1}`), GrantChange: h.everybody,
	}, operator)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Grants{Roles: []id.Role{h.staff.ID}, Memberships: []directory.Membership{
		{Tenant: h.acme.ID, Roles: []id.Role{h.auditor.ID, h.acmeStaff.ID}}, {Tenant: h.globex.ID},
	}}
	if !granted(u).Equal(want) {
		t.Errorf("granted %+v, want %+v", granted(u), want)
	}
	if stored, err := w.User(t.Context(), w.project, u.ID); err != nil || !reflect.DeepEqual(stored, u) {
		t.Errorf("stored %+v, %v, want %+v", stored, err, u)
	}
	tenant, role := func(t directory.Tenant) map[string]any { return map[string]any{"tenant": t.ID.String()} }, h.staff.ID.String()
	if e := w.expect(audit.UserCreated)[0]; !reflect.DeepEqual(e.Data, map[string]any{"added": []any{
		map[string]any{"role": role}, tenant(h.acme), map[string]any{"tenant": h.acme.ID.String(), "role": h.auditor.ID.String()},
		map[string]any{"tenant": h.acme.ID.String(), "role": h.acmeStaff.ID.String()}, tenant(h.globex),
	}}) {
		t.Errorf("the event says %v", e.Data)
	}
}

func TestGrantsAreReplaced(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	u := w.user("ada")
	change := func(c directory.UserChange, types ...audit.Type) directory.User {
		t.Helper()
		changed, err := w.ChangeUser(t.Context(), w.project, u.ID, c, operator)
		if err != nil {
			t.Fatal(err)
		}
		w.together(types...)
		return changed
	}
	first := change(directory.UserChange{GrantChange: h.everybody}, audit.UserGranted)
	if len(first.Roles) != 1 || len(first.Memberships) != 2 || !first.UpdatedAt.After(u.UpdatedAt) {
		t.Errorf("granted %+v", first)
	}
	// In another order, and by id.
	same := grant([]string{h.staff.ID.String()}, place(h.globex), place(h.acme, h.auditor.ID.String(), h.acmeStaff.ID.String()))
	if again := change(directory.UserChange{GrantChange: same}); !reflect.DeepEqual(again, first) {
		t.Errorf("the same again made %+v, want %+v", again, first)
	}
	// A change of anything else leaves them alone, and a list that isn't said, too.
	if named := change(directory.UserChange{Name: new("Ada")}, audit.UserUpdated); !granted(named).Equal(granted(first)) {
		t.Errorf("a new name makes the grants %+v", granted(named))
	}
	roles := change(directory.UserChange{GrantChange: grant([]string{"auditor"})}, audit.UserGranted)
	if !slices.Equal(roles.Roles, []id.Role{h.auditor.ID}) || len(roles.Memberships) != 2 {
		t.Errorf("other roles: %+v", granted(roles))
	}
	both := change(directory.UserChange{Email: new("a@example.com"), GrantChange: grant(nil, place(h.globex, "owner"))}, audit.UserUpdated, audit.UserGranted)
	if !slices.Equal(both.Roles, []id.Role{h.auditor.ID}) || len(both.Memberships) != 1 || both.Email == "" {
		t.Errorf("profile and grants: %+v", both)
	}
	if left := change(directory.UserChange{GrantChange: h.nothing}, audit.UserGranted); !left.None() || left.Roles != nil || left.Memberships != nil {
		t.Errorf("nothing granted: %+v", granted(left))
	}
	change(directory.UserChange{GrantChange: h.nothing})
}

func TestGrantRules(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	foreign, err := w.CreateTenant(t.Context(), w.other(), directory.TenantChange{Name: new("x")}, operator)
	if err != nil {
		t.Fatal(err)
	}
	foreignRole, err := w.CreateRole(t.Context(), foreign.Project, "", directory.RoleChange{Name: new("foreign")}, operator)
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	var tenants []directory.MembershipChange
	for range 51 {
		roles, tenants = append(roles, "staff"), append(tenants, place(h.acme))
	}
	u := w.user("ada")
	for what, c := range map[string]struct {
		change directory.GrantChange
		wrong  string
	}{
		"unknown roles":             {grant([]string{"staff", "king", "", "Staff", id.NewRole(start).String()}), "/roles/1 /roles/2 /roles/3 /roles/4"},
		"a role of a tenant":        {grant([]string{h.acmeOwner.ID.String()}), "/roles/0"},
		"a name of a tenant's role": {grant([]string{"owner"}), "/roles/0"},
		"a role twice":              {grant([]string{"staff", h.staff.ID.String()}), "/roles/1"},
		"too many roles":            {grant(roles), "/roles"},
		"another project's role":    {grant([]string{foreignRole.ID.String(), "foreign"}), "/roles/0 /roles/1"},
		"no tenant":                 {grant(nil, directory.MembershipChange{Tenant: "ACME"}, directory.MembershipChange{}), "/tenants/0/tenant /tenants/1/tenant"},
		"another project's tenant":  {grant(nil, place(foreign)), "/tenants/0/tenant"},
		"a tenant twice":            {grant(nil, place(h.acme), place(h.globex), place(h.acme)), "/tenants/2/tenant"},
		"another tenant's role":     {grant(nil, place(h.acme, h.globexOwner.ID.String())), "/tenants/0/roles/0"},
		"unknown roles there":       {grant(nil, place(h.globex, "owner", "king", "staff", "auditor", "owner")), "/tenants/0/roles/1 /tenants/0/roles/4"},
		"too many tenants":          {grant(nil, tenants...), "/tenants"},
		"too many roles there":      {grant(nil, place(h.acme, roles...)), "/tenants/0/roles"},
	} {
		change := directory.UserChange{GrantChange: c.change, Email: new("nobody")}
		_, err := w.ChangeUser(t.Context(), w.project, u.ID, change, operator)
		if refused(t, err, fault.Invalid); at(err) != "/email "+c.wrong {
			t.Errorf("%s: wrong is %q, want %q", what, at(err), "/email "+c.wrong)
		}
		change.LoginIDs = &[]string{"bob"}
		_, err = w.CreateUser(t.Context(), w.project, change, operator)
		if refused(t, err, fault.Invalid); at(err) != "/email "+c.wrong {
			t.Errorf("%s, at creation: wrong is %q", what, at(err))
		}
	}
	if now, err := w.User(t.Context(), w.project, u.ID); err != nil || !reflect.DeepEqual(now, u) {
		t.Errorf("refused changes made %+v, %v", now, err)
	}
	_, err = w.ChangeUser(t.Context(), w.project, id.NewUser(start), directory.UserChange{GrantChange: grant([]string{"king"})}, operator)
	refused(t, err, fault.NotFound)
	w.expect()
}

func TestMemberships(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	u := w.user("ada")
	set := func(tenant directory.Tenant, roles ...string) directory.User {
		t.Helper()
		changed, err := w.SetMembership(t.Context(), w.project, u.ID, tenant.ID, roles, operator)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	set(h.acme, "owner")
	w.expect(audit.UserGranted)
	set(h.acme, "owner")
	w.expect()
	set(h.globex)
	both := set(h.acme, "staff", "auditor")
	if m, ok := both.In(h.acme.ID); !ok || !slices.Equal(m.Roles, []id.Role{h.auditor.ID, h.acmeStaff.ID}) || len(both.Memberships) != 2 {
		t.Errorf("granted %+v", granted(both))
	}
	events := w.expect(audit.UserGranted, audit.UserGranted)
	if got := fmt.Sprint(events[1].Data["removed"]); got != fmt.Sprint([]any{map[string]any{"tenant": h.acme.ID.String(), "role": h.acmeOwner.ID.String()}}) {
		t.Errorf("the event says that %s was removed", got)
	}
	left, err := w.EndMembership(t.Context(), w.project, u.ID, h.acme.ID, operator)
	if err != nil || len(left.Memberships) != 1 {
		t.Errorf("ended: %+v, %v", granted(left), err)
	}
	w.expect(audit.UserGranted)
	for what, err := range map[string]error{
		"not a member":    second(w.EndMembership(t.Context(), w.project, u.ID, h.acme.ID, operator)),
		"no tenant":       second(w.SetMembership(t.Context(), w.project, u.ID, id.NewTenant(start), nil, operator)),
		"no user":         second(w.SetMembership(t.Context(), w.project, id.NewUser(start), h.acme.ID, nil, operator)),
		"nobody's":        second(w.EndMembership(t.Context(), w.project, id.NewUser(start), h.acme.ID, operator)),
		"another project": second(w.SetMembership(t.Context(), w.other(), u.ID, h.acme.ID, nil, operator)),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = w.SetMembership(t.Context(), w.project, u.ID, h.acme.ID, []string{"staff", "king", h.globexOwner.ID.String()}, operator)
	if refused(t, err, fault.Invalid); at(err) != "/roles/1 /roles/2" {
		t.Errorf("wrong is %q", at(err))
	}
	w.expect()
}

// together is expect for events of one change, which have no order among them.
func (w *world) together(types ...audit.Type) {
	w.t.Helper()
	var got []audit.Type
	for _, e := range w.said() {
		got = append(got, e.Type)
	}
	slices.Sort(got)
	if !slices.Equal(got, slices.Sorted(slices.Values(types))) {
		w.t.Errorf("events %v, want %v", got, types)
	}
}

func second[T any](_ T, err error) error { return err }

// What was deleted is forgotten, and takes no place, when the grants change.
func TestGrantsForgetWhatIsGone(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	u := w.user("ada")
	var all []directory.MembershipChange
	for i := range 49 {
		all = append(all, place(w.tenant(fmt.Sprint("tenant", i)), "auditor"))
	}
	full := directory.UserChange{GrantChange: grant([]string{"staff", "auditor"}, append(all, place(h.acme, "owner"))...)}
	if _, err := w.ChangeUser(t.Context(), w.project, u.ID, full, operator); err != nil {
		t.Fatal(err)
	}
	_, err := w.SetMembership(t.Context(), w.project, u.ID, h.globex.ID, nil, operator)
	if refused(t, err, fault.Invalid); at(err) != "/tenants" {
		t.Errorf("a place too many: %v", err)
	}
	for _, err := range []error{w.DeleteTenant(t.Context(), w.project, h.acme.ID, operator), w.DeleteRole(t.Context(), w.project, h.auditor.ID, operator)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	changed, err := w.SetMembership(t.Context(), w.project, u.ID, h.globex.ID, nil, operator)
	if err != nil || len(changed.Memberships) != 50 || len(changed.Roles) != 1 {
		t.Errorf("changed: %+v, %v", granted(changed), err)
	}
	for _, m := range changed.Memberships {
		if m.Tenant == h.acme.ID || len(m.Roles) > 0 {
			t.Errorf("%+v is still there", m)
		}
	}
	_, err = w.EndMembership(t.Context(), w.project, u.ID, h.acme.ID, operator)
	refused(t, err, fault.NotFound)
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	h := w.house()
	u, err := w.ChangeUser(t.Context(), w.project, w.user("ada").ID, directory.UserChange{GrantChange: h.everybody}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteTenant(t.Context(), w.project, h.acme.ID, operator); err != nil {
		t.Fatal(err)
	}
	found, err := w.Resolve(t.Context(), w.project, u, w.user("bob"), u)
	if err != nil || len(found.Tenants) != 1 || found.Tenants[0].ID != h.globex.ID || len(found.Roles) != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
	for said, want := range map[string]id.Role{"staff": h.staff.ID, h.globexOwner.ID.String(): h.globexOwner.ID, "owner": h.globexOwner.ID} {
		if got, there, err := w.RoleAt(t.Context(), w.project, h.globex.ID, said); err != nil || !there || got != want {
			t.Errorf("%s is %v, %v, %v", said, got, there, err)
		}
	}
	if _, there, err := w.RoleAt(t.Context(), w.project, id.Tenant{}, "owner"); err != nil || there {
		t.Errorf("a tenant's role in the project: %v, %v", there, err)
	}
}

// A sign-in's user object may bring attributes and grants along, and writes nothing when
// they are known.
func TestUpsertGrants(t *testing.T) {
	w, store := race(t)
	h := w.house()
	c := directory.UserChange{LoginIDs: &[]string{"ada"}, Attributes: json.RawMessage(`{"a":1}`), GrantChange: h.everybody}
	made, err := w.Upsert(t.Context(), w.project, c, operator)
	if err != nil || len(made.Memberships) != 2 {
		t.Fatalf("made %+v, %v", made, err)
	}
	w.expect(audit.UserCreated)
	store.writes.Store(0)
	if again, err := w.Upsert(t.Context(), w.project, c, operator); err != nil || !reflect.DeepEqual(again, made) || store.writes.Load() != 0 {
		t.Errorf("the same once more: %+v, %v, %d writes", again, err, store.writes.Load())
	}
	c.GrantChange = grant([]string{"auditor"})
	c.Attributes = json.RawMessage(`{"a":null}`)
	if changed, err := w.Upsert(t.Context(), w.project, c, operator); err != nil || !slices.Equal(changed.Roles, []id.Role{h.auditor.ID}) ||
		len(changed.Memberships) != 2 || changed.Attributes != nil {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	w.together(audit.UserUpdated, audit.UserGranted)
	c.GrantChange = grant([]string{"king"})
	_, err = w.Upsert(t.Context(), w.project, c, operator)
	if refused(t, err, fault.Invalid); at(err) != "/roles/0" {
		t.Errorf("wrong is %q", at(err))
	}
	w.expect()
}

// Memberships that are set at the same time are all there afterwards.
func TestMembershipsTogether(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada")
	var tenants []directory.Tenant
	for i := range 8 {
		tenants = append(tenants, w.tenant(fmt.Sprint(i)))
	}
	together(t, func(i int) (directory.User, error) {
		return w.SetMembership(t.Context(), w.project, u.ID, tenants[i%len(tenants)].ID, nil, operator)
	})
	if now, err := w.User(t.Context(), w.project, u.ID); err != nil || len(now.Memberships) != len(tenants) {
		t.Errorf("%+v, %v", granted(now), err)
	}
}
