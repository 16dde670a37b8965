package directory_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// customer adds a tenant with what it overrides.
func (w *world) customer(s directory.Status, overrides latchkey.TenantSettings) id.Tenant {
	w.t.Helper()
	now := w.clock.now()
	t := directory.Tenant{ID: id.NewTenant(now), Project: w.project, Name: "Bank", Status: s, Settings: overrides, CreatedAt: now, UpdatedAt: now}
	if err := w.store.Tenants().Insert(w.t.Context(), t, w.event(audit.TenantCreated)); err != nil {
		w.t.Fatal(err)
	}
	w.said()
	return t.ID
}

func (w *world) override(t id.Tenant, patch string) (latchkey.TenantSettingsAnswer, error) {
	w.t.Helper()
	return w.ChangeTenantSettings(w.t.Context(), w.project, t, []byte(patch), operator)
}

func shown(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTenantSettings(t *testing.T) {
	w := newWorld(t)
	bank := w.customer(directory.Enabled, latchkey.TenantSettings{})
	before, err := w.Project(t.Context(), w.project)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.override(bank, `{ "idleTimeout": "1h", "stepUpTTL": "1h" }`)
	if err != nil || shown(t, got.Settings) != `{"idleTimeout":"1h","stepUpTTL":"1h"}` || len(got.Warnings) != 1 || got.Warnings[0].Pointer != "/stepUpTTL" {
		t.Fatalf("%s, %v", shown(t, got), err)
	}
	if want := `{"sessionTokenTTL":"10m","absoluteTimeout":"28d","idleTimeout":"1h","stepUpTTL":"10m","maxSessionsPerUser":0,"onLimit":"endOldest"}`; shown(t, got.Effective) != want {
		t.Errorf("effective %s, want %s", shown(t, got.Effective), want)
	}
	e := w.expect(audit.TenantSettings)[0]
	if e.Data["tenant"] != bank.String() || e.Data["patch"] != `{"idleTimeout":"1h","stepUpTTL":"1h"}` {
		t.Errorf("the event says %v", e.Data)
	}
	after, err := w.Project(t.Context(), w.project)
	if err != nil || after.Version <= before.Version {
		t.Errorf("the project's version is %d after %d, %v", after.Version, before.Version, err)
	}
	if again, err := w.TenantSettings(t.Context(), w.project, bank); err != nil || shown(t, again) != shown(t, got) {
		t.Errorf("read again: %s, %v", shown(t, again), err)
	}

	// What changes nothing isn't told, and members can be taken away.
	if _, err := w.override(bank, `{"idleTimeout":"60m"}`); err != nil {
		t.Fatal(err)
	}
	w.expect()
	if got, err = w.override(bank, `{"idleTimeout":null,"stepUpTTL":null}`); err != nil || shown(t, got.Settings) != `{}` || len(got.Warnings) != 0 {
		t.Errorf("%s, %v", shown(t, got), err)
	}
	w.expect(audit.TenantSettings)
}

func TestTenantSettingsRefused(t *testing.T) {
	w := newWorld(t)
	bank := w.customer(directory.Enabled, latchkey.TenantSettings{})
	for patch, c := range map[string]struct {
		kind fault.Kind
		at   string
	}{
		`{"idleTimeout":"1m","stepUpTTL":"1s"}`:               {fault.OutOfRange, "/idleTimeout /stepUpTTL"},
		`{"idleTimeout":"2h","absoluteTimeout":"1h"}`:         {fault.Contradiction, "/idleTimeout /absoluteTimeout"},
		`{"reuseWindow":"1s","onlimit":"deny","onLimit":"x"}`: {fault.Invalid, "/reuseWindow /onlimit /onLimit"},
		`[`: {fault.Invalid, ""},
	} {
		for what, call := range map[string]func() error{
			"change": func() error { _, err := w.override(bank, patch); return err },
			"dry-run": func() error {
				_, err := w.ProposeTenantSettings(t.Context(), w.project, bank, []byte(patch))
				return err
			},
		} {
			err := call()
			refused(t, err, c.kind)
			if at(err) != c.at {
				t.Errorf("%s %s: problems at %q, want %q", what, patch, at(err), c.at)
			}
		}
	}
	for what, call := range map[string]func(p id.Project, bank id.Tenant) error{
		"read": func(p id.Project, bank id.Tenant) error { _, err := w.TenantSettings(t.Context(), p, bank); return err },
		"change": func(p id.Project, bank id.Tenant) error {
			_, err := w.ChangeTenantSettings(t.Context(), p, bank, []byte(`{}`), operator)
			return err
		},
		"dry-run": func(p id.Project, bank id.Tenant) error {
			_, err := w.ProposeTenantSettings(t.Context(), p, bank, []byte(`{}`))
			return err
		},
	} {
		if err := call(w.project, id.NewTenant(start)); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s of an unknown tenant: %v", what, err)
		}
		if err := call(id.NewProject(start), bank); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s in an unknown project: %v", what, err)
		}
	}
	w.expect()
}

