package token_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// Attack 26: a step-up that is over isn't one for sign-in actions either, however long ago
// the refresh token was made.
func TestAttack26OldStepUpOpensNoTenant(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{`{"rotation":"never","stepUpTTL":"5m"}`, `{"rotation":"always","stepUpTTL":"1m","reuseWindow":"120s"}`} {
		w := newWorld(t, settings)
		acme, bank := w.newTenant(t, "Acme"), w.newTenant(t, "Bank")
		w.memberOf(t, acme, bank)
		w.save(t, document.SignIn, `{"actions":[{"name":"fresh","when":"tenant.name == 'Bank'","require":"stepUp"}]}`)
		set := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })
		found, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}})
		must(t, err)
		w.clock.Move(found.StepUpUntil.Sub(w.clock.Now()))
		if _, err := w.switchTo(set.Refresh, bank); fault.KindOf(err) != fault.Insufficient {
			t.Errorf("%s: a step-up that is over: %v", settings, err)
		}
		_, err = w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}})
		must(t, err)
		w.clock.Move(time.Second)
		if _, err := w.switchTo(set.Refresh, bank); err != nil {
			t.Errorf("%s: a step-up: %v", settings, err)
		}
	}
}
