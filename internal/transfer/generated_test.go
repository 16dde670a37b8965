package transfer_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/transfer"
)

// odd are texts as people have them.
var odd = []string{"", "Ada", "Ωμέγα <&>", "日本 🏢", `"quoted" \ back`, "tab\u00a0space", "e\u0301", "\u2028", "ÅSA", "null", "0"}

var attributes = []string{"", `{}`, `{"a":null,"n":1.50,"big":12345678901234567890}`, `{"ключ":{"b":[1,"<",{"c":[]}]},"z":"\u2028"}`}

var templates = []string{
	`{"claims":{"a":"{{ user.name }}"}}`, `{"claims":{"boss":"{{ 'admin' in user.roles }}"},"authorization":"none"}`,
	`{"emptyClaims":"keep","claims":{"x":null},"audience":["https://x"]}`,
}

// generate fills the project by hundreds of calls, of which some are refused.
func (w *world) generate(seed uint64) {
	w.t.Helper()
	ctx, rng := w.t.Context(), rand.New(rand.NewPCG(seed, 9))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	tolerate := func(err error) {
		w.t.Helper()
		if err != nil && fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.NotFound {
			w.t.Fatal(err)
		}
	}
	names := []string{"read", "write", "admin", "a b", "x:y/z"}
	var tenants, roles []string
	grants := func() directory.GrantChange {
		var in []directory.MembershipChange
		for _, i := range rng.Perm(len(tenants))[:rng.IntN(min(3, len(tenants))+1)] {
			in = append(in, directory.MembershipChange{Tenant: tenants[i], Roles: roles[:rng.IntN(min(2, len(roles))+1)]})
		}
		own := roles[:rng.IntN(min(2, len(roles))+1)]
		return directory.GrantChange{Roles: &own, Tenants: &in}
	}
	for i := range 300 {
		w.now = w.now.Add(time.Duration(rng.IntN(3)) * time.Millisecond)
		switch rng.IntN(9) {
		case 0:
			_, err := w.d.CreatePermission(ctx, w.p, pick(names), pick(odd), origin)
			tolerate(err)
		case 1:
			c := directory.RoleChange{Name: new(pick(names)), Description: new(pick(odd)), Permissions: new(names[:rng.IntN(3)])}
			r, err := w.d.CreateRole(ctx, w.p, w.some(rng, tenants), c, origin)
			if tolerate(err); err == nil && r.Tenant.IsZero() {
				roles = append(roles, r.ID.String())
			}
		case 2:
			t, err := w.d.CreateTenant(ctx, w.p, directory.TenantChange{Name: new(pick(odd)), Attributes: json.RawMessage(pick(attributes))}, origin)
			if tolerate(err); err == nil {
				tenants = append(tenants, t.ID.String())
				_, err = w.d.ChangeTenantSettings(ctx, w.p, t.ID, []byte(pick([]string{`{"idleTimeout":"1h"}`, `{"maxSessionsPerUser":3,"onLimit":"deny"}`, `{}`})), origin)
				tolerate(err)
			}
		case 3, 4, 5:
			_, err := w.d.CreateUser(ctx, w.p, directory.UserChange{
				LoginIDs: &[]string{fmt.Sprint("user", i, pick(odd)), fmt.Sprint(rng.IntN(40), "@example.com")}, Name: new(pick(odd)),
				Attributes: json.RawMessage(pick(attributes)), GrantChange: grants(),
			}, origin)
			tolerate(err)
		case 6:
			_, _, err := w.d.CreateAccessKey(ctx, w.p, id.User{}, directory.AccessKeyChange{Name: new("key " + pick(odd)), Attributes: json.RawMessage(pick(attributes)), GrantChange: grants()}, func(directory.AccessKey) error { return nil }, origin)
			tolerate(err)
		case 7:
			w.rollOut(rng, pick(templates), pick(odd))
		case 8:
			w.take(rng)
		}
	}
}

