package server_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// What users had by a deleted tenant is taken out of their grants, more than one chunk of
// it in one round.
func TestRoundTakesGrantsBack(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		p, now := w.project(), w.clock.Now()
		gone := directory.Tenant{ID: id.NewTenant(now), Project: p.ID, Name: "gone", Status: directory.Enabled}
		kept := directory.Tenant{ID: id.NewTenant(now), Project: p.ID, Name: "kept", Status: directory.Enabled}
		for _, tenant := range []directory.Tenant{gone, kept} {
			w.must(w.store.Tenants().Insert(t.Context(), tenant, audit.New(p.ID, now, audit.TenantCreated, operator)))
		}
		for range 450 {
			u := id.NewUser(now)
			w.must(w.store.Users().Insert(t.Context(), directory.User{
				ID: u, Project: p.ID, LoginIDs: []string{u.String()}, Status: directory.Enabled,
				Grants: directory.Grants{Memberships: []directory.Membership{{Tenant: gone.ID}, {Tenant: kept.ID}}},
			}, audit.New(p.ID, now, audit.UserCreated, operator)))
		}
		w.must(w.store.Tenants().Delete(t.Context(), p.ID, gone.ID, audit.New(p.ID, now, audit.TenantDeleted, operator)))
		w.log.take(t)
		w.workers().Round(t.Context())
		users, err := w.store.Users().List(t.Context(), p.ID, id.User{}, 999)
		w.must(err)
		for _, u := range users {
			if len(u.Memberships) != 1 || u.Memberships[0].Tenant != kept.ID {
				t.Fatalf("a user has %+v after the round", u.Memberships)
			}
		}
		if _, text := w.log.take(t); len(users) != 450 || !strings.Contains(text, `"kind":"grant","count":450`) {
			t.Errorf("%d users; the log doesn't tell: %s", len(users), text)
		}
	})
}

// A permission's deletion that was cut off is finished, more than one chunk of it in one
// round.
func TestRoundFinishesDeletedPermissions(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		w := newApp(t, slog.LevelInfo)
		p, now := w.project(), w.clock.Now()
		read := directory.Permission{Project: p.ID, Name: "read"}
		w.must(w.store.Permissions().Insert(t.Context(), read, audit.New(p.ID, now, audit.PermissionCreated, operator)))
		for i := range 450 {
			w.must(w.store.Roles().Insert(t.Context(), directory.Role{
				ID: id.NewRole(now), Project: p.ID, Name: fmt.Sprint("role ", i), Permissions: []string{"read"},
			}, audit.New(p.ID, now, audit.RoleCreated, operator)))
		}
		w.must(w.store.Permissions().Delete(t.Context(), p.ID, "read", audit.New(p.ID, now, audit.PermissionDeleted, operator)))
		w.log.take(t)
		w.workers().Round(t.Context())
		roles, err := w.store.Roles().List(t.Context(), directory.RoleQuery{Project: p.ID, Limit: 999})
		w.must(err)
		for _, r := range roles {
			if len(r.Permissions) > 0 {
				t.Fatalf("a role has %v after the round", r.Permissions)
			}
		}
		if _, text := w.log.take(t); len(roles) != 450 || !strings.Contains(text, `"kind":"permission","count":451`) {
			t.Errorf("%d roles; the log doesn't tell: %s", len(roles), text)
		}
	})
}
