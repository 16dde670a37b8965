package native_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// exerciseAccessKeys calls every method of the client that is about access keys.
func exerciseAccessKeys(t *testing.T, w *world, c, plain *latchkey.Client) {
	t.Helper()
	ctx := t.Context()
	tenant := w.grants.tenant.String()
	made, err := c.CreateAccessKey(ctx, latchkey.AccessKeyRequest{
		Name: new("importer"), Description: new("imports"), Roles: &[]string{"auditor"}, Tenants: &[]latchkey.MembershipRequest{{Tenant: tenant, Roles: []string{"member"}}},
		Claims: json.RawMessage(`{"team":"data"}`), Attributes: json.RawMessage(`{"cost":7}`), Networks: &[]string{"10.0.0.0/8"}, ExpiresAt: new(w.clock.Now().Add(time.Hour)),
	})
	must(t, err)
	w.secret(made.Secret)
	found, err := c.AccessKey(ctx, made.Key.ID)
	must(t, err)
	if !strings.HasPrefix(made.Secret, "lk_ak_") || found.Name != "importer" || len(found.Roles) != 1 || found.Roles[0].Name != "auditor" || len(found.Tenants) != 1 ||
		string(found.Claims) != `{"team":"data"}` || string(found.Attributes) != `{"cost":7}` || found.ExpiresAt == nil || found.LastUsedAt != nil {
		t.Errorf("made: %+v", found)
	}
	if keys := all(t, c.AccessKeys(ctx, latchkey.AccessKeyFilter{Query: "IMPORT", Status: "enabled"})); len(keys) != 2 || keys[1].ID != made.Key.ID {
		t.Errorf("listed: %+v", keys)
	}
	changed, err := c.ChangeAccessKey(ctx, made.Key.ID, latchkey.AccessKeyRequest{NeverExpires: true, Networks: &[]string{}, Claims: json.RawMessage(`{"team":null}`)})
	must(t, err)
	if changed.ExpiresAt != nil || len(changed.Networks) != 0 || changed.Claims != nil || changed.Name != "importer" || len(changed.Roles) != 1 {
		t.Errorf("changed: %+v", changed)
	}
	rotated, err := c.RotateAccessKey(ctx, made.Key.ID)
	must(t, err)
	w.secret(rotated.Secret)
	if _, err := plain.ExchangeAccessKey(ctx, latchkey.AccessKeyExchange{Key: made.Secret}); latchkey.CodeOf(err) != latchkey.CodeUnauthenticated {
		t.Errorf("the old secret: %v", err)
	}
	got, err := plain.ExchangeAccessKey(ctx, latchkey.AccessKeyExchange{Key: rotated.Secret, Tenant: tenant, Claims: json.RawMessage(`{"job":"x"}`)})
	must(t, err)
	if got.AccessKey != made.Key.ID || got.SessionToken == "" || !got.SessionExpiresAt.After(got.ServerTime) {
		t.Errorf("exchanged for %v", got)
	}
	must(t, c.DeleteAccessKey(ctx, made.Key.ID))
	if _, err := plain.ExchangeAccessKey(ctx, latchkey.AccessKeyExchange{Key: rotated.Secret}); latchkey.CodeOf(err) != latchkey.CodeUnauthenticated {
		t.Errorf("deleted: %v", err)
	}
}

// exchange is a call of the exchange with a secret.
func (w *world) exchange(clear, body string) call {
	c := w.end("POST", "/access-keys/exchange", clear)
	c.body = body
	return c
}

// verifier checks tokens of the world's project as an application does.
func (w *world) verifier(t *testing.T) *latchkey.Verifier {
	t.Helper()
	jwks, _, err := w.tokens.JWKS(t.Context(), w.project)
	must(t, err)
	keys, err := latchkey.StaticKeySet(jwks)
	must(t, err)
	v, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: w.tokens.Issuer(w.project), Keys: keys, Now: w.clock.Now})
	must(t, err)
	return v
}

