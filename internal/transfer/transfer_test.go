package transfer_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/transfer"
)

var update = flag.Bool("update", false, "write the export to testdata")

func TestExportIsGolden(t *testing.T) {
	w := newWorld(t)
	w.full()
	got := w.export()
	if again := w.export(); again != got {
		t.Error("two exports of an unchanged project differ")
	}
	const path = "testdata/project.jsonl"
	if *update {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	w.must(err)
	if got != string(want) {
		t.Errorf("the export is\n%s", got)
	}
}

// What was exported is the same again when it was imported into an empty project, and
// importing it twice changes nothing.
func TestThereAndBack(t *testing.T) {
	from, to := newWorld(t), newWorld(t)
	from.full()
	file := from.export()
	done := to.imported(file)
	if done.Outcome[transfer.User].Added != 2 || done.Outcome[transfer.Role].Added != 3 || done.Outcome[transfer.Tenant].Added != 2 ||
		done.Outcome[transfer.AccessKey].Added != 2 || done.Outcome[transfer.Template].Added != 2 || done.Outcome[transfer.Webhook].Added != 1 {
		t.Errorf("added %v", done.Outcome)
	}
	if got := to.export(); got != file {
		t.Errorf("what came back is\n%s", got)
	}
	events, entries := to.events(), to.entries()
	if again := to.imported(file); again.Changes() != 0 {
		t.Errorf("again: %v", again.Outcome)
	}
	if to.events() != events || to.entries() != entries {
		t.Error("repeating wrote events or entries of the feed")
	}
}

// A dangling reference isn't exported: nobody could import it.
func TestExportLeavesOutWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.full()
	gone := numbered[id.Role](20)
	w.must(w.store.Roles().Delete(t.Context(), w.p, gone, audit.New(w.p, w.now, audit.RoleDeleted, origin)))
	w.must(w.store.Tenants().Delete(t.Context(), w.p, numbered[id.Tenant](11), audit.New(w.p, w.now, audit.TenantDeleted, origin)))
	file := w.export()
	if strings.Contains(file, gone.String()) {
		t.Error("a deleted role is in the file")
	}
	if r := newWorld(t).check(file); r.Found > 0 {
		t.Errorf("the file is refused: %s", problems(r))
	}
}

const ada = `{"kind":"user","loginIds":["ada@example.com"],"name":"Ada","roles":["admin"]}`

// A file made by hand: no first and last line, no ids, names instead of ids.
func TestByHand(t *testing.T) {
	w := newWorld(t)
	w.full()
	file := strings.ReplaceAll(ada, `"ada@example.com"`, `"grace@example.com","grace"`) + "\r\n\n" +
		`{"kind":"user","loginIds":["bob"],"tenants":[{"tenant":"` + numbered[id.Tenant](10).String() + `","roles":["member"]}]}`
	done := w.imported(file)
	if c := done.Outcome[transfer.User]; c.Added != 1 || c.Changed != 1 {
		t.Errorf("became %+v", c)
	}
	grace, err := w.d.UserByLogin(t.Context(), w.p, "grace")
	w.must(err)
	if grace.ID != transfer.Derived(w.p, "grace@example.com") || len(grace.Roles) != 1 || grace.Roles[0] != numbered[id.Role](20) || grace.Status != directory.Enabled {
		t.Errorf("grace is %+v", grace)
	}
	bob, err := w.d.UserByLogin(t.Context(), w.p, "bob")
	w.must(err)
	// The tenant's own role of this name goes before the project's. What isn't said stays.
	if m, _ := bob.In(numbered[id.Tenant](10)); bob.ID != numbered[id.User](31) || len(m.Roles) != 1 || m.Roles[0] != numbered[id.Role](22) || bob.Status != directory.Disabled {
		t.Errorf("bob is %+v", bob)
	}
	events := w.events()
	if again := w.imported(file); again.Changes() != 0 || w.events() != events {
		t.Errorf("again: %v", again.Outcome)
	}
}

