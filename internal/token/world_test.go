package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
	"github.com/latchkey-dev/latchkey/internal/token"
)

const publicURL = "https://auth.example.com"

const window = 20 * time.Second // reuseWindow's default

// world is the service on the memory store and a clock that stands still, with one
// project and one user.
type world struct {
	*token.Service
	ctx       context.Context
	clock     *storetest.Clock
	store     *memory.Store
	master    *secret.Ring
	directory *directory.Service
	keys      *key.Service
	sessions  *tap
	project   id.Project
	user      id.User
}

// newWorld makes a project with settings that differ from the defaults as patch says.
func newWorld(t testing.TB, patch string) *world {
	t.Helper()
	clock := storetest.NewClock()
	w := &world{ctx: context.Background(), clock: clock, store: memory.Open(clock.Now)}
	var err error
	w.master, err = secret.ParseRing(secret.NewMasterKey())
	must(t, err)
	w.directory, err = directory.New(directory.Deps{
		Projects: w.store.Projects(), Lives: w.store.Lives(), Users: w.store.Users(), Batches: w.store.Batches(), Holders: w.store.Holders(), Tenants: w.store.Tenants(), Roles: w.store.Roles(),
		Permissions: w.store.Permissions(), Keys: w.store.ManagementKeys(), AccessKeys: w.store.AccessKeys(), Now: clock.Now,
	})
	must(t, err)
	w.keys, err = key.New(key.Deps{Store: w.store.Keys(), Master: w.master, Terms: w.terms, Now: clock.Now})
	must(t, err)
	w.sessions = &tap{Store: w.store.Sessions()}
	w.Service = w.restart(t)
	w.project = w.newProject(t, patch)
	w.user = w.newUser(t, w.project)
	return w
}

// restart returns a service that has nothing in memory, as after a restart.
func (w *world) restart(t testing.TB) *token.Service {
	t.Helper()
	s, err := token.New(token.Deps{
		Projects: w.store.Projects(), Keys: w.store.Keys(), Sessions: w.sessions, Holders: w.store.Holders(), Tenants: w.store.Tenants(),
		Bulk: w.store.Bulk(), Documents: w.store.Documents(), Events: w.store.Events(), AccessKeys: w.store.AccessKeys(),
		Master: w.master, PublicURL: publicURL, Now: w.clock.Now,
	})
	must(t, err)
	return s
}

func (w *world) newProject(t testing.TB, patch string) id.Project {
	t.Helper()
	p, err := w.directory.CreateProject(w.ctx, "acme", w.master, audit.Origin{Actor: audit.CLI})
	must(t, err)
	_, err = w.directory.ChangeSettings(w.ctx, p.ID, []byte(patch), audit.Origin{Actor: audit.CLI})
	must(t, err)
	_, err = w.keys.Tend(w.ctx, p.ID)
	must(t, err)
	return p.ID
}

func (w *world) newUser(t testing.TB, p id.Project) id.User {
	t.Helper()
	u, err := w.directory.CreateUser(w.ctx, p, directory.UserChange{LoginIDs: &[]string{"alice@example.com"}}, audit.Origin{Actor: audit.CLI})
	must(t, err)
	return u.ID
}

func (w *world) terms(ctx context.Context, p id.Project) (key.Terms, error) {
	project, err := w.directory.Project(ctx, p)
	s := project.Settings
	return key.Terms{
		Version: project.Version, Algorithm: key.Algorithm(s.SigningAlgorithm), Rotation: s.KeyRotation.Std(), Longest: policy.Of(s).AbsoluteTimeout,
	}, err
}

func (w *world) settings(t testing.TB, patch string) {
	t.Helper()
	_, err := w.directory.ChangeSettings(w.ctx, w.project, []byte(patch), audit.Origin{Actor: audit.CLI})
	must(t, err)
}

// signIn makes a session of the world's user, changed as change says.
func (w *world) signIn(t testing.TB, change ...func(*token.SignIn)) token.Set {
	t.Helper()
	set, err := w.trySignIn(change...)
	must(t, err)
	return set
}

func (w *world) trySignIn(change ...func(*token.SignIn)) (token.Set, error) {
	in := token.SignIn{Project: w.project, User: w.user, AMR: []string{"pwd"}, Origin: audit.Origin{Actor: audit.System}}
	for _, c := range change {
		c(&in)
	}
	return w.SignIn(w.ctx, in)
}

func (w *world) present(t secret.Text) token.Presentation {
	return token.Presentation{Project: w.project, Token: t, Origin: audit.Origin{Actor: audit.System}}
}

// refresh trades a refresh token that is expected to be good.
func (w *world) refresh(t testing.TB, s *token.Service, refresh secret.Text) token.Set {
	t.Helper()
	set, _, err := s.Refresh(w.ctx, w.present(refresh), false)
	must(t, err)
	return set
}

// refused trades one that isn't.
func (w *world) refused(t testing.TB, refresh secret.Text, want fault.Kind) {
	t.Helper()
	set, _, err := w.Refresh(w.ctx, w.present(refresh), false)
	if fault.KindOf(err) != want || err == nil || !set.Session.IsZero() || !set.Refresh.IsZero() {
		t.Fatalf("got %v, want it refused as %v", err, want)
	}
}

// tap counts what reaches the store of sessions, and runs before each rotation what a
// test wants to happen at that moment.
type tap struct {
	session.Store
	calls  atomic.Int64
	before func()
}

func (s *tap) Find(ctx context.Context, p id.Project, sid id.Session) (session.Row, session.Subject, error) {
	s.calls.Add(1)
	return s.Store.Find(ctx, p, sid)
}

func (s *tap) Rotate(ctx context.Context, f session.Refresh) (session.Row, session.Verdict, error) {
	s.calls.Add(1)
	if s.before != nil {
		s.before()
	}
	return s.Store.Rotate(ctx, f)
}

func (s *tap) Insert(ctx context.Context, row session.Row, version int64, a session.Admission, events ...audit.Event) (session.Row, error) {
	s.calls.Add(1)
	if s.before != nil {
		s.before()
	}
	return s.Store.Insert(ctx, row, version, a, events...)
}

func (s *tap) Confirm(ctx context.Context, p id.Project, sid id.Session, t id.Refresh, window time.Duration) (bool, error) {
	s.calls.Add(1)
	return s.Store.Confirm(ctx, p, sid, t, window)
}

// claims returns the claims of a JWT as they are written.
func claims(t testing.TB, jwt secret.Text) json.RawMessage { return segment(t, jwt, 1) }

func segment(t testing.TB, jwt secret.Text, i int) json.RawMessage {
	t.Helper()
	parts := strings.Split(jwt.Reveal(), ".")
	if len(parts) != 3 {
		t.Fatal("not a compact JWS")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[i])
	must(t, err)
	return b
}

func claimsInto(t testing.TB, jwt secret.Text, into any) {
	t.Helper()
	must(t, json.Unmarshal(claims(t, jwt), into))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
