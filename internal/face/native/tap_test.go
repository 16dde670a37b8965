package native_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// tap sees every call of the store, and can let it fail.
type tap struct {
	mu    sync.Mutex
	calls []string
	err   error
	only  string
}

func (t *tap) call(verb string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, verb)
	if t.only != "" && t.only != verb {
		return nil
	}
	return t.err
}

// fail lets every call fail with err, none with nil.
func (t *tap) fail(err error) { t.failOn("", err) }

// failOn lets the calls of a verb fail.
func (t *tap) failOn(verb string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.only, t.err = verb, err
}

// drain returns the verbs that were called since the last time.
func (t *tap) drain() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls
	t.calls = nil
	return calls
}

// writes returns the calls that change something.
func writes(calls []string) []string {
	return slices.DeleteFunc(calls, func(verb string) bool {
		_, name, _ := strings.Cut(verb, ".")
		return slices.Contains([]string{"Version", "Find", "FindByLogin", "FindByDigest", "List", "Walk", "Count", "Search", "Holder", "Resolve"}, name)
	})
}

type tappedProjects struct {
	directory.ProjectStore
	*tap
}

func (s tappedProjects) Find(ctx context.Context, p id.Project) (directory.Project, error) {
	if err := s.call("projects.Find"); err != nil {
		return directory.Project{}, err
	}
	return s.ProjectStore.Find(ctx, p)
}

func (s tappedProjects) Version(ctx context.Context, p id.Project) (int64, error) {
	if err := s.call("projects.Version"); err != nil {
		return 0, err
	}
	return s.ProjectStore.Version(ctx, p)
}

func (s tappedProjects) ChangeSettings(ctx context.Context, p id.Project, version int64, settings latchkey.Settings, e audit.Event) error {
	if err := s.call("projects.ChangeSettings"); err != nil {
		return err
	}
	return s.ProjectStore.ChangeSettings(ctx, p, version, settings, e)
}

type tappedLives struct {
	directory.LifeStore
	*tap
}

func (s tappedLives) Change(ctx context.Context, p id.Project, change func(directory.Project) (directory.Project, []audit.Event, error)) (directory.Project, error) {
	if err := s.call("lives.Change"); err != nil {
		return directory.Project{}, err
	}
	return s.LifeStore.Change(ctx, p, change)
}

type tappedKeys struct {
	key.Store
	*tap
}

func (s tappedKeys) List(ctx context.Context, p id.Project) ([]key.Key, error) {
	if err := s.call("keys.List"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, p)
}

func (s tappedKeys) Apply(ctx context.Context, p id.Project, version int64, c key.Change) error {
	if err := s.call("keys.Apply"); err != nil {
		return err
	}
	return s.Store.Apply(ctx, p, version, c)
}

type tappedUsers struct {
	directory.UserStore
	*tap
}

func (s tappedUsers) Insert(ctx context.Context, u directory.User, e audit.Event) error {
	if err := s.call("users.Insert"); err != nil {
		return err
	}
	return s.UserStore.Insert(ctx, u, e)
}

func (s tappedUsers) Find(ctx context.Context, p id.Project, u id.User) (directory.User, error) {
	if err := s.call("users.Find"); err != nil {
		return directory.User{}, err
	}
	return s.UserStore.Find(ctx, p, u)
}

func (s tappedUsers) FindByLogin(ctx context.Context, p id.Project, login string) (directory.User, error) {
	if err := s.call("users.FindByLogin"); err != nil {
		return directory.User{}, err
	}
	return s.UserStore.FindByLogin(ctx, p, login)
}

func (s tappedUsers) List(ctx context.Context, p id.Project, after id.User, limit int) ([]directory.User, error) {
	if err := s.call("users.List"); err != nil {
		return nil, err
	}
	return s.UserStore.List(ctx, p, after, limit)
}

func (s tappedUsers) Change(ctx context.Context, p id.Project, u id.User, change func(directory.User) (directory.User, []audit.Event, error)) (directory.User, error) {
	if err := s.call("users.Change"); err != nil {
		return directory.User{}, err
	}
	return s.UserStore.Change(ctx, p, u, change)
}

func (s tappedUsers) Delete(ctx context.Context, p id.Project, u id.User, e audit.Event) error {
	if err := s.call("users.Delete"); err != nil {
		return err
	}
	return s.UserStore.Delete(ctx, p, u, e)
}

type tappedManagementKeys struct {
	directory.ManagementKeyStore
	*tap
}

func (s tappedManagementKeys) Insert(ctx context.Context, k directory.ManagementKey, e audit.Event) error {
	if err := s.call("managementKeys.Insert"); err != nil {
		return err
	}
	return s.ManagementKeyStore.Insert(ctx, k, e)
}

func (s tappedManagementKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.ManagementKey, error) {
	if err := s.call("managementKeys.FindByDigest"); err != nil {
		return directory.ManagementKey{}, err
	}
	return s.ManagementKeyStore.FindByDigest(ctx, d)
}

