package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// userReturns: an import of an older export brings deleted users back by their ids. That
// doesn't undo what ended their sessions.
func userReturns(t *testing.T, w *world) {
	u := w.newUser(t)
	first := w.signIn(t, u.ID)
	_, err := w.Bulk().EndAll(w.ctx, u.Project, u.ID, id.Session{}, session.Ending{Reason: session.Ended})
	ok(t, err)
	second := w.signIn(t, u.ID)
	for range 2 {
		w.clock.Move(time.Millisecond)
		ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
		ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
		w.statuses(t, string(session.Superseded), first, second)
		third := w.signIn(t, u.ID)
		w.statuses(t, string(session.Active), third)
		second = third
	}
	w.decided(t, w.refresh(t, first.ID, first.Newest, id.Refresh{}), session.Revoked)
}

// tenantReturns is the same for sessions in which a tenant is the current one.
func tenantReturns(t *testing.T, w *world) {
	tenant := w.newTenant(t)
	u := w.member(t, tenant.ID)
	in, none := w.signInTo(t, u.ID, tenant.ID), w.signIn(t, u.ID)
	for range 2 {
		w.clock.Move(time.Millisecond)
		w.deleteTenant(t, tenant.ID)
		ok(t, w.Tenants().Insert(w.ctx, tenant, w.event(tenant.Project, audit.TenantCreated)))
		w.statuses(t, string(session.Superseded), in)
		same(t, "the session in no tenant", string(session.Active), w.status(t, none.ID))
		in = w.signInTo(t, u.ID, tenant.ID)
		w.statuses(t, string(session.Active), in)
	}
}
