package token_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// lateHolders shows a user as they were right before a change.
type lateHolders struct {
	directory.HolderStore
	change func()
}

func (l *lateHolders) Holder(ctx context.Context, p id.Project, u id.User) (directory.Holder, error) {
	h, err := l.HolderStore.Holder(ctx, p, u)
	if change := l.change; change != nil {
		l.change = nil
		change()
	}
	return h, err
}

// A change that is under way while somebody signs in, in a transaction that has read the
// clock already and isn't done when the user is read: verifiers are told of an instant
// before that of the first token, so that has to show the change.
func TestSignInDuringAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	w.save(t, document.User, `{"claims":{"plan":"{{ user.name }}"}}`)
	acme := w.newTenant(t, "Acme")
	late := &lateHolders{HolderStore: w.store.Holders()}
	service, err := token.New(token.Deps{
		Projects: w.store.Projects(), Keys: w.store.Keys(), Sessions: w.sessions, Holders: late, Tenants: w.store.Tenants(),
		Bulk: w.store.Bulk(), Documents: w.store.Documents(), Events: w.store.Events(), AccessKeys: w.store.AccessKeys(), Master: w.master, PublicURL: publicURL,
		Now: func() time.Time { return w.clock.Now().Add(5 * time.Millisecond) }, // that long after the transaction
	})
	must(t, err)
	w.Service = service
	for name, change := range map[string]func(role id.Role){
		"a role is taken": func(id.Role) { w.memberOf(t, acme) },
		"a role is deleted": func(r id.Role) {
			must(t, w.store.Roles().Delete(w.ctx, w.project, r, w.event(audit.RoleDeleted)))
		},
	} {
		role := w.newRole(t, id.Tenant{}, name, "all")
		w.grant(t, directory.Grants{Roles: []id.Role{role}, Memberships: []directory.Membership{{Tenant: acme}}})
		late.change = func() { change(role) }
		set := w.signIn(t)
		list, err := w.store.Revocations().Of(w.ctx, w.project, 0, 99)
		must(t, err)
		at := list[len(list)-1].At
		got := says(t, set.Session)
		if slices.Contains(got.Roles, name) && got.Epoch > at.UnixMilli() {
			t.Errorf("%s: a token of %d has the roles %v, and verifiers are told of %d", name, got.Epoch, got.Roles, at.UnixMilli())
		}
		if !at.Equal(w.clock.Now()) || got.Tenant != acme.String() {
			t.Errorf("%s: nothing was told, or the tenant is %q", name, got.Tenant)
		}
		same(t, "the refresh token", w.refresh(t, service, set.Refresh).Refresh, set.Refresh)
	}
}
