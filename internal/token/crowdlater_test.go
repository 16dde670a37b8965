package token_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// crowded is a session whose client asked for as many claims as there was room for then.
func (w *world) crowded(t testing.TB) token.Set {
	t.Helper()
	for n := 40; n > 0; n-- {
		set, err := w.trySignIn(func(in *token.SignIn) { in.NSec = many(t, n) })
		if err == nil && says(t, set.Session).NSec != nil {
			return set
		}
	}
	t.Fatal("nothing fits")
	return token.Set{}
}

// Attack: a client asks for all that there is room for, before the project has something to
// say of it. When that comes, it is in the token, and the client's claims make room; and no
// template is refused because of them.
func TestAttackClientClaimsThatWereThereBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"claimsInRefreshToken":false}`)
	set := w.crowded(t)
	restrict := `{"claims":{"plan":"` + strings.Repeat("r", 490) + `","more":"` + strings.Repeat("r", 490) + `"}}`
	must(t, w.CheckDocument(w.ctx, w.project, document.User, json.RawMessage(restrict), nil))
	w.save(t, document.User, restrict)
	tenant := w.newTenant(t, "Acme")
	w.memberOf(t, tenant)
	w.clock.Move(time.Minute)
	next := w.refresh(t, w.Service, set.Refresh)
	got := says(t, next.Session)
	if got.Plan == nil || len(got.Tenants) != 1 || got.NSec != nil {
		t.Errorf("plan %v, tenants %v, %d of the client's claims", got.Plan != nil, got.Tenants, len(got.NSec))
	}
	// They are still the session's, and come back when there is room.
	if next.Row.NSec == nil {
		t.Error("the session has lost them")
	}
	w.save(t, document.User, `{"claims":{"plan":"x"}}`)
	w.clock.Move(time.Minute)
	if got := says(t, w.refresh(t, w.Service, next.Refresh).Session); got.NSec == nil {
		t.Error("they don't come back")
	}
}

// What fits into no token is refused when it is set, and isn't left out in silence.
func TestClientClaimsThatNeverFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"claimsInRefreshToken":false}`)
	huge := many(t, 45)
	if _, err := w.trySignIn(func(in *token.SignIn) { in.NSec = huge }); fault.KindOf(err) != fault.ClaimsTooLarge {
		t.Errorf("a sign-in: %v", err)
	}
	row := w.signIn(t).Row
	row.NSec = huge
	for name, fits := range map[string]func() (func(session.Row) error, error){
		"application": func() (func(session.Row) error, error) { return w.Fits(w.ctx, w.project) },
		"client":      func() (func(session.Row) error, error) { return w.ClientFits(w.ctx, w.project) },
	} {
		check, err := fits()
		must(t, err)
		if err := check(row); fault.KindOf(err) != fault.ClaimsTooLarge {
			t.Errorf("the %s: %v", name, err)
		}
	}
	if claim.MaxToken > 45*400 {
		t.Fatal("what is huge isn't")
	}
}
