package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// twins returns ids that share a document.
func twins(n int) []id.User {
	first := id.NewUser(epoch)
	ids := []id.User{first}
	for i := range n - 1 {
		twin := first
		twin[15] ^= byte(i + 1)
		ids = append(ids, twin)
	}
	slices.SortFunc(ids, id.User.Compare)
	return ids
}

func named(p id.Project, u id.User, name string) directory.User {
	return directory.User{ID: u, Project: p, Name: name, LoginIDs: []string{u.String()}, Status: directory.Enabled}
}

func names(t *testing.T, s *Store, q directory.UserQuery) []string {
	t.Helper()
	var found []string
	for {
		page, next, err := s.Holders().Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			found = append(found, u.Name)
		}
		if next.IsZero() {
			return found
		}
		q.After = next
	}
}

// Users who share a document, in one project or two, are found and forgotten one by one.
func TestSharedDocuments(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, other := project(), project()
	other.ID[15]++
	e := func(p id.Project) audit.Event { return audit.New(p, epoch, audit.UserCreated, audit.Origin{}) }
	for _, p := range []directory.Project{p, other} {
		if err := s.Projects().Insert(t.Context(), p, e(p.ID)); err != nil {
			t.Fatal(err)
		}
	}
	ids := twins(3)
	for i, u := range ids {
		for _, p := range []directory.Project{p, other} {
			if err := s.Users().Insert(t.Context(), named(p.ID, u, fmt.Sprintf("person %d of %v", i, p.ID)), e(p.ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wanted := func(p id.Project, numbers ...int) {
		t.Helper()
		var want []string
		for _, i := range numbers {
			want = append(want, fmt.Sprintf("person %d of %v", i, p))
		}
		for _, limit := range []int{1, 2, 9} {
			if got := names(t, s, directory.UserQuery{Project: p, Text: "PERSON", Limit: limit}); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	wanted(p.ID, 0, 1, 2)
	wanted(other.ID, 0, 1, 2)
	if err := s.Users().Delete(t.Context(), p.ID, ids[1], e(p.ID)); err != nil {
		t.Fatal(err)
	}
	wanted(p.ID, 0, 2)
	wanted(other.ID, 0, 1, 2)
	for _, u := range ids {
		if err := s.Users().Delete(t.Context(), other.ID, u, e(other.ID)); err != nil {
			t.Fatal(err)
		}
	}
	wanted(p.ID, 0, 2)
	wanted(other.ID)
	if n, err := number(s.queue.conn, "SELECT count(*) FROM user_texts"); n != 1 || err != nil {
		t.Errorf("%d documents are left, %v, want one", n, err)
	}
}

// What was stored before there was an index is found after the migration.
func TestMigrationIndexesUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	c, err := engine.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for have, name := range migrations()[:3] {
		if _, _, err := step(c, have, name); err != nil {
			t.Fatal(err)
		}
	}
	p := project()
	err = c.Run("INSERT INTO projects (id, version, epoch, created_at, name, sealed_mac, settings) VALUES (x'" + fmt.Sprintf("%x", p.ID[:]) + "', 1, 0, 0, 'old', x'', '{}')")
	if err != nil {
		t.Fatal(err)
	}
	n := 2*loadStep + 3
	if slow {
		n = 50
	}
	var ids []id.User
	for i := range n {
		ids = append(ids, id.NewUser(epoch.Add(time.Duration(i)*time.Millisecond)))
	}
	ids = append(ids, twins(2)...)
	if err := c.Run("BEGIN"); err != nil {
		t.Fatal(err)
	}
	for i, u := range ids {
		q := c.Query("INSERT INTO users (project, id, status, epoch, name, email, phone) VALUES (1, ?, 'enabled', 0, ?, '', '')")
		if err := q.Blob(u[:]).Text(fmt.Sprintf("ÄNNE %d.", i)).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Run("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Migrate(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{})
	for _, i := range []int{0, 1, n - 1, n, n + 1} {
		if got := names(t, s, directory.UserQuery{Project: p.ID, Text: fmt.Sprintf("änne %d.", i), Limit: 9}); len(got) != 1 {
			t.Errorf("%d is found as %q", i, got)
		}
	}
}

// A page ends after a bounded number of users, whatever is asked for, and says where to go
// on: everybody is found in the end, and nobody twice.
func TestSearchesAreBounded(t *testing.T) {
	s := volatile(t, Options{})
	p, _ := populate(t, s, 0)
	var users []directory.User
	n, most := 2*walkBound+500, 3 // pages when all are looked at
	if slow {
		n, most = walkBound+100, 2
	}
	for i := range n {
		u := named(p.ID, id.NewUser(epoch.Add(time.Duration(i)*time.Millisecond)), "one two three")
		u.Email = "three.two@one" // no name holds "two one", and the index can't know
		if i == n-1 {
			u.Name = "two one" // but the last
		}
		users = append(users, u)
	}
	if loaded, err := s.LoadUsers(t.Context(), slices.Values(users)); err != nil || loaded != n {
		t.Fatalf("loaded %d of %d: %v", loaded, n, err)
	}
	for _, c := range []struct {
		q           directory.UserQuery
		pages, want int
	}{
		{directory.UserQuery{Text: "§§", Limit: 9}, most, 0},          // too short for the index
		{directory.UserQuery{Text: "two one"}, 1, 1},                  // a rare one
		{directory.UserQuery{Text: "o@one"}, most, n},                 // a common one
		{directory.UserQuery{Text: "three", Status: "none"}, most, 0}, // common, but what else is asked for is not
		{directory.UserQuery{Status: directory.Disabled}, most, 0},
	} {
		c.q.Project = p.ID
		if c.q.Limit == 0 {
			c.q.Limit = n
		}
		pages, found := 0, 0
		for first := true; first || !c.q.After.IsZero(); first = false {
			page, next, err := s.Holders().Search(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > walkBound {
				t.Errorf("%+v: a page of %d", c.q, len(page))
			}
			pages, found, c.q.After = pages+1, found+len(page), next
		}
		if pages != c.pages || found != c.want {
			t.Errorf("%+v: %d pages with %d users, want %d with %d", c.q, pages, found, c.pages, c.want)
		}
	}
}

// TestQueriesOfTexts asks the index for what is nasty in a query of FTS5.
func TestQueriesOfTexts(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, _ := populate(t, s, 0)
	texts := []string{
		`"""`, `a"b"c`, "AND", "NEAR(a b)", "col:abc", "^abc", "abc*", "-abc", "+abc+", "(((", "a\x00bc", "\x00\x00\x00", "\ue000\ue000\ue001",
		"\xff\xfe\xfd", "ǅǅǅ", "İİİ", "𝄞𝄞𝄞", "日本語", "e\u0301e\u0301", strings.Repeat("long ", 400), "'; --", "%%%", "___", "\\\\\\", "\n\n\n", "{}[]",
	}
	for i, text := range texts {
		u := named(p.ID, id.NewUser(epoch.Add(time.Duration(i)*time.Millisecond)), "x"+text+"y")
		if err := s.Users().Insert(t.Context(), u, audit.New(p.ID, epoch, audit.UserCreated, audit.Origin{})); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range texts {
		got := names(t, s, directory.UserQuery{Project: p.ID, Text: text, Limit: 99})
		if !slices.Contains(got, "x"+text+"y") {
			t.Errorf("%q isn't found: %q", text, got)
		}
	}
}

// FuzzSearch fails when the index hides a user whom looking at all of them would find, or
// when a text breaks its query.
func FuzzSearch(f *testing.F) {
	for _, seed := range [][2]string{{"Ada Lovelace", "love"}, {"ÄÖÜ", "äöü"}, {`a"b`, `"`}, {"x\x00y", "\x00"}, {"\ue000\ue001\ue002", "\ue000\ue000\ue001"}, {"\xffab", "\xff"}} {
		f.Add(seed[0], seed[1])
	}
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "search.db")
	if _, _, err := Migrate(f.Context(), path, nil); err != nil {
		f.Fatal(err)
	}
	s := open(f, path, Options{})
	p, _ := populate(f, s, 0)
	u := id.NewUser(epoch)
	if err := s.Users().Insert(f.Context(), named(p.ID, u, ""), audit.New(p.ID, epoch, audit.UserCreated, audit.Origin{})); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if len(name) > 1000 || len(text) > 1000 {
			return
		}
		changed, err := s.Users().Change(t.Context(), p.ID, u, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Name = name
			return u, nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		q := directory.UserQuery{Project: p.ID, Text: text, Limit: 9}
		found, _, err := s.Holders().Search(t.Context(), q)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		if want := q.Matches(changed); want != (len(found) == 1) {
			t.Errorf("%q in %q: found %v, want %v", text, name, len(found) == 1, want)
		}
	})
}

// What finds a user or a tenant goes with them when their project is erased.
func TestErasedTextsAreForgotten(t *testing.T) {
	s, _ := fresh(t, Options{})
	c := employ(t, s, 30)
	count := func(table string) int64 {
		n, err := number(s.queue.conn, "SELECT count(*) FROM "+table)
		must(t, err)
		return n
	}
	if users, tenants := count("user_texts"), count("tenant_texts"); users != 30 || tenants == 0 {
		t.Fatalf("%d documents of users, %d of tenants", users, tenants)
	}
	for _, b := range belonging() {
		for more := b.texts != nil; more; {
			must(t, s.write(t.Context(), func(tx *transaction) error {
				n, err := tx.remove(b, 1, c.project.ID, 7)
				more = n == 7
				return err
			}))
		}
	}
	if users, tenants := count("user_texts"), count("tenant_texts"); users != 0 || tenants != 0 {
		t.Errorf("%d documents of users and %d of tenants are left", users, tenants)
	}
}
