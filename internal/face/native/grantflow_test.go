package native_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// authorization is what a session token says of what its user may do.
type authorization struct {
	Tenants map[string]struct {
		Roles       []string `json:"roles"`
		Permissions []string `json:"permissions"`
	} `json:"tenants"`
	Roles         []string `json:"roles"`
	Permissions   []string `json:"permissions"`
	CurrentTenant string   `json:"dct"`
}

func (w *world) authorization(t testing.TB, sessionToken string) authorization {
	t.Helper()
	var own latchkey.OwnSession
	w.ok(t, w.end("GET", "/session", sessionToken), &own)
	var a authorization
	must(t, json.Unmarshal(own.Claims, &a))
	return a
}

// told returns what the revocation feed says since the last time, as kind and id.
func (w *world) told(t testing.TB, cursor *string) []string {
	t.Helper()
	var list latchkey.RevocationList
	c := w.end("GET", "/revocations?wait=0s", w.key)
	if *cursor != "" {
		c.path += "&after=" + *cursor
	}
	w.ok(t, c, &list)
	*cursor = list.Cursor
	var out []string
	for _, e := range list.Entries {
		out = append(out, e.Kind+" "+e.ID)
	}
	return out
}

// Whatever changes what a user may do is in the user's next token, and verifiers are told
// that the one before is outdated; nobody is signed out by it.
func TestGrantsReachTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tenant, role := w.user.String(), w.grants.tenant.String(), w.grants.role.String()
	set := w.signIn(t, w.site)
	cursor := ""
	w.told(t, &cursor)
	for _, step := range []struct {
		what, method, path, body string
		told, want               string
	}{
		{"a role in the project", "PUT", "/users/" + user + "/roles", `{"roles":["auditor"]}`,
			"[epoch " + user + "]", "{map[T:{[member] []}] [auditor] [invoice:read] T}"},
		{"a role in the tenant", "PUT", "/users/" + user + "/tenants/" + tenant, `{"roles":["member","auditor"]}`,
			"[epoch " + user + "]", "{map[T:{[auditor member] [invoice:read]}] [auditor] [invoice:read] T}"},
		{"another name for it", "PATCH", "/roles/" + role, `{"name":"reviewer"}`,
			"[role " + latchkey.RoleMark("auditor") + "]", "{map[T:{[member reviewer] [invoice:read]}] [reviewer] [invoice:read] T}"},
		{"no permissions for it", "DELETE", "/permissions/invoice:read", "",
			"[role " + latchkey.RoleMark("reviewer") + "]", "{map[T:{[member reviewer] []}] [reviewer] [] T}"},
		{"no such role", "DELETE", "/roles/" + role, "",
			"[role " + latchkey.RoleMark("reviewer") + "]", "{map[T:{[member] []}] [] [] T}"},
		{"no membership", "DELETE", "/users/" + user + "/tenants/" + tenant, "",
			"[epoch " + user + "]", "{map[] [] [] }"},
		{"nothing new", "PUT", "/users/" + user + "/roles", `{"roles":[]}`, "[]", "{map[] [] [] }"},
	} {
		w.clock.Move(5 * time.Minute) // or the session would be refreshed too often
		w.ok(t, w.manage(step.method, step.path, step.body), nil)
		if got := fmt.Sprint(w.told(t, &cursor)); got != step.told {
			t.Errorf("%s: verifiers are told %s, want %s", step.what, got, step.told)
		}
		set = w.refresh(t, set.RefreshToken)
		got := strings.ReplaceAll(fmt.Sprint(w.authorization(t, set.SessionToken)), tenant, "T")
		if got != step.want {
			t.Errorf("%s: the token says %s, want %s", step.what, got, step.want)
		}
	}
}

// Disabling or deleting a tenant ends the sessions in which it is the current one, and no
// others.
func TestTenantsEndSessions(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]call{
		"disabled": {method: "PATCH", body: `{"status":"disabled"}`}, "deleted": {method: "DELETE"},
	} {
		w := newWorld(t)
		tenant := w.grants.tenant.String()
		inside := w.signIn(t, w.site)
		w.newUser(t, w.project, "bob@example.com")
		outside := w.signInAs(t, w.site, `{"user":"bob@example.com","amr":["pwd"]}`)
		cursor := ""
		w.told(t, &cursor)
		w.ok(t, w.manage(end.method, "/tenants/"+tenant, end.body), nil)
		if got := fmt.Sprint(w.told(t, &cursor)); got != "[tenant "+tenant+" epoch "+tenant+"]" {
			t.Errorf("%s: verifiers are told %s", what, got)
		}
		w.clock.Move(time.Minute)
		w.refused(t, w.end("POST", "/session/refresh", inside.RefreshToken), latchkey.CodeSessionRevoked)
		w.refresh(t, outside.RefreshToken)
		var s latchkey.Session
		w.ok(t, w.manage("GET", "/sessions/"+inside.Session.ID, ""), &s)
		if s.State != "ended" || s.EndReason != "tenant_"+what {
			t.Errorf("%s: the session is %s, %s", what, s.State, s.EndReason)
		}
		if a := w.authorization(t, w.signIn(t, w.site).SessionToken); len(a.Tenants) > 0 || a.CurrentTenant != "" {
			t.Errorf("%s: a new token says %+v", what, a)
		}
	}
}

