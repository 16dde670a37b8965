package token_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// However much a user is granted while a session lives, it goes on: what makes the token
// too long is left out, the current tenant last, and the log says so once.
func TestGrantsThatMakeTokensTooLong(t *testing.T) {
	t.Parallel()
	for name, delivery := range map[string]string{
		"in a body": `{}`,
		"by cookie": `{"delivery":{"session":"cookie","refresh":"cookie"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, delivery)
			acme := w.newTenant(t, "Acme")
			long := strings.Repeat("p", 55)
			var permissions []string
			for i := range 8 {
				permissions = append(permissions, fmt.Sprint(long, i))
			}
			role := w.newRole(t, id.Tenant{}, "reader", permissions...)
			grants := directory.Grants{Memberships: []directory.Membership{{Tenant: acme, Roles: []id.Role{role}}}}
			w.grant(t, grants)
			set := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })

			for range directory.MaxMemberships - 1 {
				grants.Memberships = append(grants.Memberships, directory.Membership{Tenant: w.newTenant(t, "Other"), Roles: []id.Role{role}})
			}
			w.grant(t, grants)
			for range 3 {
				set = w.refresh(t, w.Service, set.Refresh)
				got := says(t, set.Session)
				if len(got.Tenants) != 1 || !slices.Equal(got.Tenants[acme.String()].Permissions, permissions) || got.Tenant != acme.String() {
					t.Errorf("the token has %d tenants, %v", len(got.Tenants), got)
				}
			}
			if told := w.told(t, audit.GrantsLeftOut); len(told) != 1 || told[0].Session != set.Row.ID || told[0].Data["reason"] == "" {
				t.Errorf("told %+v", told)
			}
			// So does one whose roles in the project alone are too much.
			var project []id.Role
			for i := range directory.MaxRoles {
				var own []string
				for k := range 8 {
					own = append(own, fmt.Sprint(long[:50], i, "-", k))
				}
				project = append(project, w.newRole(t, id.Tenant{}, fmt.Sprint("role ", i), own...))
			}
			w.grant(t, directory.Grants{Roles: project})
			set = w.refresh(t, w.Service, set.Refresh)
			if got := says(t, set.Session); len(got.Roles)+len(got.Permissions)+len(got.Tenants) != 0 {
				t.Errorf("the token shows %d roles", len(got.Roles))
			}
			w.grant(t, grants)
			// A user with so much signs in, too.
			if got := says(t, w.signIn(t).Session); len(got.Tenants) != 0 {
				t.Errorf("a session without tenant has %d tenants", len(got.Tenants))
			}
		})
	}
}
