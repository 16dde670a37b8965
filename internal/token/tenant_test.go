package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

func (w *world) event(t audit.Type) audit.Event {
	return audit.New(w.project, w.clock.Now(), t, audit.Origin{Actor: audit.CLI})
}

func (w *world) newTenant(t testing.TB, name string, settings ...latchkey.TenantSettings) id.Tenant {
	t.Helper()
	w.clock.Move(time.Millisecond) // so that identifiers sort as they were made
	tenant := directory.Tenant{ID: id.NewTenant(w.clock.Now()), Project: w.project, Name: name, Status: directory.Enabled}
	for _, s := range settings {
		tenant.Settings = s
	}
	must(t, w.store.Tenants().Insert(w.ctx, tenant, w.event(audit.TenantCreated)))
	return tenant.ID
}

func (w *world) changeTenant(t testing.TB, tenant id.Tenant, change func(*directory.Tenant)) {
	t.Helper()
	_, err := w.store.Tenants().Change(w.ctx, w.project, tenant, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
		change(&t)
		return t, nil, nil
	})
	must(t, err)
}

// newRole adds a role with permissions, which the catalogue gets too.
func (w *world) newRole(t testing.TB, tenant id.Tenant, name string, permissions ...string) id.Role {
	t.Helper()
	for _, p := range permissions {
		err := w.store.Permissions().Insert(w.ctx, directory.Permission{Project: w.project, Name: p}, w.event(audit.PermissionCreated))
		if err != nil && fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
	}
	r := directory.Role{ID: id.NewRole(w.clock.Now()), Project: w.project, Tenant: tenant, Name: name, Permissions: permissions}
	must(t, w.store.Roles().Insert(w.ctx, r, w.event(audit.RoleCreated)))
	return r.ID
}

func (w *world) grant(t testing.TB, g directory.Grants) {
	t.Helper()
	_, err := w.store.Users().Change(w.ctx, w.project, w.user, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Grants = g
		return u, nil, nil
	})
	must(t, err)
}

// memberOf makes the world's user a member of tenants, without roles.
func (w *world) memberOf(t testing.TB, tenants ...id.Tenant) {
	t.Helper()
	var g directory.Grants
	for _, tenant := range tenants {
		g.Memberships = append(g.Memberships, directory.Membership{Tenant: tenant})
	}
	w.grant(t, g)
}

// joins makes the world's user a member of one more tenant.
func (w *world) joins(t testing.TB, tenant id.Tenant) {
	t.Helper()
	holder, err := w.store.Holders().Holder(w.ctx, w.project, w.user)
	must(t, err)
	g := holder.User.Grants.Clone()
	g.Memberships = append(g.Memberships, directory.Membership{Tenant: tenant})
	w.grant(t, g)
}

// describe gives the world's user attributes.
func (w *world) describe(t testing.TB, attributes string) {
	t.Helper()
	_, err := w.store.Users().Change(w.ctx, w.project, w.user, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Attributes = json.RawMessage(attributes)
		return u, nil, nil
	})
	must(t, err)
}

// save makes a document the stable version of its kind.
func (w *world) save(t testing.TB, k document.Kind, doc string) {
	t.Helper()
	_, err := w.store.Documents().Change(w.ctx, w.project, k, func(s document.State) (document.Step, error) {
		s = s.Saved(100)
		return document.Step{State: s, Save: &document.Version{N: s.Last, Document: json.RawMessage(doc)}, Event: w.event(audit.SettingsChanged)}, nil
	})
	must(t, err)
}

// told returns the events of a type.
func (w *world) told(t testing.TB, kind audit.Type) []audit.Event {
	t.Helper()
	list, err := w.store.Events().List(w.ctx, audit.Query{Project: w.project, Types: []audit.Type{kind}, Limit: 99})
	must(t, err)
	return list
}

