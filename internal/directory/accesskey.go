package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
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
	// LastUsedAt is when it was last exchanged, to UsedWithin; zero: never.
	LastUsedAt time.Time
}

// AccessKeyQuery selects access keys. Zero members don't restrict.
type AccessKeyQuery struct {
	Project id.Project
	User    id.User
	Status  Status
	Text    string // part of the name or the whole id; see Fold
	After   id.AccessKey
	Limit   int // at least 1
}

// UsedWithin is how exact AccessKey.LastUsedAt is: writing it more often would cost an
// exchange as much as everything else.
const UsedWithin = time.Hour

// MaxUserKeys is how many access keys a user may have: what ends the user ends them in the
// same transaction.
const MaxUserKeys = 100

// Opened is an access key at the instant of an exchange.
type Opened struct {
	Key AccessKey
	Resolved
	User   *User         // whose key it is; nil: nobody's
	At     time.Time     // by the store's clock
	Behind time.Duration // how far that is behind an instant it has shown before
}

// Matches reports whether the query selects k by everything but After and Limit.
func (q AccessKeyQuery) Matches(k AccessKey) bool {
	return k.Project == q.Project && (q.User.IsZero() || k.User == q.User) && (q.Status == "" || k.Status == q.Status) && k.says(Fold(q.Text))
}

// says reports whether the key is meant by a folded text.
func (k AccessKey) says(text string) bool {
	if one, err := id.ParseAccessKey(text); err == nil {
		return k.ID == one
	}
	return text == "" || strings.Contains(Fold(k.Name), text)
}

// Usable reports whether the key is enabled and hasn't expired at now.
func (k AccessKey) Usable(now time.Time) bool {
	return k.Status == Enabled && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Weight says of two keys which is likely to have the longer token: the bytes of claims and
// attributes, which a template may put into it, 64 for each role and tenant that is
// granted, which is about what their names take there, and 4 for each list of them.
func (k AccessKey) Weight() int {
	w := len(k.Claims) + len(k.Attributes)
	if k.Grants.None() {
		return w
	}
	w += 4 + 64*len(k.Roles)
	for _, m := range k.Memberships {
		w += 4 + 64 + 64*len(m.Roles)
	}
	return w
}

// Clone returns a key that shares nothing with k.
func (k AccessKey) Clone() AccessKey {
	k.Claims, k.Attributes, k.Networks, k.Grants = slices.Clone(k.Claims), slices.Clone(k.Attributes), slices.Clone(k.Networks), k.Grants.Clone()
	return k
}

// Used returns the key as it is once it was exchanged at now, and whether that is to be
// noted.
func (k AccessKey) Used(now time.Time) (AccessKey, bool) {
	if now.Sub(k.LastUsedAt) < UsedWithin {
		return k, false
	}
	k.LastUsedAt = now
	return k, true
}

// AccessKeyStore keeps access keys.
type AccessKeyStore interface {
	// Insert adds k. Grants that name what isn't there are refused as Grants.Settle does;
	// a user that isn't there is fault.NotFound, one with MaxUserKeys already, an id or a
	// digest that is there already fault.Conflict.
	Insert(ctx context.Context, k AccessKey, e audit.Event) error

	// Find returns fault.NotFound for a key that the project doesn't have.
	Find(ctx context.Context, p id.Project, k id.AccessKey) (AccessKey, error)

	// FindByDigest returns the key of any project whose secret has this digest;
	// fault.NotFound when there is none.
	FindByDigest(ctx context.Context, d secret.Digest) (AccessKey, error)

	// Open returns the key with what its grants lead to and its user, all of one instant
	// in the order of changes: one that is acknowledged later has a later instant. It
	// notes, unless that is known to UsedWithin, that the key is in use. fault.NotFound
	// when the project has no such key, or it has another secret by now.
	Open(ctx context.Context, p id.Project, k id.AccessKey, d secret.Digest) (Opened, error)

	// List returns at most q.Limit keys with an ID greater than q.After, ascending, and
	// where to go on, zero when it has seen all. It looks at a bounded number of keys, so
	// there may be fewer than q.Limit, even none, although there are more.
	List(ctx context.Context, q AccessKeyQuery) ([]AccessKey, id.AccessKey, error)

	// Largest returns at most limit keys of a project that are Usable, those of the most
	// Weight first, and of equal ones the newest; none of an unknown project.
	Largest(ctx context.Context, p id.Project, limit int) ([]AccessKey, error)

	// Change is like UserStore.Change; User and LastUsedAt stay, too. Verifiers are told,
	// in its transaction, what AccessKey.Entries says of the change. The digest may
	// change, but not to one that is there already: fault.Conflict.
	Change(ctx context.Context, p id.Project, k id.AccessKey, change func(AccessKey) (AccessKey, []audit.Event, error)) (AccessKey, error)

	// Delete removes a key and tells verifiers that it has ended; fault.NotFound for an
	// unknown one. Deleting a user does the same to their keys, disabling one tells
	// verifiers of those that are enabled.
	Delete(ctx context.Context, p id.Project, k id.AccessKey, e audit.Event) error
}

// Disables reports whether the change of a user from old to u disables them, which ends
// what their access keys have given, too.
func (u User) Disables(old User) bool { return old.Status == Enabled && u.Status != Enabled }

// Ended is what verifiers are told when the access key ends at now: nothing that was got
// with it is to be believed any more.
func (k AccessKey) Ended(l revocation.Life, now time.Time) revocation.Entry {
	return l.Entry(k.Project, revocation.User, k.ID.String(), now)
}

// Entries is what verifiers are told when the access key changes from old to k at now. A
// new secret ends what was got with the old one: who gives a key a new one may have lost
// the old one to somebody.
func (k AccessKey) Entries(old AccessKey, l revocation.Life, now time.Time) []revocation.Entry {
	if old.Status == Enabled && k.Status != Enabled || !k.Digest.Equal(old.Digest) {
		return []revocation.Entry{k.Ended(l, now)}
	}
	same := k.Name == old.Name && k.Grants.Equal(old.Grants) && bytes.Equal(k.Claims, old.Claims) && bytes.Equal(k.Attributes, old.Attributes) &&
		slices.Equal(k.Networks, old.Networks) && k.ExpiresAt.Equal(old.ExpiresAt)
	if same {
		return nil
	}
	return []revocation.Entry{l.Entry(k.Project, revocation.Epoch, k.ID.String(), now)}
}
