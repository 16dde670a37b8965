package directory

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// AccessKey is a machine with grants of its own. Its secret, which isn't kept, is exchanged
// for session tokens.
type AccessKey struct {
	ID          id.AccessKey
	Project     id.Project
	Name        string
	Description string
	Status      Status
	User        id.User         // whose key it is: it ends with them; zero: nobody's
	Claims      json.RawMessage // secure custom claims of its tokens: a canonical JSON object, or nil
	Attributes  json.RawMessage // for templates: a canonical JSON object, or nil
	Grants
	Networks  []netip.Prefix // empty: from anywhere
	Digest    secret.Digest
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time // zero: never
}

// AccessKeyQuery selects access keys. Zero members don't restrict.
type AccessKeyQuery struct {
	Project id.Project
	User    id.User
	Status  Status
	After   id.AccessKey
	Limit   int // at least 1
}

// AccessKeyStore keeps access keys.
type AccessKeyStore interface {
	// Insert adds k. Grants that name what isn't there are refused as by
	// UserStore.Insert; a user that isn't there is fault.NotFound.
	Insert(ctx context.Context, k AccessKey, e audit.Event) error

	// Find returns fault.NotFound for a key that the project doesn't have.
	Find(ctx context.Context, p id.Project, k id.AccessKey) (AccessKey, error)

	// Open returns the key of any project whose secret has this digest, what its grants
	// lead to, and its user when it has one, all of one instant; fault.NotFound when
	// there is none, or its user was deleted.
	Open(ctx context.Context, d secret.Digest) (AccessKey, Resolved, *User, error)

	// List returns at most q.Limit keys with an ID greater than q.After, ascending.
	List(ctx context.Context, q AccessKeyQuery) ([]AccessKey, error)

	// Change is like UserStore.Change. Verifiers are told, in its transaction, what
	// AccessKey.Entries says of the change; the digest may change, too.
	Change(ctx context.Context, p id.Project, k id.AccessKey, change func(AccessKey) (AccessKey, []audit.Event, error)) (AccessKey, error)

	// Delete removes a key and tells verifiers; fault.NotFound for an unknown one.
	Delete(ctx context.Context, p id.Project, k id.AccessKey, e audit.Event) error
}
