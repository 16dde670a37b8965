package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func grantChecks() []check {
	return []check{
		{"name what there is", grantKnown},
		{"are refused with every place that is wrong", grantPlaces},
		{"what was deleted is left out in silence", grantDropped},
		{"a holder comes with what the grants lead to", grantHolder},
		{"give nothing by what was deleted", grantDeleted},
		{"are swept of what was deleted", grantSweep},
		{"what comes back before a sweep counts again", grantBack},
		{"end with their user", grantUserDeleted},
		{"of a role that is being deleted are there or refused", grantRace},
		{"fit at their limits", grantLimits},
	}
}

// fullUser returns a user to be inserted whose every member is set. What they are granted
// exists.
func (w *world) fullUser(t testing.TB) directory.User {
	t.Helper()
	u := filled[directory.User](t)
	u.ID, u.Project, u.Status = id.NewUser(w.clock.Now()), w.project.ID, directory.Enabled
	mark := u.ID.String()
	for i := range u.Roles {
		u.Roles[i] = w.newRole(t, id.Tenant{}, fmt.Sprint(mark, i)).ID
	}
	for i := range u.Memberships {
		m := &u.Memberships[i]
		m.Tenant = w.newTenant(t).ID
		m.Roles[0], m.Roles[1] = w.newRole(t, m.Tenant, "editor").ID, u.Roles[i]
	}
	return u
}

// grant changes what a user of the project is granted, and nothing else.
func (w *world) grant(u id.User, g directory.Grants) (directory.User, error) {
	return w.Users().Change(w.ctx, w.project.ID, u, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Grants = g
		return u, nil, nil
	})
}

// granted adds a user with these grants.
func (w *world) granted(t testing.TB, g directory.Grants) directory.User {
	t.Helper()
	u := w.user()
	u.Grants = g
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	w.news(t)
	return u
}

func (w *world) grantsOf(t testing.TB, u id.User) directory.Grants {
	t.Helper()
	found, err := w.Users().Find(w.ctx, w.project.ID, u)
	ok(t, err)
	return found.Grants
}

// searchBy returns the users at a place.
func (w *world) searchBy(t testing.TB, tenant id.Tenant, r id.Role) []id.User {
	t.Helper()
	var users []id.User
	for _, u := range w.search(t, directory.UserQuery{Tenant: tenant, Role: r, Limit: 99}) {
		users = append(users, u.ID)
	}
	return users
}

func (w *world) deleteTenant(t testing.TB, tenant id.Tenant) {
	t.Helper()
	ok(t, w.Tenants().Delete(w.ctx, w.project.ID, tenant, w.event(w.project.ID, audit.TenantDeleted)))
	w.news(t)
}

func grantKnown(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	common, own := w.newRole(t, id.Tenant{}, "common").ID, w.newRole(t, tenant, "own").ID
	w.changeTenant(t, other, func(t *directory.Tenant) { t.Status = directory.Disabled })
	g := directory.Grants{Roles: []id.Role{common}, Memberships: []directory.Membership{{Tenant: other}, {Tenant: tenant, Roles: []id.Role{own, common}}}}
	u := w.granted(t, g)
	same(t, "the grants", g, w.grantsOf(t, u.ID)) // in the order given
	v := w.newUser(t)
	changed, err := w.grant(v.ID, g)
	ok(t, err)
	same(t, "the returned grants", g, changed.Grants)
	same(t, "the stored grants", g, w.grantsOf(t, v.ID))
	_, err = w.grant(v.ID, directory.Grants{})
	ok(t, err)
	same(t, "no grants", directory.Grants{}, w.grantsOf(t, v.ID))
	same(t, "the users of the tenant", []id.User{u.ID}, w.searchBy(t, tenant, id.Role{}))
}

func grantPlaces(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	common, own, alien := w.newRole(t, id.Tenant{}, "common").ID, w.newRole(t, tenant, "own").ID, w.newRole(t, other, "own").ID
	unknown, nowhere := id.NewRole(w.clock.Now()), id.NewTenant(w.clock.Now())
	bad := directory.Grants{
		Roles: []id.Role{common, unknown, own, common},
		Memberships: []directory.Membership{
			{Tenant: tenant, Roles: []id.Role{own, alien, own}}, {Tenant: nowhere, Roles: []id.Role{unknown}}, {Tenant: tenant}, {},
		},
	}
	want := []string{
		"/roles/1 unknown", "/roles/2 unknown", "/roles/3 duplicate", "/tenants/0/roles/1 unknown", "/tenants/0/roles/2 duplicate",
		"/tenants/1/tenant unknown", "/tenants/2/tenant duplicate", "/tenants/3/tenant unknown",
	}
	u := w.user()
	u.Grants = bad
	e := w.event(u.Project, audit.UserCreated)
	places(t, w.Users().Insert(w.ctx, u, e), want...)
	_, err := w.Users().Find(w.ctx, u.Project, u.ID)
	refused(t, err, fault.NotFound)
	good := w.granted(t, directory.Grants{Roles: []id.Role{common}})
	_, err = w.grant(good.ID, bad)
	places(t, err, want...)
	same(t, "the grants", good.Grants, w.grantsOf(t, good.ID))
	w.fed(t)
	// What another project has isn't there.
	mine := w.project
	w.project = w.newProject(t)
	_, err = w.grant(w.newUser(t).ID, directory.Grants{Roles: []id.Role{common}, Memberships: []directory.Membership{{Tenant: tenant}}})
	places(t, err, "/roles/0 unknown", "/tenants/0/tenant unknown")
	w.project = mine
}

