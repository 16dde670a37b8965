package storetest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func wholeCopies(t *testing.T, w *world) {
	u := w.user()
	mk := w.managementKey()
	mk.Scopes, mk.Networks = []directory.Scope{directory.ScopeKeys}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	signing := []key.Key{w.key()}
	row := w.row(u.ID)
	e := w.event(w.project.ID, audit.SettingsChanged).With("map", map[string]any{"list": []any{[]any{"a"}}})
	settings := strange(t)
	ok(t, w.Users().Insert(w.ctx, u, w.event(w.project.ID, audit.UserCreated)))
	ok(t, w.ManagementKeys().Insert(w.ctx, mk, w.event(w.project.ID, audit.ManagementKeyCreated)))
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: signing}))
	ok(t, w.Projects().ChangeSettings(w.ctx, w.project.ID, 2, settings, e))
	inserted, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	full, tenant, role := w.fullUser(t), filled[directory.Tenant](t), w.newRole(t, id.Tenant{}, "editor", "doc.read")
	ok(t, w.Users().Insert(w.ctx, full, w.event(w.project.ID, audit.UserCreated)))
	tenant.ID, tenant.Project, tenant.Status = id.NewTenant(w.clock.Now()), w.project.ID, directory.Enabled
	ok(t, w.Tenants().Insert(w.ctx, tenant, w.event(w.project.ID, audit.TenantCreated)))
	before := w.photograph(t)
	for _, given := range []any{u, mk, signing, row, e, settings, full, tenant, role} {
		scribble(reflect.ValueOf(given))
	}
	same(t, "the store, after changing what was put in,", before, w.photograph(t))

	w.clock.Move(window)
	rotated := w.decided(t, w.newest(t, inserted), session.Rotate)
	claims, logins := json.RawMessage(`{"a":1}`), []string{"x"}
	claimed, err := w.Sessions().SetClaims(w.ctx, row.Project, row.ID, 0, claims, nil, w.event(row.Project, audit.SessionClaims))
	ok(t, err)
	changed := w.change(t, u.ID, func(u *directory.User) { u.LoginIDs = logins })
	found, _ := w.find(t, row.ID)
	user, err := w.Users().FindByLogin(w.ctx, u.Project, "x")
	ok(t, err)
	opened, err := w.ManagementKeys().FindByDigest(w.ctx, mk.Digest)
	ok(t, err)
	granted := w.change(t, full.ID, func(u *directory.User) { u.Memberships[0].Roles = u.Memberships[0].Roles[:1] })
	strict := w.changeTenant(t, tenant.ID, func(t *directory.Tenant) { t.Settings.MaxSessions = new(7) })
	renamed := w.changeRole(t, role.ID, func(r *directory.Role) { r.Name = "author" })
	before = w.photograph(t)
	for _, got := range append(w.picture(t), granted, strict, renamed, inserted, rotated, claims, claimed, logins, changed, found, user, opened) {
		scribble(reflect.ValueOf(got))
	}
	same(t, "the store, after changing what was got out,", before, w.photograph(t))
}

// photograph is the picture as text, which shares nothing with the store.
func (w *world) photograph(t *testing.T) string {
	t.Helper()
	return printed(t, w.picture(t))
}

// printed is a value as text, without addresses.
func printed(t testing.TB, v any) string {
	switch v := v.(type) {
	case []any:
		var all strings.Builder
		for _, one := range v {
			all.WriteString(printed(t, one) + "\n")
		}
		return all.String()
	case []directory.Tenant, directory.Holder: // with pointers
		b, err := json.Marshal(v)
		ok(t, err)
		return string(b)
	}
	return fmt.Sprintf("%+v", v)
}

// scribble overwrites whatever v shares with others.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		scribble(v.Elem())
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
			v.Elem().SetZero()
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scribble(v.Field(i))
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			scribble(v.MapIndex(k))
			v.SetMapIndex(k, reflect.Zero(v.Type().Elem()))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
			v.Index(i).SetZero()
		}
	}
}