// A change that was refused, or a store that fails, leaves what was there.
func TestTenantSettingsStay(t *testing.T) {
	w := newWorld(t)
	bank := w.customer(directory.Enabled, latchkey.TenantSettings{MaxSessions: new(3)})
	broken := errors.New("broken")
	d := w.deps()
	d.Tenants = failingTenants{d.Tenants, broken}
	w.on(d)
	if _, err := w.override(bank, `{"maxSessionsPerUser":2}`); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := w.ProposeSettings(t.Context(), w.project, []byte(`{}`)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := w.ProposeTenantSettings(t.Context(), w.project, bank, []byte(`{}`)); !errors.Is(err, broken) {
		t.Error(err)
	}
	w.on(w.deps())
	if got, err := w.TenantSettings(t.Context(), w.project, bank); err != nil || *got.Settings.MaxSessions != 3 {
		t.Errorf("%s, %v", shown(t, got), err)
	}
}

// failingTenants breaks after a change was worked out, and when overrides are listed.
type failingTenants struct {
	directory.TenantStore
	err error
}

func (s failingTenants) Change(ctx context.Context, p id.Project, t id.Tenant, change func(directory.Tenant) (directory.Tenant, []audit.Event, error)) (directory.Tenant, error) {
	return s.TenantStore.Change(ctx, p, t, func(old directory.Tenant) (directory.Tenant, []audit.Event, error) {
		if _, _, err := change(old); err != nil {
			return old, nil, err
		}
		return old, nil, s.err
	})
}

func (s failingTenants) Overrides(context.Context, id.Project) ([]directory.Tenant, error) {
	return nil, s.err
}

func TestProposals(t *testing.T) {
	w := newWorld(t)
	hour, week := latchkey.TenantSettings{IdleTimeout: new(latchkey.Duration(3600e9))}, latchkey.TenantSettings{AbsoluteTimeout: new(latchkey.Duration(7 * 24 * 3600e9))}
	bank, shop, closed, plain := w.customer(directory.Enabled, hour), w.customer(directory.Enabled, week), w.customer(directory.Disabled, week), w.customer(directory.Enabled, latchkey.TenantSettings{})
	everybody := []id.Tenant{bank, shop, closed, plain}
	project := policy.Of(policy.Defaults())
	if _, err := w.patch(`{"maxSessionsPerUser":9}`); err != nil {
		t.Fatal(err)
	}
	project.MaxSessions = 9
	w.said()
	before := policy.Merge(project, hour, week)

	p, err := w.ProposeSettings(t.Context(), w.project, []byte(`{"maxSessionsPerUser":2,"sessionTokenTTL":"2h"}`))
	after := before
	after.MaxSessions, after.SessionTokenTTL = 2, *new(latchkey.Duration(3600e9).Std())
	if err != nil || p.Before.For(everybody) != before || p.After.For(everybody) != after || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0].Detail, "60m") {
		t.Errorf("%+v, %v\nwant %+v", p.After.For(everybody), err, after)
	}
	for name, c := range map[string]struct {
		tenant id.Tenant
		patch  string
		want   policy.Policy
	}{
		"another value":     {bank, `{"idleTimeout":"30m"}`, policy.Merge(project, week, latchkey.TenantSettings{IdleTimeout: new(latchkey.Duration(1800e9))})},
		"one more":          {plain, `{"maxSessionsPerUser":1}`, policy.Merge(project, hour, week, latchkey.TenantSettings{MaxSessions: new(1)})},
		"taken away":        {shop, `{"absoluteTimeout":null}`, policy.Merge(project, hour)},
		"of a disabled one": {closed, `{"absoluteTimeout":"3m"}`, before},
	} {
		p, err := w.ProposeTenantSettings(t.Context(), w.project, c.tenant, []byte(c.patch))
		if err != nil || p.Before.For(everybody) != before || p.After.For(everybody) != c.want {
			t.Errorf("%s: %+v, %v\nwant %+v", name, p.After.For(everybody), err, c.want)
		}
	}
	w.expect()
	if got, err := w.Settings(t.Context(), w.project); err != nil || got.Settings.MaxSessions != 9 {
		t.Errorf("a proposal has changed the settings: %d, %v", got.Settings.MaxSessions, err)
	}
}

// What a change refuses, its dry-run refuses too.
func TestProposalsAreRefusedAsChangesAre(t *testing.T) {
	w := newWorld(t)
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ChangeSettings(t.Context(), other.ID, []byte(`{"customDomain":"auth.example.com"}`), operator); err != nil {
		t.Fatal(err)
	}
	w.said()
	for _, patch := range []string{
		`{"sessionTokenTTL":"1s","idleTimeout":"1s"}`, `{"idleTimeout":"9h","absoluteTimeout":"8h"}`, `{"unheard":1}`, `{`, `{"customDomain":"auth.example.com"}`,
	} {
		_, dry := w.ProposeSettings(t.Context(), w.project, []byte(patch))
		_, real := w.patch(patch)
		if dry == nil || real == nil || fault.KindOf(dry) != fault.KindOf(real) || at(dry) != at(real) {
			t.Errorf("%s: %v, and in earnest %v", patch, dry, real)
		}
	}
	if _, err := w.ProposeSettings(t.Context(), id.NewProject(start), []byte(`{}`)); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	w.expect()
}
