package directory

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Tenant is a customer organisation of the application: users are members of it, with roles
// there, and it may be stricter about their sessions than the project is.
type Tenant struct {
	ID      id.Tenant
	Project id.Project
	Name    string // unique in nothing: two customers may have the same
	Status  Status
	// Attributes are what the application keeps of the tenant: a canonical JSON object,
	// nil for none. Tokens show them only through a template.
	Attributes json.RawMessage
	Settings   latchkey.TenantSettings
	// Epoch grows when all sessions in which the tenant is the current one are ended at
	// once, like User.Epoch.
	Epoch     int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Clone returns a tenant that shares nothing with t.
func (t Tenant) Clone() Tenant {
	t.Attributes = slices.Clone(t.Attributes)
	o := &t.Settings
	o.SessionTokenTTL, o.AbsoluteTimeout, o.IdleTimeout = own(o.SessionTokenTTL), own(o.AbsoluteTimeout), own(o.IdleTimeout)
	o.StepUpTTL, o.MaxSessions, o.OnLimit = own(o.StepUpTTL), own(o.MaxSessions), own(o.OnLimit)
	return t
}

// own returns a pointer to a copy.
func own[T any](v *T) *T {
	if v == nil {
		return nil
	}
	return new(*v)
}

// Overrides reports whether the tenant has settings of its own.
func (t Tenant) Overrides() bool { return t.Settings != (latchkey.TenantSettings{}) }

// Reversions reports whether the change of a tenant from old to t is one of the project's
// version: what the tenant decides about sessions changes, or whether it decides at all.
func (t Tenant) Reversions(old Tenant) bool {
	return !sameOverrides(t.Settings, old.Settings) || t.Status != old.Status && t.Overrides()
}

func sameOverrides(a, b latchkey.TenantSettings) bool {
	return same(a.SessionTokenTTL, b.SessionTokenTTL) && same(a.AbsoluteTimeout, b.AbsoluteTimeout) &&
		same(a.IdleTimeout, b.IdleTimeout) && same(a.StepUpTTL, b.StepUpTTL) &&
		same(a.MaxSessions, b.MaxSessions) && same(a.OnLimit, b.OnLimit)
}

// same reports whether two settings decide the same: nil is to decide nothing.
func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// TenantQuery selects tenants. Zero members don't restrict.
type TenantQuery struct {
	Project id.Project
	Text    string // part of the name or the whole id; see Fold
	Status  Status
	After   id.Tenant
	Limit   int // at least 1
}

// TenantStore keeps tenants.
type TenantStore interface {
	// Insert adds t, and grows the project's version when t has settings. There is a
	// tenant with this id already: fault.Conflict. Sessions that are stored in a deleted
	// one with the same id stay over: the epoch is greater than theirs.
	Insert(ctx context.Context, t Tenant, e audit.Event) error

	// Find returns fault.NotFound for a tenant that the project doesn't have.
	Find(ctx context.Context, p id.Project, t id.Tenant) (Tenant, error)

	// List returns at most q.Limit tenants with an ID greater than q.After, ascending,
	// and where to go on, zero when it has seen all. It looks at a bounded number of
	// tenants, so there may be fewer than q.Limit, even none, although there are more.
	// A page that is full, or that a bound ended, may be the last one all the same.
	List(ctx context.Context, q TenantQuery) ([]Tenant, id.Tenant, error)

	// Overrides returns all enabled tenants of a project that have settings, ascending.
	Overrides(ctx context.Context, p id.Project) ([]Tenant, error)

	// Change is like UserStore.Change. In its transaction it tells verifiers what
	// Tenant.Entries says of the change, and Tenant.Opened of its members, in ascending
	// order of id, when Tenant.Opens; and grows the project's version when the
	// settings change, or the status of a tenant with settings.
	Change(ctx context.Context, p id.Project, t id.Tenant, change func(Tenant) (Tenant, []audit.Event, error)) (Tenant, error)

	// Delete removes the tenant and its own roles, tells verifiers, and grows the
	// project's version when it had settings. Sessions in which it is the current one
	// are over from then on. Memberships in it stay behind, meaningless, and are
	// removed by Sweep. Unknown tenant: fault.NotFound.
	Delete(ctx context.Context, p id.Project, t id.Tenant, e audit.Event) error

	// Sweep takes deleted tenants and roles out of the grants of users, of all projects,
	// at most limit times, and returns how often it has: once for each of a user's
	// memberships and for each role that a user has anywhere. Fewer than limit: none is
	// left. The users are as before otherwise; nobody is told, since nobody had anything
	// by them any more.
	Sweep(ctx context.Context, limit int) (int, error)
}
