package directory_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Name and status change, and nothing else; what each step does to version and epoch.
func TestTurned(t *testing.T) {
	now := start.Add(1234 * time.Microsecond)
	p := directory.Project{Name: "a", Status: directory.Enabled, Version: 7, Epoch: 3, Settings: policy.Defaults()}
	p.Settings.CustomDomain = "auth.shop.example"
	for _, c := range []struct {
		name     string
		from, to directory.Status
		rename   bool
		version  int64
		epoch    int64
		deleted  bool
	}{
		{"nothing", directory.Enabled, directory.Enabled, false, 7, 3, false},
		{"a name", directory.Enabled, directory.Enabled, true, 8, 3, false},
		{"disable", directory.Enabled, directory.Disabled, false, 8, 4, false},
		{"disable and rename", directory.Enabled, directory.Disabled, true, 8, 4, false},
		{"stay disabled", directory.Disabled, directory.Disabled, false, 7, 3, false},
		{"enable", directory.Disabled, directory.Enabled, false, 8, 3, false},
		{"delete", directory.Enabled, directory.Deleted, false, 8, 4, true},
		{"delete what is disabled", directory.Disabled, directory.Deleted, false, 8, 3, true},
	} {
		old := p
		old.Status = c.from
		to := directory.Project{Name: "a", Status: c.to, Version: 99, Epoch: 99}
		if c.rename {
			to.Name = "b"
		}
		got := old.Turned(to, now)
		if got.Version != c.version || got.Epoch != c.epoch || got.Status != c.to || got.Name != to.Name {
			t.Errorf("%s: %+v", c.name, got)
		}
		if gone := got.Settings.CustomDomain == ""; gone != c.deleted || c.deleted != got.DeletedAt.Equal(start.Add(time.Millisecond)) {
			t.Errorf("%s: custom domain %q, deleted at %v", c.name, got.Settings.CustomDomain, got.DeletedAt)
		}
	}
}

func (w *world) turn(c directory.ProjectChange) directory.Project {
	w.t.Helper()
	p, err := w.ChangeProject(w.t.Context(), w.project, c, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestChangeProject(t *testing.T) {
	w := newWorld(t)
	name, disabled, enabled := "Shop 2", directory.Disabled, directory.Enabled
	p := w.turn(directory.ProjectChange{Name: &name})
	if p.Name != name || p.Status != directory.Enabled {
		t.Errorf("got %+v", p)
	}
	events := w.expect(audit.ProjectRenamed)
	if events[0].Data["from"] != "Shop" || events[0].Data["to"] != name {
		t.Errorf("the event says %v", events[0].Data)
	}
	if p := w.turn(directory.ProjectChange{Name: new("Shop 3"), Status: &disabled}); p.Name != "Shop 3" || p.Status != directory.Disabled {
		t.Errorf("got %+v", p)
	}
	if said := w.said(); len(said) != 2 {
		t.Errorf("both at once: events %v", said)
	}
	w.turn(directory.ProjectChange{Status: &disabled})
	w.turn(directory.ProjectChange{})
	w.expect()
	w.turn(directory.ProjectChange{Status: &enabled})
	w.expect(audit.ProjectEnabled)
	for _, c := range []directory.ProjectChange{
		{Name: new(string)}, {Name: new("a\tb")}, {Status: new(directory.Status("paused"))}, {Status: new(directory.Deleted)},
	} {
		_, err := w.ChangeProject(t.Context(), w.project, c, operator)
		w.refused(err, fault.Invalid)
	}
	_, err := w.ChangeProject(t.Context(), id.NewProject(start), directory.ProjectChange{}, operator)
	w.refused(err, fault.NotFound)
	w.expect()
}

func (w *world) refused(err error, kind fault.Kind) {
	w.t.Helper()
	if fault.KindOf(err) != kind {
		w.t.Errorf("error %v, want %v", err, kind)
	}
}

// A deleted project: nothing changes any more, and only what verifies may still ask.
func TestDeleteProject(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, all, err := w.CreateKey(ctx, w.project, directory.NewKey{Name: "all", Kind: secret.Management}, directory.ManagementKey{}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.patch(`{"customDomain":"auth.shop.example"}`); err != nil {
		t.Fatal(err)
	}
	if _, found, err := w.ProjectAt(ctx, "auth.shop.example"); !found || err != nil {
		t.Fatalf("the domain leads nowhere: %v", err)
	}
	w.said()
	for range 2 { // again is no error, and no event
		p, err := w.DeleteProject(ctx, w.project, operator)
		if err != nil || p.Status != directory.Deleted || p.DeletedAt.IsZero() {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if e := w.expect(audit.ProjectDeleted)[0]; e.Data["name"] != "Shop" {
		t.Errorf("the event says %v", e.Data)
	}
	enabled := directory.Enabled
	_, err = w.ChangeProject(ctx, w.project, directory.ProjectChange{Status: &enabled}, operator)
	w.refused(err, fault.NotFound)
	_, err = w.patch(`{"maxSessionsPerUser":3}`)
	w.refused(err, fault.NotFound)
	for _, scope := range directory.Scopes() {
		_, err := w.Key(ctx, w.project, all, netip.Addr{}, scope)
		if scope == directory.ScopeVerify && err != nil {
			t.Errorf("verifying: %v", err)
		}
		if scope != directory.ScopeVerify {
			w.refused(err, fault.NotFound)
		}
	}
	if _, found, err := w.ProjectAt(ctx, "auth.shop.example"); found || err != nil {
		t.Errorf("the domain still leads to the project: %v", err)
	}
	_, err = w.DeleteProject(ctx, id.NewProject(start), operator)
	w.refused(err, fault.NotFound)
	w.expect()
}