func grantDropped(t *testing.T, w *world) {
	tenant, left := w.newTenant(t).ID, w.newTenant(t).ID
	kept, lost, extra := w.newRole(t, id.Tenant{}, "kept").ID, w.newRole(t, id.Tenant{}, "lost").ID, w.newRole(t, tenant, "extra").ID
	u := w.granted(t, directory.Grants{
		Roles:       []id.Role{lost, kept},
		Memberships: []directory.Membership{{Tenant: left, Roles: []id.Role{kept}}, {Tenant: tenant, Roles: []id.Role{lost}}},
	})
	w.deleteRole(t, lost)
	w.deleteTenant(t, left)
	w.entries(t)
	// Who adds to what they have read doesn't ask for what is gone.
	got := w.change(t, u.ID, func(u *directory.User) { u.Memberships[1].Roles = append(u.Memberships[1].Roles, extra) })
	want := directory.Grants{Roles: []id.Role{kept}, Memberships: []directory.Membership{{Tenant: tenant, Roles: []id.Role{extra}}}}
	same(t, "the returned grants", want, got.Grants)
	same(t, "the stored grants", want, w.grantsOf(t, u.ID))
	// Who asks for it anew, does.
	_, err := w.grant(u.ID, u.Grants)
	places(t, err, "/roles/0 unknown", "/tenants/0/tenant unknown", "/tenants/1/roles/0 unknown")
	// A role is gone where it was; asking for it elsewhere is asking.
	v := w.newUser(t)
	again := w.newRole(t, id.Tenant{}, "again").ID
	_, err = w.grant(v.ID, directory.Grants{Roles: []id.Role{again}})
	ok(t, err)
	w.deleteRole(t, again)
	_, err = w.grant(v.ID, directory.Grants{Roles: []id.Role{again, kept}, Memberships: []directory.Membership{{Tenant: tenant, Roles: []id.Role{again}}}})
	places(t, err, "/tenants/0/roles/0 unknown")
}

