package directory_test

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

func TestCreateProject(t *testing.T) {
	w := newWorld(t)
	p, err := w.CreateProject(t.Context(), "Läden & Söhne", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Project{
		ID: p.ID, Name: "Läden & Söhne", Status: directory.Enabled, Settings: policy.Defaults(), Version: 1, CreatedAt: p.ID.Time(), SealedMAC: p.SealedMAC,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("made\n%+v, want\n%+v", p, want)
	}
	if found, err := w.Project(t.Context(), p.ID); err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("found\n%+v, %v, want\n%+v", found, err, want)
	}
	w.project = p.ID
	if e := w.expect(audit.ProjectCreated)[0]; !reflect.DeepEqual(e.Data, map[string]any{"name": p.Name}) {
		t.Errorf("the event says %v", e.Data)
	}
}

// The key of opaque refresh tokens is each project's own, and is sealed to its project.
func TestProjectMAC(t *testing.T) {
	w := newWorld(t)
	one, err := w.Project(t.Context(), w.project)
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	mac, err := w.master.Open(one.SealedMAC, directory.MACContext(one.ID))
	if err != nil || len(mac) != 32 || bytes.Equal(mac, make([]byte, 32)) {
		t.Errorf("a key of %d bytes, %v", len(mac), err)
	}
	if bytes.Contains(one.SealedMAC, mac) {
		t.Error("the key is stored in clear")
	}
	if others, err := w.master.Open(other.SealedMAC, directory.MACContext(other.ID)); err != nil || bytes.Equal(others, mac) {
		t.Errorf("two projects share a key: %v", err)
	}
	if _, err := w.master.Open(one.SealedMAC, directory.MACContext(other.ID)); err == nil {
		t.Error("the key of one project opens as that of another")
	}
}

func TestProjectNames(t *testing.T) {
	w := newWorld(t)
	for name, allowed := range map[string]bool{
		"a": true, "": false, strings.Repeat("ä", 200): true, strings.Repeat("a", 201): false, "a\nb": false, "a\x00": false, "\xff": false,
	} {
		p, err := w.CreateProject(t.Context(), name, w.master, operator)
		if allowed {
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			continue
		}
		refused(t, err, fault.Invalid)
		if at(err) != "/name" || !p.ID.IsZero() {
			t.Errorf("%q is wrong at %q", name, at(err))
		}
	}
}

func TestProjects(t *testing.T) {
	w := newWorld(t)
	want := []id.Project{w.project}
	for _, name := range []string{"b", "a", "a", "c"} {
		p, err := w.CreateProject(t.Context(), name, w.master, operator)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p.ID)
	}
	var got []id.Project
	for after := (id.Project{}); ; {
		page, err := w.Projects(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			got, after = append(got, p.ID), p.ID
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	_, err := w.Project(t.Context(), id.NewProject(start))
	refused(t, err, fault.NotFound)
}
