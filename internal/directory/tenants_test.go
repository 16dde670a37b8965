package directory_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func (w *world) tenant(name string) directory.Tenant {
	w.t.Helper()
	t, err := w.CreateTenant(w.t.Context(), w.project, directory.TenantChange{Name: &name}, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	w.said()
	return t
}

// other returns the world's service with another project at hand.
func (w *world) other() id.Project {
	w.t.Helper()
	p, err := w.CreateProject(w.t.Context(), "Other", w.master, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.ID
}

func TestCreateTenant(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreateTenant(t.Context(), w.project, directory.TenantChange{Name: new("ACME"), Attributes: json.RawMessage(`{ "plan": "pro" }`)}, operator)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Tenant{
		ID: made.ID, Project: w.project, Name: "ACME", Status: directory.Enabled, Attributes: json.RawMessage(`{"plan":"pro"}`),
		CreatedAt: made.ID.Time(), UpdatedAt: made.ID.Time(),
	}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("created\n%+v, want\n%+v", made, want)
	}
	if events := w.expect(audit.TenantCreated); !reflect.DeepEqual(events[0].Data, map[string]any{"tenant": made.ID.String(), "name": "ACME"}) {
		t.Errorf("the event says %v", events[0].Data)
	}
	if found, err := w.Tenant(t.Context(), w.project, made.ID); err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v, %v", found, err)
	}
	if twin := w.tenant("ACME"); twin.ID == made.ID {
		t.Error("two tenants are one")
	}
}

func TestTenantRules(t *testing.T) {
	w := newWorld(t)
	known := w.tenant("ACME")
	on := func(s directory.Status) *directory.Status { return &s }
	for what, c := range map[string]struct {
		change directory.TenantChange
		wrong  string
	}{
		"an empty name":      {directory.TenantChange{Name: new("")}, "/name"},
		"a name over lines":  {directory.TenantChange{Name: new("a\nb")}, "/name"},
		"a long name":        {directory.TenantChange{Name: new(strings.Repeat("ä", 201))}, "/name"},
		"another status":     {directory.TenantChange{Name: new("x"), Status: on("off")}, "/status"},
		"everything at once": {directory.TenantChange{Name: new("\x7f"), Status: on(""), Attributes: json.RawMessage("7")}, "/name /status /attributes"},
	} {
		_, err := w.CreateTenant(t.Context(), w.project, c.change, operator)
		if refused(t, err, fault.Invalid); at(err) != c.wrong {
			t.Errorf("%s: wrong is %q, want %q", what, at(err), c.wrong)
		}
		_, err = w.ChangeTenant(t.Context(), w.project, known.ID, c.change, operator)
		if refused(t, err, fault.Invalid); at(err) != c.wrong {
			t.Errorf("%s, in a change: wrong is %q, want %q", what, at(err), c.wrong)
		}
	}
	_, err := w.CreateTenant(t.Context(), w.project, directory.TenantChange{}, operator)
	if refused(t, err, fault.Invalid); at(err) != "/name" {
		t.Errorf("a tenant without name: %v", err)
	}
	if now, err := w.Tenant(t.Context(), w.project, known.ID); err != nil || !reflect.DeepEqual(now, known) {
		t.Errorf("refused changes made %+v, %v", now, err)
	}
	w.expect()
}

func TestTenantLife(t *testing.T) {
	w := newWorld(t)
	made := w.tenant("ACME")
	w.clock.pass(time.Minute)
	change := func(c directory.TenantChange) directory.Tenant {
		t.Helper()
		changed, err := w.ChangeTenant(t.Context(), w.project, made.ID, c, operator)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	on, off := directory.Enabled, directory.Disabled
	if same := change(directory.TenantChange{Name: new("ACME"), Status: &on}); !reflect.DeepEqual(same, made) {
		t.Errorf("a change to what is there made %+v", same)
	}
	w.expect()
	if renamed := change(directory.TenantChange{Name: new("ACME Inc.")}); renamed.Name != "ACME Inc." || !renamed.UpdatedAt.After(made.UpdatedAt) || renamed.Epoch != 0 {
		t.Errorf("renamed: %+v", renamed)
	}
	w.expect(audit.TenantUpdated)
	if disabled := change(directory.TenantChange{Status: &off}); disabled.Epoch != 1 || disabled.Status != off {
		t.Errorf("disabled: %+v", disabled)
	}
	w.expect(audit.TenantDisabled)
	if still := change(directory.TenantChange{Status: &off, Name: new("x")}); still.Epoch != 1 {
		t.Errorf("disabled again: %+v", still)
	}
	w.expect(audit.TenantUpdated)
	if enabled := change(directory.TenantChange{Status: &on}); enabled.Epoch != 1 || enabled.Status != on {
		t.Errorf("enabled: %+v", enabled)
	}
	w.expect(audit.TenantEnabled)
	if err := w.DeleteTenant(t.Context(), w.project, made.ID, operator); err != nil {
		t.Fatal(err)
	}
	w.expect(audit.TenantDeleted)
	for _, p := range []id.Project{w.project, w.other()} {
		for _, unknown := range []id.Tenant{made.ID, id.NewTenant(start), {}} {
			_, err := w.Tenant(t.Context(), p, unknown)
			refused(t, err, fault.NotFound)
			_, err = w.ChangeTenant(t.Context(), p, unknown, directory.TenantChange{Name: new("x")}, operator)
			refused(t, err, fault.NotFound)
			refused(t, w.DeleteTenant(t.Context(), p, unknown, operator), fault.NotFound)
		}
	}
	w.expect()
}