// rollOut saves a template, or goes a step back or on.
func (w *world) rollOut(rng *rand.Rand, doc, comment string) {
	_, err := w.store.Documents().Change(w.t.Context(), w.p, document.User, func(before document.State) (document.Step, error) {
		step := document.Step{State: before.Saved([]int{100, 0, 30}[rng.IntN(3)]), Event: audit.New(w.p, w.now, audit.TemplateSaved, origin)}
		step.Save = &document.Version{N: step.State.Last, Document: json.RawMessage(doc), Comment: comment, CreatedAt: w.now, Conceals: doc == templates[1]}
		if back, err := before.RolledBack(); err == nil && rng.IntN(3) == 0 {
			step.State, step.Save = back, nil
		}
		return step, nil
	})
	w.must(err)
}

// some returns one of the list, or "".
func (w *world) some(rng *rand.Rand, list []string) string {
	if i := rng.IntN(len(list) + 1); i < len(list) {
		return list[i]
	}
	return ""
}

// take disables or deletes something.
func (w *world) take(rng *rand.Rand) {
	w.t.Helper()
	ctx := w.t.Context()
	users, _, err := w.d.Users(ctx, directory.UserQuery{Project: w.p, Limit: 1000})
	w.must(err)
	roles, err := w.d.Roles(ctx, directory.RoleQuery{Project: w.p, Limit: 1000})
	w.must(err)
	tenants, _, err := w.d.Tenants(ctx, directory.TenantQuery{Project: w.p, Limit: 1000})
	w.must(err)
	switch n := rng.IntN(12); {
	case n < 4 && len(users) > 0:
		_, err = w.d.ChangeUser(ctx, w.p, users[rng.IntN(len(users))].ID, directory.UserChange{Status: new(directory.Disabled), Phone: new("+4915112345678")}, origin)
	case n < 6 && len(users) > 0:
		err = w.d.DeleteUser(ctx, w.p, users[rng.IntN(len(users))].ID, origin)
	case n < 8 && len(tenants) > 0:
		_, err = w.d.ChangeTenant(ctx, w.p, tenants[rng.IntN(len(tenants))].ID, directory.TenantChange{Status: new(directory.Disabled)}, origin)
	case n == 8 && len(roles) > 0:
		err = w.d.DeleteRole(ctx, w.p, roles[rng.IntN(len(roles))].ID, origin)
	case n == 9 && len(tenants) > 0:
		err = w.d.DeleteTenant(ctx, w.p, tenants[rng.IntN(len(tenants))].ID, origin)
	case n == 10:
		if err = w.d.DeletePermission(ctx, w.p, "read", origin); fault.KindOf(err) == fault.NotFound {
			return
		}
	}
	w.must(err)
}

// Whatever a project has become by many calls: its export makes the same one elsewhere, which
// exports the same bytes, and importing it again, there or where it came from, is nothing.
func TestGeneratedProjectsThereAndBack(t *testing.T) {
	users := 0
	for seed := range uint64(12) {
		from, to := newWorld(t), newWorld(t)
		from.generate(seed)
		file := from.export()
		done := to.imported(file)
		if got := to.export(); got != file {
			for i, line := range strings.Split(file, "\n") {
				if back := strings.Split(got, "\n"); i >= len(back) || line != back[i] {
					t.Fatalf("seed %d: line %d of %d was\n%s\nand came back as\n%s", seed, i+1, len(back), line, back[min(i, len(back)-1)])
				}
			}
		}
		users += done.Outcome[transfer.User].Added
		// What is left of deleted roles and tenants in grants goes with the first import.
		from.imported(file)
		for name, w := range map[string]*world{"from": from, "to": to} {
			events, entries := w.events(), w.entries()
			if again := w.imported(file); again.Changes() != 0 || w.events() != events || w.entries() != entries || w.export() != file {
				t.Errorf("seed %d, %s: again: %v", seed, name, again.Outcome)
			}
		}
		from.conceals(to)
	}
	if users < 100 {
		t.Errorf("only %d users", users)
	}
}

// conceals compares what the file doesn't say of the versions in use, since it follows.
func (w *world) conceals(other *world) {
	w.t.Helper()
	for i, mine := range w.inUse() {
		if theirs := other.inUse(); len(theirs) <= i || theirs[i].Conceals != mine.Conceals {
			w.t.Errorf("a version conceals: %v", mine.Conceals)
		}
	}
}

func (w *world) inUse() (list []document.Version) {
	w.t.Helper()
	all, err := w.store.Documents().InUse(w.t.Context(), w.p)
	w.must(err)
	for _, c := range all {
		list = append(list, c.Versions...)
	}
	return list
}
