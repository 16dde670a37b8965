package directory

import (
	"context"
	"encoding/json"
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

// TenantQuery selects tenants. Zero members don't restrict.
type TenantQuery struct {
	Project id.Project
	Text    string // part of the name or the whole id, without regard to case
	Status  Status
	After   id.Tenant
	Limit   int // at least 1
}

// TenantStore keeps tenants.
type TenantStore interface {
	// Insert adds t, and grows the project's version when t has settings. There is a
	// tenant with this id already: fault.Conflict.
	Insert(ctx context.Context, t Tenant, e audit.Event) error

	// Find returns fault.NotFound for a tenant that the project doesn't have.
	Find(ctx context.Context, p id.Project, t id.Tenant) (Tenant, error)

	// List returns at most q.Limit tenants with an ID greater than q.After, ascending,
	// and where to go on, zero when it has seen all. It looks at a bounded number of
	// tenants, so there may be fewer than q.Limit, even none, although there are more.
	List(ctx context.Context, q TenantQuery) ([]Tenant, id.Tenant, error)

	// Overrides returns all enabled tenants of a project that have settings, ascending.
	Overrides(ctx context.Context, p id.Project) ([]Tenant, error)

	// Change is like UserStore.Change. In its transaction it tells verifiers what
	// Tenant.Entries says of the change, and grows the project's version when the
	// settings change, or the status of a tenant with settings.
	Change(ctx context.Context, p id.Project, t id.Tenant, change func(Tenant) (Tenant, []audit.Event, error)) (Tenant, error)

	// Delete removes the tenant and its own roles, tells verifiers, and grows the
	// project's version when it had settings. Sessions in which it is the current one
	// are over from then on. Memberships in it stay behind, meaningless, and are
	// removed by Sweep. Unknown tenant: fault.NotFound.
	Delete(ctx context.Context, p id.Project, t id.Tenant, e audit.Event) error

	// Sweep removes at most limit entries of indexes that lead to deleted tenants and
	// roles, and returns how many. Fewer than limit: none is left.
	Sweep(ctx context.Context, limit int) (int, error)
}
