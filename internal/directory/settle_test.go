package directory_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// catalogue is directory.Known: tenants, and roles with their levels.
type catalogue struct {
	tenants []id.Tenant
	roles   map[id.Role]id.Tenant
	fails   error
	asked   int
}

func (c *catalogue) HasTenant(t id.Tenant) (bool, error) {
	c.asked++
	return slices.Contains(c.tenants, t), c.fails
}

func (c *catalogue) HasRole(r id.Role, level id.Tenant) (bool, error) {
	c.asked++
	have, ok := c.roles[r]
	return ok && have == level, c.fails
}

func (c *catalogue) tenant() id.Tenant {
	t := id.NewTenant(time.UnixMilli(1))
	c.tenants = append(c.tenants, t)
	return t
}

func (c *catalogue) role(level id.Tenant) id.Role {
	r := id.NewRole(time.UnixMilli(1))
	c.roles[r] = level
	return r
}

func newCatalogue() *catalogue { return &catalogue{roles: map[id.Role]id.Tenant{}} }

func in(t id.Tenant, roles ...id.Role) directory.Membership {
	return directory.Membership{Tenant: t, Roles: roles}
}

func grants(roles []id.Role, memberships ...directory.Membership) directory.Grants {
	return directory.Grants{Roles: roles, Memberships: memberships}
}

func TestSettle(t *testing.T) {
	c := newCatalogue()
	a, b, gone := c.tenant(), c.tenant(), id.NewTenant(time.UnixMilli(2))
	common, other, own, lost := c.role(id.Tenant{}), c.role(id.Tenant{}), c.role(a), id.NewRole(time.UnixMilli(2))
	for name, s := range map[string]struct {
		g, old, want directory.Grants
		places       []string
	}{
		"nothing":                          {},
		"all that there is":                {g: grants([]id.Role{other, common}, in(b), in(a, own, common)), want: grants([]id.Role{other, common}, in(b), in(a, own, common))},
		"taking away":                      {old: grants([]id.Role{lost, common}, in(gone, lost), in(a)), g: grants([]id.Role{common}), want: grants([]id.Role{common})},
		"gone, and kept":                   {old: grants([]id.Role{lost}, in(gone, common)), g: grants([]id.Role{lost, common}, in(gone, common), in(a)), want: grants([]id.Role{common}, in(a))},
		"gone in a tenant, and kept":       {old: grants(nil, in(a, lost)), g: grants(nil, in(a, lost, own)), want: grants(nil, in(a, own))},
		"gone, with a role that never was": {old: grants(nil, in(gone)), g: grants(nil, in(gone, lost), in(a)), want: grants(nil, in(a))},
		"gone, and asked for anew":         {old: grants(nil, in(a, lost)), g: grants([]id.Role{lost}, in(b, lost)), places: []string{"/roles/0 unknown", "/tenants/0/roles/0 unknown"}},
		"the same, whatever is gone":       {old: grants([]id.Role{lost}, in(gone)), g: grants([]id.Role{lost}, in(gone)), want: grants([]id.Role{lost}, in(gone))},
		"unknown":                          {g: grants([]id.Role{common, lost}, in(gone), in(a, common, lost)), places: []string{"/roles/1 unknown", "/tenants/0/tenant unknown", "/tenants/1/roles/1 unknown"}},
		"of another level":                 {g: grants([]id.Role{own}, in(b, own)), places: []string{"/roles/0 unknown", "/tenants/0/roles/0 unknown"}},
		"twice":                            {g: grants([]id.Role{common, other, common}, in(a, own, own), in(a)), places: []string{"/roles/2 duplicate", "/tenants/0/roles/1 duplicate", "/tenants/1/tenant duplicate"}},
		"gone and twice":                   {old: grants([]id.Role{lost}), g: grants([]id.Role{lost, lost}), places: []string{"/roles/1 duplicate"}},
		"none at all":                      {g: grants([]id.Role{{}}, directory.Membership{}), places: []string{"/roles/0 unknown", "/tenants/0/tenant unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.g.Settle(s.old, c)
			if places := placesOf(t, err); !slices.Equal(places, s.places) {
				t.Fatalf("refused %q, want %q", places, s.places)
			}
			if !got.Equal(s.want) {
				t.Errorf("%+v, want %+v", got, s.want)
			}
		})
	}
}

func placesOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != fault.Invalid || len(e.Fields) == 0 {
		t.Fatalf("error %v, want an invalid one with its places", err)
	}
	var places []string
	for _, f := range e.Fields {
		places = append(places, f.Pointer+" "+f.Code)
	}
	return places
}

func TestSettleLimits(t *testing.T) {
	c := newCatalogue()
	var full directory.Grants
	for range directory.MaxRoles {
		full.Roles = append(full.Roles, c.role(id.Tenant{}))
	}
	for range directory.MaxMemberships {
		full.Memberships = append(full.Memberships, in(c.tenant(), full.Roles...))
	}
	if got, err := full.Settle(directory.Grants{}, c); err != nil || !got.Equal(full) {
		t.Fatalf("%v", err)
	}
	more := full.Clone()
	more.Roles = append(more.Roles, c.role(id.Tenant{}))
	more.Memberships = append(more.Memberships, in(c.tenant()))
	_, err := more.Settle(directory.Grants{}, c)
	if got := placesOf(t, err); !slices.Equal(got, []string{"/roles size", "/tenants size"}) {
		t.Errorf("refused %q", got)
	}
	// Of what was deleted there may be more than fits: it leaves.
	delete(c.roles, full.Roles[0])
	if got, err := (directory.Grants{Roles: more.Roles}).Settle(full, c); err != nil || len(got.Roles) != directory.MaxRoles {
		t.Errorf("%d roles, %v", len(got.Roles), err)
	}
	// Who asks for very much isn't looked up.
	huge := directory.Grants{Roles: slices.Repeat(full.Roles, 1000)}
	c.asked = 0
	_, err = huge.Settle(directory.Grants{}, c)
	if got := placesOf(t, err); !slices.Equal(got, []string{"/roles size"}) || c.asked > 0 {
		t.Errorf("refused %q after %d questions", got, c.asked)
	}
}

func TestSettleAsksForNothingThatStays(t *testing.T) {
	c := newCatalogue()
	g := grants([]id.Role{c.role(id.Tenant{})}, in(c.tenant()))
	c.fails = errors.New("the store fails")
	if got, err := g.Settle(g, c); err != nil || !got.Equal(g) || c.asked != 0 {
		t.Errorf("%+v, %v, %d questions", got, err, c.asked)
	}
	for _, g := range []directory.Grants{grants(g.Roles), grants(nil, g.Memberships...), grants(nil, in(id.Tenant{}))} {
		if _, err := g.Settle(directory.Grants{}, c); !errors.Is(err, c.fails) {
			t.Errorf("error %v, want that of the store", err)
		}
	}
}

func TestPlaces(t *testing.T) {
	c := newCatalogue()
	a, b, r, s := c.tenant(), c.tenant(), c.role(id.Tenant{}), c.role(id.Tenant{})
	got := grants([]id.Role{r}, in(b, r, s), in(a, r), in(b)).Places()
	want := []directory.Place{{Role: r}, {Role: s}, {Tenant: a}, {Tenant: a, Role: r}, {Tenant: b}, {Tenant: b, Role: r}, {Tenant: b, Role: s}}
	slices.SortFunc(want, directory.Place.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := (directory.Grants{}).Places(); len(got) != 0 {
		t.Errorf("%v of nothing", got)
	}
}

func TestWithout(t *testing.T) {
	c := newCatalogue()
	a, b, r, s := c.tenant(), c.tenant(), c.role(id.Tenant{}), c.role(id.Tenant{})
	g := grants([]id.Role{r, s}, in(a, r), in(b, s, r))
	before := g.Clone()
	for _, c := range []struct {
		t    id.Tenant
		r    id.Role
		want directory.Grants
	}{
		{id.Tenant{}, id.Role{}, g},
		{a, id.Role{}, grants([]id.Role{r, s}, in(b, s, r))},
		{id.Tenant{}, r, grants([]id.Role{s}, in(a), in(b, s))},
		{b, s, grants([]id.Role{r}, in(a, r))},
	} {
		if got := g.Without(c.t, c.r); !got.Equal(c.want) {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
	if !g.Equal(before) {
		t.Error("what is taken away from has changed")
	}
}
