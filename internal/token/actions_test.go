package token_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
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

// Nobody gets into a tenant past its sign-in actions because it has become their only one.
func TestRefreshEntersNoTenantPastItsActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, bank := w.newTenant(t, "Acme"), w.newTenant(t, "Bank")
	w.memberOf(t, acme, bank)
	w.save(t, document.SignIn, `{"actions":[{"name":"factor","when":"has(tenant.name) && tenant.name == 'Bank'","require":"mfa"}]}`)
	none := w.signIn(t)
	inAcme := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })
	w.memberOf(t, bank)
	for name, set := range map[string]token.Set{"of no tenant": none, "of one that was left": inAcme} {
		preview, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
		must(t, err)
		if _, there := members(t, preview.Claims)["dct"]; there {
			t.Errorf("a session %s: the preview says %s", name, preview.Claims)
		}
		next := w.refresh(t, w.Service, set.Refresh)
		if got := says(t, next.Session).Tenant; got != "" {
			t.Errorf("a session %s is in %s", name, got)
		}
		if _, err := w.switchTo(next.Refresh, bank); fault.KindOf(err) != fault.Insufficient {
			t.Errorf("a session %s: %v", name, err)
		}
	}
	if _, err := w.trySignIn(); fault.KindOf(err) != fault.Insufficient {
		t.Errorf("a sign-in, which asks: %v", err)
	}
}

// Actions that a newer server has saved, and this one can't read, let nobody in; refreshes
// go on.
func TestActionsThatCantBeReadLetNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, globex := w.newTenant(t, "Acme"), w.newTenant(t, "Globex")
	w.memberOf(t, acme, globex)
	set := w.signIn(t)
	w.save(t, document.SignIn, `{"actions":[{"name":"x","deny":{"code":"closed"},"tomorrow":1}]}`)
	if _, err := w.trySignIn(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a sign-in: %v", err)
	}
	if _, err := w.switchTo(set.Refresh, acme); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a change of tenant: %v", err)
	}
	w.refresh(t, w.Service, set.Refresh)
}

// Actions that are saved while somebody changes the tenant are obeyed.
func TestActionsAreSavedDuringAChangeOfTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme := w.newTenant(t, "Acme")
	w.memberOf(t, acme, w.newTenant(t, "Globex"))
	set := w.signIn(t)
	w.sessions.before = func() {
		w.sessions.before = nil
		w.save(t, document.SignIn, `{"actions":[{"name":"closed","deny":{"code":"closed"}}]}`)
	}
	if _, err := w.switchTo(set.Refresh, acme); fault.KindOf(err) != fault.Denied {
		t.Errorf("%v", err)
	}
	if row, _, err := w.store.Sessions().Find(w.ctx, w.project, set.Row.ID); err != nil || !row.Tenant.IsZero() {
		t.Errorf("the session is in %v, %v", row.Tenant, err)
	}
}

