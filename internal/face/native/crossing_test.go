package native_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// identifier is what a call names of a project. Names of roles and permissions are each
// project's own.
var identifier = regexp.MustCompile(`\b(usr|ten|role|ses|ak|mk|wh|evt|key)_[0-9a-z]{26}\b`)

// Attack 15: whatever a call names by identifier, a key reaches nothing of another project.
func TestAttack15ObjectsOfAnotherProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tried := 0
	other := w.another(t)
	for _, r := range w.face.Routes() {
		if r.Scope == "" {
			continue
		}
		c := w.goodAt(t, other, r)
		c.path = strings.Replace(c.path, other.project.String(), w.project.String(), 1)
		c.body = strings.ReplaceAll(c.body, other.project.String(), w.project.String())
		c.bearer = w.key
		if len(identifier.FindAllString(c.path+c.body, -1)) == 0 {
			continue
		}
		tried++
		w.crosses(t, other, c, r.ID != "revokeSessions") // a filter that finds nobody is none that is wrong
	}
	if tried < 35 {
		t.Errorf("only %d routes were tried", tried)
	}
	user, tenant, machine := w.user.String(), w.grants.tenant.String(), w.machine.ID.String()
	theirs := w.signIn(t, other)
	fill := strings.NewReplacer("{user}", other.user.String(), "{tenant}", other.grants.tenant.String(), "{role}", other.grants.role.String(),
		"{own}", other.grants.own.String(), "{sid}", theirs.Session.ID, "{machine}", other.machine.ID.String())
	for _, body := range []string{`{"roles":["{role}"]}`, `{"roles":["{own}"]}`, `{"tenants":[{"tenant":"{tenant}"}]}`, `{"tenants":[{"tenant":"` + tenant + `","roles":["{own}"]}]}`} {
		body = fill.Replace(body)
		w.crosses(t, other, w.manage("POST", "/users", body), true)
		w.crosses(t, other, w.manage("PATCH", "/users/"+user, body), true)
		w.crosses(t, other, w.manage("POST", "/users/batch", `{"create":[`+body+`]}`), false)
		w.crosses(t, other, w.manage("PATCH", "/access-keys/"+machine, body), true)
		w.crosses(t, other, w.manage("POST", "/access-keys", `{"name":"x",`+body[1:]), true)
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/users/" + user + "/roles", `{"roles":["{role}"]}`},
		{"PUT", "/users/" + user + "/tenants/{tenant}", `{}`},
		{"PUT", "/users/" + user + "/tenants/" + tenant, `{"roles":["{own}"]}`},
		{"PUT", "/users/{user}/tenants/" + tenant, `{}`},
		{"POST", "/roles", `{"name":"x","tenant":"{tenant}"}`},
		{"POST", "/access-keys", `{"name":"x","user":"{user}"}`},
		{"POST", "/sessions", `{"user":"{user}","amr":["pwd"]}`},
		{"POST", "/sessions", `{"user":"` + user + `","amr":["pwd"],"tenant":"{tenant}"}`},
		{"POST", "/sessions", `{"user":{"loginIds":["new@example.com"],"roles":["{role}"]},"amr":["pwd"]}`},
		{"POST", "/templates/user/preview", `{"session":"{sid}"}`},
		{"POST", "/templates/accessKey/preview", `{"accessKey":"{machine}"}`},
	} {
		w.crosses(t, other, w.manage(c.method, fill.Replace(c.path), fill.Replace(c.body)), true)
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/users/batch", `{"delete":["{user}"]}`},
		{"POST", "/sessions/revoke", `{"user":"{user}"}`},
		{"GET", "/sessions?user={user}", ""}, {"GET", "/sessions?tenant={tenant}", ""}, {"GET", "/users?query={user}", ""}, {"GET", "/users?tenant={tenant}", ""},
		{"GET", "/roles?tenant={tenant}", ""}, {"GET", "/access-keys?user={user}", ""}, {"GET", "/events?user={user}", ""}, {"GET", "/events?session={sid}", ""}, {"GET", "/events?tenant={tenant}", ""},
	} {
		a := w.crosses(t, other, w.manage(c.method, fill.Replace(c.path), fill.Replace(c.body)), false)
		if c.method == "GET" && (a.status >= 400 || identifier.Match(a.body)) {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
	}
}

// crosses makes a call that names something of another project, which must not change, and
// reports whether it was refused.
func (w *world) crosses(t testing.TB, other *site, c call, refused bool) reply {
	t.Helper()
	had, saw := w.logged(t, other.project), w.snapshot(t, other)
	a := w.do(t, c)
	if refused && a.status < 400 {
		t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
	}
	if w.logged(t, other.project) != had || w.snapshot(t, other) != saw {
		t.Errorf("%s %s %s has changed another project", c.method, c.path, c.body)
	}
	return a
}

// logged is the number of events of a project: whatever changes has one.
func (w *world) logged(t testing.TB, p id.Project) int {
	t.Helper()
	list, err := w.store.Events().List(t.Context(), audit.Query{Project: p, Limit: 1000})
	must(t, err)
	return len(list)
}

// snapshot is what a key can see of a site's user, role, tenant and machine.
func (w *world) snapshot(t testing.TB, s *site) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/users", "/tenants", "/roles", "/access-keys", "/webhooks", "/management-keys", "/sessions?state=active"} {
		all.Write(w.ok(t, call{method: "GET", path: "/v1/projects/" + s.project.String() + path, bearer: s.key}, nil).body)
	}
	return all.String()
}
