package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
	"github.com/latchkey-dev/latchkey/internal/token"
	"github.com/latchkey-dev/latchkey/internal/transfer"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	origin = audit.Origin{Actor: audit.CLI}
)

// world is a store with one project.
type world struct {
	*transfer.Service
	t      testing.TB
	now    time.Time
	store  store.Store
	d      *directory.Service
	hooks  *webhook.Service
	tokens *token.Service
	p      id.Project

	enabled bool // whether the webhook of full is
}

func newWorld(t testing.TB) *world { return worldOn(t, nil) }

// worldOn puts something of the test's between the service and the memory store.
func worldOn(t testing.TB, between func(store.Store) store.Store) *world {
	t.Helper()
	w := &world{t: t, now: start, p: numbered[id.Project](1)}
	w.store = memory.Open(func() time.Time { w.now = w.now.Add(time.Millisecond); return w.now })
	w.must(w.store.Projects().Insert(t.Context(), directory.Project{ID: w.p, Name: "Shop", Settings: policy.Defaults(), CreatedAt: start},
		audit.New(w.p, start, audit.ProjectCreated, origin)))
	if between != nil {
		w.store = between(w.store)
	}
	var err error
	w.d, err = directory.New(directory.Deps{
		Projects: w.store.Projects(), Lives: w.store.Lives(), Users: w.store.Users(), Batches: w.store.Batches(), Holders: w.store.Holders(),
		Tenants: w.store.Tenants(), Roles: w.store.Roles(), Permissions: w.store.Permissions(), Keys: w.store.ManagementKeys(), AccessKeys: w.store.AccessKeys(),
		Now: func() time.Time { return w.now },
	})
	w.must(err)
	master, err := secret.ParseRing(secret.New(strings.Repeat("1b", 32)))
	w.must(err)
	w.hooks, err = webhook.New(webhook.Deps{Store: w.store.Webhooks(), Master: master, Now: func() time.Time { return w.now }})
	w.must(err)
	w.tokens, err = token.New(token.Deps{
		Projects: w.store.Projects(), Keys: w.store.Keys(), Sessions: w.store.Sessions(), Holders: w.store.Holders(), Tenants: w.store.Tenants(),
		Bulk: w.store.Bulk(), Documents: w.store.Documents(), Events: w.store.Events(), AccessKeys: w.store.AccessKeys(),
		Master: master, PublicURL: "https://auth.example.com", Now: func() time.Time { return w.now },
	})
	w.must(err)
	w.Service, err = transfer.New(transfer.Deps{Store: w.store, Directory: w.d, Webhooks: w.hooks, Tokens: w.tokens, Now: func() time.Time { return w.now }, Pause: func(context.Context, time.Duration) {}})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// numbered returns the identifier with a number.
func numbered[T ~[16]byte](n byte) T {
	v := T{}
	v[0], v[15] = 1, n
	return v
}

// full fills the project with one of everything, and with what is odd.
func (w *world) full() {
	w.t.Helper()
	ctx := w.t.Context()
	e := func(t audit.Type) audit.Event { return audit.New(w.p, w.now, t, origin) }
	for _, name := range []string{"orders:read", "orders:write"} {
		w.must(w.store.Permissions().Insert(ctx, directory.Permission{Project: w.p, Name: name, Description: "Ω <" + name + ">", CreatedAt: start}, e(audit.PermissionCreated)))
	}
	ttl, most := latchkey.Duration(5*time.Minute), 3
	acme, bare := numbered[id.Tenant](10), numbered[id.Tenant](11)
	w.must(w.store.Tenants().Insert(ctx, directory.Tenant{
		ID: acme, Project: w.p, Name: "Acme", Status: directory.Enabled, Attributes: json.RawMessage(`{"a":{"b":[1,"<"]},"plan":"pro"}`),
		Settings: latchkey.TenantSettings{SessionTokenTTL: &ttl, MaxSessions: &most}, CreatedAt: start, UpdatedAt: start,
	}, e(audit.TenantCreated)))
	w.must(w.store.Tenants().Insert(ctx, directory.Tenant{ID: bare, Project: w.p, Name: "Bare", Status: directory.Disabled, CreatedAt: start}, e(audit.TenantCreated)))
	admin, member, own := numbered[id.Role](20), numbered[id.Role](21), numbered[id.Role](22)
	for _, r := range []directory.Role{
		{ID: admin, Name: "admin", Description: "may everything", Permissions: []string{"orders:read", "orders:write"}},
		{ID: member, Name: "member"}, {ID: own, Name: "member", Tenant: acme, Permissions: []string{"orders:read"}},
	} {
		r.Project, r.CreatedAt = w.p, start
		w.must(w.store.Roles().Insert(ctx, r, e(audit.RoleCreated)))
	}
	for _, u := range []directory.User{
		{ID: numbered[id.User](30), LoginIDs: []string{"ada@example.com", "ada"}, Name: "Ada & Söhne", Email: "ada@example.com", Phone: "+4915112345678",
			Status: directory.Enabled, Attributes: json.RawMessage(`{"n":12345678901234567890}`), Grants: directory.Grants{
				Roles:       []id.Role{admin},
				Memberships: []directory.Membership{{Tenant: acme, Roles: []id.Role{member, own}}, {Tenant: bare}},
			}},
		{ID: numbered[id.User](31), LoginIDs: []string{"bob"}, Status: directory.Disabled},
	} {
		u.Project, u.CreatedAt = w.p, start
		w.must(w.store.Users().Insert(ctx, u, e(audit.UserCreated)))
	}
	w.machines()
}

// machines fills the project with access keys, templates and a webhook.
func (w *world) machines() {
	w.t.Helper()
	ctx := w.t.Context()
	acme, admin, own := numbered[id.Tenant](10), numbered[id.Role](20), numbered[id.Role](22)
	for _, k := range []directory.AccessKey{
		{ID: numbered[id.AccessKey](40), Name: "nightly <import>", Description: "of the shop", Status: directory.Enabled, User: numbered[id.User](30),
			Claims: json.RawMessage(`{"team":"data"}`), Attributes: json.RawMessage(`{"cost":7}`), Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			Grants: directory.Grants{Roles: []id.Role{admin}, Memberships: []directory.Membership{{Tenant: acme, Roles: []id.Role{own}}}}, Digest: digest(40)},
		{ID: numbered[id.AccessKey](41), Name: "expired", Status: directory.Disabled, ExpiresAt: start.Add(-time.Hour), Digest: digest(41)},
	} {
		k.Project, k.CreatedAt = w.p, start
		w.must(w.store.AccessKeys().Insert(ctx, k, audit.New(w.p, w.now, audit.AccessKeyCreated, origin)))
	}
	for i, k := range []document.Kind{document.User, document.User, document.User, document.SignIn} {
		percent := []int{100, 100, 20, 30}[i]
		doc := fmt.Sprintf(`{"claims": {"v": %d}}`, i)
		if k == document.SignIn {
			doc = `{"actions":[{"name":"deny","when":"user.name == '<x>'","deny":{"code":"no"}}]}`
		}
		_, err := w.store.Documents().Change(ctx, w.p, k, func(before document.State) (document.Step, error) {
			v := document.Version{N: before.Last + 1, Document: json.RawMessage(doc), Comment: fmt.Sprint("the ", i), CreatedAt: start}
			return document.Step{State: before.Saved(percent), Save: &v, Event: audit.New(w.p, w.now, audit.TemplateSaved, origin)}, nil
		})
		w.must(err)
	}
	_, err := w.store.Webhooks().Insert(ctx, webhook.Hook{
		ID: numbered[id.Webhook](50), Project: w.p, URL: "https://hooks.example.com/a?b=<c>", Description: "the desk", Types: []string{"user.*"},
		Enabled: w.enabled, Sealed: []byte("sealed"), CreatedAt: start, UpdatedAt: start,
	}, webhook.MaxPerProject, audit.New(w.p, w.now, audit.WebhookCreated, origin))
	w.must(err)
}

// digest is that of the secret with a number.
func digest(n byte) secret.Digest { return secret.New(fmt.Sprint("secret ", n)).Digest() }

func (w *world) export() string {
	w.t.Helper()
	var out bytes.Buffer
	_, err := w.Export(w.t.Context(), w.p, &out, func(transfer.Counts) {})
	w.must(err)
	return out.String()
}

func (w *world) target() transfer.Target { return transfer.Target{Project: w.p, Origin: origin} }

func (w *world) check(text string) transfer.Report {
	w.t.Helper()
	r, err := w.Check(w.t.Context(), w.target(), strings.NewReader(text), func(int) {})
	w.must(err)
	return r
}

// imported checks and applies.
func (w *world) imported(text string) transfer.Report {
	w.t.Helper()
	r := w.check(text)
	if r.Found > 0 {
		w.t.Fatalf("refused: %s", problems(r))
	}
	done, err := w.Apply(w.t.Context(), w.target(), strings.NewReader(text), r, func(int) {})
	w.must(err)
	if fmt.Sprint(done.Outcome) != fmt.Sprint(r.Outcome) {
		w.t.Errorf("the check foretold %v, and it became %v", r.Outcome, done.Outcome)
	}
	return done
}

// problems is what is wrong, a line each.
func problems(r transfer.Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "%d %s %s\n", p.Line, p.Pointer, p.Code)
	}
	return b.String()
}

func (w *world) events() int {
	w.t.Helper()
	list, err := w.store.Events().List(w.t.Context(), audit.Query{Project: w.p, Limit: 100_000})
	w.must(err)
	return len(list)
}

func (w *world) entries() int {
	w.t.Helper()
	list, err := w.store.Revocations().Of(w.t.Context(), w.p, 0, 100_000)
	w.must(err)
	return len(list)
}