// resolved sorts what a holder comes with.
func (w *world) resolved(t testing.TB, u id.User) directory.Resolved {
	t.Helper()
	h, err := w.Holders().Holder(w.ctx, w.project.ID, u)
	ok(t, err)
	found, err := w.Users().Find(w.ctx, w.project.ID, u)
	ok(t, err)
	same(t, "the user", found, h.User)
	r, err := w.Holders().Resolve(w.ctx, w.project.ID, found.Grants)
	ok(t, err)
	same(t, "what the grants alone lead to", h.Resolved, r)
	slices.SortFunc(h.Tenants, func(a, b directory.Tenant) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(h.Roles, func(a, b directory.Role) int { return a.ID.Compare(b.ID) })
	return h.Resolved
}

func grantHolder(t *testing.T, w *world) {
	u := w.fullUser(t)
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	strict := w.changeTenant(t, u.Memberships[0].Tenant, func(t *directory.Tenant) { t.Status, t.Settings.MaxSessions = directory.Disabled, new(1) })
	want := directory.Resolved{Tenants: []directory.Tenant{strict, w.findTenant(t, u.Memberships[1].Tenant)}}
	for _, r := range []id.Role{u.Roles[0], u.Roles[1], u.Memberships[0].Roles[0], u.Memberships[1].Roles[0]} {
		want.Roles = append(want.Roles, w.findRole(t, r))
	}
	slices.SortFunc(want.Tenants, func(a, b directory.Tenant) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(want.Roles, func(a, b directory.Role) int { return a.ID.Compare(b.ID) })
	same(t, "what the grants lead to", want, w.resolved(t, u.ID))
	same(t, "what none lead to", directory.Resolved{}, w.resolved(t, w.newUser(t).ID))
	for _, who := range []struct {
		project id.Project
		user    id.User
	}{{w.project.ID, id.NewUser(w.clock.Now())}, {w.newProject(t).ID, u.ID}, {id.NewProject(w.clock.Now()), u.ID}} {
		_, err := w.Holders().Holder(w.ctx, who.project, who.user)
		refused(t, err, fault.NotFound)
		if who.project != w.project.ID {
			r, err := w.Holders().Resolve(w.ctx, who.project, u.Grants)
			ok(t, err)
			same(t, "what they lead to elsewhere", directory.Resolved{}, r)
		}
	}
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
	_, err := w.Holders().Holder(w.ctx, u.Project, u.ID)
	refused(t, err, fault.NotFound)
}

func grantDeleted(t *testing.T, w *world) {
	tenant, left := w.newTenant(t).ID, w.newTenant(t).ID
	common, own := w.newRole(t, id.Tenant{}, "common").ID, w.newRole(t, left, "own").ID
	u := w.granted(t, directory.Grants{
		Roles:       []id.Role{common},
		Memberships: []directory.Membership{{Tenant: tenant, Roles: []id.Role{common}}, {Tenant: left, Roles: []id.Role{own, common}}},
	})
	same(t, "who is in the tenant", []id.User{u.ID}, w.searchBy(t, left, own))
	w.deleteTenant(t, left)
	same(t, "who is in a deleted tenant", 0, len(w.searchBy(t, left, id.Role{}))+len(w.searchBy(t, left, common))+len(w.searchBy(t, id.Tenant{}, own)))
	r := w.resolved(t, u.ID)
	same(t, "the tenants", []directory.Tenant{w.findTenant(t, tenant)}, r.Tenants)
	same(t, "the roles", []directory.Role{w.findRole(t, common)}, r.Roles)
	w.deleteRole(t, common)
	same(t, "who has a deleted role", 0, len(w.searchBy(t, id.Tenant{}, common))+len(w.searchBy(t, tenant, common)))
	same(t, "the number of roles", 0, len(w.resolved(t, u.ID).Roles))
	same(t, "who is in the tenant", []id.User{u.ID}, w.searchBy(t, tenant, id.Role{}))
}

func (w *world) sweepGrants(t testing.TB, limit, want int) {
	t.Helper()
	n, err := w.Tenants().Sweep(w.ctx, limit)
	ok(t, err)
	same(t, "how often something was taken out", want, n)
}

func grantSweep(t *testing.T, w *world) {
	tenant, left := w.newTenant(t).ID, w.newTenant(t).ID
	common, lost, own := w.newRole(t, id.Tenant{}, "common").ID, w.newRole(t, id.Tenant{}, "lost").ID, w.newRole(t, left, "own").ID
	var users []directory.User
	for range 5 {
		users = append(users, w.granted(t, directory.Grants{
			Roles:       []id.Role{lost, common},
			Memberships: []directory.Membership{{Tenant: left, Roles: []id.Role{own, common}}, {Tenant: tenant, Roles: []id.Role{lost}}},
		}))
	}
	bystander := w.granted(t, directory.Grants{Roles: []id.Role{common}, Memberships: []directory.Membership{{Tenant: tenant}}})
	w.sweepGrants(t, 99, 0)
	w.deleteRole(t, lost)
	w.deleteTenant(t, left)
	w.entries(t)
	w.sweepGrants(t, 0, 0)
	w.sweepGrants(t, 3, 3)
	w.sweepGrants(t, 4, 4)
	w.sweepGrants(t, 99, 3)
	w.sweepGrants(t, 99, 0)
	w.told(t)
	w.fed(t)
	for _, u := range users {
		u.Roles, u.Memberships = []id.Role{common}, []directory.Membership{{Tenant: tenant}}
		found, err := w.Users().Find(w.ctx, u.Project, u.ID)
		ok(t, err)
		same(t, "the user", u, found)
	}
	same(t, "somebody else's grants", bystander.Grants, w.grantsOf(t, bystander.ID))
	same(t, "the number of members", 6, len(w.searchBy(t, tenant, id.Role{})))
	// Nothing is left that could lead anywhere when the same identifiers come again.
	again := w.tenant()
	again.ID = left
	ok(t, w.Tenants().Insert(w.ctx, again, w.event(w.project.ID, audit.TenantCreated)))
	same(t, "the members of the new tenant", 0, len(w.searchBy(t, left, id.Role{})))
}

func grantBack(t *testing.T, w *world) {
	tenant, r := w.newTenant(t), w.newRole(t, id.Tenant{}, "common")
	u := w.granted(t, directory.Grants{Roles: []id.Role{r.ID}, Memberships: []directory.Membership{{Tenant: tenant.ID, Roles: []id.Role{r.ID}}}})
	w.deleteTenant(t, tenant.ID)
	w.deleteRole(t, r.ID)
	e := w.event(w.project.ID, audit.TenantCreated)
	ok(t, w.Tenants().Insert(w.ctx, tenant, e))
	ok(t, w.Roles().Insert(w.ctx, r, e))
	w.sweepGrants(t, 99, 0)
	same(t, "the grants", u.Grants, w.grantsOf(t, u.ID))
	same(t, "what they lead to", directory.Resolved{Tenants: []directory.Tenant{tenant}, Roles: []directory.Role{r}}, w.resolved(t, u.ID))
	same(t, "who has the role", []id.User{u.ID}, w.searchBy(t, tenant.ID, r.ID))
}

func grantUserDeleted(t *testing.T, w *world) {
	tenant, r := w.newTenant(t).ID, w.newRole(t, id.Tenant{}, "common").ID
	g := directory.Grants{Roles: []id.Role{r}, Memberships: []directory.Membership{{Tenant: tenant, Roles: []id.Role{r}}}}
	u := w.granted(t, g)
	w.signIn(t, u.ID) // so that a store may have to remember them
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
	for _, at := range g.Places() {
		same(t, "the users at a place", 0, len(w.searchBy(t, at.Tenant, at.Role)))
	}
	w.deleteTenant(t, tenant)
	w.sweepGrants(t, 99, 0)
	// The same user comes back without.
	u.Grants = directory.Grants{}
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	same(t, "the grants", directory.Grants{}, w.grantsOf(t, u.ID))
	same(t, "who has the role", 0, len(w.searchBy(t, id.Tenant{}, r)))
}

// A role or tenant that is deleted while it is granted: either the grant came first, and
// a sweep takes it back, or it is refused.
func grantRace(t *testing.T, w *world) {
	for range 20 {
		w.clock.Move(time.Millisecond)
		tenant, r := w.newTenant(t).ID, w.newRole(t, id.Tenant{}, "common").ID
		var users []id.User
		for range 6 {
			users = append(users, w.newUser(t).ID)
		}
		errs := together(len(users)+2, func(i int) error {
			switch i {
			case 0:
				return w.Roles().Delete(w.ctx, w.project.ID, r, w.event(w.project.ID, audit.RoleDeleted))
			case 1:
				return w.Tenants().Delete(w.ctx, w.project.ID, tenant, w.event(w.project.ID, audit.TenantDeleted))
			}
			_, err := w.grant(users[i-2], directory.Grants{Roles: []id.Role{r}, Memberships: []directory.Membership{{Tenant: tenant}}})
			return err
		})
		ok(t, errs[0])
		ok(t, errs[1])
		made := 0
		for i, u := range users {
			if errs[i+2] != nil {
				refused(t, errs[i+2], fault.Invalid)
				same(t, "the grants after a refusal", directory.Grants{}, w.grantsOf(t, u))
			} else {
				made++
			}
		}
		w.sweepGrants(t, 99, 2*made)
		for _, u := range users {
			same(t, "the grants after a sweep", directory.Grants{}, w.grantsOf(t, u))
		}
	}
}

func grantLimits(t *testing.T, w *world) {
	var g directory.Grants
	for i := range directory.MaxRoles {
		g.Roles = append(g.Roles, w.newRole(t, id.Tenant{}, fmt.Sprint("role ", i)).ID)
	}
	for range directory.MaxMemberships {
		g.Memberships = append(g.Memberships, directory.Membership{Tenant: w.newTenant(t).ID, Roles: g.Roles})
	}
	u := w.granted(t, g)
	same(t, "the grants", g, w.grantsOf(t, u.ID))
	r := w.resolved(t, u.ID)
	same(t, "the number of roles", directory.MaxRoles, len(r.Roles))
	same(t, "the number of tenants", directory.MaxMemberships, len(r.Tenants))
	same(t, "who is at the last place", []id.User{u.ID}, w.searchBy(t, g.Memberships[49].Tenant, g.Roles[49]))

	tenant, extra := w.newTenant(t).ID, w.newRole(t, id.Tenant{}, "extra").ID
	more := g.Clone()
	more.Roles = append(more.Roles, extra)
	more.Memberships[0].Roles = append(more.Memberships[0].Roles, extra)
	more.Memberships = append(more.Memberships, directory.Membership{Tenant: tenant})
	want := []string{"/roles size", "/tenants/0/roles size", "/tenants size"}
	_, err := w.grant(u.ID, more)
	places(t, err, want...)
	v := w.user()
	v.Grants = more
	places(t, w.Users().Insert(w.ctx, v, w.event(v.Project, audit.UserCreated)), "/roles size", "/tenants size")
	// What is gone leaves room.
	w.deleteRole(t, g.Roles[7])
	w.deleteTenant(t, g.Memberships[9].Tenant)
	got, err := w.grant(u.ID, more)
	ok(t, err)
	same(t, "the number of roles", directory.MaxRoles, len(got.Roles))
	same(t, "the number of tenants", directory.MaxMemberships, len(got.Memberships))
}
