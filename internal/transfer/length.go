package transfer

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// MaxLong is how many users with tokens that are too long are named; all are counted.
const MaxLong = 20

// Long is a user of the file whose session tokens would be too long, so that what a
// template adds to them, and then what is granted, is left out.
type Long struct {
	Line    int     `json:"line"`
	User    id.User `json:"user"`
	LoginID string  `json:"loginId"` // the first one
	Bytes   int     `json:"bytes"`
	Limit   int     `json:"limit"`
}

// outlook is the project as a file leaves it, as far as it decides about tokens. A template
// stands behind the users, so the lengths of their tokens are told by a second reading.
type outlook struct {
	name      string
	settings  *latchkey.Settings // nil: as they are stored, or the defaults
	templates *document.Whole    // nil: as they are stored
}

// gauge returns what measures the tokens of a project like this.
func (r *reading) gauge(o outlook) (*token.Gauge, error) {
	out := token.Outlook{Project: r.target.Project, Name: "imported", Settings: policy.Defaults()}
	there, known, err := stored(r, func() (directory.Project, error) { return r.d.Directory.Project(r.ctx, r.target.Project) })
	if err != nil {
		return nil, err
	}
	if known {
		out.Name, out.Settings = there.Name, there.Settings
	}
	if o.settings != nil {
		out.Name, out.Settings = o.name, *o.settings
	}
	if !r.target.New {
		state, err := r.d.Store.Documents().Find(r.ctx, r.target.Project, document.User)
		if err != nil {
			return nil, err
		}
		for _, n := range []int{state.Stable, state.Candidate} {
			// A line with a stable version takes the place of both.
			if n == 0 || o.templates != nil && (o.templates.Stable != nil || n == state.Candidate) {
				continue
			}
			v, err := r.d.Store.Documents().Version(r.ctx, r.target.Project, document.User, n)
			if err != nil {
				return nil, err
			}
			out.Templates = append(out.Templates, v.Document)
		}
	}
	if o.templates != nil {
		for _, e := range []*document.Edition{o.templates.Stable, o.templates.Candidate} {
			if e != nil {
				out.Templates = append(out.Templates, e.Document)
			}
		}
	}
	return r.d.Tokens.Gauge(out), nil
}

// weigh makes the reading tell whose tokens are too long, in the project that a reading
// before has found the file to make.
func (r *reading) weigh(before Report) error {
	r.known.whole, r.known.wholeRoles = map[id.Tenant]directory.Tenant{}, map[id.Role]directory.Role{}
	var err error
	r.lengths, err = r.gauge(before.outlook)
	return err
}

// measure notes when the tokens of a user are too long.
func (r *reading) measure(n int, u directory.User) error {
	if r.lengths == nil || r.lengths.Plain(u) {
		return nil
	}
	granted, err := r.known.resolve(r.ctx, u.Grants)
	if err != nil {
		return err
	}
	size, limit := r.lengths.Measure(directory.Holder{User: u, Resolved: granted})
	if size <= limit {
		return nil
	}
	if r.report.TooLong++; len(r.report.Long) < MaxLong {
		l := Long{Line: n, User: u.ID, Bytes: size, Limit: limit}
		if len(u.LoginIDs) > 0 {
			l.LoginID = u.LoginIDs[0]
		}
		r.report.Long = append(r.report.Long, l)
	}
	return nil
}

// maxKept bounds how many bytes of tenants' attributes are kept for templates. Those of the
// tenants beyond it count as none.
const maxKept = 64 << 20

// keepTenant remembers a tenant as the file leaves it.
func (k *known) keepTenant(t directory.Tenant) {
	if k.whole == nil {
		return
	}
	if k.kept += len(t.Attributes); k.kept > maxKept {
		t.Attributes = nil
	}
	k.whole[t.ID] = directory.Tenant{ID: t.ID, Name: t.Name, Status: t.Status, Attributes: slices.Clone(t.Attributes)}
}

// keepRole remembers a role as the file leaves it.
func (k *known) keepRole(r directory.Role) {
	if k.wholeRoles != nil {
		k.wholeRoles[r.ID] = directory.Role{ID: r.ID, Tenant: r.Tenant, Name: r.Name, Permissions: r.Permissions}
	}
}

// resolve returns what grants lead to once the file is applied.
func (k *known) resolve(ctx context.Context, g directory.Grants) (directory.Resolved, error) {
	var out directory.Resolved
	add := func(roles []id.Role) {
		for _, r := range roles {
			known, there := k.wholeRoles[r]
			if there && !slices.ContainsFunc(out.Roles, func(have directory.Role) bool { return have.ID == r }) {
				out.Roles = append(out.Roles, known)
			}
		}
	}
	if _, err := k.level(ctx, id.Tenant{}); err != nil {
		return out, err
	}
	add(g.Roles)
	for _, m := range g.Memberships {
		t, err := k.wholeTenant(ctx, m.Tenant)
		if err != nil {
			return out, err
		}
		if t.ID.IsZero() {
			continue
		}
		if _, err := k.level(ctx, m.Tenant); err != nil {
			return out, err
		}
		out.Tenants = append(out.Tenants, t)
		add(m.Roles)
	}
	return out, nil
}

// wholeTenant returns a tenant; a zero one when there is none.
func (k *known) wholeTenant(ctx context.Context, t id.Tenant) (directory.Tenant, error) {
	found, asked := k.whole[t]
	if asked || k.target.New {
		return found, nil
	}
	found, err := k.store.Tenants().Find(ctx, k.target.Project, t)
	if fault.KindOf(err) == fault.NotFound {
		return directory.Tenant{}, nil
	}
	if err != nil {
		return directory.Tenant{}, err
	}
	k.keepTenant(found)
	return k.whole[t], nil
}
