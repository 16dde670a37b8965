package token_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Sessions that a stricter policy has ended keep nobody out, though no refresh has met them
// since: neither where the project has become stricter, nor where a tenant has.
func TestLimitCountsWhatCanBeRefreshed(t *testing.T) {
	t.Parallel()
	for name, tighten := range map[string]func(w *world){
		"the project": func(w *world) { w.settings(t, `{"idleTimeout":"30m"}`) },
		"a tenant": func(w *world) {
			bank := w.newTenant(t, "Bank")
			w.memberOf(t, bank)
			w.changeTenant(t, bank, func(t *directory.Tenant) {
				t.Settings = latchkey.TenantSettings{IdleTimeout: new(latchkey.Duration(30 * time.Minute))}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `{"maxSessionsPerUser":1,"onLimit":"deny"}`)
			old := w.signIn(t)
			w.clock.Move(time.Hour)
			if _, err := w.trySignIn(); fault.KindOf(err) != fault.Conflict {
				t.Fatalf("beside one that lives: %v", err)
			}
			tighten(w)
			w.signIn(t)
			w.refused(t, old.Refresh, fault.SessionExpired)
			if _, err := w.trySignIn(); fault.KindOf(err) != fault.Conflict {
				t.Errorf("beside one that lives: %v", err)
			}
		})
	}
}
