package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	documents "github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/face/native"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// bodies are those that routes can't work without. A new route that needs one fails
// every test over all routes until it is here.
var bodies = map[string]string{
	"createSession":       `{"user":"alice@example.com","amr":["pwd","totp"],"claims":{"plan":"pro"},"nsec":{"theme":"dark"},"device":{"ip":"198.51.100.7","userAgent":"curl/8.5.0","name":"Alice's laptop"}}`,
	"changeSessionClaims": `{"claims":{"plan":"team"}}`,
	"revokeSessions":      `{"ip":"198.51.100.0/24"}`,
	"switchTenant":        `{"tenant":"{tenant}"}`,
	"setClientClaims":     `{"claims":{"theme":"light"}}`,
	"stepUpSession":       `{"amr":["totp"],"lifetime":"2m"}`,
	"createUser":          `{"loginIds":["bob@example.com"],"name":"Bob","email":"bob@example.com","phone":"+4915112345678"}`,
	"changeUser":          `{"name":"Alice A."}`,
	"changeSettings":      `{"sessionTokenTTL":"5m"}`,

	"changeTenantSettings": `{"idleTimeout":"15m","absoluteTimeout":"12h","stepUpTTL":"1h"}`,
	"dryRunSettings":       `{"absoluteTimeout":"7d"}`,
	"dryRunTenantSettings": `{"absoluteTimeout":"7d","sessionTokenTTL":"1h"}`,

	"changeProject":       `{"name":"acme europe","status":"disabled"}`,
	"deleteProject":       `{"confirm":"{project}"}`,
	"setUserRoles":        `{"roles":["auditor"]}`,
	"setMembership":       `{"roles":["auditor"]}`,
	"batchUsers":          `{"create":[{"loginIds":["bob@example.com"]},{"name":"Nobody"}],"delete":["usr_unknown"]}`,
	"createTenant":        `{"name":"Globex","attributes":{"plan":"free"}}`,
	"changeTenant":        `{"name":"ACME Inc.","attributes":{"plan":"team"}}`,
	"createRole":          `{"name":"clerk","description":"Writes invoices","permissions":["invoice:read"]}`,
	"changeRole":          `{"permissions":[]}`,
	"createPermission":    `{"name":"invoice:write","description":"Write invoices"}`,
	"describePermission":  `{"description":"See invoices"}`,
	"saveTemplate":        `{"document":{"claims":{"plan":"{{ tenant.attributes.plan }}","hello":"Hi {{ user.name }}"}},"percent":10,"comment":"plans"}`,
	"rollOutTemplate":     `{"percent":50}`,
	"previewTemplate":     `{"document":{"claims":{"hello":"Hi {{ user.name }}"}},"session":"{sid}"}`,
	"createAccessKey":     `{"name":"nightly import","description":"The importer","roles":["auditor"],"tenants":[{"tenant":"{tenant}","roles":["member"]}],"claims":{"team":"data"},"attributes":{"cost":7},"networks":["192.0.2.0/24"]}`,
	"changeAccessKey":     `{"description":"Imports what partners send","neverExpires":true}`,
	"exchangeAccessKey":   `{"claims":{"job":"import-7"},"tenant":"{tenant}"}`,
	"createManagementKey": `{"name":"support desk","scopes":["sessions"],"networks":["192.0.2.0/24"]}`,
	"createWebhook":       `{"url":"https://billing.example.com/hooks","types":["user.*","session.ended"],"description":"billing"}`,
	"changeWebhook":       `{"enabled":false}`,
}

// queries are those that make an answer the same in every run: events of one moment have
// no order.
var queries = map[string]string{"listEvents": "?type=session.created,management_key.created"}

// good returns a call of a route that works: everything that its path names exists.
func (w *world) good(t testing.TB, r native.Route) call {
	t.Helper()
	return w.goodAt(t, w.site, r)
}

func (w *world) goodAt(t testing.TB, s *site, r native.Route) call {
	t.Helper()
	w.clock.Move(time.Second)
	set := w.signIn(t, s)
	keys, err := w.keys.List(t.Context(), s.project)
	must(t, err)
	managed, err := w.directory.Keys(t.Context(), s.project, id.ManagementKey{}, 10)
	must(t, err)
	last := managed[len(managed)-1]
	if len(managed) == 1 && strings.Contains(r.Pattern, "{key}") {
		w.newKey(t, s.project, directory.NewKey{Name: "spare", Kind: secret.Management})
		return w.goodAt(t, s, r)
	}
	if strings.Contains(r.Pattern, "{kind}") {
		w.shelve(t, s.project)
	}
	fill := strings.NewReplacer("{project}", s.project.String(), "{sid}", set.Session.ID, "{user}", s.user.String(),
		"{kind}", "user", "{version}", "1", "{kid}", keys[0].ID.String(), "{key}", last.ID.String(),
		"{accessKey}", s.machine.ID.String(), "{tenant}", s.grants.tenant.String(), "{role}", s.grants.role.String(), "{permission}", s.grants.permission,
		"{webhook}", s.hooks.id.String(), "{event}", s.hooks.missed.String())
	c := call{method: r.Method, path: fill.Replace(r.Pattern) + queries[r.ID], body: fill.Replace(bodies[r.ID])}
	switch {
	case r.ID == "exchangeAccessKey":
		c.bearer = s.machineKey
	case r.Scope != "":
		c.bearer = s.key
	case strings.HasPrefix(r.Pattern, "/{project}/session"):
		c.bearer = set.RefreshToken
	}
	return c
}

// body is one that an end-user route of the world's site works with.
func (w *world) body(r native.Route) string {
	if bodies[r.ID] == "" {
		return "{}"
	}
	return strings.ReplaceAll(bodies[r.ID], "{tenant}", w.site.grants.tenant.String())
}

// signIn makes a session of the site's user.
func (w *world) signIn(t testing.TB, s *site) latchkey.TokenSet {
	t.Helper()
	return w.signInAs(t, s, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":{"ip":"198.51.100.7"}}`, s.user))
}

func (w *world) signInAs(t testing.TB, s *site, body string) latchkey.TokenSet {
	t.Helper()
	var set latchkey.TokenSet
	w.ok(t, call{method: "POST", path: "/v1/projects/" + s.project.String() + "/sessions", bearer: s.key, body: body}, &set)
	return set
}

// manage calls a management endpoint of the world's project.
func (w *world) manage(method, path, body string) call {
	return call{method: method, path: "/v1/projects/" + w.project.String() + path, bearer: w.key, body: body}
}

// end calls an end-user endpoint of the world's project.
func (w *world) end(method, path, token string) call {
	return call{method: method, path: "/" + w.project.String() + path, bearer: token}
}

// shelve gives a project a template, and a candidate that no session gets, unless it has
// them.
func (w *world) shelve(t testing.TB, p id.Project) {
	t.Helper()
	for i, doc := range []string{`{"claims":{"hello":"Hello {{ user.name }}"}}`, `{"claims":{"hello":"Hi {{ user.name }}"}}`} {
		if _, err := w.papers.Version(t.Context(), p, documents.User, i+1); err == nil {
			continue
		}
		_, _, err := w.papers.Save(t.Context(), p, documents.User, documents.Draft{Document: []byte(doc), Percent: 100 - 100*i}, audit.Origin{Actor: audit.CLI})
		must(t, err)
	}
}
