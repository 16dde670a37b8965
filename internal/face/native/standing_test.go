package native_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// here is a change to the tenant of the site's user.
func (w *world) here(token string) call {
	return withBody(w.end("POST", "/session/tenant", token), fmt.Sprintf(`{"tenant":%q}`, w.site.grants.tenant))
}

// claim asks for claims of a client.
func (w *world) claim(token, claims string) call {
	return withBody(w.end("POST", "/session/claims", token), `{"claims":`+claims+`}`)
}

func (w *world) actions(t testing.TB, list string) {
	t.Helper()
	w.ok(t, w.manage("PUT", "/templates/signIn", `{"document":{"actions":[`+list+`]}}`), nil)
}

// Whoever changes the tenant is judged as one who refreshes.
func TestSwitchTenantIsARefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, stolen := w.rotated(t)
	stale := w.here(set.RefreshToken)
	stale.body = strings.Replace(stale.body, "{", `{"composedAt":"2020-01-01T00:00:00Z",`, 1)
	w.refused(t, stale, latchkey.CodeRequestExpired)
	w.refused(t, w.here(set.SessionToken), latchkey.CodeUnauthenticated)
	var next latchkey.TokenSet
	w.ok(t, w.here(set.RefreshToken), &next)
	if next.RefreshToken != set.RefreshToken || next.Session.Tenant != w.site.grants.tenant.String() {
		t.Errorf("inside the window: %+v", next.Session)
	}
	for _, tenant := range []string{"", "nonsense", id.NewTenant(w.clock.Now()).String(), w.another(t).grants.tenant.String()} {
		c := withBody(w.end("POST", "/session/tenant", set.RefreshToken), fmt.Sprintf(`{"tenant":%q}`, tenant))
		w.refused(t, c, latchkey.CodeNotFound)
		c.bearer = "nonsense"
		w.refused(t, c, latchkey.CodeUnauthenticated)
	}
	w.clock.Move(window)
	w.ok(t, w.end("POST", "/session/ack", set.RefreshToken), nil)
	w.refused(t, w.here(stolen), latchkey.CodeTokenReuse)
	ended := w.signIn(t, w.site)
	w.ok(t, w.end("POST", "/session/logout", ended.RefreshToken), nil)
	w.refused(t, w.here(ended.RefreshToken), latchkey.CodeSessionRevoked)
	w.refused(t, w.claim(ended.RefreshToken, `{}`), latchkey.CodeSessionRevoked)
	late := w.signIn(t, w.site)
	w.clock.Move(29 * 24 * time.Hour)
	w.refused(t, w.here(late.RefreshToken), latchkey.CodeSessionExpired)
	w.refused(t, w.claim(late.RefreshToken, `{}`), latchkey.CodeSessionExpired)
}

// Replays aren't counted as refreshes, changes of the tenant are.
func TestSwitchTenantIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"refreshRateLimit":3}`)
	set := w.signIn(t, w.site)
	for range 3 {
		w.ok(t, w.here(set.RefreshToken), nil)
	}
	a := w.refused(t, w.here(set.RefreshToken), latchkey.CodeRateLimited)
	if a.header.Get("Retry-After") == "" {
		t.Error("it isn't said when")
	}
	w.refresh(t, set.RefreshToken)
}

// What refuses a change of tenant leaves the session as it was.
func TestSwitchTenantRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"autoTenant":false}`)
	set := w.signIn(t, w.site)
	before := w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID, ""), nil).body
	for _, c := range []struct {
		action string
		code   latchkey.Code
		field  string
	}{
		{`{"name":"no","when":"has(tenant.id)","deny":{"code":"closed","message":"Come back tomorrow."}}`, latchkey.CodeSignInDenied, "closed"},
		{`{"name":"two","when":"has(tenant.id)","require":"mfa"}`, latchkey.CodeInsufficient, "mfa"},
		{`{"name":"up","when":"has(tenant.id)","require":"stepUp"}`, latchkey.CodeInsufficient, "stepUp"},
	} {
		w.actions(t, c.action)
		a := w.refused(t, w.here(set.RefreshToken), c.code)
		if len(a.problem.Errors) != 1 || a.problem.Errors[0].Code != c.field || a.problem.Terminal {
			t.Errorf("%s", a.body)
		}
		a = w.refused(t, w.manage("POST", "/sessions", fmt.Sprintf(`{"user":%q,"amr":["pwd"],"tenant":%q}`, w.user, w.site.grants.tenant)), c.code)
		if len(a.problem.Errors) != 1 || a.problem.Errors[0].Code != c.field {
			t.Errorf("%s", a.body)
		}
	}
	// An action that denies names a code and words of whoever runs the project.
	if after := w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID, ""), nil).body; string(after) != string(before) {
		t.Errorf("the session became %s", after)
	}
	w.ok(t, w.manage("DELETE", "/templates/signIn", ""), nil)
	many := map[string]string{}
	for i := range 6 {
		many[fmt.Sprint("k", i)] = strings.Repeat("x", 480)
	}
	big, err := json.Marshal(many)
	must(t, err)
	w.settings(t, `{"delivery":null}`)
	w.ok(t, w.manage("PATCH", "/sessions/"+set.Session.ID, `{"claims":`+string(big)+`}`), nil)
	w.settings(t, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	c := w.here("")
	c.header = map[string][]string{"Cookie": {refreshCookie + "=" + set.RefreshToken}}
	w.refused(t, c, latchkey.CodeClaimsTooLarge)
	w.settings(t, `{"delivery":null}`)
	w.tap.failOn("sessions.Rotate", fault.New(fault.Conflict, "Somebody else was first."))
	w.refused(t, w.here(set.RefreshToken), latchkey.CodeConflict)
	w.tap.fail(nil)
	w.ok(t, w.here(set.RefreshToken), nil)
}

