package storetest

import (
	"context"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// grantVerbs adds the verbs of what decides what somebody may do.
func (w *world) grantVerbs(t testing.TB, all map[string]func(context.Context) error) {
	tenant := w.newTenant(t)
	role := w.newRole(t, tenant.ID, "editor", "doc.read")
	u := w.granted(t, directory.Grants{Memberships: []directory.Membership{{Tenant: tenant.ID, Roles: []id.Role{role.ID}}}})
	w.tenantVerbs(all, tenant)
	w.roleVerbs(all, role)
	p := w.project.ID
	all["Holders.Holder"] = func(ctx context.Context) error { _, err := w.Holders().Holder(ctx, p, u.ID); return err }
	all["Holders.Resolve"] = func(ctx context.Context) error { _, err := w.Holders().Resolve(ctx, p, u.Grants); return err }
	all["Holders.Search"] = func(ctx context.Context) error {
		_, _, err := w.Holders().Search(ctx, directory.UserQuery{Project: p, Text: "ada", Limit: 9})
		return err
	}
	all["Batches.Apply"] = func(ctx context.Context) error {
		_, err := w.Batches().Apply(ctx, p, []directory.UserEdit{put(w.user(), w.event(p, audit.UserCreated))})
		return err
	}
}

func (w *world) tenantVerbs(all map[string]func(context.Context) error, tenant directory.Tenant) {
	p, e := w.project.ID, w.event(w.project.ID, audit.TenantUpdated)
	all["Tenants.Insert"] = func(ctx context.Context) error { return w.Tenants().Insert(ctx, w.tenant(), e) }
	all["Tenants.Find"] = func(ctx context.Context) error { _, err := w.Tenants().Find(ctx, p, tenant.ID); return err }
	all["Tenants.List"] = func(ctx context.Context) error {
		_, _, err := w.Tenants().List(ctx, directory.TenantQuery{Project: p, Limit: 9})
		return err
	}
	all["Tenants.Overrides"] = func(ctx context.Context) error { _, err := w.Tenants().Overrides(ctx, p); return err }
	all["Tenants.Change"] = func(ctx context.Context) error {
		_, err := w.Tenants().Change(ctx, p, tenant.ID, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
			t.Name = "lost"
			return t, []audit.Event{e}, nil
		})
		return err
	}
	all["Tenants.Delete"] = func(ctx context.Context) error { return w.Tenants().Delete(ctx, p, tenant.ID, e) }
	all["Tenants.Sweep"] = func(ctx context.Context) error { _, err := w.Tenants().Sweep(ctx, 9); return err }
}

func (w *world) roleVerbs(all map[string]func(context.Context) error, role directory.Role) {
	p, e := w.project.ID, w.event(w.project.ID, audit.RoleUpdated)
	all["Roles.Insert"] = func(ctx context.Context) error { return w.Roles().Insert(ctx, w.role(id.Tenant{}, "lost"), e) }
	all["Roles.Find"] = func(ctx context.Context) error { _, err := w.Roles().Find(ctx, p, role.ID); return err }
	all["Roles.List"] = func(ctx context.Context) error {
		_, err := w.Roles().List(ctx, directory.RoleQuery{Project: p, Tenant: role.Tenant, Limit: 9})
		return err
	}
	all["Roles.Change"] = func(ctx context.Context) error {
		_, err := w.Roles().Change(ctx, p, role.ID, func(r directory.Role) (directory.Role, []audit.Event, error) {
			r.Name = "lost"
			return r, []audit.Event{e}, nil
		})
		return err
	}
	all["Roles.Delete"] = func(ctx context.Context) error { return w.Roles().Delete(ctx, p, role.ID, e) }
	all["Permissions.Insert"] = func(ctx context.Context) error { return w.Permissions().Insert(ctx, w.permission("lost"), e) }
	all["Permissions.List"] = func(ctx context.Context) error { _, err := w.Permissions().List(ctx, p, "", 9); return err }
	all["Permissions.Describe"] = func(ctx context.Context) error {
		_, err := w.Permissions().Describe(ctx, p, role.Permissions[0], "lost", e)
		return err
	}
	all["Permissions.Delete"] = func(ctx context.Context) error { return w.Permissions().Delete(ctx, p, role.Permissions[0], e) }
	all["Permissions.Strip"] = func(ctx context.Context) error { _, err := w.Permissions().Strip(ctx, 9); return err }
}

// grantsPicture is all that decides what the users of the project may do.
func (w *world) grantsPicture(t testing.TB, users []directory.User) []any {
	t.Helper()
	var picture []any
	tenants := w.listTenants(t, directory.TenantQuery{Limit: 99})
	levels := []id.Tenant{{}}
	for _, tenant := range tenants {
		levels = append(levels, tenant.ID)
	}
	for _, level := range levels {
		roles, err := w.Roles().List(w.ctx, directory.RoleQuery{Project: w.project.ID, Tenant: level, Limit: 99})
		ok(t, err)
		picture = append(picture, roles, w.searchBy(t, level, id.Role{}))
	}
	overrides, err := w.Tenants().Overrides(w.ctx, w.project.ID)
	ok(t, err)
	for _, u := range users {
		h, err := w.Holders().Holder(w.ctx, w.project.ID, u.ID)
		ok(t, err)
		picture = append(picture, h)
	}
	return append(picture, tenants, w.listPermissions(t), overrides)
}
