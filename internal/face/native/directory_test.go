package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Bad input: every problem of a request at once, with its place.
func TestDirectoryRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.grants.tenant.String()
	for name, c := range map[string]call{
		"user-attributes":   w.manage("PATCH", "/users/"+w.user.String(), `{"attributes":{"a\u0000":1,"big":"`+strings.Repeat("x", 8<<10)+`"},"email":"nobody"}`),
		"user-grants":       w.manage("POST", "/users", `{"loginIds":["dave"],"roles":["king","auditor","auditor"],"tenants":[{"tenant":"`+tenant+`","roles":["king"]},{"tenant":"ten_x"}]}`),
		"user-tenants":      w.manage("PATCH", "/users/"+w.user.String(), `{"tenants":[{"roles":["member"]},{"tenant":7}]}`),
		"user-roles":        w.manage("PUT", "/users/"+w.user.String()+"/roles", `{"roles":["member"]}`),
		"user-no-roles":     w.manage("PUT", "/users/"+w.user.String()+"/roles", `{}`),
		"user-membership":   w.manage("PUT", "/users/"+w.user.String()+"/tenants/"+tenant, `{"roles":["king","member","auditor"]}`),
		"user-filter":       w.manage("GET", "/users?tenant=acme&role=king&status=asleep&createdFrom=today", ""),
		"user-filter-names": w.manage("GET", "/users?tenant=acme&role=king", ""),
		"user-filter-login": w.manage("GET", "/users?loginId=a&query=b", ""),
		"batch-too-large":   w.manage("POST", "/users/batch", `{"delete":[`+strings.Repeat(`"",`, 1000)+`""]}`),
		"batch-in-all":      w.manage("POST", "/users/batch", `{"create":[`+strings.Repeat(`{},`, 600)+`{}],"delete":[`+strings.Repeat(`"",`, 400)+`""]}`),
		"tenant":            w.manage("POST", "/tenants", `{"name":"","attributes":[1]}`),
		"tenant-status":     w.manage("PATCH", "/tenants/"+tenant, `{"status":"asleep","id":"ten_1"}`),
		"role":              w.manage("POST", "/roles", `{"tenant":"acme","name":"*","permissions":["invoice:read","king:make","invoice:read"]}`),
		"role-change":       w.manage("PATCH", "/roles/"+w.grants.role.String(), `{"name":"","permissions":["king:make"]}`),
		"role-filter":       w.manage("GET", "/roles?tenant=acme", ""),
		"permission":        w.manage("POST", "/permissions", `{"name":"a\nb"}`),
		"permission-change": w.manage("PATCH", "/permissions/invoice:read", `{}`),
	} {
		golden(t, "problems/"+name, w.refused(t, c, latchkey.CodeInvalidRequest).body)
	}
	for _, c := range []call{
		w.manage("POST", "/roles", `{"name":"auditor"}`), w.manage("PATCH", "/roles/"+w.grants.role.String(), `{"name":"clerk"}`),
		w.manage("POST", "/permissions", `{"name":"invoice:read"}`),
	} {
		if strings.Contains(c.body, "clerk") {
			w.ok(t, w.manage("POST", "/roles", `{"name":"clerk"}`), nil)
		}
		w.refused(t, c, latchkey.CodeConflict)
	}
}

// A key of one project sees, changes and grants nothing of another.
func TestProjectsDoNotShareTheirDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another(t)
	g := other.grants
	user, tenant, role := "/users/"+other.user.String(), "/tenants/"+g.tenant.String(), "/roles/"+g.role.String()
	mine := "/users/" + w.user.String()
	_, err := w.directory.CreatePermission(t.Context(), other.project, "theirs", "", cli)
	must(t, err)
	for _, c := range []call{
		w.manage("GET", tenant, ""), w.manage("PATCH", tenant, `{"name":"x"}`), w.manage("DELETE", tenant, ""),
		w.manage("GET", role, ""), w.manage("PATCH", role, `{"name":"x"}`), w.manage("DELETE", role, ""),
		w.manage("PATCH", "/permissions/theirs", `{"description":"x"}`), w.manage("DELETE", "/permissions/theirs", ""),
		w.manage("PUT", user+"/roles", `{"roles":[]}`), w.manage("PUT", user+"/tenants/"+w.grants.tenant.String(), ""), w.manage("DELETE", user+tenant, ""),
		w.manage("PUT", mine+tenant, ""), w.manage("DELETE", mine+tenant, ""),
	} {
		w.refused(t, c, latchkey.CodeNotFound)
	}
	for _, c := range []call{
		w.manage("PATCH", mine, fmt.Sprintf(`{"roles":[%q]}`, g.role)), w.manage("PATCH", mine, fmt.Sprintf(`{"tenants":[{"tenant":%q}]}`, g.tenant)),
		w.manage("PUT", mine+"/roles", fmt.Sprintf(`{"roles":[%q]}`, g.role)), w.manage("POST", "/roles", `{"name":"x","permissions":["theirs"]}`),
		w.manage("POST", "/roles", fmt.Sprintf(`{"name":"x","tenant":%q}`, g.tenant)),
		w.manage("POST", "/sessions", fmt.Sprintf(`{"user":{"loginIds":["alice@example.com"],"roles":[%q]},"amr":["pwd"]}`, g.role)),
	} {
		w.refused(t, c, latchkey.CodeInvalidRequest)
	}
	for _, list := range []string{
		"/users?tenant=" + g.tenant.String(), "/users?role=" + g.role.String(), "/users?query=" + other.user.String(), "/tenants?query=" + g.tenant.String(),
		"/roles?tenant=" + g.tenant.String(), "/roles?name=theirs",
	} {
		if got := w.paged(t, w.manage("GET", list, ""), 10); len(got) > 0 {
			t.Errorf("%s shows %v", list, got)
		}
	}
	if got := w.paged(t, w.manage("GET", "/permissions", ""), 10); len(got) != 1 {
		t.Errorf("permissions: %v", got)
	}
	var result latchkey.UserBatchResult
	w.ok(t, w.manage("POST", "/users/batch", fmt.Sprintf(`{"delete":[%q]}`, other.user)), &result)
	if result.Refused != 1 || result.Delete[0].Problem.Code != latchkey.CodeNotFound {
		t.Errorf("deleting another project's user: %+v", result)
	}
}