// Users at every limit don't make an answer that no client reads: a page ends earlier.
func TestLargestUsersFitIntoAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("🏢", 200)
	var tenants []latchkey.MembershipRequest
	for range 50 {
		var made latchkey.Tenant
		w.ok(t, w.manage("POST", "/tenants", `{"name":"`+long+`"}`), &made)
		tenants = append(tenants, latchkey.MembershipRequest{Tenant: made.ID})
	}
	c, _ := w.client(t, w.key)
	var batch latchkey.UserBatch
	for i := range 110 {
		batch.Create = append(batch.Create, latchkey.UserRequest{LoginIDs: &[]string{fmt.Sprint("user", i)}, Tenants: &tenants})
	}
	result, err := c.UserBatch(t.Context(), batch)
	must(t, err)
	last := result.Create[109]
	if result.Created != 110 || result.Create[0].User == nil || last.User != nil || last.ID == "" {
		t.Errorf("created %d; of the last it is said %+v", result.Created, last)
	}
	page, err := c.UsersPage(t.Context(), latchkey.UserFilter{Query: "user"}, latchkey.PageRequest{Size: 200})
	must(t, err)
	if len(page.Users) < 50 || len(page.Users) > 109 || page.NextPageToken == "" {
		t.Errorf("a page of %d users", len(page.Users))
	}
	if n := len(all(t, c.Users(t.Context(), latchkey.UserFilter{Query: "user"}))); n != 110 {
		t.Errorf("%d users in all", n)
	}
}

// A template that hides roles and shows what follows from them: a change of a role reaches
// verifiers all the same, by an entry for every token of the project.
func TestConcealedGrantsReachTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tenant, role := w.user.String(), w.grants.tenant.String(), w.grants.role.String()
	w.ok(t, w.manage("PUT", "/users/"+user+"/roles", `{"roles":["auditor"]}`), nil)
	cursor, all := "", " epoch "+w.project.String()+"]"
	mark := "[role " + latchkey.RoleMark("auditor")
	for _, step := range []struct{ template, told string }{
		{`{"authorization":"none","claims":{"may":"{{ 'invoice:read' in user.permissions }}"}}`, mark + all},
		{`{"authorization":"none","claims":{"hello":"Hi {{ user.name }}"}}`, mark + "]"},
		{`{"authorization":"currentTenant","claims":{"many":"{{ user.tenants.exists(t, 'auditor' in user.tenants[t].roles) }}"}}`, mark + all},
		{`{"claims":{"may":"{{ 'invoice:read' in user.permissions }}"}}`, mark + "]"},
	} {
		w.clock.Move(5 * time.Minute) // or the session would be refreshed too often
		w.ok(t, w.manage("PATCH", "/roles/"+role, `{"permissions":["invoice:read"]}`), nil)
		w.ok(t, w.manage("PUT", "/templates/user", `{"document":`+step.template+`}`), nil)
		w.told(t, &cursor)
		w.ok(t, w.manage("PATCH", "/roles/"+role, `{"permissions":[]}`), nil)
		if got := fmt.Sprint(w.told(t, &cursor)); got != step.told {
			t.Errorf("%s: verifiers are told %s, want %s", step.template, got, step.told)
		}
	}
	w.ok(t, w.manage("PUT", "/templates/user", `{"document":{"authorization":"none","claims":{"in":"{{ tenant.roles }} {{ user.tenants }}"}}}`), nil)
	w.told(t, &cursor)
	w.ok(t, w.manage("PATCH", "/tenants/"+tenant, `{"name":"Another"}`), nil)
	if got := fmt.Sprint(w.told(t, &cursor)); got != "[epoch "+tenant+all {
		t.Errorf("verifiers are told %s", got)
	}
}
