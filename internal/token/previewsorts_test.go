package token_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// saveFor gives a document to a share of the sessions.
func (w *world) saveFor(t testing.TB, k document.Kind, doc string, percent int) {
	t.Helper()
	_, err := w.store.Documents().Change(w.ctx, w.project, k, func(s document.State) (document.Step, error) {
		s = s.Saved(percent)
		return document.Step{State: s, Save: &document.Version{N: s.Last, Document: json.RawMessage(doc)}, Event: w.event(audit.SettingsChanged)}, nil
	})
	must(t, err)
}

// Sessions of every sort get what their preview shows: stepped up, under stricter tenants,
// in which somebody acts as the user, while a template is rolled out, at any age.
func TestPreviewOfEverySortOfSession(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 7))
	now := `{"claims":{"v":1,"up":"{{ session.stepUp }}","amr2":"{{ session.amr }}","who":"{{ session.actor }}"}}`
	next := `{"claims":{"v":2,"may":"{{ user.permissions }}","in":"{{ tenant.name }}"},"authorization":"currentTenant","subject":"{{ user.loginIds[0] }}"}`
	candidates := 0
	for range 60 {
		w := newWorld(t, []string{`{}`, `{"idleTimeout":"2h"}`, `{"stepUpTTL":"5m","absoluteTimeout":"3h"}`, `{"rotation":"never"}`}[rng.IntN(4)])
		acme := w.newTenant(t, "Acme")
		strict := w.newTenant(t, "Bank", latchkey.TenantSettings{
			SessionTokenTTL: new(latchkey.Duration(2 * time.Minute)), IdleTimeout: new(latchkey.Duration(20 * time.Minute)), AbsoluteTimeout: new(latchkey.Duration(time.Hour)),
		})
		role := w.newRole(t, id.Tenant{}, "admin", "read")
		w.grant(t, [...]directory.Grants{
			{Roles: []id.Role{role}},
			{Roles: []id.Role{role}, Memberships: []directory.Membership{{Tenant: acme, Roles: []id.Role{role}}}},
			{Memberships: []directory.Membership{{Tenant: acme}, {Tenant: strict, Roles: []id.Role{role}}}},
		}[rng.IntN(3)])
		set := w.signIn(t, func(in *token.SignIn) {
			if rng.IntN(4) == 0 {
				in.Actor = "support: eve"
			}
		})
		w.clock.Move([]time.Duration{0, time.Second, window, 4 * time.Minute, 14 * time.Minute}[rng.IntN(5)])
		if rng.IntN(2) == 0 && set.Row.Actor == "" {
			_, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}})
			must(t, err)
			w.clock.Move([]time.Duration{0, time.Second, 4*time.Minute + 300*time.Millisecond, 5 * time.Minute}[rng.IntN(4)])
		}
		w.save(t, document.User, now)
		w.saveFor(t, document.User, next, 50)
		mine := now
		if latchkey.Share(set.Row.ID.String()) < 50 {
			mine = next
			candidates++
		}
		inUse, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
		must(t, err)
		shown, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID, Document: json.RawMessage(mine)})
		must(t, err)
		minted := claims(t, w.refresh(t, w.Service, set.Refresh).Session)
		if undrawn(shown.Claims) != undrawn(minted) || undrawn(inUse.Claims) != undrawn(minted) || len(shown.Diff) != 0 {
			t.Fatalf("%s:\nshown  %s\nin use %s\nminted %s\n%v", mine, shown.Claims, inUse.Claims, minted, shown.Diff)
		}
	}
	if candidates < 10 || candidates > 50 {
		t.Errorf("%d of 60 sessions got the candidate", candidates)
	}
}
