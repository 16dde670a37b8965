package native_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	documents "github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
	"github.com/latchkey-dev/latchkey/internal/token"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

const publicURL = "https://auth.example.com"

// world is the face with everything behind it, on the memory store and a clock that
// stands still, and one project. Every request that is made through it is checked
// against the OpenAPI document and searched for leaks (see check).
type world struct {
	store    *memory.Store
	webhooks *webhook.Service
	watch    *audit.Watch
	draining chan struct{}
	*site
	clock     *storetest.Clock
	tap       *tap
	master    *secret.Ring
	directory *directory.Service
	keys      *key.Service
	tokens    *token.Service
	papers    *documents.Service
	face      *native.Face
	handler   http.Handler
	limiter   *limiter // of authentic requests
	junk      *limiter // of the others
	changes   *limiter // of what clients change in their sessions
	counter   *counter
	routes    map[string]native.Route
	spec      spec

	mu      sync.Mutex
	reports []error
	secrets map[string]bool // parts of them
}

// site is a project with a management key that may do everything, and a user.
type site struct {
	project id.Project
	key     string
	user    id.User
	hooks   hooks
	grants  grants

	machine    directory.AccessKey
	machineKey string
}

// document is read once: it is the same in every world and takes long to make.
var document struct {
	sync.Once
	spec spec
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clock: storetest.NewClock(), limiter: &limiter{}, junk: &limiter{}, changes: &limiter{}, counter: newCounter(), secrets: map[string]bool{}, routes: map[string]native.Route{}}
	store := memory.Open(w.clock.Now)
	w.store = store
	w.tap = &tap{}
	master, err := secret.ParseRing(secret.NewMasterKey())
	must(t, err)
	projects, signing, users := tappedProjects{store.Projects(), w.tap}, tappedKeys{store.Keys(), w.tap}, tappedUsers{store.Users(), w.tap}
	sessions := tappedSessions{store.Sessions(), w.tap}
	w.directory, err = directory.New(directory.Deps{
		Projects: projects, Lives: tappedLives{store.Lives(), w.tap}, Users: users, Batches: tappedBatches{store.Batches(), w.tap},
		Holders: tappedHolders{store.Holders(), w.tap}, Tenants: tappedTenants{store.Tenants(), w.tap},
		Roles: tappedRoles{store.Roles(), w.tap}, Permissions: tappedPermissions{store.Permissions(), w.tap},
		Keys: tappedManagementKeys{store.ManagementKeys(), w.tap}, AccessKeys: tappedAccessKeys{store.AccessKeys(), w.tap}, Now: w.clock.Now, PublicURL: publicURL,
	})
	must(t, err)
	w.keys, err = key.New(key.Deps{Store: signing, Master: master, Terms: w.terms, Now: w.clock.Now})
	must(t, err)
	w.tokens, err = token.New(token.Deps{
		Projects: projects, Keys: signing, Sessions: sessions, Holders: store.Holders(), Tenants: store.Tenants(), Bulk: store.Bulk(), Documents: store.Documents(), Events: store.Events(), AccessKeys: store.AccessKeys(),
		Master: master, PublicURL: publicURL, Now: w.clock.Now,
	})
	must(t, err)
	w.papers, err = documents.New(documents.Deps{Store: tappedDocuments{store.Documents(), w.tap}, Check: w.tokens.CheckDocument, Conceals: w.tokens.Conceals, Now: w.clock.Now})
	must(t, err)
	service, err := session.New(session.Deps{Store: sessions, Bulk: tappedBulk{store.Bulk(), w.tap}, Now: w.clock.Now})
	must(t, err)
	proxies, err := wire.ParseProxies([]string{"10.0.0.0/8"})
	must(t, err)
	hub, err := revocation.NewHub(revocation.HubConfig{Store: store.Revocations(), Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	w.watch, err = audit.NewWatch(store.Events(), slog.New(slog.DiscardHandler))
	must(t, err)
	w.webhooks, err = webhook.New(webhook.Deps{Store: tappedWebhooks{store.Webhooks(), w.tap}, Master: master, Sender: receiver{}, Now: w.clock.Now})
	must(t, err)
	w.draining = make(chan struct{})
	edge := wire.Edge{Report: w.report}
	w.face, err = native.New(native.Deps{
		Tokens: w.tokens, Sessions: service, Directory: w.directory, Keys: w.keys, Documents: w.papers, Events: tappedEvents{store.Events(), w.tap}, EventWatch: w.watch, Webhooks: w.webhooks, Draining: w.draining,
		Limiter: w.limiter, Junk: w.junk, Changes: w.changes, Counter: w.counter, Revocations: hub, FeedMeter: w.counter, Proxies: proxies, Edge: edge, PublicURL: publicURL, Version: "1.2.3", Now: w.clock.Now,
	})
	must(t, err)
	document.Do(func() { document.spec = readSpec(t, w.documents(t).Spec) })
	w.spec = document.spec
	mux := http.NewServeMux()
	for _, r := range w.face.Routes() {
		w.routes[r.ID] = r
		mux.Handle(r.Method+" "+r.Pattern, marked(r.ID, r.Handler(edge)))
	}
	w.handler = wire.Identify(mux)
	w.master = master
	w.site = w.newSite(t, master)
	t.Cleanup(func() { w.checkEvents(t) })
	return w
}

func (w *world) documents(t testing.TB) *native.Documents {
	t.Helper()
	d, err := w.face.Documents()
	must(t, err)
	return d
}

func (w *world) newSite(t testing.TB, master *secret.Ring) *site {
	t.Helper()
	ctx := context.Background()
	p, err := w.directory.CreateProject(ctx, "acme", master, audit.Origin{Actor: audit.CLI})
	must(t, err)
	_, err = w.keys.Tend(ctx, p.ID)
	must(t, err)
	s := &site{project: p.ID}
	s.key = w.newKey(t, p.ID, directory.NewKey{Name: "everything", Kind: secret.Management})
	s.grants = w.newGrants(t, s.project)
	s.user = s.grants.member(t, w, "alice@example.com")
	s.hooks = w.newHooks(t, s.project)
	s.machine, s.machineKey = w.newMachine(t, s)
	return s
}

// another adds a second project, which has nothing to do with the first.
func (w *world) another(t testing.TB) *site {
	t.Helper()
	return w.newSite(t, w.master)
}

func (w *world) newKey(t testing.TB, p id.Project, in directory.NewKey) string {
	t.Helper()
	_, clear, err := w.directory.CreateKey(context.Background(), p, in, directory.ManagementKey{}, audit.Origin{Actor: audit.CLI})
	must(t, err)
	w.secret(clear.Reveal())
	return clear.Reveal()
}

// newMachine makes an access key with all that its site can grant.
func (w *world) newMachine(t testing.TB, s *site) (directory.AccessKey, string) {
	t.Helper()
	k, clear, err := w.directory.CreateAccessKey(context.Background(), s.project, id.User{}, directory.AccessKeyChange{
		Name: new("importer"), GrantChange: directory.GrantChange{
			Roles: &[]string{"auditor"}, Tenants: &[]directory.MembershipChange{{Tenant: s.grants.tenant.String(), Roles: []string{"member"}}},
		},
	}, nil, audit.Origin{Actor: audit.CLI})
	must(t, err)
	w.secret(clear.Reveal())
	return k, clear.Reveal()
}

func (w *world) newUser(t testing.TB, p id.Project, login string) id.User {
	t.Helper()
	u, err := w.directory.CreateUser(context.Background(), p, directory.UserChange{LoginIDs: &[]string{login}}, audit.Origin{Actor: audit.CLI})
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

func (w *world) report(_ *http.Request, _ int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, err)
}

// secret makes every later answer and report be searched for parts of s.
func (w *world) secret(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range secretParts(s) {
		w.secrets[part] = true
	}
}

// limiter refuses while wait is set.
type limiter struct {
	mu   sync.Mutex
	wait time.Duration
	seen netip.Prefix
	n    int
}

// count returns how often it was asked since the last time.
func (l *limiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.n
	l.n = 0
	return n
}

func (l *limiter) Allow(network netip.Prefix, _ time.Time) (bool, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = network
	l.n++
	return l.wait == 0, l.wait
}

func (l *limiter) refuse(wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wait = wait
}

// counter keeps what metrics would show.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) FeedSubscribed(change int) { c.add("subscribers", change) }

func (c *counter) FeedSnapshot() { c.add("snapshots", 1) }

func (c *counter) FeedSent(time.Duration) { c.add("entries", 1) }

func newCounter() *counter { return &counter{n: map[string]int{}} }

func (c *counter) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += n
}

func (c *counter) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

func (c *counter) Refreshed(rule session.Rule)             { c.add("refreshed "+rule.Word(), 1) }
func (c *counter) SessionCreated()                         { c.add("created", 1) }
func (c *counter) SessionsEnded(why session.Reason, n int) { c.add("ended "+string(why), n) }
func (c *counter) RateLimited(limit string)                { c.add("limited "+limit, 1) }

func (c *counter) ClaimsFlagged(policy claim.LintPolicy) { c.add("flagged "+string(policy), 1) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
