package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func searchChecks() []check {
	return []check{
		{"finds parts of what users are called", searchText},
		{"finds by status and time of creation", searchFilters},
		{"finds members and holders of roles", searchGrants},
		{"follows changes", searchChanges},
		{"pages are ascending and complete", searchPages},
		{"keeps projects apart", searchProjects},
	}
}

// search follows a search to its end.
func (w *world) search(t testing.TB, q directory.UserQuery) []directory.User {
	t.Helper()
	q.Project = w.project.ID
	return follow(t, q.Limit, func(after id.User) ([]directory.User, id.User, error) {
		q.After = after
		return w.Holders().Search(w.ctx, q)
	}, func(u directory.User) id.User { return u.ID })
}

// finds fails unless a search finds the users with these names, for any size of pages.
func (w *world) finds(t testing.TB, q directory.UserQuery, want ...string) {
	t.Helper()
	for _, limit := range []int{1, 2, 99} {
		q.Limit = limit
		var got []string
		for _, u := range w.search(t, q) {
			got = append(got, u.Name)
		}
		if d := differ(want, got); d != "" {
			t.Fatalf("the users for %+v differ at %s", q, d)
		}
	}
}

// called adds a user, each a millisecond younger than the one before.
func (w *world) called(t testing.TB, u directory.User) directory.User {
	t.Helper()
	w.clock.Move(time.Millisecond)
	made := w.user()
	made.Name, made.Email, made.Phone = u.Name, u.Email, u.Phone
	if u.LoginIDs != nil {
		made.LoginIDs = u.LoginIDs
	}
	made.Grants = u.Grants
	ok(t, w.Users().Insert(w.ctx, made, w.event(made.Project, audit.UserCreated)))
	w.news(t)
	return made
}

func searchText(t *testing.T, w *world) {
	ada := w.called(t, directory.User{Name: "Ada Lovelace", Email: "ada@analytical.example", Phone: "+441234567890", LoginIDs: []string{"ada", "the.countess"}})
	w.called(t, directory.User{Name: "Grace Hopper", Email: "GRACE@navy.example", LoginIDs: []string{"amazing", "100%_sure"}})
	w.called(t, directory.User{Name: "Ångström Ærø", LoginIDs: []string{"ÖZGÜR\\x"}})
	w.called(t, directory.User{Name: "", LoginIDs: []string{`quote"it's`}})
	w.called(t, directory.User{Name: "x\x00y", LoginIDs: []string{"日本語の名前"}})
	for _, c := range []struct {
		text string
		want []string
	}{
		{"ada", []string{"Ada Lovelace"}},
		{"ADA", []string{"Ada Lovelace"}},
		{"a l", []string{"Ada Lovelace"}},
		{"countess", []string{"Ada Lovelace"}},
		{"ada@ANAL", []string{"Ada Lovelace"}},
		{"+4412345", []string{"Ada Lovelace"}},
		{"567890", []string{"Ada Lovelace"}},
		{"navy", []string{"Grace Hopper"}},
		{".example", []string{"Ada Lovelace", "Grace Hopper"}},
		{"a", []string{"Ada Lovelace", "Grace Hopper"}},
		{"%", []string{"Grace Hopper"}},
		{"%_", []string{"Grace Hopper"}},
		{"0%_s", []string{"Grace Hopper"}},
		{"ångström", []string{"Ångström Ærø"}},
		{"Å", []string{"Ångström Ærø"}},
		{"ÆRØ", []string{"Ångström Ærø"}},
		{"özgür\\", []string{"Ångström Ærø"}},
		{"angstrom", nil}, // accents count
		{`"it's`, []string{""}},
		{`e"i`, []string{""}},
		{"本語の", []string{"x\x00y"}},
		{"語", []string{"x\x00y"}},
		{"x\x00y", []string{"x\x00y"}},
		{"lovelaceada", nil}, // not across what they are called
		{"lovelace ada", nil},
		{"adalovelace", nil},
		{"zzz", nil},
		{"AND", nil},
		{"\xff\xfe\xfd", nil},
		{"ada* OR gra", nil},
		{ada.ID.String(), []string{"Ada Lovelace"}},
		{strings.ToUpper(ada.ID.String()), []string{"Ada Lovelace"}},
		{ada.ID.String()[:25], nil},
		{id.NewUser(w.clock.Now()).String(), nil},
		{strings.Repeat("x", 5000), nil},
	} {
		w.finds(t, directory.UserQuery{Text: c.text}, c.want...)
	}
	found, next, err := w.Holders().Search(w.ctx, directory.UserQuery{Project: w.project.ID, Text: ada.ID.String(), After: ada.ID, Limit: 9})
	ok(t, err)
	same(t, "the users after the only one", 0, len(found))
	same(t, "where to go on", id.User{}, next)
}

