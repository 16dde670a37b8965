// Package memory owns the store that keeps everything in maps under one mutex. It is
// the reference: slow where slow is plainer, so that what the contracts mean can be
// read here and every other store can be compared with it. It is the tests' double,
// too, and serves whoever wants a server that forgets everything when it stops. It
// persists nothing: a verb that returned nil is durable as long as the process lives.
//
// Values are copied on their way in and out, so nothing that a caller does to them
// later reaches the store.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Store keeps everything of a server. It is safe for concurrent use; one verb runs at
// a time.
type Store struct {
	o Options

	mu       sync.Mutex // guards all below
	closed   bool
	projects map[id.Project]*project
	events   map[id.Event]audit.Entry
	logged   int64              // the greatest Seq of an event that was given
	entries  []revocation.Entry // ascending by Seq
	last     int64              // the greatest Seq that was given
	told     int64              // last, when OnRevocation was called
	latest   time.Time          // the latest instant that was shown
	webhooks map[id.Webhook]*hooked
	lease    lease // of their deliveries
}

// Options are what a store may be told.
type Options struct {
	Now func() time.Time // the only clock

	// OnRevocation, if set, is called after each verb that wrote to the revocation
	// feed, when what it wrote can be read. It must be quick.
	OnRevocation func()
}

// project is everything that belongs to one project, except its events: those may
// outlive it.
type project struct {
	directory.Project
	users          map[id.User]directory.User
	tenants        map[id.Tenant]directory.Tenant
	roles          map[id.Role]directory.Role
	permissions    map[string]directory.Permission
	stripped       map[string]id.Role       // deleted permissions that roles behind this one may still have
	lost           map[directory.Place]bool // deleted tenants and roles that users' grants may name
	managementKeys map[id.ManagementKey]directory.ManagementKey
	accessKeys     map[id.AccessKey]directory.AccessKey
	keys           map[id.Key]key.Key
	sessions       map[id.Session]session.Row
	documents      map[document.Kind]shelf
	tokensUntil    time.Time // revocation.Life.Before
}

// Open returns an empty store whose only clock is now.
func Open(now func() time.Time) *Store { return OpenWith(Options{Now: now}) }

// OpenWith returns an empty store.
func OpenWith(o Options) *Store {
	return &Store{o: o, projects: map[id.Project]*project{}, events: map[id.Event]audit.Entry{}, webhooks: map[id.Webhook]*hooked{}}
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

// Ping returns nil until the store is closed.
func (s *Store) Ping(ctx context.Context) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	tx.end()
	return nil
}

// Close forgets everything. Every verb fails from then on, except Close.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.projects, s.events, s.entries, s.webhooks = true, nil, nil, nil, nil
	return nil
}

// transaction is one verb at work: it holds the mutex and knows one now. Nothing is
// rolled back; a verb changes nothing before it can't fail any more.
type transaction struct {
	*Store
	now time.Time
}

// begin starts a verb. The clock is read under the mutex, so that the order of times
// is the order of verbs.
func (s *Store) begin(ctx context.Context) (transaction, error) {
	if err := ctx.Err(); err != nil {
		return transaction{}, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return transaction{}, fault.New(fault.Unavailable, "The store is closed.")
	}
	now := session.Instant(s.o.Now())
	if now.After(s.latest) {
		s.latest = now
	}
	return transaction{Store: s, now: now}, nil
}

func (tx transaction) end() {
	tell := tx.last > tx.told
	tx.told = tx.last
	tx.mu.Unlock()
	if tell && tx.o.OnRevocation != nil {
		tx.o.OnRevocation()
	}
}

// find returns a project; fault.NotFound for an unknown one.
func (tx transaction) find(p id.Project) (*project, error) {
	found, ok := tx.projects[p]
	if !ok {
		return nil, fault.New(fault.NotFound, "There is no such project.")
	}
	return found, nil
}

// log writes events.
func (tx transaction) log(events ...audit.Event) {
	for _, e := range events {
		tx.logged++
		tx.events[e.ID] = audit.Entry{Seq: tx.logged, Event: copyEvent(e)}
	}
}