// said is what a token says of who may what.
type said struct {
	Subject     string                 `json:"sub"`
	Directory   string                 `json:"dsub"`
	Tenant      string                 `json:"dct"`
	Tenants     map[string]grantsClaim `json:"tenants"`
	Roles       []string               `json:"roles"`
	Permissions []string               `json:"permissions"`
	AMR         []string               `json:"amr"`
	SteppedUp   bool                   `json:"su"`
	Actor       struct{ Sub string }   `json:"act"`
	Audience    []string               `json:"aud"`
	Expires     int64                  `json:"exp"`
	Epoch       int64                  `json:"epc"`
	Plan        any                    `json:"plan"`
	Badge       any                    `json:"badge"`
	NSec        map[string]any         `json:"nsec"`
}

type grantsClaim struct{ Roles, Permissions []string }

func says(t testing.TB, jwt secret.Text) said {
	t.Helper()
	var s said
	claimsInto(t, jwt, &s)
	return s
}

// switchTo changes the current tenant.
func (w *world) switchTo(refresh secret.Text, tenant id.Tenant) (token.Set, error) {
	set, _, err := w.SwitchTenant(w.ctx, w.present(refresh), tenant)
	return set, err
}

// A token says who may what, byte for byte.
func TestGrantedClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex, gone := w.newTenant(t, "Acme"), w.newTenant(t, "Globex"), w.newTenant(t, "Gone")
	admin, reader := w.newRole(t, id.Tenant{}, "admin", "users.write", "users.read"), w.newRole(t, id.Tenant{}, "reader", "users.read")
	own := w.newRole(t, acme, "Acme: billing", "invoices/pay")
	w.grant(t, directory.Grants{Roles: []id.Role{reader}, Memberships: []directory.Membership{
		{Tenant: globex}, {Tenant: acme, Roles: []id.Role{own, admin}}, {Tenant: gone, Roles: []id.Role{admin}},
	}})
	w.changeTenant(t, gone, func(t *directory.Tenant) { t.Status = directory.Disabled })
	first := w.signIn(t, everything, func(in *token.SignIn) { in.Tenant = acme })
	w.clock.Move(window)
	set := w.refresh(t, w.Service, first.Refresh)
	for _, set := range []token.Set{first, set} {
		got := says(t, set.Session)
		want := map[string]grantsClaim{
			acme.String():   {[]string{"Acme: billing", "admin"}, []string{"invoices/pay", "users.read", "users.write"}},
			globex.String(): {[]string{}, []string{}},
		}
		if !reflect.DeepEqual(got.Tenants, want) || got.Tenant != acme.String() || !slices.Equal(got.Roles, []string{"reader"}) || !slices.Equal(got.Permissions, []string{"users.read"}) {
			t.Errorf("%+v", got)
		}
		c, err := w.sdk(t).Verify(t.Context(), set.Session.Reveal())
		must(t, err)
		if !c.HasRole("admin") || !c.HasPermission("invoices/pay") || !c.HasRole("reader") || c.HasRole("other") || c.CurrentTenant != acme.String() {
			t.Errorf("the SDK reads %+v", c)
		}
	}
	golden(t, "granted-session-token", segment(t, set.Session, 0), claims(t, set.Session))
	golden(t, "granted-refresh-token", segment(t, set.Refresh, 0), claims(t, set.Refresh))
}

// What changes is in the next token; a replay's refresh token stays, byte for byte.
func TestGrantsReachTheNextToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme := w.newTenant(t, "Acme")
	role := w.newRole(t, id.Tenant{}, "admin")
	first := w.signIn(t)
	if got := says(t, first.Session); got.Tenant != "" || len(got.Tenants) != 0 || got.Tenants == nil || len(got.Roles) != 0 {
		t.Errorf("nothing granted: %+v", got)
	}
	w.grant(t, directory.Grants{Roles: []id.Role{role}, Memberships: []directory.Membership{{Tenant: acme}}})
	set := w.refresh(t, w.Service, first.Refresh)
	if got := says(t, set.Session); got.Tenant != acme.String() || !slices.Equal(got.Roles, []string{"admin"}) {
		t.Errorf("granted: %+v", got)
	}
	same(t, "inside the window", set.Refresh, first.Refresh)
	w.memberOf(t)
	if got := says(t, w.refresh(t, w.Service, first.Refresh).Session); got.Tenant != "" || len(got.Roles) != 0 || len(got.Tenants) != 0 {
		t.Errorf("taken away: %+v", got)
	}
}