func TestWhatIsLeftOutStays(t *testing.T) {
	w := newWorld(t)
	w.full()
	before := w.export()
	for _, line := range []string{
		`{"kind":"project"}`, `{"kind":"permission","name":"orders:read"}`, fmt.Sprintf(`{"kind":"role","id":%q}`, numbered[id.Role](20)),
		fmt.Sprintf(`{"kind":"accessKey","id":%q}`, numbered[id.AccessKey](40)), fmt.Sprintf(`{"kind":"webhook","id":%q}`, numbered[id.Webhook](50)),
		`{"kind":"template","of":"user"}`, `{"kind":"template","of":"signIn"}`,
		fmt.Sprintf(`{"kind":"tenant","id":%q}`, numbered[id.Tenant](10)), fmt.Sprintf(`{"kind":"user","id":%q}`, numbered[id.User](30)),
	} {
		if r := w.imported(line); r.Changes() != 0 || w.export() != before {
			t.Errorf("%s changed %v", line, r.Outcome)
		}
	}
	w.imported(fmt.Sprintf(`{"kind":"user","id":%q,"attributes":{"x":1},"roles":[],"tenants":[]}`, numbered[id.User](30)))
	u, err := w.d.User(t.Context(), w.p, numbered[id.User](30))
	w.must(err)
	if string(u.Attributes) != `{"x":1}` || !u.Grants.None() || u.Name == "" {
		t.Errorf("what was said doesn't replace what was there: %+v", u)
	}
}

func TestDisablingByFileEndsSessions(t *testing.T) {
	w := newWorld(t)
	w.full()
	before := w.entries()
	w.imported(fmt.Sprintf(`{"kind":"user","id":%q,"status":"disabled"}`, numbered[id.User](30)))
	u, err := w.d.User(t.Context(), w.p, numbered[id.User](30))
	w.must(err)
	if u.Status != directory.Disabled || u.Epoch != 1 || w.entries() != before+2 { // the user, and the access key that is theirs
		t.Errorf("%+v, %d entries", u, w.entries())
	}
	w.imported(fmt.Sprintf(`{"kind":"tenant","id":%q,"status":"disabled"}`, numbered[id.Tenant](10)))
	ten, err := w.store.Tenants().Find(t.Context(), w.p, numbered[id.Tenant](10))
	w.must(err)
	if ten.Status != directory.Disabled || ten.Epoch != 1 {
		t.Errorf("%+v", ten)
	}
}

// Of more than a thousand users who change, verifiers are told together.
func TestManyChangesAreToldOnce(t *testing.T) {
	w := newWorld(t)
	lines := func(n int, name string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"kind":"user","loginIds":["u%d"],"name":%q}`+"\n", i, name)
		}
		return b.String()
	}
	w.imported(lines(1001, "a"))
	if w.entries() != 0 {
		t.Errorf("%d entries about new users", w.entries())
	}
	w.imported(lines(1000, "b"))
	if w.entries() != 1000 {
		t.Errorf("%d entries about 1000 users", w.entries())
	}
	w.imported(lines(1001, "c"))
	if n := w.entries() - 1000; n < 1 || n > 11 {
		t.Errorf("%d entries about 1001 users", n)
	}
	list, err := w.store.Revocations().Of(t.Context(), w.p, 0, 9999)
	w.must(err)
	if last := list[len(list)-1]; last.ID != w.p.String() {
		t.Errorf("the last entry is %+v", last)
	}
}

// A login id passes on within a file when its former holder stands before its new one.
func TestLoginIDPassesOn(t *testing.T) {
	w := newWorld(t)
	w.full()
	gives := fmt.Sprintf(`{"kind":"user","id":%q,"loginIds":["ada@example.com"]}`, numbered[id.User](30))
	takes := fmt.Sprintf(`{"kind":"user","id":%q,"loginIds":["bob","ada"]}`, numbered[id.User](31))
	if r := w.check(takes + "\n" + gives); problems(r) != "1 /loginIds/1 conflict\n" {
		t.Errorf("taken before it was given: %s", problems(r))
	}
	w.imported(gives + "\n" + takes)
	u, err := w.d.UserByLogin(t.Context(), w.p, "ada")
	w.must(err)
	if u.ID != numbered[id.User](31) {
		t.Errorf("%v has it", u.ID)
	}
}
