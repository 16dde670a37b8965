package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/transfer"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

var errStopped = errors.New("the power is gone")

// stopping is a store that refuses every write after some.
type stopping struct {
	store.Store
	left int
}

func (s *stopping) step() error {
	if s.left--; s.left < 0 {
		return errStopped
	}
	return nil
}

func (s *stopping) Projects() directory.ProjectStore {
	return stoppingProjects{s.Store.Projects(), s}
}
func (s *stopping) Lives() directory.LifeStore     { return stoppingLives{s.Store.Lives(), s} }
func (s *stopping) Batches() directory.BatchStore  { return stoppingBatches{s.Store.Batches(), s} }
func (s *stopping) Tenants() directory.TenantStore { return stoppingTenants{s.Store.Tenants(), s} }
func (s *stopping) Roles() directory.RoleStore     { return stoppingRoles{s.Store.Roles(), s} }
func (s *stopping) AccessKeys() directory.AccessKeyStore {
	return stoppingAccessKeys{s.Store.AccessKeys(), s}
}
func (s *stopping) Documents() document.Store { return stoppingDocuments{s.Store.Documents(), s} }
func (s *stopping) Webhooks() webhook.Store   { return stoppingWebhooks{s.Store.Webhooks(), s} }
func (s *stopping) Permissions() directory.PermissionStore {
	return stoppingPermissions{s.Store.Permissions(), s}
}

type (
	stoppingProjects struct {
		directory.ProjectStore
		s *stopping
	}
	stoppingLives struct {
		directory.LifeStore
		s *stopping
	}
	stoppingBatches struct {
		directory.BatchStore
		s *stopping
	}
	stoppingTenants struct {
		directory.TenantStore
		s *stopping
	}
	stoppingRoles struct {
		directory.RoleStore
		s *stopping
	}
	stoppingAccessKeys struct {
		directory.AccessKeyStore
		s *stopping
	}
	stoppingDocuments struct {
		document.Store
		s *stopping
	}
	stoppingWebhooks struct {
		webhook.Store
		s *stopping
	}
	stoppingPermissions struct {
		directory.PermissionStore
		s *stopping
	}
)

func (x stoppingProjects) ChangeSettings(ctx context.Context, p id.Project, version int64, s latchkey.Settings, e audit.Event) error {
	if err := x.s.step(); err != nil {
		return err
	}
	return x.ProjectStore.ChangeSettings(ctx, p, version, s, e)
}

func (x stoppingLives) Change(ctx context.Context, p id.Project, change func(directory.Project) (directory.Project, []audit.Event, error)) (directory.Project, error) {
	if err := x.s.step(); err != nil {
		return directory.Project{}, err
	}
	return x.LifeStore.Change(ctx, p, change)
}

// Apply is done edit by edit, so that it stops inside, too, as a store may that does it in
// several transactions.
func (x stoppingBatches) Apply(ctx context.Context, p id.Project, edits []directory.UserEdit) ([]error, error) {
	var done []error
	for _, e := range edits {
		if err := x.s.step(); err != nil {
			return done, err
		}
		one, err := x.BatchStore.Apply(ctx, p, []directory.UserEdit{e})
		if err != nil {
			return done, err
		}
		done = append(done, one...)
	}
	return done, nil
}

func (x stoppingTenants) Insert(ctx context.Context, t directory.Tenant, e audit.Event) error {
	if err := x.s.step(); err != nil {
		return err
	}
	return x.TenantStore.Insert(ctx, t, e)
}

func (x stoppingRoles) Insert(ctx context.Context, r directory.Role, e audit.Event) error {
	if err := x.s.step(); err != nil {
		return err
	}
	return x.RoleStore.Insert(ctx, r, e)
}

func (x stoppingPermissions) Insert(ctx context.Context, p directory.Permission, e audit.Event) error {
	if err := x.s.step(); err != nil {
		return err
	}
	return x.PermissionStore.Insert(ctx, p, e)
}

func (x stoppingAccessKeys) Insert(ctx context.Context, k directory.AccessKey, e audit.Event) error {
	if err := x.s.step(); err != nil {
		return err
	}
	return x.AccessKeyStore.Insert(ctx, k, e)
}

func (x stoppingDocuments) Change(ctx context.Context, p id.Project, k document.Kind, step func(document.State) (document.Step, error)) (document.State, error) {
	if err := x.s.step(); err != nil {
		return document.State{}, err
	}
	return x.Store.Change(ctx, p, k, step)
}

func (x stoppingWebhooks) Insert(ctx context.Context, h webhook.Hook, most int, e audit.Event) (webhook.Hook, error) {
	if err := x.s.step(); err != nil {
		return webhook.Hook{}, err
	}
	return x.Store.Insert(ctx, h, most, e)
}

// An import that stops after any of its steps and is repeated gives the same as one that
// nothing has disturbed, and no user's creation is told twice.
func TestStoppedAfterEachStep(t *testing.T) {
	from := newWorld(t)
	from.full()
	settings := directory.ProjectChange{Name: new("Renamed")}
	if _, err := from.d.ChangeProject(t.Context(), from.p, settings, origin); err != nil {
		t.Fatal(err)
	}
	if _, err := from.d.ChangeSettings(t.Context(), from.p, []byte(`{"audience":["api"]}`), origin); err != nil {
		t.Fatal(err)
	}
	more := ""
	for i := range 9 {
		more += fmt.Sprintf(`{"kind":"user","loginIds":["more%d"],"roles":["member"]}`+"\n", i)
	}
	from.imported(more)
	file := from.export()
	steps := 0
	for ; ; steps++ {
		var power *stopping
		w := worldOn(t, func(s store.Store) store.Store {
			power = &stopping{Store: s, left: steps}
			return power
		})
		r := w.check(file)
		_, err := w.Apply(t.Context(), w.target(), strings.NewReader(file), r, func(int) {})
		stopped := errors.Is(err, errStopped)
		if err != nil && !stopped {
			t.Fatal(err)
		}
		power.left = 1 << 30
		if stopped && steps > 0 && steps%3 == 0 { // twice in a row, too
			power.left = steps / 2
			_, _ = w.Apply(t.Context(), w.target(), strings.NewReader(file), r, func(int) {})
			power.left = 1 << 30
		}
		w.imported(file)
		if got := w.export(); got != file {
			t.Fatalf("stopped after %d steps and repeated:\n%s", steps, got)
		}
		created, err := w.store.Events().List(t.Context(), audit.Query{Project: w.p, Types: []audit.Type{audit.UserCreated}, Limit: 999})
		w.must(err)
		if len(created) != 11 {
			t.Fatalf("stopped after %d steps: %d users were made, so say the events", steps, len(created))
		}
		if !stopped {
			break
		}
	}
	if steps < 24 {
		t.Errorf("there were only %d steps", steps)
	}
}

// What a file says that isn't the one that was checked is not applied.
func TestAnotherFileThanChecked(t *testing.T) {
	w := newWorld(t)
	w.full()
	r := w.check(ada)
	before := w.export()
	_, err := w.Apply(t.Context(), w.target(), strings.NewReader(`{"kind":"user","loginIds":["x","ada"]}`), transfer.Report{}, func(int) {})
	if err == nil || w.export() != before {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Apply(ctx, w.target(), strings.NewReader(ada), r, func(int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
