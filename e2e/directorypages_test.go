package e2e

import (
	"slices"
	"strings"
	"testing"
)

// page runs the commands of a page against a fresh dev server and returns what they print,
// block by block.
func (w *world) page(r ready, name string, blocks int) []string {
	w.t.Helper()
	found := shellBlocks(w.t, name)
	if len(found) != blocks {
		w.t.Fatalf("docs/%s has other commands than this test knows: %q", name, found)
	}
	const border = "\n=====\n"
	out := w.bash("export ISSUER=" + r.Issuer + " API=" + r.URL + "/v1/projects/" + r.Project + " KEY=" + r.ManagementKey + "\n" +
		strings.Join(found, "\nprintf '"+strings.ReplaceAll(border, "\n", `\n`)+"'\n"))
	return strings.Split(out, border)
}

// TestTenantsPage does what docs/tenants.md tells: each change arrives in what the server
// says of the user, and in the token.
func TestTenantsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	out := w.page(p.ready, "tenants.md", 3)
	says := claims(t, firstMatch(out[0], `eyJ[\w-]+\.[\w-]+\.[\w-]+`))
	tenant, _ := says["dct"].(string)
	grants, _ := says["tenants"].(map[string]any)
	here, _ := grants[tenant].(map[string]any)
	if tenant == "" || len(grants) != 1 || !sameList(here["roles"], "accountant") || !sameList(here["permissions"], "ledger:read", "ledger:write") ||
		!sameList(says["roles"]) || !sameList(says["permissions"]) {
		t.Errorf("the token says %v", says)
	}
	for i, wants := range [][]string{
		{`"name":"accountant"`, `"state":"active"`},
		{`"name":"guest"}]`, `"roles":[{"id":"role_`, `"permissions":["ledger:read","ledger:write"]`, `"plan":"enterprise","seats":20`, "\n{}"},
		{`"status":"disabled"`, `"status":"enabled"`, "\n{}"},
	} {
		for _, want := range wants {
			if !strings.Contains(out[i], want) {
				t.Errorf("the commands of part %d don't print %s:\n%s", i+1, want, out[i])
			}
		}
		if strings.Contains(out[i], `"code"`) {
			t.Errorf("a command of part %d is refused:\n%s", i+1, out[i])
		}
	}
}

// TestUsersPage does what docs/users.md tells.
func TestUsersPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	out := w.page(p.ready, "users.md", 4)
	for i, wants := range [][]string{
		{`"sessionToken":"`},
		{`{"users":[{"id":"usr_`, `"attributes":{"locale":"de"}`},
		{`"loginIds":["carol@example.com","carol"]`, `"attributes":{"badge":7}`, `"status":"disabled"`, `"status":"enabled"`},
		{`{"created":1,"deleted":1,"refused":1,`, `"pointer":"/create/1/email"`, `"delete":[{"status":"deleted","id":"usr_`},
	} {
		for _, want := range wants {
			if !strings.Contains(out[i], want) {
				t.Errorf("the commands of part %d don't print %s:\n%s", i+1, want, out[i])
			}
		}
	}
}

// sameList reports whether a claim is a list of these.
func sameList(claim any, want ...string) bool {
	list, ok := claim.([]any)
	return ok && slices.EqualFunc(list, want, func(have any, want string) bool { return have == want })
}
