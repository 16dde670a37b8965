// Package sqlite owns the store that keeps everything in one SQLite file: for one
// server on one machine, without anything to install. It decides nothing: what a
// refresh means is session.Apply's to say, who is alive session.Row.Status's; here they
// run inside a transaction.
//
// All writes go through one connection, and calls that wait for it share transactions
// (queue.go), since what a durable write costs is the wait for the disk. A verb that
// returned nil is on disk. Reads have connections of their own and never wait for
// writers; they see everything that was acknowledged before they began.
//
// Other processes may use the file at the same time, such as the command line of a
// running server.
package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Options are what a store may be told. The zero value is what a server wants.
type Options struct {
	// Now is the only clock; nil for time.Now.
	Now func() time.Time

	// MaxBatch is how many calls may share a transaction; 0 for 512.
	MaxBatch int

	// OnCommit, if set, is called after each transaction with the number of calls in
	// it and how long it took, by one goroutine at a time. It must be quick: the next
	// transaction waits.
	OnCommit func(calls int, d time.Duration)

	// OnRevocation, if set, is called after each transaction that wrote to the
	// revocation feed, when what it wrote can be read and before its callers are told.
	// It must be quick, too.
	OnRevocation func()
}

// Store keeps everything of a server in a file. It is safe for concurrent use.
type Store struct {
	queue   *queue
	readers *readers

	closing sync.Once
	closed  error // what closing returned
}

// Projects returns the store of projects.
func (s *Store) Projects() directory.ProjectStore { return projects{s} }

// Lives returns the store of the projects' lives.
func (s *Store) Lives() directory.LifeStore { return lives{s} }

// Users returns the store of users.
func (s *Store) Users() directory.UserStore { return users{s} }

// Tenants returns the store of tenants.
func (s *Store) Tenants() directory.TenantStore { return tenants{s} }

// Roles returns the store of roles.
func (s *Store) Roles() directory.RoleStore { return roles{s} }

// Permissions returns the store of permissions.
func (s *Store) Permissions() directory.PermissionStore { return permissions{s} }

// Batches returns the store of many users at once.
func (s *Store) Batches() directory.BatchStore { return batches{s} }

// Holders returns the store of users with what they are granted.
func (s *Store) Holders() directory.HolderStore { return holders{s} }

// ManagementKeys returns the store of management keys.
func (s *Store) ManagementKeys() directory.ManagementKeyStore { return managementKeys{s} }

// AccessKeys returns the store of access keys.
func (s *Store) AccessKeys() directory.AccessKeyStore { return accessKeys{s} }

// Keys returns the store of signing keys.
func (s *Store) Keys() key.Store { return keys{s} }

// Documents returns the store of templates and sign-in actions.
func (s *Store) Documents() document.Store { return documents{s} }

// Sessions returns the store of single sessions.
func (s *Store) Sessions() session.Store { return sessions{s} }

// Bulk returns the store of many sessions at once.
func (s *Store) Bulk() session.BulkStore { return bulk{s} }

// Events returns the audit log.
func (s *Store) Events() audit.Store { return events{s} }

// Webhooks returns the store of webhooks.
func (s *Store) Webhooks() webhook.Store { return webhooks{s} }

// Outbox returns what webhooks have still to deliver.
func (s *Store) Outbox() webhook.Outbox { return webhooks{s} }

// Revocations returns the revocation feed.
func (s *Store) Revocations() revocation.Store { return revocations{s} }

// Ping returns nil if the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(c *engine.Conn) error {
		_, err := version(c)
		return err
	})
}

// Close waits for the calls that are under way and closes the file. Every verb fails
// from then on, except Close.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.queue.close()
		s.readers.close()
		// The last connection to be closed empties the write-ahead log into the file.
		s.closed = refusal(s.queue.conn.Close())
	})
	return s.closed
}

// write runs a verb in a transaction. run may be called more than once, each time in
// another transaction, and must not change anything but the database and its own
// results. When it returns a refusal it should not have written anything; if it has,
// that is undone at some cost.
func (s *Store) write(ctx context.Context, run func(*transaction) error) error {
	return refusal(s.queue.do(ctx, run))
}

// read runs a verb that only reads.
func (s *Store) read(ctx context.Context, run func(*engine.Conn) error) error {
	return refusal(s.readers.do(ctx, run))
}