// A client's claims land in nsec and nowhere else, within the limits of all claims.
func TestClientClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"claims":{"plan":"pro"},"nsec":{"theme":"dark","tour":1}}`, w.user))
	var got latchkey.Session
	w.ok(t, w.claim(set.SessionToken, `{"theme":null,"plan":"free","sub":"me","nsec":{"a":1}}`), &got)
	if string(got.NSec) != `{"nsec":{"a":1},"plan":"free","sub":"me","tour":1}` || string(got.Claims) != `{"plan":"pro"}` || !got.Current {
		t.Errorf("%+v", got)
	}
	var token struct {
		Plan, Sub string
		NSec      map[string]any
	}
	readClaims(t, w.refresh(t, set.RefreshToken).SessionToken, &token)
	if token.Plan != "pro" || token.Sub != w.user.String() || token.NSec["plan"] != "free" {
		t.Errorf("the next token says %+v", token)
	}
	// What changes nothing is no change: nobody fills the feed with it.
	before, err := w.store.Revocations().Last(t.Context())
	must(t, err)
	w.ok(t, w.claim(set.RefreshToken, `{"plan":"free"}`), nil)
	w.ok(t, w.claim(set.RefreshToken, `{}`), nil)
	if after, err := w.store.Revocations().Last(t.Context()); err != nil || after != before {
		t.Errorf("the feed went from %d to %d, %v", before, after, err)
	}
	a := w.refused(t, w.claim(set.RefreshToken, fmt.Sprintf(`{"big":%q}`, strings.Repeat("x", 600))), latchkey.CodeClaimsTooLarge)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/claims/big" {
		t.Errorf("%s", a.body)
	}
	w.refused(t, w.claim(set.RefreshToken, `[]`), latchkey.CodeInvalidRequest)
	w.tap.failOn("sessions.SetClaims", fault.New(fault.Conflict, "Somebody else was first."))
	w.refused(t, w.claim(set.RefreshToken, `{"x":1}`), latchkey.CodeConflict)
	w.tap.fail(nil)
	w.settings(t, `{"claimLint":"reject"}`)
	if a := w.refused(t, w.claim(set.RefreshToken, `{"mail":"wombat@example.com"}`), latchkey.CodeInvalidRequest); a.status != 422 || a.problem.Errors[0].Pointer != "/claims/mail" {
		t.Errorf("%d %s", a.status, a.body)
	}
	next, stolen := w.rotated(t)
	w.clock.Move(window)
	w.ok(t, w.end("POST", "/session/ack", next.RefreshToken), nil)
	w.refused(t, w.claim(stolen, `{}`), latchkey.CodeTokenReuse)
}

// Attack: a client that changes its claims all the time fills the log, and the feed of every
// verifier. It is limited by itself, wherever it asks from.
func TestAttackClientClaimsFillTheFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.changes.refuse(1500 * time.Millisecond)
	for _, token := range []string{set.RefreshToken, set.SessionToken} {
		if a := w.refused(t, w.claim(token, `{"x":1}`), latchkey.CodeRateLimited); a.header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
	if sid, seen := set.Session.ID, w.changes.seen; id.Session(seen.Addr().As16()).String() != sid || seen.Bits() != 128 {
		t.Errorf("asked for %v, want %s", seen, sid)
	}
	w.changes.count()
	w.refused(t, w.claim("nonsense", `{"x":1}`), latchkey.CodeUnauthenticated)
	c := withBody(w.claim(w.key, ""), `{"claims":{"x":1},"refreshToken":"`+set.RefreshToken+`"}`)
	w.ok(t, c, nil)
	if n := w.changes.count(); n != 0 {
		t.Errorf("asked %d times for strangers and applications", n)
	}
	w.changes.refuse(0)
	w.ok(t, w.claim(set.RefreshToken, `{"x":2}`), nil)
}

func TestStepUpRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	step := func(sid, body string) call { return w.manage("POST", "/sessions/"+sid+"/step-up", body) }
	set := w.signIn(t, w.site)
	w.refused(t, step(set.Session.ID, `{"amr":["totp"],"lifetime":"11m"}`), latchkey.CodeOutOfRange)
	w.refused(t, step(set.Session.ID, `{"amr":["mfa"]}`), latchkey.CodeInvalidRequest)
	w.refused(t, step(set.Session.ID, `{}`), latchkey.CodeInvalidRequest)
	w.refused(t, step("nonsense", `{"amr":["totp"]}`), latchkey.CodeNotFound)
	w.ok(t, w.end("POST", "/session/logout", set.RefreshToken), nil)
	w.refused(t, step(set.Session.ID, `{"amr":["totp"]}`), latchkey.CodeSessionRevoked)
	late := w.signIn(t, w.site)
	w.clock.Move(29 * 24 * time.Hour)
	w.refused(t, step(late.Session.ID, `{"amr":["totp"]}`), latchkey.CodeSessionExpired)
}

// Attack: somebody of the support whose name got lost on the way isn't taken for the user.
func TestAttackImpersonationByNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.manage("POST", "/sessions", fmt.Sprintf(`{"user":%q,"amr":["pwd"],"actor":""}`, w.user))
	a := w.refused(t, c, latchkey.CodeInvalidRequest)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/actor" {
		t.Errorf("%s", a.body)
	}
}

// Who acts as a user needs a scope for it, is named wherever the session is shown, and
// doesn't end what is the user's.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := fmt.Sprintf(`{"user":%q,"amr":["pwd"],"actor":"support: Eve"}`, w.user)
	few := w.manage("POST", "/sessions", body)
	few.bearer = w.newKey(t, w.project, directory.NewKey{Name: "few", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions}})
	a := w.refused(t, few, latchkey.CodeForbidden)
	if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/actor" {
		t.Errorf("%s", a.body)
	}
	few.bearer = w.newKey(t, w.project, directory.NewKey{Name: "both", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions, directory.ScopeImpersonate}})
	w.ok(t, few, nil)
	w.refused(t, w.manage("POST", "/sessions", strings.Replace(body, "{", `{"revokeOthers":true,`, 1)), latchkey.CodeContradiction)
	own, acted := w.signIn(t, w.site), w.signInAs(t, w.site, body)
	if acted.Session.Actor != "support: Eve" || acted.Session.ExpiresAt.Sub(acted.Session.CreatedAt) != time.Hour {
		t.Errorf("%+v", acted.Session)
	}
	w.refused(t, w.end("POST", "/session/logout-others", acted.RefreshToken), latchkey.CodeForbidden)
	w.refused(t, w.end("POST", "/session/logout-all", acted.SessionToken), latchkey.CodeForbidden)
	w.refused(t, w.end("DELETE", "/sessions/"+own.Session.ID, acted.RefreshToken), latchkey.CodeForbidden)
	w.refused(t, w.manage("POST", "/sessions/"+acted.Session.ID+"/step-up", `{"amr":["totp"]}`), latchkey.CodeForbidden)
	w.refresh(t, own.RefreshToken)
	w.ok(t, w.claim(acted.RefreshToken, `{"theme":"dark"}`), nil)
	w.ok(t, w.here(acted.RefreshToken), nil)
	w.ok(t, w.end("DELETE", "/sessions/"+acted.Session.ID, acted.RefreshToken), nil)
	var list latchkey.EventList
	w.ok(t, w.manage("GET", "/events?session="+acted.Session.ID, ""), &list)
	types := map[string]bool{}
	for _, e := range list.Events {
		types[e.Type] = true
		if e.Data["impersonator"] != "support: Eve" {
			t.Errorf("%s doesn't name the actor: %v", e.Type, e.Data)
		}
	}
	for _, want := range []audit.Type{audit.SessionCreated, audit.SessionImpersonated, audit.SessionClaims, audit.SessionEnded} {
		if !types[string(want)] {
			t.Errorf("no %s among %v", want, types)
		}
	}
}

// A session begins in a tenant of its user, is found by it, and ends with all of it.
func TestSessionsOfATenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.site.grants.tenant.String()
	in := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"tenant":%q}`, w.user, tenant))
	stranger := w.newUser(t, w.project, "mallory@example.com")
	out := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, stranger))
	for body, code := range map[string]latchkey.Code{
		fmt.Sprintf(`{"user":%q,"amr":["pwd"],"tenant":%q}`, stranger, tenant): latchkey.CodeNotFound,
		fmt.Sprintf(`{"user":%q,"amr":["pwd"],"tenant":"nonsense"}`, w.user):   latchkey.CodeInvalidRequest,
	} {
		if a := w.refused(t, w.manage("POST", "/sessions", body), code); a.problem.Errors[0].Pointer != "/tenant" {
			t.Errorf("%s", a.body)
		}
	}
	var list latchkey.SessionList
	w.ok(t, w.manage("GET", "/sessions?tenant="+tenant, ""), &list)
	if len(list.Sessions) != 1 || list.Sessions[0].ID != in.Session.ID || list.Sessions[0].Tenant != tenant {
		t.Errorf("%+v", list)
	}
	var got ended
	w.ok(t, w.manage("POST", "/sessions/revoke", fmt.Sprintf(`{"tenant":%q,"dryRun":true}`, tenant)), &got)
	if got.Revoked != 1 {
		t.Errorf("%d would end", got.Revoked)
	}
	w.refused(t, w.manage("POST", "/sessions/revoke", `{"tenant":"nonsense"}`), latchkey.CodeInvalidRequest)
	for want := range 2 {
		w.ok(t, w.manage("POST", "/tenants/"+tenant+"/sessions/revoke", ""), &got)
		if got.Revoked != 1-want {
			t.Errorf("%d ended", got.Revoked)
		}
	}
	w.refused(t, w.end("POST", "/session/refresh", in.RefreshToken), latchkey.CodeSessionRevoked)
	w.refresh(t, out.RefreshToken)
	w.refused(t, w.manage("POST", "/tenants/nonsense/sessions/revoke", ""), latchkey.CodeNotFound)
	w.refused(t, w.manage("POST", "/tenants/"+id.NewTenant(w.clock.Now()).String()+"/sessions/revoke", ""), latchkey.CodeNotFound)
}

