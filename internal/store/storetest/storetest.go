// Package storetest owns the contract of stores as tests: what the comments of the
// domain packages' Store interfaces promise, with races, clocks that jump, and crashes.
// A new store is held to all of it by one call of Run, one of RunDurable when it
// survives its process, and Agree, which compares two stores operation by operation.
// It doesn't know any store.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Store is what a server needs of persistence: the union of what the domain packages
// ask for.
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

// opener opens an empty store whose clock is now, and closes it when the test is over.
type opener func(t *testing.T, now func() time.Time) Store

// check is one sentence of the contract. Its world is its own.
type check struct {
	name string
	run  func(t *testing.T, w *world)
}

// Run holds stores to their contract. open returns an empty store that reads the time
// from now only, and closes it at the end of the test that it is given.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) Store) {
	for _, area := range []struct {
		name   string
		checks []check
	}{
		{"projects", projectChecks()},
		{"lives of projects", lifeChecks()},
		{"users", userChecks()},
		{"tenants", tenantChecks()},
		{"roles", roleChecks()},
		{"permissions", permissionChecks()},
		{"grants", grantChecks()},
		{"search", searchChecks()},
		{"batches", batchChecks()},
		{"management keys", managementKeyChecks()},
		{"access keys", accessKeyChecks()},
		{"signing keys", keyChecks()},
		{"events", eventChecks()},
		{"sessions", sessionChecks()},
		{"refresh", refreshChecks()},
		{"a session with a tenant", standingChecks()},
		{"admission", admissionChecks()},
		{"bulk", bulkChecks()},
		{"terms", termChecks()},
		{"ending many", endingChecks()},
		{"sweep", sweepChecks()},
		{"documents", documentChecks()},
		{"largest", largestChecks()},
		{"revocations", revocationChecks()},
		{"revocation feed", feedChecks()},
		{"webhooks", webhookChecks()},
		{"whole", wholeChecks()},
		{"clock", clockChecks()},
		{"races", raceChecks()},
	} {
		t.Run(area.name, func(t *testing.T) {
			for _, c := range area.checks {
				t.Run(c.name, func(t *testing.T) { c.run(t, newWorld(t, open)) })
			}
		})
	}
}
