// Package directory owns who is known, and who may what: projects, their users, tenants,
// roles and permissions, and the management keys of their applications. It doesn't know
// sessions; disabling or deleting a user or tenant ends sessions because every refresh
// looks at their rows in its own transaction, and what is granted gets into tokens because
// every refresh reads it.
package directory

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Project is one application with users, keys and settings of its own.
type Project struct {
	ID        id.Project
	Name      string
	Status    Status // Enabled, Disabled or Deleted
	Settings  latchkey.Settings
	Version   int64 // grows by one with every change of name, status, settings or signing keys
	Epoch     int64 // grows when all sessions are ended at once
	CreatedAt time.Time
	DeletedAt time.Time // zero: it isn't deleted
	// SealedMAC is the key under which opaque refresh tokens are authenticated,
	// sealed by the master key with the context MACContext(ID).
	SealedMAC []byte
}

// MACContext is what a project's SealedMAC is bound to.
func MACContext(p id.Project) string { return "mac:" + p.String() }

// Domain is a host at which the end-user endpoints of one project are reachable.
type Domain struct {
	Host    string
	Project id.Project
}

// ErrDomainTaken is the cause of the refusal of a custom domain that another project has.
var ErrDomainTaken = errors.New("the custom domain is another project's")

// DomainTaken is the refusal of a custom domain that another project has: fault.Conflict
// with the cause ErrDomainTaken.
func DomainTaken() error {
	return fault.Wrap(fault.Conflict, ErrDomainTaken, "Another project has this custom domain.").
		WithFields(fault.Field{Pointer: "/customDomain", Code: "duplicate", Detail: "A domain leads to one project only."})
}

// ProjectStore keeps projects.
type ProjectStore interface {
	// Insert adds p, with Version 1 and Epoch 0, enabled, and the event.
	Insert(ctx context.Context, p Project, e audit.Event) error

	// Find returns fault.NotFound for an unknown project.
	Find(ctx context.Context, p id.Project) (Project, error)

	// Version returns Project.Version alone; fault.NotFound for an unknown project.
	Version(ctx context.Context, p id.Project) (int64, error)

	// List returns at most limit projects with an ID greater than after, ascending.
	List(ctx context.Context, after id.Project, limit int) ([]Project, error)

	// Domains returns at most limit custom domains greater than after, ascending, each
	// with its project. Projects without one are left out.
	Domains(ctx context.Context, after string, limit int) ([]Domain, error)

	// ChangeSettings replaces the settings if the version is still the given one and
	// increases it; otherwise it changes nothing and returns fault.Conflict. A custom
	// domain that another project has is DomainTaken: it is looked for in the same
	// transaction, so that of two projects that want one domain at once, one gets it.
	ChangeSettings(ctx context.Context, p id.Project, version int64, s latchkey.Settings, e audit.Event) error

	// Reseal replaces SealedMAC if it is still old; otherwise it changes nothing and
	// returns fault.Conflict. The version stays, since what is inside does.
	Reseal(ctx context.Context, p id.Project, old, sealed []byte, e audit.Event) error
}

// Status is whether somebody, or something, may be used.
type Status string

// The states of a user, a tenant, an access key and, with Deleted, of a project.
const (
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// User is a subject of sessions.
type User struct {
	ID       id.User
	Project  id.Project
	LoginIDs []string // at least one; each unique in the project
	Name     string
	Email    string
	Phone    string
	Status   Status
	// Attributes are what the application keeps of the user: a canonical JSON object,
	// nil for none. Tokens show them only through a template.
	Attributes json.RawMessage
	Grants
	// Epoch grows when all of the user's sessions are ended at once: a session holds
	// the epoch of its creation and is dead when the user's is greater.
	Epoch     int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// UserStore keeps users.
type UserStore interface {
	// Insert adds u. A login id that another user of the project has is
	// fault.Conflict, and nothing is added. Grants are stored as Grants.Settle says,
	// which refuses what isn't there: fault.Invalid. Sessions that are stored of a
	// deleted user with the same id stay over: the epoch is greater than theirs.
	Insert(ctx context.Context, u User, e audit.Event) error

	// Find returns fault.NotFound for a user that the project doesn't have.
	Find(ctx context.Context, p id.Project, u id.User) (User, error)

	// FindByLogin is like Find, by any of the login ids, compared byte for byte.
	FindByLogin(ctx context.Context, p id.Project, loginID string) (User, error)

	// List returns at most limit users with an ID greater than after, ascending.
	List(ctx context.Context, p id.Project, after id.User, limit int) ([]User, error)

	// Change reads the user, hands a copy to change, and writes what change returns,
	// with the events, in one transaction. change may be called more than once and
	// must be pure; ID, Project and CreatedAt stay as they were. An error of change
	// is returned as it is and nothing is written. Unknown user: fault.NotFound; a
	// login id that another user has: fault.Conflict; grants are settled as by Insert,
	// against those that the user had. Verifiers are told, in the same transaction,
	// what User.Entries says of the change.
	Change(ctx context.Context, p id.Project, u id.User, change func(User) (User, []audit.Event, error)) (User, error)

	// Delete removes the user. Sessions of the user are refused from then on, since
	// their user is gone. Unknown user: fault.NotFound.
	Delete(ctx context.Context, p id.Project, u id.User, e audit.Event) error
}

// Scope is something a management key may do.
type Scope string

// The scopes. A management key without scopes has all; a verify key only ScopeVerify.
const (
	ScopeSessions Scope = "sessions"
	ScopeUsers    Scope = "users"
	ScopeSettings Scope = "settings"
	ScopeKeys     Scope = "keys"
	ScopeEvents   Scope = "events"
	ScopeVerify   Scope = "verify"
	// ScopeImpersonate allows sessions in which somebody else acts as the user.
	ScopeImpersonate Scope = "impersonate"
)

// Scopes returns all scopes.
func Scopes() []Scope {
	return []Scope{ScopeSessions, ScopeUsers, ScopeSettings, ScopeKeys, ScopeEvents, ScopeVerify, ScopeImpersonate}
}

// ManagementKey is a credential of an application. The secret itself isn't kept.
type ManagementKey struct {
	ID        id.ManagementKey
	Project   id.Project
	Name      string
	Kind      secret.KeyKind
	Scopes    []Scope
	Networks  []netip.Prefix // empty: from anywhere
	Digest    secret.Digest
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	// ProjectDeleted: all that is left to it is what verifiers need. The store says so of
	// keys that it reads.
	ProjectDeleted bool
}

// ManagementKeyStore keeps management keys.
type ManagementKeyStore interface {
	// Insert adds k.
	Insert(ctx context.Context, k ManagementKey, e audit.Event) error

	// FindByDigest returns the key of any project whose secret has this digest;
	// fault.NotFound when there is none.
	FindByDigest(ctx context.Context, d secret.Digest) (ManagementKey, error)

	// List returns at most limit keys of the project with an ID greater than after,
	// ascending.
	List(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]ManagementKey, error)

	// Rotate replaces the digest of a key, so that its old secret ends at once;
	// fault.NotFound for a key that the project doesn't have.
	Rotate(ctx context.Context, p id.Project, k id.ManagementKey, d secret.Digest, e audit.Event) (ManagementKey, error)

	// Delete removes a key; fault.NotFound for a key that the project doesn't have.
	Delete(ctx context.Context, p id.Project, k id.ManagementKey, e audit.Event) error
}