// What sign-in actions have given for a tenant ends with the membership, and the others are
// asked as for a session in no tenant. The preview knows.
func TestLeavingATenantAsksTheActions(t *testing.T) {
	t.Parallel()
	const inTenant = `{"name":"badge","when":"has(tenant.name)","claims":{"badge":"{{ tenant.name }}"},"audience":["https://{{ tenant.name }}.example"]}`
	const always = `{"name":"plan","claims":{"plan":"pro"},"audience":["https://pro.example"]}`
	const nowhere = `{"name":"nowhere","when":"!has(tenant.name)",`
	big := strings.Repeat("x", 480)
	own := `{"own":"` + big + `","own2":"` + big + `","own3":"` + big + `"}`
	for name, c := range map[string]struct {
		actions string
		plan    bool // is kept
		denied  int  // events
	}{
		"asked":                {always, true, 0},
		"denied":               {always + `,` + nowhere + `"deny":{"code":"nowhere"}}`, false, 1},
		"required":             {always + `,` + nowhere + `"require":"mfa"}`, false, 1},
		"too old":              {always + `,` + nowhere + `"lifetime":"3m"}`, false, 0},
		"idle for long":        {always + `,` + nowhere + `"idle":"30m"}`, true, 0},
		"more than would fit":  {always + `,` + nowhere + `"claims":{"big":"{{ user.attributes.?big.orValue('') }}","more":"{{ user.attributes.?big.orValue('') }}","most":"{{ user.attributes.?big.orValue('') }}"}}`, false, 0},
		"nobody knows a claim": {nowhere + `"claims":{"x":"{{ user.attributes.none }}"}}`, false, 0},
	} {
		for _, how := range []string{"rotation", "read", "replay"} {
			w := newWorld(t, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
			acme := w.newTenant(t, "Acme")
			w.memberOf(t, acme)
			w.describe(t, `{"big":"`+big+`"}`)
			doc := `{"actions":[` + inTenant + `,` + c.actions + `]}`
			must(t, w.CheckDocument(w.ctx, w.project, document.SignIn, []byte(doc), nil))
			w.save(t, document.SignIn, doc)
			set := w.signIn(t, func(in *token.SignIn) { in.Tenant, in.Claims = acme, json.RawMessage(own) })
			if how == "replay" {
				w.clock.Move(5 * time.Minute)
				w.refresh(t, w.Service, set.Refresh)
			} else {
				w.clock.Move(5 * time.Minute)
			}
			w.memberOf(t)
			before := len(w.told(t, audit.SignInDenied))
			preview, err := w.Preview(w.ctx, token.Preview{Project: w.project, Kind: document.User, Session: set.Row.ID})
			must(t, err)
			next, _, err := w.Refresh(w.ctx, w.present(set.Refresh), how == "read")
			must(t, err)
			got := members(t, claims(t, next.Session))
			want := map[string]bool{"own": true, "badge": false, "plan": c.plan, "dct": false, "big": false}
			for claim, there := range want {
				if _, is := got[claim]; is != there {
					t.Errorf("%s, %s: %s in the token: %v, want %v", name, how, claim, is, there)
				}
				if _, is := members(t, preview.Claims)[claim]; is != there {
					t.Errorf("%s, %s: %s in the preview: %v, want %v", name, how, claim, is, there)
				}
			}
			if aud := string(got["aud"]); strings.Contains(aud, "Acme") || strings.Contains(aud, "pro.example") != c.plan {
				t.Errorf("%s, %s: the audience is %s", name, how, aud)
			}
			if n := len(w.told(t, audit.SignInDenied)) - before; n != c.denied {
				t.Errorf("%s, %s: told of %d denials, want %d", name, how, n, c.denied)
			}
			row, _, err := w.store.Sessions().Find(w.ctx, w.project, set.Row.ID)
			must(t, err)
			if !row.Tenant.IsZero() || row.ClaimsEpoch == 0 || slices.Contains(row.Acted.Claims, "badge") {
				t.Errorf("%s, %s: the session is in %v, and has %+v", name, how, row.Tenant, row.Acted)
			}
		}
	}
}

// What the actions have said of a session whose user has left counts only as long as
// everything is as it was when they were asked.
func TestLeavingIsOvertaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*world, id.Tenant)
		tenant    bool
		badge     string
	}{
		"by coming back":   {func(w *world, acme id.Tenant) { w.memberOf(t, acme) }, true, `"old"`},
		"by other actions": {func(w *world, _ id.Tenant) { w.save(t, document.SignIn, badge("new")) }, false, `"new"`},
		"by no actions": {func(w *world, _ id.Tenant) {
			_, err := w.store.Documents().Change(w.ctx, w.project, document.SignIn, func(document.State) (document.Step, error) {
				return document.Step{Event: w.event(audit.TemplateDeleted)}, nil
			})
			must(t, err)
		}, false, ``},
		"by a settings' change": {func(w *world, _ id.Tenant) { w.settings(t, `{"sessionTokenTTL":"4m"}`) }, false, `"old"`},
	} {
		w := newWorld(t, `{}`)
		acme := w.newTenant(t, "Acme")
		w.memberOf(t, acme)
		w.save(t, document.SignIn, badge("old"))
		set := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })
		w.memberOf(t)
		rotations := 0
		w.sessions.before = func() {
			if rotations++; rotations == 2 {
				c.meanwhile(w, acme)
			}
		}
		next := w.refresh(t, w.Service, set.Refresh)
		got := members(t, claims(t, next.Session))
		if _, in := got["dct"]; in != c.tenant || string(got["badge"]) != c.badge || rotations < 3 {
			t.Errorf("%s: after %d attempts in a tenant: %v, badge %s", name, rotations, in, got["badge"])
		}
	}
}

func badge(value string) string {
	return `{"actions":[{"name":"badge","claims":{"badge":"` + value + `"}}]}`
}

// A claim that the application has changed stays through changes of tenant, unless the
// actions want it again.
func TestActionsLeaveChangedClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	acme, bank := w.newTenant(t, "Acme"), w.newTenant(t, "Bank")
	w.memberOf(t, acme, bank)
	w.save(t, document.SignIn, `{"actions":[{"name":"all","claims":{"badge":"b"}},{"name":"acme","when":"tenant.?name.orValue('') == 'Acme'","claims":{"plan":"pro","level":1}}]}`)
	set := w.signIn(t, func(in *token.SignIn) { in.Tenant = acme })
	row, _, err := w.store.Sessions().Find(w.ctx, w.project, set.Row.ID)
	must(t, err)
	_, err = w.store.Sessions().SetClaims(w.ctx, w.project, row.ID, row.ClaimsEpoch, json.RawMessage(`{"badge":"c","level":1,"plan":"team"}`), nil)
	must(t, err)
	moved, err := w.switchTo(set.Refresh, bank)
	must(t, err)
	got := members(t, claims(t, moved.Session))
	if _, level := got["level"]; string(got["plan"]) != `"team"` || level || string(got["badge"]) != `"b"` {
		t.Errorf("plan %s, level %s, badge %s", got["plan"], got["level"], got["badge"])
	}
}