// Who may only make sessions can't grant anything by way of the user object of a sign-in.
func TestGrantsNeedTheScopeUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.newKey(t, w.project, directory.NewKey{Name: "desk", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions}})
	body := `{"user":{"loginIds":["alice@example.com"],"roles":["auditor"],"attributes":{"a":1}},"amr":["pwd"]}`
	c := w.manage("POST", "/sessions", body)
	c.bearer = desk
	w.refused(t, c, latchkey.CodeForbidden)
	u, err := w.directory.User(t.Context(), w.project, w.user)
	must(t, err)
	if len(u.Roles) != 0 || u.Attributes != nil {
		t.Errorf("granted %+v", u)
	}
	c.bearer = w.newKey(t, w.project, directory.NewKey{
		Name: "app", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions, directory.ScopeUsers}})
	w.ok(t, c, nil)
	u, err = w.directory.User(t.Context(), w.project, w.user)
	must(t, err)
	if len(u.Roles) != 1 || u.Roles[0] != w.grants.role || string(u.Attributes) != `{"a":1}` || len(u.Memberships) != 1 {
		t.Errorf("granted %+v", u)
	}
	c.body = strings.Replace(body, "auditor", "king", 1)
	if a := w.refused(t, c, latchkey.CodeInvalidRequest); len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/user/roles/0" {
		t.Errorf("refused with %s", a.body)
	}
}

// Filters are about all that they name together, in pages of any size.
func TestListUsersFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.clock.Now()
	tenant, role := w.grants.tenant.String(), w.grants.role.String()
	var ids []string
	for i, body := range []string{
		`{"loginIds":["bob@example.com"],"name":"Bob Ångström","roles":["auditor"]}`,
		`{"loginIds":["carol"],"email":"carol@EXAMPLE.org","tenants":[{"tenant":"` + tenant + `","roles":["auditor"]}]}`,
		`{"loginIds":["dave"],"phone":"+4915112345678","status":"disabled"}`,
		`{"loginIds":["erin"],"name":"Erin","tenants":[{"tenant":"` + tenant + `"}]}`,
	} {
		w.clock.Move(time.Hour)
		var u latchkey.User
		w.ok(t, w.manage("POST", "/users", body), &u)
		if ids = append(ids, u.ID); i == 3 {
			w.clock.Move(time.Hour)
		}
	}
	at := func(hours int) string { return start.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
	alice := w.user.String()
	for query, want := range map[string]string{
		"query=EXAMPLE":                          alice + ids[0] + ids[1],
		"query=%C3%A5ngstr":                      ids[0],
		"query=15112":                            ids[2],
		"query=" + ids[3]:                        ids[3],
		"tenant=" + tenant:                       alice + ids[1] + ids[3],
		"role=" + role:                           ids[0] + ids[1],
		"role=auditor":                           ids[0] + ids[1],
		"tenant=" + tenant + "&role=auditor":     ids[1],
		"tenant=" + tenant + "&role=member":      alice,
		"status=disabled":                        ids[2],
		"createdFrom=" + at(2):                   ids[1] + ids[2] + ids[3],
		"createdTo=" + at(2):                     alice + ids[0],
		"query=e&status=enabled&role=auditor":    ids[0] + ids[1],
		"tenant=" + id.NewTenant(start).String(): "",
		"role=" + id.NewRole(start).String():     "",
		"query=nobody":                           "",
		"loginId=dave":                           ids[2],
	} {
		for _, size := range []int{1, 2, 50} {
			if got := strings.Join(w.paged(t, w.manage("GET", "/users?"+query, ""), size), ""); got != want {
				t.Errorf("%s in pages of %d: %s, want %s", query, size, got, want)
			}
		}
	}
}