// autoTenant decides whether the only tenant becomes the current one by itself.
func TestAutoTenant(t *testing.T) {
	t.Parallel()
	for settings, auto := range map[string]bool{`{}`: true, `{"autoTenant":false}`: false} {
		w := newWorld(t, settings)
		acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
		want := ""
		if auto {
			want = acme.String()
		}
		before := w.signIn(t)
		w.memberOf(t, acme)
		if got := says(t, w.signIn(t).Session).Tenant; got != want {
			t.Errorf("%s: a sign-in is in %q", settings, got)
		}
		set := w.refresh(t, w.Service, before.Refresh)
		if got := says(t, set.Session).Tenant; got != want {
			t.Errorf("%s: a refresh is in %q", settings, got)
		}
		w.memberOf(t, acme, globex)
		if got := says(t, w.signIn(t).Session).Tenant; got != "" {
			t.Errorf("%s: one of two: %q", settings, got)
		}
		if got := says(t, w.signIn(t, func(in *token.SignIn) { in.Tenant = globex }).Session).Tenant; got != globex.String() {
			t.Errorf("%s: asked for: %q", settings, got)
		}
	}
}

// A tenant that was chosen for a user, and is theirs no more when the session is stored,
// isn't asked for.
func TestSignInWhileTheTenantGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme := w.newTenant(t, "Acme")
	w.memberOf(t, acme)
	once := true
	w.sessions.before = func() {
		if once {
			once = false
			w.memberOf(t)
		}
	}
	set := w.signIn(t)
	if got := says(t, set.Session); got.Tenant != "" || len(got.Tenants) != 0 {
		t.Errorf("%+v", got)
	}
	w.memberOf(t, acme)
	once = true
	if _, err := w.trySignIn(func(in *token.SignIn) { in.Tenant = acme }); fault.KindOf(err) != fault.NotFound {
		t.Errorf("asked for: %v", err)
	}
	if _, err := w.trySignIn(func(in *token.SignIn) { in.Tenant = id.NewTenant(w.clock.Now()) }); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown: %v", err)
	}
}

// A sign-in that is overtaken by the end of all sessions lives, and so does its first
// token: a verifier that knows of the end accepts it.
func TestSignInOvertaken(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, tenant id.Tenant) error{
		"of the user": func(w *world, _ id.Tenant) error {
			_, err := w.store.Bulk().EndAll(w.ctx, w.project, w.user, id.Session{}, session.Ending{Reason: session.Ended})
			return err
		},
		"of the project": func(w *world, _ id.Tenant) error {
			_, err := w.store.Bulk().EndAll(w.ctx, w.project, id.User{}, id.Session{}, session.Ending{Reason: session.Ended})
			return err
		},
		"of the tenant": func(w *world, tenant id.Tenant) error {
			return w.store.Bulk().EndTenant(w.ctx, w.project, tenant, session.Ending{Reason: session.Ended})
		},
	} {
		w := newWorld(t, `{}`)
		acme := w.newTenant(t, "Acme")
		w.memberOf(t, acme)
		w.sessions.before = func() {
			w.sessions.before = nil
			w.clock.Move(time.Second)
			must(t, end(w, acme))
			w.clock.Move(time.Second)
		}
		set := w.signIn(t)
		list, err := w.store.Revocations().Of(w.ctx, w.project, 0, 99)
		must(t, err)
		last := list[len(list)-1]
		if got := says(t, set.Session); got.Epoch <= last.At.UnixMilli() || got.Tenant != acme.String() {
			t.Errorf("%s: a token of %d, ended at %d", name, got.Epoch, last.At.UnixMilli())
		}
		w.refresh(t, w.Service, set.Refresh)
		// The next one isn't, and is made as ever.
		if got := says(t, w.signIn(t).Session); got.Epoch != w.clock.Now().UnixMilli() {
			t.Errorf("%s: the next token is of %d", name, got.Epoch)
		}
	}
}

func TestSwitchTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
	w.memberOf(t, acme, globex)
	first := w.signIn(t)
	for _, c := range []struct {
		wait   time.Duration
		tenant id.Tenant
		rule   session.Rule
	}{{0, acme, session.Replay}, {window, globex, session.Rotate}, {time.Second, acme, session.Replay}} {
		w.clock.Move(c.wait)
		set, err := w.switchTo(first.Refresh, c.tenant)
		must(t, err)
		if got := says(t, set.Session); got.Tenant != c.tenant.String() || set.Rule != c.rule || set.Row.ID != first.Row.ID {
			t.Errorf("%v: %+v", set.Rule, got)
		}
		if c.rule == session.Rotate {
			first = set
		} else {
			same(t, "inside the window", set.Refresh, first.Refresh)
		}
	}
	other := w.newTenant(t, "Other")
	if _, err := w.switchTo(first.Refresh, other); fault.KindOf(err) != fault.NotFound {
		t.Errorf("somebody else's tenant: %v", err)
	}
	if _, err := w.switchTo(first.Session, acme); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("with a session token: %v", err)
	}
	if got := says(t, w.refresh(t, w.Service, first.Refresh).Session).Tenant; got != acme.String() {
		t.Errorf("a refusal moved the session to %q", got)
	}
}

// Attack 25: no token from before a change of tenant passes for one of after it, and each
// has an id of its own. Attack 26: a thief who changes the tenant is judged as one who
// refreshes.
func TestAttack25NewTokensForANewTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
	w.memberOf(t, acme, globex)
	first := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })
	w.clock.Move(window)
	second, err := w.switchTo(first.Refresh, globex)
	must(t, err)
	if second.Refresh.Equal(first.Refresh) || second.Session.Equal(first.Session) {
		t.Error("the tokens stayed")
	}
	list, err := w.store.Revocations().Of(w.ctx, w.project, 0, 99)
	must(t, err)
	e := list[len(list)-1]
	if e.ID != first.Row.ID.String() || says(t, first.Session).Epoch > e.At.UnixMilli() || says(t, second.Session).Epoch <= e.At.UnixMilli() {
		t.Errorf("the feed says %+v", e)
	}
	w.clock.Move(window)
	third := w.refresh(t, w.Service, second.Refresh)
	w.clock.Move(window)
	if _, err := w.switchTo(first.Refresh, acme); fault.KindOf(err) != fault.TokenReuse {
		t.Errorf("a stolen token: %v", err)
	}
	w.refused(t, third.Refresh, fault.TokenReuse)
}

