// Package store owns how a store is named and opened. Where data lives is said by a
// URL; what a store must do is said by the domain packages, each for itself, and tested
// by package storetest. This package and the tests are the only ones that know which
// drivers there are.
package store

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Store is what a server needs of persistence: the union of what the domain packages
// ask for. It is safe for concurrent use.
type Store interface {
	Directory
	Keys() key.Store
	Documents() document.Store
	Sessions() session.Store
	Bulk() session.BulkStore
	Events() audit.Store
	Revocations() revocation.Store
	Webhooks() webhook.Store
	Outbox() webhook.Outbox

	// Ping returns nil if the store can serve verbs now.
	Ping(ctx context.Context) error

	// Close ends the store's use; closing it again is no error. Verbs that are
	// under way may still finish or fail; later ones fail.
	Close() error
}

// Directory is the part for what package directory owns.
type Directory interface {
	Projects() directory.ProjectStore
	Lives() directory.LifeStore
	Users() directory.UserStore
	Batches() directory.BatchStore
	Holders() directory.HolderStore
	Tenants() directory.TenantStore
	Roles() directory.RoleStore
	Permissions() directory.PermissionStore
	ManagementKeys() directory.ManagementKeyStore
	AccessKeys() directory.AccessKeyStore
}

// Options are what a store may be told. The zero value is what a server wants.
type Options struct {
	// Now is the clock of a store that has none of its own; nil for time.Now.
	Now func() time.Time

	// OnCommit, if set, is called after each transaction with the number of calls that
	// shared it and how long it took, by one goroutine at a time. It must be quick.
	// The memory store has no transactions and never calls it.
	OnCommit func(calls int, d time.Duration)

	// OnRevocation, if set, is called after each transaction that wrote to the
	// revocation feed, as soon as what it wrote can be read. It must be quick. What
	// other processes write to the same store isn't told.
	OnRevocation func()
}

// driver is one kind of store. Its functions get what follows the scheme's colon.
type driver struct {
	scheme  string
	forms   string // what is accepted, for errors
	open    func(ctx context.Context, rest string, o Options) (Store, error)
	migrate func(ctx context.Context, rest string, progress func(string)) (from, to int, err error)
}

func drivers() []driver {
	return []driver{
		{"sqlite", "sqlite:///absolute/path or sqlite:relative/path", openSQLite, migrateSQLite},
		{"memory", "memory:", openMemory, migrateMemory},
	}
}

// Open opens the store that dsn names: "sqlite:///absolute/path", "sqlite:relative/path",
// or "memory:", which starts empty and forgets everything when it is closed. Any other
// dsn is fault.Invalid; the error doesn't repeat it, since the address of a database may
// hold a password. A database whose schema isn't the one of this version is not opened:
// see Migrate.
func Open(ctx context.Context, dsn string, o Options) (Store, error) {
	d, rest, err := find(dsn)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return d.open(ctx, rest, o)
}

// Migrate brings the store that dsn names to the schema of this version, and makes it
// if there is none. It returns the schema's version before and after, and tells
// progress, unless that is nil, of each step that it has made.
func Migrate(ctx context.Context, dsn string, progress func(string)) (from, to int, err error) {
	d, rest, err := find(dsn)
	if err != nil {
		return 0, 0, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	return d.migrate(ctx, rest, progress)
}

func find(dsn string) (driver, string, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	var forms []string
	for _, d := range drivers() {
		if found && scheme == d.scheme {
			return d, rest, nil
		}
		forms = append(forms, d.forms)
	}
	return driver{}, "", fault.New(fault.Invalid, "This is not a known store. Known are %s.", strings.Join(forms, ", and "))
}

func openSQLite(ctx context.Context, rest string, o Options) (Store, error) {
	path, err := sqlitePath(rest)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path, sqlite.Options{Now: o.Now, OnCommit: o.OnCommit, OnRevocation: o.OnRevocation})
	if err != nil {
		return nil, err // not s: a nil *sqlite.Store isn't a nil Store
	}
	return s, nil
}

func migrateSQLite(ctx context.Context, rest string, progress func(string)) (from, to int, err error) {
	path, err := sqlitePath(rest)
	if err != nil {
		return 0, 0, err
	}
	return sqlite.Migrate(ctx, path, progress)
}

// sqlitePath returns the path in what follows "sqlite:". It is taken as it stands: no
// escapes, no options. What looks like either is refused rather than made a file name.
func sqlitePath(rest string) (string, error) {
	path, slashes := strings.CutPrefix(rest, "//")
	bad := ""
	switch {
	case slashes && !strings.HasPrefix(path, "/"):
		bad = "After two slashes there would be a host; a path begins with a third, or stands without any."
	case path == "":
		bad = "The path is missing."
	case strings.HasPrefix(path, ":"):
		bad = "A database in memory is memory:."
	case strings.HasSuffix(path, "/"):
		bad = "The path is that of a folder."
	case strings.ContainsAny(path, "?#\x00"):
		bad = "There are no options: nothing may follow the path."
	}
	if bad != "" {
		return "", fault.New(fault.Invalid, "%s A SQLite store is named sqlite:///absolute/path or sqlite:relative/path.", bad)
	}
	return path, nil
}

func openMemory(ctx context.Context, rest string, o Options) (Store, error) {
	if _, _, err := migrateMemory(ctx, rest, nil); err != nil {
		return nil, err
	}
	return memory.OpenWith(memory.Options{Now: o.Now, OnRevocation: o.OnRevocation}), nil
}

// migrateMemory has nothing to do: there is no schema.
func migrateMemory(ctx context.Context, rest string, _ func(string)) (from, to int, err error) {
	if rest != "" {
		return 0, 0, fault.New(fault.Invalid, "The memory store has no name: it is memory: and nothing else.")
	}
	return 0, 0, ctx.Err()
}
