package transfer

import (
	"context"
	"fmt"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store"
)

// known is what may be referred to at a line: what is stored, and what the lines before
// have added. Of tenants' roles it holds those that were asked for.
type known struct {
	store  store.Store
	target Target

	permissions map[string]directory.Permission
	levels      map[id.Tenant]*level
	tenants     map[id.Tenant]bool // of the file, and stored ones that were asked for
	roleLines   map[id.Role]int
	tenantLines map[id.Tenant]int
	permLines   map[string]int
	keys        map[id.User]int // access keys that users have: those who were asked for
	hooks       map[id.Webhook]bool

	// What tokens are made of, while their lengths are measured.
	whole      map[id.Tenant]directory.Tenant
	kept       int // bytes of attributes in whole
	wholeRoles map[id.Role]directory.Role
}

// level is the roles of the project, or those of one tenant.
type level struct {
	byID   map[id.Role]string
	byName map[string]id.Role
}

func newKnown(st store.Store, t Target) known {
	return known{
		store: st, target: t, levels: map[id.Tenant]*level{}, tenants: map[id.Tenant]bool{},
		roleLines: map[id.Role]int{}, tenantLines: map[id.Tenant]int{}, permLines: map[string]int{}, keys: map[id.User]int{},
	}
}

// catalogue returns the permissions by name.
func (k *known) catalogue(ctx context.Context) (map[string]directory.Permission, error) {
	if k.permissions != nil {
		return k.permissions, nil
	}
	k.permissions = map[string]directory.Permission{}
	for after, more := "", !k.target.New; more; {
		list, err := k.store.Permissions().List(ctx, k.target.Project, after, page)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			k.permissions[p.Name], after = p, p.Name
		}
		more = len(list) == page
	}
	return k.permissions, nil
}

// level returns the roles at a level.
func (k *known) level(ctx context.Context, t id.Tenant) (*level, error) {
	if l := k.levels[t]; l != nil {
		return l, nil
	}
	l := &level{byID: map[id.Role]string{}, byName: map[string]id.Role{}}
	q := directory.RoleQuery{Project: k.target.Project, Tenant: t, Limit: page}
	for more := !k.target.New; more; {
		list, err := k.store.Roles().List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			l.put(r.ID, r.Name)
			k.keepRole(r)
			q.After = r.ID
		}
		more = len(list) == page
	}
	k.levels[t] = l
	return l, nil
}

// put adds a role or gives it another name.
func (l *level) put(r id.Role, name string) {
	if old, there := l.byID[r]; there && l.byName[old] == r {
		delete(l.byName, old)
	}
	l.byID[r], l.byName[name] = name, r
}

// tenant reports whether there is a tenant.
func (k *known) tenant(ctx context.Context, t id.Tenant) (bool, error) {
	there, asked := k.tenants[t]
	if asked || k.target.New {
		return there, nil
	}
	_, err := k.store.Tenants().Find(ctx, k.target.Project, t)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return false, err
	}
	k.tenants[t] = err == nil
	return err == nil, nil
}

// role finds a role that may be granted at a level, by its id, or by the name of one of the
// level or else of the project.
func (k *known) role(ctx context.Context, at id.Tenant, text string) (id.Role, bool, error) {
	one, notID := id.ParseRole(text)
	for _, t := range []id.Tenant{at, {}} {
		l, err := k.level(ctx, t)
		if err != nil {
			return one, false, err
		}
		if notID == nil {
			if _, there := l.byID[one]; there {
				return one, true, nil
			}
		} else if r, there := l.byName[text]; there {
			return r, true, nil
		}
	}
	return one, false, nil
}

// grants finds what the line of a user or an access key refers to.
func (k *known) grants(ctx context.Context, named *[]string, tenants *[]memberRecord, refuse func(pointer, code, detail string)) (granted, error) {
	var out granted
	if named != nil {
		roles, err := k.roles(ctx, id.Tenant{}, *named, "/roles", refuse)
		if err != nil {
			return out, err
		}
		out.roles = &roles
	}
	if tenants == nil {
		return out, nil
	}
	memberships := []directory.Membership{}
	seen := map[id.Tenant]bool{}
	for i, m := range *tenants {
		at := fmt.Sprintf("/tenants/%d", i)
		t, err := id.ParseTenant(m.Tenant)
		there := err == nil
		if there {
			if there, err = k.tenant(ctx, t); err != nil {
				return out, err
			}
		}
		switch {
		case !there:
			refuse(at+"/tenant", "unknown", "There is no such tenant, neither before this line nor in the project; the id of one (ten_…) is wanted.")
			continue
		case seen[t]:
			refuse(at+"/tenant", "duplicate", "This tenant is given twice.")
		}
		seen[t] = true
		roles, err := k.roles(ctx, t, m.Roles, at+"/roles", refuse)
		if err != nil {
			return out, err
		}
		memberships = append(memberships, directory.Membership{Tenant: t, Roles: roles})
	}
	if len(memberships) > directory.MaxMemberships {
		refuse("/tenants", "size", fmt.Sprintf("At most %d memberships are possible.", directory.MaxMemberships))
	}
	out.memberships = &memberships
	return out, nil
}

func (k *known) roles(ctx context.Context, at id.Tenant, texts []string, pointer string, refuse func(pointer, code, detail string)) ([]id.Role, error) {
	var out []id.Role
	seen := map[id.Role]bool{}
	for i, text := range texts {
		r, there, err := k.role(ctx, at, text)
		if err != nil {
			return nil, err
		}
		where := fmt.Sprintf("%s/%d", pointer, i)
		switch {
		case !there:
			refuse(where, "unknown", "There is no such role here, neither before this line nor in the project; the id or the name of one is wanted.")
		case seen[r]:
			refuse(where, "duplicate", "This role is given twice.")
		default:
			out = append(out, r)
		}
		seen[r] = true
	}
	if len(texts) > directory.MaxRoles {
		refuse(pointer, "size", fmt.Sprintf("At most %d roles are possible at one level.", directory.MaxRoles))
	}
	return out, nil
}

// granted is what a line grants; nil leaves it.
type granted struct {
	roles       *[]id.Role
	memberships *[]directory.Membership
}

func (g granted) to(old directory.Grants) directory.Grants {
	out := old.Clone()
	if g.roles != nil {
		out.Roles = *g.roles
	}
	if g.memberships != nil {
		out.Memberships = *g.memberships
	}
	return out.Tidy()
}