// Sign-in actions are asked at creation and when the tenant changes; what they gave in one
// tenant isn't taken along to another.
func TestSignInActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex, bank := w.newTenant(t, "Acme"), w.newTenant(t, "Globex"), w.newTenant(t, "Bank")
	w.memberOf(t, acme, globex, bank)
	w.save(t, document.SignIn, `{"actions":[
		{"name":"badge","when":"tenant.name == 'Acme'","claims":{"badge":"{{ tenant.name }}"},"audience":["https://acme.example"]},
		{"name":"factor","when":"tenant.name == 'Globex'","require":"mfa"},
		{"name":"closed","when":"tenant.name == 'Bank' && !session.stepUp","deny":{"code":"closed","message":"Come back tomorrow."}},
		{"name":"short","when":"tenant.name == 'Bank'","lifetime":"1h","idle":"10m"}]}`)
	first := w.signIn(t, everything, func(in *token.SignIn) { in.Tenant, in.AMR = acme, []string{"pwd"} })
	if got := says(t, first.Session); got.Badge != "Acme" || got.Plan != "pro" || !slices.Contains(got.Audience, "https://acme.example") {
		t.Errorf("%+v", got)
	}
	before, _, err := w.store.Sessions().Find(w.ctx, w.project, first.Row.ID)
	must(t, err)
	for tenant, want := range map[id.Tenant]struct {
		kind fault.Kind
		code string
	}{globex: {fault.Insufficient, "mfa"}, bank: {fault.Denied, "closed"}} {
		_, err := w.switchTo(first.Refresh, tenant)
		_, signIn := w.trySignIn(func(in *token.SignIn) { in.Tenant = tenant })
		for _, err := range []error{err, signIn} {
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != want.kind || len(f.Fields) != 1 || f.Fields[0].Code != want.code {
				t.Errorf("%v", err)
			}
		}
	}
	codes := map[any]int{}
	for _, e := range w.told(t, audit.SignInDenied) {
		codes[e.Data["code"]]++
		if e.User != w.user {
			t.Errorf("told %+v", e)
		}
	}
	if !reflect.DeepEqual(codes, map[any]int{"mfa": 1, "closed": 1}) {
		t.Errorf("told %v", codes)
	}
	after, _, err := w.store.Sessions().Find(w.ctx, w.project, first.Row.ID)
	must(t, err)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("a refusal left %+v of %+v", after, before)
	}
	_, err = w.StepUp(w.ctx, w.project, token.StepUp{Session: first.Row.ID, AMR: []string{"totp"}})
	must(t, err)
	set, err := w.switchTo(first.Refresh, globex) // the second factor of the step-up counts
	must(t, err)
	if got := says(t, set.Session); got.Badge != nil || slices.Contains(got.Audience, "https://acme.example") || got.Plan != "pro" {
		t.Errorf("taken along: %+v", got)
	}
	w.clock.Move(9 * time.Minute)
	set, err = w.switchTo(set.Refresh, bank)
	must(t, err)
	if row := set.Row; !row.AbsoluteAt.Equal(row.CreatedAt.Add(time.Hour)) || row.IdleLimit != 10*time.Minute || !row.IdleAt.Equal(row.RotatedAt.Add(10*time.Minute)) {
		t.Errorf("the session isn't shorter: %+v", row.State)
	}
	set, err = w.switchTo(set.Refresh, acme)
	must(t, err)
	if row := set.Row; !row.AbsoluteAt.Equal(row.CreatedAt.Add(time.Hour)) || row.IdleLimit != 10*time.Minute || says(t, set.Session).Badge != "Acme" {
		t.Errorf("leaving makes it longer again: %+v", row.State)
	}
}