func searchFilters(t *testing.T, w *world) {
	start := w.clock.Now()
	for _, name := range []string{"one", "two", "three", "four"} {
		u := w.called(t, directory.User{Name: name})
		if name == "two" || name == "three" {
			w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Disabled })
		}
	}
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	w.finds(t, directory.UserQuery{}, "one", "two", "three", "four")
	w.finds(t, directory.UserQuery{Status: directory.Disabled}, "two", "three")
	w.finds(t, directory.UserQuery{Status: directory.Enabled}, "one", "four")
	w.finds(t, directory.UserQuery{CreatedFrom: at(2)}, "two", "three", "four")
	w.finds(t, directory.UserQuery{CreatedFrom: at(2).Add(time.Microsecond)}, "three", "four")
	w.finds(t, directory.UserQuery{CreatedTo: at(3)}, "one", "two")
	w.finds(t, directory.UserQuery{CreatedFrom: at(2), CreatedTo: at(4), Status: directory.Disabled, Text: "thr"}, "three")
	w.finds(t, directory.UserQuery{CreatedFrom: at(3), CreatedTo: at(3)})
}

func searchGrants(t *testing.T, w *world) {
	tenant, other := w.newTenant(t).ID, w.newTenant(t).ID
	editor, viewer := w.newRole(t, id.Tenant{}, "editor").ID, w.newRole(t, tenant, "viewer").ID
	in := func(tenant id.Tenant, roles ...id.Role) directory.Membership {
		return directory.Membership{Tenant: tenant, Roles: roles}
	}
	for _, u := range []directory.User{
		{Name: "nothing"},
		{Name: "project", Grants: directory.Grants{Roles: []id.Role{editor}}},
		{Name: "tenant", Grants: directory.Grants{Memberships: []directory.Membership{in(tenant, editor, viewer)}}},
		{Name: "other", Grants: directory.Grants{Memberships: []directory.Membership{in(other, editor)}}},
		{Name: "both", Grants: directory.Grants{Roles: []id.Role{editor}, Memberships: []directory.Membership{in(tenant), in(other, editor)}}},
	} {
		w.called(t, u)
	}
	w.finds(t, directory.UserQuery{Tenant: tenant}, "tenant", "both")
	w.finds(t, directory.UserQuery{Tenant: other}, "other", "both")
	w.finds(t, directory.UserQuery{Role: editor}, "project", "tenant", "other", "both")
	w.finds(t, directory.UserQuery{Role: viewer}, "tenant")
	w.finds(t, directory.UserQuery{Tenant: tenant, Role: editor}, "tenant")
	w.finds(t, directory.UserQuery{Tenant: other, Role: editor}, "other", "both")
	w.finds(t, directory.UserQuery{Tenant: other, Role: viewer})
	w.finds(t, directory.UserQuery{Tenant: tenant, Text: "OTH"}, "both")
	w.finds(t, directory.UserQuery{Role: editor, Text: "o", Status: directory.Enabled}, "project", "tenant", "other", "both")
	w.finds(t, directory.UserQuery{Role: editor, Status: directory.Disabled})
	w.finds(t, directory.UserQuery{Tenant: id.NewTenant(w.clock.Now())})
	w.finds(t, directory.UserQuery{Role: id.NewRole(w.clock.Now())})
}