func (s tappedManagementKeys) List(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]directory.ManagementKey, error) {
	if err := s.call("managementKeys.List"); err != nil {
		return nil, err
	}
	return s.ManagementKeyStore.List(ctx, p, after, limit)
}

func (s tappedManagementKeys) Rotate(ctx context.Context, p id.Project, k id.ManagementKey, d secret.Digest, e audit.Event) (directory.ManagementKey, error) {
	if err := s.call("managementKeys.Rotate"); err != nil {
		return directory.ManagementKey{}, err
	}
	return s.ManagementKeyStore.Rotate(ctx, p, k, d, e)
}

func (s tappedManagementKeys) Delete(ctx context.Context, p id.Project, k id.ManagementKey, e audit.Event) error {
	if err := s.call("managementKeys.Delete"); err != nil {
		return err
	}
	return s.ManagementKeyStore.Delete(ctx, p, k, e)
}

type tappedSessions struct {
	session.Store
	*tap
}

func (s tappedSessions) Insert(ctx context.Context, row session.Row, version int64, a session.Admission, events ...audit.Event) (session.Row, error) {
	if err := s.call("sessions.Insert"); err != nil {
		return session.Row{}, err
	}
	return s.Store.Insert(ctx, row, version, a, events...)
}

func (s tappedSessions) Find(ctx context.Context, p id.Project, sid id.Session) (session.Row, session.Subject, error) {
	if err := s.call("sessions.Find"); err != nil {
		return session.Row{}, session.Subject{}, err
	}
	return s.Store.Find(ctx, p, sid)
}

func (s tappedSessions) Rotate(ctx context.Context, f session.Refresh) (session.Row, session.Verdict, error) {
	if err := s.call("sessions.Rotate"); err != nil {
		return session.Row{}, session.Verdict{}, err
	}
	return s.Store.Rotate(ctx, f)
}

func (s tappedSessions) Confirm(ctx context.Context, p id.Project, sid id.Session, token id.Refresh, window time.Duration) (bool, error) {
	if err := s.call("sessions.Confirm"); err != nil {
		return false, err
	}
	return s.Store.Confirm(ctx, p, sid, token, window)
}

func (s tappedSessions) StepUp(ctx context.Context, p id.Project, sid id.Session, by session.StepUp) (session.Row, error) {
	if err := s.call("sessions.StepUp"); err != nil {
		return session.Row{}, err
	}
	return s.Store.StepUp(ctx, p, sid, by)
}

func (s tappedSessions) SetClaims(ctx context.Context, p id.Project, sid id.Session, epoch int64, claims, nsec json.RawMessage, events ...audit.Event) (session.Row, error) {
	if err := s.call("sessions.SetClaims"); err != nil {
		return session.Row{}, err
	}
	return s.Store.SetClaims(ctx, p, sid, epoch, claims, nsec, events...)
}

func (s tappedSessions) End(ctx context.Context, p id.Project, sid id.Session, e session.Ending) (bool, error) {
	if err := s.call("sessions.End"); err != nil {
		return false, err
	}
	return s.Store.End(ctx, p, sid, e)
}

type tappedBulk struct {
	session.BulkStore
	*tap
}

func (s tappedBulk) List(ctx context.Context, f session.Filter) ([]session.Row, []session.Subject, id.Session, error) {
	if err := s.call("bulk.List"); err != nil {
		return nil, nil, id.Session{}, err
	}
	return s.BulkStore.List(ctx, f)
}

func (s tappedBulk) Count(ctx context.Context, f session.Filter) (int, error) {
	if err := s.call("bulk.Count"); err != nil {
		return 0, err
	}
	return s.BulkStore.Count(ctx, f)
}

func (s tappedBulk) EndAll(ctx context.Context, p id.Project, u id.User, keep id.Session, e session.Ending) (int, error) {
	if err := s.call("bulk.EndAll"); err != nil {
		return 0, err
	}
	return s.BulkStore.EndAll(ctx, p, u, keep, e)
}

func (s tappedBulk) EndTenant(ctx context.Context, p id.Project, t id.Tenant, e session.Ending) error {
	if err := s.call("bulk.EndTenant"); err != nil {
		return err
	}
	return s.BulkStore.EndTenant(ctx, p, t, e)
}

func (s tappedBulk) EndMatching(ctx context.Context, f session.Filter, e session.Ending) (int, id.Session, error) {
	if err := s.call("bulk.EndMatching"); err != nil {
		return 0, id.Session{}, err
	}
	return s.BulkStore.EndMatching(ctx, f, e)
}

type tappedEvents struct {
	audit.Store
	*tap
}

func (s tappedEvents) Walk(ctx context.Context, q audit.Query) ([]audit.Event, id.Event, error) {
	if err := s.call("events.Walk"); err != nil {
		return nil, id.Event{}, err
	}
	return s.Store.Walk(ctx, q)
}