// A machine's token says what the key may do, and is checked like that of a user.
func TestExchangedTokenVerifies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.verifier(t)
	tenant := w.grants.tenant.String()
	var got latchkey.MachineToken
	w.ok(t, w.exchange(w.machineKey, `{"claims":{"job":"x","sub":"usr_evil"},"tenant":"`+tenant+`"}`), &got)
	c, err := v.Verify(t.Context(), got.SessionToken, latchkey.Requirement{Tenant: tenant, Roles: []string{"member", "auditor"}, Permissions: []string{w.grants.permission}})
	must(t, err)
	var job string
	if found, err := c.ClientClaim("job", &job); !found || err != nil || job != "x" {
		t.Errorf("what the machine asked for: %q, %v", job, err)
	}
	if c.Principal() != w.machine.ID.String() || c.Subject != c.Principal() || c.SessionID != "" || c.RefreshID != "" || len(c.AMR) != 0 || c.CurrentTenant != tenant ||
		c.ClientID != c.Principal() || !c.AuthTime.IsZero() || !c.RefreshExpiresAt.IsZero() || c.Epoch != w.clock.Now().UnixMilli() || c.Impersonated() {
		t.Errorf("%+v", c)
	}
	if life := c.ExpiresAt.Sub(c.IssuedAt); life != 10*time.Minute {
		t.Errorf("it lives %v", life)
	}
	for name, need := range map[string]latchkey.Requirement{
		"a method": {AMR: []string{"mfa"}}, "a recent sign-in": {MaxAge: time.Hour}, "a step-up": {StepUp: true}, "another role": {Roles: []string{"owner"}},
	} {
		if _, err := v.Verify(t.Context(), got.SessionToken, need); err == nil {
			t.Errorf("a machine meets %s", name)
		}
	}
	// There is no session, and nothing that speaks for one.
	for _, path := range []string{"/session", "/sessions"} {
		w.refused(t, w.end("GET", path, got.SessionToken), latchkey.CodeUnauthenticated)
	}
	for _, path := range []string{"/session/refresh", "/session/logout", "/session/logout-all", "/session/ack"} {
		w.refused(t, w.end("POST", path, got.SessionToken), latchkey.CodeUnauthenticated)
	}
}

// With one tenant it is the current one by itself, unless the project says otherwise.
func TestExchangeChoosesTheOnlyTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.verifier(t)
	current := func() string {
		t.Helper()
		var got latchkey.MachineToken
		w.ok(t, w.exchange(w.machineKey, ""), &got)
		c, err := v.Verify(t.Context(), got.SessionToken)
		must(t, err)
		return c.CurrentTenant
	}
	if got := current(); got != w.grants.tenant.String() {
		t.Errorf("by itself: %q", got)
	}
	w.settings(t, `{"autoTenant":false}`)
	if got := current(); got != "" {
		t.Errorf("without autoTenant: %q", got)
	}
	w.settings(t, `{"autoTenant":true}`)
	w.ok(t, w.manage("PATCH", "/tenants/"+w.grants.tenant.String(), `{"status":"disabled"}`), nil)
	if got := current(); got != "" {
		t.Errorf("a disabled tenant: %q", got)
	}
	a := w.refused(t, w.exchange(w.machineKey, `{"tenant":"`+w.grants.tenant.String()+`"}`), latchkey.CodeInvalidRequest)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/tenant" {
		t.Errorf("%s", a.body)
	}
}

// Attack 28: whoever shouldn't have a token gets none, and is told no more than that.
func TestExchangeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	make := func(more string) latchkey.NewAccessKey {
		t.Helper()
		var made latchkey.NewAccessKey
		w.ok(t, w.manage("POST", "/access-keys", `{"name":"x"`+more+`}`), &made)
		w.secret(made.Secret)
		return made
	}
	refused := func(name, clear string, code latchkey.Code) {
		t.Helper()
		if a := w.do(t, w.exchange(clear, "")); a.problem.Code != code {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, code)
		}
	}
	off := make("")
	w.ok(t, w.manage("PATCH", "/access-keys/"+off.Key.ID, `{"status":"disabled"}`), nil)
	refused("disabled", off.Secret, latchkey.CodeUnauthenticated)
	w.ok(t, w.manage("PATCH", "/access-keys/"+off.Key.ID, `{"status":"enabled"}`), nil)
	w.ok(t, w.exchange(off.Secret, ""), nil)

	short := make(fmt.Sprintf(`,"expiresAt":%q`, w.clock.Now().Add(3*time.Minute).Format(time.RFC3339)))
	var got latchkey.MachineToken
	w.ok(t, w.exchange(short.Secret, ""), &got)
	if got.SessionExpiresAt.After(w.clock.Now().Add(3 * time.Minute)) {
		t.Errorf("the token outlives the key: %v", got.SessionExpiresAt)
	}
	w.clock.Move(3 * time.Minute)
	refused("over", short.Secret, latchkey.CodeUnauthenticated)

	owner := w.newUser(t, w.project, "owner@example.com")
	hers := make(fmt.Sprintf(`,"user":%q`, owner))
	w.ok(t, w.exchange(hers.Secret, ""), nil)
	w.ok(t, w.manage("PATCH", "/users/"+owner.String(), `{"status":"disabled"}`), nil)
	refused("of a disabled user", hers.Secret, latchkey.CodeUnauthenticated)
	w.ok(t, w.manage("DELETE", "/users/"+owner.String(), ""), nil)
	refused("of a deleted user", hers.Secret, latchkey.CodeUnauthenticated)
	w.refused(t, w.manage("GET", "/access-keys/"+hers.Key.ID, ""), latchkey.CodeNotFound)

	inside := make(`,"networks":["192.0.2.0/24"]`)
	c := w.exchange(inside.Secret, "")
	c.from = "192.0.2.9"
	w.ok(t, c, nil)
	c.from = "203.0.113.9"
	w.refused(t, c, latchkey.CodeForbidden)

	_, foreign := w.newMachine(t, w.another(t))
	refused("another project's", foreign, latchkey.CodeUnauthenticated)
	refused("one that nobody has", secret.NewKey(secret.Access).Reveal(), latchkey.CodeUnauthenticated)
	refused("a management key", w.key, latchkey.CodeUnauthenticated)
	w.tap.drain()
	refused("one that was cut", w.machineKey[:len(w.machineKey)-1], latchkey.CodeUnauthenticated)
	if calls := w.tap.drain(); len(calls) > 0 {
		t.Errorf("one that was cut: the store was asked %v", calls)
	}
	// Nor does it open anything else.
	users := w.manage("GET", "/users", "")
	users.bearer = w.machineKey
	w.refused(t, users, latchkey.CodeUnauthenticated)
	w.refused(t, w.end("POST", "/session/refresh", w.machineKey), latchkey.CodeUnauthenticated)

	w.ok(t, call{method: "PATCH", path: "/v1/projects/" + w.project.String(), bearer: w.key, body: `{"status":"disabled"}`}, nil)
	refused("of a disabled project", w.machineKey, latchkey.CodeUnauthenticated)
}

func TestExchangeIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limiter.refuse(time.Second)
	w.refused(t, w.exchange(w.machineKey, ""), latchkey.CodeRateLimited)
	w.refused(t, w.exchange(secret.NewKey(secret.Access).Reveal(), ""), latchkey.CodeUnauthenticated) // junk doesn't use up the others' share
	w.limiter.refuse(0)
	w.junk.refuse(time.Second)
	w.refused(t, w.exchange(secret.NewKey(secret.Access).Reveal(), ""), latchkey.CodeRateLimited)
	w.ok(t, w.exchange(w.machineKey, ""), nil)
}

// What a machine asks for lands in nsec, and is bounded like everything there.
func TestExchangeClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("x", 600)
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"no object":       {`{"claims":[1]}`, latchkey.CodeInvalidRequest},
		"too long":        {`{"claims":{"a":"` + long + `"}}`, latchkey.CodeClaimsTooLarge},
		"no tenant":       {`{"tenant":"acme"}`, latchkey.CodeInvalidRequest},
		"unknown tenant":  {`{"tenant":"` + id.NewTenant(w.clock.Now()).String() + `"}`, latchkey.CodeInvalidRequest},
		"unknown member":  {`{"audience":["x"]}`, latchkey.CodeInvalidRequest},
		"both are wrong":  {`{"claims":{"":1},"tenant":"` + id.NewTenant(w.clock.Now()).String() + `"}`, latchkey.CodeInvalidRequest},
		"more than fits":  {`{"claims":{` + many(40, 490) + `}}`, latchkey.CodeClaimsTooLarge},
		"too many claims": {`{"claims":{` + many(101, 1) + `}}`, latchkey.CodeClaimsTooLarge},
	} {
		a := w.refused(t, w.exchange(w.machineKey, c.body), c.code)
		golden(t, "problems/exchange-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	w.settings(t, `{"claimLint":"reject"}`)
	a := w.refused(t, w.exchange(w.machineKey, `{"claims":{"mail":"alice@example.com"}}`), latchkey.CodeInvalidRequest)
	if a.status != http.StatusUnprocessableEntity || a.problem.Errors[0].Pointer != "/claims/mail" || w.counter.of("flagged reject") != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.settings(t, `{"claimLint":"warn"}`)
	w.ok(t, w.exchange(w.machineKey, `{"claims":{"mail":"alice@example.com"}}`), nil)
	if w.counter.of("flagged warn") != 1 {
		t.Error("the warning isn't counted")
	}
}

// many are so many members of an object, each with a text of some bytes.
func many(n, bytes int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"c%d":%q`, i, strings.Repeat("x", bytes)))
	}
	return strings.Join(members, ",")
}

func TestAccessKeysRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"no name":         {`{"roles":["auditor"]}`, latchkey.CodeInvalidRequest},
		"everything":      {`{"name":"","description":"a\u0000","roles":["nobody"],"tenants":[{"tenant":"ten_x"}],"attributes":[1],"expiresAt":"2020-01-01T00:00:00Z","networks":["300.1.1.1"],"user":"usr_x"}`, latchkey.CodeInvalidRequest},
		"networks":        {`{"name":"x","networks":["192.0.2.1","10.0.0.0/8"]}`, latchkey.CodeInvalidRequest},
		"reserved":        {`{"name":"x","claims":{"roles":["admin"],"sub":"usr_1"}}`, latchkey.CodeReservedClaim},
		"a stranger":      {`{"name":"x","user":"usr_nobody"}`, latchkey.CodeInvalidRequest},
		"contradiction":   {`{"name":"x","expiresAt":"2099-01-01T00:00:00Z","neverExpires":true}`, latchkey.CodeContradiction},
		"more than fits":  {`{"name":"x","claims":{` + many(40, 490) + `}}`, latchkey.CodeClaimsTooLarge},
		"its own secret":  {`{"name":"x","secret":"lk_ak_chosen_by_the_caller"}`, latchkey.CodeInvalidRequest},
		"role of another": {`{"name":"x","roles":["` + w.grants.role.String() + `","` + id.NewRole(w.clock.Now()).String() + `"]}`, latchkey.CodeInvalidRequest},
	} {
		a := w.refused(t, w.manage("POST", "/access-keys", c.body), c.code)
		golden(t, "problems/access-key-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	w.refused(t, w.manage("POST", "/access-keys", `{"name":"x","user":"`+id.NewUser(w.clock.Now()).String()+`"}`), latchkey.CodeNotFound)
	at := "/access-keys/" + w.machine.ID.String()
	w.refused(t, w.manage("PATCH", at, `{"user":"`+w.user.String()+`"}`), latchkey.CodeInvalidRequest)
	w.refused(t, w.manage("PATCH", at, `{"expiresAt":"2099-01-01T00:00:00Z","neverExpires":true}`), latchkey.CodeContradiction)
	w.refused(t, w.manage("PATCH", at, `{"claims":{"sid":"x"}}`), latchkey.CodeReservedClaim)
	w.refused(t, w.manage("PATCH", at, `{"claims":{`+many(40, 490)+`}}`), latchkey.CodeClaimsTooLarge)
	for _, k := range []string{id.NewAccessKey(w.clock.Now()).String(), "nonsense"} {
		w.refused(t, w.manage("GET", "/access-keys/"+k, ""), latchkey.CodeNotFound)
		w.refused(t, w.manage("PATCH", "/access-keys/"+k, `{"name":"y"}`), latchkey.CodeNotFound)
		w.refused(t, w.manage("POST", "/access-keys/"+k+"/rotate", ""), latchkey.CodeNotFound)
		w.refused(t, w.manage("DELETE", "/access-keys/"+k, ""), latchkey.CodeNotFound)
	}
	for _, query := range []string{"?user=nobody", "?status=off", "?query=" + strings.Repeat("x", 201), "?pageToken=AAAA"} {
		w.refused(t, w.manage("GET", "/access-keys"+query, ""), latchkey.CodeInvalidRequest)
	}
	owner := w.newUser(t, w.project, "many@example.com")
	for range directory.MaxUserKeys {
		_, _, err := w.directory.CreateAccessKey(context.Background(), w.project, owner, directory.AccessKeyChange{Name: new("x")}, nil, audit.Origin{Actor: audit.CLI})
		must(t, err)
	}
	w.refused(t, w.manage("POST", "/access-keys", `{"name":"x","user":"`+owner.String()+`"}`), latchkey.CodeConflict)
}

// A change that changes nothing is no event, and one of a key's state says which.
func TestAccessKeyEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := "/access-keys/" + w.machine.ID.String()
	for _, body := range []string{`{"name":"importer"}`, `{"name":"other"}`, `{"status":"disabled"}`, `{"status":"disabled"}`, `{"status":"enabled"}`, `{"claims":{"mail":"alice@example.com"}}`} {
		w.clock.Move(time.Second)
		w.ok(t, w.manage("PATCH", at, body), nil)
	}
	w.clock.Move(time.Second)
	w.ok(t, w.manage("POST", at+"/rotate", ""), nil)
	w.clock.Move(time.Second)
	w.ok(t, w.manage("DELETE", at, ""), nil)
	var list latchkey.EventList
	w.ok(t, w.manage("GET", "/events", ""), &list)
	var got []string
	for _, e := range list.Events {
		if kind, found := strings.CutPrefix(e.Type, "access_key."); found {
			got = append(got, kind)
			if e.Data["key"] != w.machine.ID.String() || strings.Contains(fmt.Sprint(e.Data), "alice@") {
				t.Errorf("%s: %v", e.Type, e.Data)
			}
			if flagged := e.Data["findings"] != nil; flagged != (len(got) == 3) {
				t.Errorf("%s: flagged %v", e.Type, flagged)
			}
		}
	}
	if want := "deleted rotated changed enabled disabled changed created"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", strings.Join(got, " "), want)
	}
}
