package token_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// A stepUpTTL that becomes shorter bites sessions that are stepped up already, from the next
// token on: it counts from the proof.
func TestTightenedStepUpBites(t *testing.T) {
	t.Parallel()
	for name, tighten := range map[string]func(w *world){
		"the project": func(w *world) { w.settings(t, `{"stepUpTTL":"5m"}`) },
		"a tenant": func(w *world) {
			bank := w.newTenant(t, "Bank")
			w.joins(t, bank)
			w.changeTenant(t, bank, func(t *directory.Tenant) {
				t.Settings = latchkey.TenantSettings{StepUpTTL: new(latchkey.Duration(5 * time.Minute))}
			})
		},
	} {
		w := newWorld(t, `{"stepUpTTL":"1h"}`)
		vault := w.newTenant(t, "Vault")
		w.save(t, document.SignIn, `{"actions":[{"name":"fresh","when":"tenant.?name.orValue('') == 'Vault'","require":"stepUp"}]}`)
		set := w.signIn(t)
		proof := w.clock.Now()
		_, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}})
		must(t, err)
		tighten(w)
		w.clock.Move(2 * time.Minute)
		set = w.refresh(t, w.Service, set.Refresh)
		if !says(t, set.Session).SteppedUp || set.SessionExpiresAt.After(proof.Add(5*time.Minute)) {
			t.Errorf("%s: stepped up: %v, until %v after the proof", name, says(t, set.Session).SteppedUp, set.SessionExpiresAt.Sub(proof))
		}
		w.clock.Move(4 * time.Minute)
		set = w.refresh(t, w.Service, set.Refresh)
		if says(t, set.Session).SteppedUp {
			t.Errorf("%s: a session is stepped up for longer than stepUpTTL", name)
		}
		w.joins(t, vault)
		if _, err := w.switchTo(set.Refresh, vault); fault.KindOf(err) != fault.Insufficient {
			t.Errorf("%s: such a session opens what wants a step-up: %v", name, err)
		}
	}
}
