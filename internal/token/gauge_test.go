package token_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/token"
)

var by = audit.Origin{Actor: audit.CLI}

// A gauge tells the length of the tokens that are then minted, whatever signs them.
func TestGaugeIsExact(t *testing.T) {
	t.Parallel()
	const doc = `{"claims":{"plan":"{{ user.attributes.plan }}","in":"{{ tenant.name }}","n":[1,2]},"audience":["https://api.example.com"]}`
	for _, settings := range []string{
		`{}`, `{"signingAlgorithm":"EdDSA"}`, `{"signingAlgorithm":"RS256"}`, `{"delivery":{"session":"cookie","refresh":"cookie"},"audience":["a","b"]}`, `{"autoTenant":false}`,
	} {
		w := newWorld(t, settings)
		tenant := w.newTenant(t, "ACME")
		w.newRole(t, tenant, "owner", "write", "read")
		change := directory.UserChange{Attributes: json.RawMessage(`{"plan":"gold & more"}`), GrantChange: directory.GrantChange{
			Tenants: &[]directory.MembershipChange{{Tenant: tenant.String(), Roles: []string{"owner"}}}}}
		p, err := w.directory.Project(w.ctx, w.project)
		must(t, err)
		name, _ := policy.CookieNames(p.Settings.Cookies)
		for _, step := range []struct{ granted, template bool }{{false, false}, {true, false}, {true, true}} {
			var templates []json.RawMessage
			if step.template {
				w.save(t, document.User, doc)
				templates = append(templates, json.RawMessage(doc))
			} else if step.granted {
				_, err := w.directory.ChangeUser(w.ctx, w.project, w.user, change, by)
				must(t, err)
			}
			g := w.Gauge(token.Outlook{Project: w.project, Name: p.Name, Settings: p.Settings, Templates: templates})
			h, err := w.store.Holders().Holder(w.ctx, w.project, w.user)
			must(t, err)
			set := w.signIn(t, func(in *token.SignIn) {
				if step.granted {
					in.Tenant = tenant // also without autoTenant
				}
			})
			want := len(set.Session.Reveal())
			if p.Settings.Delivery.Session == "cookie" {
				want += len(name)
			}
			if size, _ := g.Measure(h); size != want {
				t.Errorf("%s, %+v: %d bytes, minted are %d", settings, step, size, want)
			}
			if g.Plain(h.User) != (!step.granted && !step.template) {
				t.Error("plain is who has nothing that could be told")
			}
		}
	}
}

// A gauge says just of those that they are too long whose tokens lack something.
func TestGaugeSaysWhoseTokensLackSomething(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivery":{"session":"cookie","refresh":"cookie"},"claimsInRefreshToken":false}`)
	p, err := w.directory.Project(w.ctx, w.project)
	must(t, err)
	g := w.Gauge(token.Outlook{Project: w.project, Name: p.Name, Settings: p.Settings})
	var roles []string
	over := 0
	for i := range 40 {
		name := fmt.Sprintf("%02d%s", i, strings.Repeat("r", 50))
		w.newRole(t, id.Tenant{}, name, "p"+name)
		roles = append(roles, name)
		u, err := w.directory.ChangeUser(w.ctx, w.project, w.user, directory.UserChange{GrantChange: directory.GrantChange{Roles: &roles}}, by)
		must(t, err)
		h, err := w.store.Holders().Holder(w.ctx, w.project, u.ID)
		must(t, err)
		var got struct{ Roles []string }
		claimsInto(t, w.signIn(t).Session, &got)
		size, limit := g.Measure(h)
		if limit != 4096 || (size > limit) != (len(got.Roles) < len(roles)) {
			t.Errorf("%d roles: %d of %d bytes, and the token has %d", len(roles), size, limit, len(got.Roles))
		}
		if size > limit {
			over++
		}
	}
	if over == 0 || over == 40 {
		t.Errorf("%d of 40 are too long: nothing was shown", over)
	}
	unusable := w.Gauge(token.Outlook{Project: w.project, Name: p.Name, Settings: p.Settings, Templates: []json.RawMessage{json.RawMessage(`{"x":1}`)}})
	h := directory.Holder{User: directory.User{ID: w.user}}
	one, _ := g.Measure(h)
	if other, _ := unusable.Measure(h); one != other || !unusable.Plain(h.User) {
		t.Errorf("with a template that can't be used %d bytes, without one %d", other, one)
	}
}