// Whom tokens are for is decided by the project, a template, sign-in actions and whoever
// signs the user in; never by a client.
func TestAudienceIsNeverTheClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"audience":["project"],"claimLint":"off"}`)
	w.actions(t, `{"name":"a","audience":["action"]}`)
	w.ok(t, w.manage("PUT", "/templates/user", `{"document":{"audience":["template"]}}`), nil)
	set := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"audience":["application"]}`, w.user))
	for _, c := range []call{
		withBody(w.end("POST", "/session/refresh", set.RefreshToken), `{"audience":["mine"]}`),
		withBody(w.end("POST", "/session/tenant", set.RefreshToken), `{"tenant":"ten_x","audience":["mine"]}`),
		withBody(w.end("POST", "/session/claims", set.RefreshToken), `{"claims":{},"audience":["mine"]}`),
	} {
		c.spoilt = true
		w.refused(t, c, latchkey.CodeInvalidRequest)
	}
	w.ok(t, w.claim(set.RefreshToken, `{"aud":["mine"],"audience":["mine"]}`), nil)
	var token struct{ Aud []string }
	readClaims(t, w.refresh(t, set.RefreshToken).SessionToken, &token)
	if want := []string{w.project.String(), "project", "application", "action", "template"}; !slices.Equal(token.Aud, want) {
		t.Errorf("aud %v, want %v", token.Aud, want)
	}
}

// readClaims reads what a token says.
func readClaims(t testing.TB, token string, into any) {
	t.Helper()
	all, err := json.Marshal(claims(t, token))
	must(t, err)
	must(t, json.Unmarshal(all, into))
}
