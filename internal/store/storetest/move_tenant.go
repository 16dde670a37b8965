package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (g *game) addTenant() {
	tenant := directory.Tenant{ID: id.Tenant(g.id()), Project: g.project, Name: "Acme Ltd.", Status: directory.Enabled, CreatedAt: g.now(), UpdatedAt: g.now()}
	if len(g.tenants) == 3 {
		tenant.ID = choose(g, g.tenants) // it is there, or was
	}
	_, err := g.same("add a tenant", func(s Store) (any, error) {
		return nil, s.Tenants().Insert(g.ctx, tenant, g.event(audit.TenantCreated))
	})
	if err == nil && !slices.Contains(g.tenants, tenant.ID) {
		g.tenants = append(g.tenants, tenant.ID)
	}
}

// tenant is one of the tenants, or an unknown one.
func (g *game) tenant() id.Tenant {
	if len(g.tenants) == 0 || g.chance(16) {
		return id.Tenant(g.id())
	}
	return choose(g, g.tenants)
}

func (g *game) changeTenant() {
	tenant, what := g.tenant(), g.pick(8)
	switch what {
	case 0:
		if g.chance(2) {
			g.same("delete a tenant", func(s Store) (any, error) {
				return nil, s.Tenants().Delete(g.ctx, g.project, tenant, g.event(audit.TenantDeleted))
			})
		}
	case 1, 2:
		g.same("end all of a tenant", func(s Store) (any, error) {
			return nil, s.Bulk().EndTenant(g.ctx, g.project, tenant, session.Ending{Reason: session.Ended, Origin: origin})
		})
	default:
		status := directory.Enabled
		if what == 3 {
			status = directory.Disabled
		}
		now := g.now()
		g.same(fmt.Sprint("change a tenant to ", status), func(s Store) (any, error) {
			return s.Tenants().Change(g.ctx, g.project, tenant, func(t directory.Tenant) (directory.Tenant, []audit.Event, error) {
				t.Status, t.UpdatedAt = status, now
				return t, nil, nil
			})
		})
	}
	g.follow() // a tenant with settings is part of the project's version
}

func (g *game) grant() {
	u := g.user()
	var grants directory.Grants
	for _, t := range g.tenants {
		if !g.chance(3) {
			grants.Memberships = append(grants.Memberships, directory.Membership{Tenant: t})
		}
	}
	g.same(fmt.Sprint("grant ", len(grants.Memberships), " memberships"), func(s Store) (any, error) {
		return s.Users().Change(g.ctx, g.project, u, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Grants = grants.Clone()
			return u, nil, nil
		})
	})
}

// travel is what a refresh asks of tenants.
func (g *game) travel(f *family, in session.Refresh) session.Refresh {
	in.AutoTenant = g.chance(2)
	if len(g.tenants) > 0 && g.chance(4) {
		hour := latchkey.Duration(time.Hour)
		in.Overrides = map[id.Tenant]latchkey.TenantSettings{choose(g, g.tenants): {IdleTimeout: &hour}}
	}
	in.Acts = g.chance(3)
	if !g.chance(3) {
		return in
	}
	if g.chance(4) {
		in.Move = &session.Move{ClaimsEpoch: f.claims, Claims: json.RawMessage(`{"left":1}`)}
		return in
	}
	in.Move = &session.Move{Tenant: g.tenant(), ClaimsEpoch: f.claims + choose(g, []int64{0, 0, 0, 0, 1}), Claims: json.RawMessage(`{"a":1}`)}
	if g.chance(3) {
		in.Move.AbsoluteAt, in.Move.IdleLimit = g.now().Add(8*time.Hour), 2*time.Hour
		in.Move.Acted, in.Move.Audience = session.Acted{Claims: []string{"a"}}, []string{"b"}
	}
	return in
}

func (g *game) stepUp() {
	f := g.one()
	if f == nil {
		return
	}
	by := session.StepUp{AMR: []string{"pwd", "totp", "mfa"}, TTL: choose(g, []time.Duration{time.Minute, time.Hour, 1000 * 24 * time.Hour}), Origin: origin}
	g.same("step up", func(s Store) (any, error) {
		row, err := s.Sessions().StepUp(g.ctx, g.project, f.id, by)
		return answer{Row: row}, err
	})
}