func searchChanges(t *testing.T, w *world) {
	u := w.called(t, directory.User{Name: "Ada Lovelace", LoginIDs: []string{"ada"}})
	twin := w.user() // of the very same instant
	twin.Name, twin.LoginIDs, twin.Email = "Ada Byron", []string{"byron"}, ""
	ok(t, w.Users().Insert(w.ctx, twin, w.event(u.Project, audit.UserCreated)))
	w.finds(t, directory.UserQuery{Text: "lovelace"}, "Ada Lovelace")
	w.change(t, u.ID, func(u *directory.User) { u.Name, u.LoginIDs = "Augusta King", []string{"countess"} })
	w.finds(t, directory.UserQuery{Text: "lovelace"})
	w.finds(t, directory.UserQuery{Text: "augusta"}, "Augusta King")
	w.finds(t, directory.UserQuery{Text: "countess"}, "Augusta King")
	_, err := w.Users().Change(w.ctx, u.Project, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
		u.Name = "Refused"
		return u, nil, fault.New(fault.Invalid, "no")
	})
	refused(t, err, fault.Invalid)
	w.finds(t, directory.UserQuery{Text: "refused"})
	w.signIn(t, u.ID)
	ok(t, w.Users().Delete(w.ctx, u.Project, u.ID, w.event(u.Project, audit.UserDeleted)))
	w.finds(t, directory.UserQuery{Text: "augusta"})
	w.finds(t, directory.UserQuery{Text: u.ID.String()})
	w.finds(t, directory.UserQuery{Text: "byron"}, "Ada Byron")
	w.finds(t, directory.UserQuery{}, "Ada Byron")
	u.Name = "Ada again"
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	w.finds(t, directory.UserQuery{Text: "again"}, "Ada again")
}

func searchPages(t *testing.T, w *world) {
	var all []directory.User
	now := w.clock.Now()
	for i := range 9 { // later ones with smaller identifiers, as an import may bring them
		w.clock.Set(now.Add(time.Duration(-i) * time.Second))
		all = append([]directory.User{w.newUser(t)}, all...)
	}
	for limit := range len(all) + 1 {
		for _, text := range []string{"", "ada", "exam"} {
			same(t, "the list", all, w.search(t, directory.UserQuery{Text: text, Limit: limit + 1}))
		}
	}
	for _, limit := range []int{0, -1} {
		list, next, err := w.Holders().Search(w.ctx, directory.UserQuery{Project: w.project.ID, Limit: limit})
		ok(t, err)
		same(t, "the users within no limit", 0, len(list))
		same(t, "where to go on", id.User{}, next)
	}
}

func searchProjects(t *testing.T, w *world) {
	u := w.called(t, directory.User{Name: "Ada Lovelace"})
	mine := w.project
	w.project = w.newProject(t)
	w.finds(t, directory.UserQuery{})
	w.finds(t, directory.UserQuery{Text: "lovelace"})
	w.finds(t, directory.UserQuery{Text: u.ID.String()})
	// The same identifier in another project is another user.
	copied := u
	copied.Project, copied.Name = w.project.ID, "Grace Hopper"
	ok(t, w.Users().Insert(w.ctx, copied, w.event(w.project.ID, audit.UserCreated)))
	w.finds(t, directory.UserQuery{Text: "hopper"}, "Grace Hopper")
	w.finds(t, directory.UserQuery{Text: "lovelace"})
	w.project = mine
	w.finds(t, directory.UserQuery{Text: "lovelace"}, "Ada Lovelace")
	list, next, err := w.Holders().Search(w.ctx, directory.UserQuery{Project: id.NewProject(w.clock.Now()), Limit: 9})
	ok(t, err)
	same(t, "the users of nobody", 0, len(list))
	same(t, "where to go on", id.User{}, next)
}