// A template's claims are computed for session tokens; the session's own go first.
func TestTemplateShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
	w.memberOf(t, acme, globex)
	doc := `{"claims":{"plan":"template","badge":"{{ tenant.name }}"},"audience":["{{ tenant.id }}"],"subject":"{{ user.loginIds[0] }}","authorization":%q}`
	for shape, want := range map[string]int{"tenants": 2, "currentTenant": 1, "none": 0} {
		w.save(t, document.User, fmt.Sprintf(doc, shape))
		first := w.signIn(t, func(in *token.SignIn) { in.Tenant, in.Claims = acme, json.RawMessage(`{"plan":"own"}`) })
		w.clock.Move(window)
		for _, set := range []token.Set{first, w.refresh(t, w.Service, first.Refresh)} {
			got := says(t, set.Session)
			if got.Plan != "own" || got.Badge != "Acme" || got.Subject != "alice@example.com" || got.Directory != w.user.String() ||
				!slices.Contains(got.Audience, acme.String()) || got.Tenant != acme.String() || len(got.Tenants) != want {
				t.Errorf("%s: %+v", shape, got)
			}
			var plain said
			claimsInto(t, set.Refresh, &plain)
			if plain.Subject != w.user.String() || plain.Badge != nil || slices.Contains(plain.Audience, acme.String()) {
				t.Errorf("%s: the refresh token says %+v", shape, plain)
			}
			must(t, identified(w, set.Session))
		}
	}
	// Too much for a token: nobody is kept from theirs.
	w.save(t, document.User, `{"claims":{"plan":"template"},"subject":"fixed"}`)
	set := w.signIn(t)
	big := map[string]string{}
	for i := range 60 {
		big[fmt.Sprint("k", i)] = string(slices.Repeat([]byte("x"), 450))
	}
	claims, err := json.Marshal(map[string]any{"claims": big})
	must(t, err)
	w.save(t, document.User, string(claims[:len(claims)-1])+`,"subject":"fixed"}`)
	if got := says(t, w.refresh(t, w.Service, set.Refresh).Session); got.Subject != "fixed" {
		t.Errorf("%+v", got)
	}
	if len(w.told(t, audit.TemplateFailed)) == 0 {
		t.Error("nobody was told")
	}
}

func identified(w *world, jwt secret.Text) error {
	_, err := w.Identify(context.Background(), w.present(jwt))
	return err
}

// The strictest of the project and all tenants of the user, wherever the session is; and
// it bites sessions that live already.
func TestTenantPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"stepUpTTL":"1h"}`)
	d := func(d time.Duration) *latchkey.Duration { l := latchkey.Duration(d); return &l }
	one := 1
	acme, bank := w.newTenant(t, "Acme"), w.newTenant(t, "Bank")
	w.memberOf(t, acme)
	early := w.signIn(t)
	w.changeTenant(t, bank, func(t *directory.Tenant) {
		t.Settings = latchkey.TenantSettings{SessionTokenTTL: d(2 * time.Minute), AbsoluteTimeout: d(8 * time.Hour), IdleTimeout: d(30 * time.Minute), StepUpTTL: d(5 * time.Minute), MaxSessions: &one}
	})
	if set := w.refresh(t, w.Service, early.Refresh); lives(set) != 10*time.Minute {
		t.Errorf("not a member: %v", lives(set))
	}
	w.memberOf(t, acme, bank)
	w.clock.Move(29 * time.Minute)
	set := w.refresh(t, w.Service, early.Refresh)
	if lives(set) != 2*time.Minute || !set.Row.IdleAt.Equal(set.At.Add(30*time.Minute)) {
		t.Errorf("a member: %v, %v", lives(set), set.Row.IdleAt)
	}
	if _, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}, Lifetime: 6 * time.Minute}); fault.KindOf(err) != fault.OutOfRange {
		t.Errorf("a long step-up: %v", err)
	}
	found, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}})
	must(t, err)
	if !found.StepUpUntil.Equal(w.clock.Now().Add(5 * time.Minute)) {
		t.Errorf("stepped up until %v", found.StepUpUntil)
	}
	next := w.signIn(t, func(in *token.SignIn) { in.Tenant, in.Lifetime = acme, 20*time.Hour })
	if !next.Row.AbsoluteAt.Equal(next.Row.CreatedAt.Add(8*time.Hour)) || lives(next) != 2*time.Minute {
		t.Errorf("a sign-in: %v, %v", next.Row.AbsoluteAt, next.SessionExpiresAt)
	}
	w.refused(t, set.Refresh, fault.SessionRevoked) // one session, says the bank
	w.clock.Move(30 * time.Minute)
	w.refused(t, next.Refresh, fault.SessionExpired)
}

// lives is how long a session token lives, in whole seconds as its claims have it.
func lives(set token.Set) time.Duration {
	return set.SessionExpiresAt.Sub(set.At.Truncate(time.Second))
}
