package directory_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

var somebody = directory.UserChange{
	LoginIDs: &[]string{"ada", "ada@example.com"}, Name: new("Ada Lovelace"), Email: new("ada@example.com"), Phone: new("+4915112345678"),
}

func TestCreateUser(t *testing.T) {
	w := newWorld(t)
	u, err := w.CreateUser(t.Context(), w.project, somebody, operator)
	if err != nil {
		t.Fatal(err)
	}
	events := w.expect(audit.UserCreated)
	if events[0].User != u.ID || !events[0].Session.IsZero() {
		t.Errorf("the event concerns %v and %v", events[0].User, events[0].Session)
	}
	want := directory.User{
		ID: u.ID, Project: w.project, LoginIDs: []string{"ada", "ada@example.com"}, Name: "Ada Lovelace", Email: "ada@example.com",
		Phone: "+4915112345678", Status: directory.Enabled, CreatedAt: u.ID.Time(), UpdatedAt: u.ID.Time(),
	}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("created\n%+v, want\n%+v", u, want)
	}
	found, err := w.User(t.Context(), w.project, u.ID)
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("found\n%+v, %v, want\n%+v", found, err, want)
	}
	for _, login := range want.LoginIDs {
		if found, err := w.UserByLogin(t.Context(), w.project, login); err != nil || found.ID != u.ID {
			t.Errorf("%s leads to %v, %v", login, found.ID, err)
		}
	}
	for _, login := range []string{"ADA", "ada ", "", "ada@example.org"} {
		_, err := w.UserByLogin(t.Context(), w.project, login)
		refused(t, err, fault.NotFound)
	}
}

// The caller's slice isn't the user's: what is done to it later doesn't get past the
// checks.
func TestCreateUserCopies(t *testing.T) {
	w := newWorld(t)
	logins := []string{"ada"}
	u, err := w.CreateUser(t.Context(), w.project, directory.UserChange{LoginIDs: &logins}, operator)
	if err != nil {
		t.Fatal(err)
	}
	logins[0] = ""
	if u.LoginIDs[0] != "ada" {
		t.Errorf("the login ids became %q", u.LoginIDs)
	}
}

type rule struct {
	what   string
	change directory.UserChange
	wrong  string // pointers; "" when it is allowed
}

func TestUserRules(t *testing.T) {
	many := func(n int) *[]string {
		var logins []string
		for i := range n {
			logins = append(logins, fmt.Sprint("login", i))
		}
		return &logins
	}
	with := func(c directory.UserChange) directory.UserChange {
		if c.LoginIDs == nil {
			c.LoginIDs = many(1)
		}
		return c
	}
	status := func(s directory.Status) directory.UserChange { return with(directory.UserChange{Status: &s}) }
	name := func(s string) directory.UserChange { return with(directory.UserChange{Name: &s}) }
	email := func(s string) directory.UserChange { return with(directory.UserChange{Email: &s}) }
	phone := func(s string) directory.UserChange { return with(directory.UserChange{Phone: &s}) }
	for _, c := range []rule{
		{"no login ids", directory.UserChange{}, "/loginIds"},
		{"an empty list", logins(), "/loginIds"},
		{"ten", directory.UserChange{LoginIDs: many(10)}, ""},
		{"eleven", directory.UserChange{LoginIDs: many(11)}, "/loginIds"},
		{"an empty login id", logins("a", ""), "/loginIds/1"},
		{"twice the same", logins("a", "b", "a"), "/loginIds/2"},
		{"not the same", logins("a", "A"), ""},
		{"space before", logins(" a"), "/loginIds/0"},
		{"space after", logins("a\u00a0"), "/loginIds/0"},
		{"space between", logins("a b"), ""},
		{"a control character", logins("a\x00b"), "/loginIds/0"},
		{"a line break", logins("a\nb"), "/loginIds/0"},
		{"not UTF-8", logins("a\xff"), "/loginIds/0"},
		{"another script", logins("аня"), ""},
		{"the longest", logins(strings.Repeat("ä", 254)), ""},
		{"too long", logins(strings.Repeat("a", 255)), "/loginIds/0"},
		{"name", name(strings.Repeat("ä", 200)), ""},
		{"no name", name(""), ""},
		{"long name", name(strings.Repeat("a", 201)), "/name"},
		{"name over lines", name("a\r\nb"), "/name"},
		{"name not UTF-8", name("\xc3"), "/name"},
		{"no email", email(""), ""},
		{"email", email("a.b+c@example.com"), ""},
		{"email with a name", email("Ada <a@example.com>"), "/email"},
		{"two emails", email("a@example.com, b@example.com"), "/email"},
		{"no domain", email("a@"), "/email"},
		{"no address", email("ada"), "/email"},
		{"email with space", email(" a@example.com"), "/email"},
		{"email over lines", email("a@example.com\n"), "/email"},
		{"long email", email(strings.Repeat("a", 250) + "@b.c"), ""},
		{"too long email", email(strings.Repeat("a", 251) + "@b.c"), "/email"},
		{"no phone", phone(""), ""},
		{"shortest phone", phone("+1234567"), ""},
		{"longest phone", phone("+123456789012345"), ""},
		{"short phone", phone("+123456"), "/phone"},
		{"long phone", phone("+1234567890123456"), "/phone"},
		{"phone without plus", phone("4915112345678"), "/phone"},
		{"national phone", phone("+04915112345678"), "/phone"},
		{"spaced phone", phone("+49 151 12345678"), "/phone"},
		{"only a plus", phone("+"), "/phone"},
		{"phone in other digits", phone("+١٢٣٤٥٦٧"), "/phone"},
		{"enabled", status(directory.Enabled), ""},
		{"disabled", status(directory.Disabled), ""},
		{"no status", status(""), "/status"},
		{"another status", status("Enabled"), "/status"},
		{"everything at once", directory.UserChange{
			LoginIDs: &[]string{"", "x", "x"}, Name: new("\x7f"), Email: new("@"), Phone: new("0"), Status: new(directory.Status("on")),
		}, "/loginIds/0 /loginIds/2 /name /email /phone /status"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.CreateUser(t.Context(), w.project, c.change, operator); !c.judges(t, err) {
				w.expect()
			}
			if c.change.LoginIDs == nil {
				return // a change may leave them out
			}
			w = newWorld(t)
			old := w.user("old")
			if _, err := w.ChangeUser(t.Context(), w.project, old.ID, c.change, operator); !c.judges(t, err) {
				w.expect()
				if now, err := w.User(t.Context(), w.project, old.ID); err != nil || !reflect.DeepEqual(now, old) {
					t.Errorf("a refused change made %+v, %v", now, err)
				}
			}
		})
	}
}

// judges compares err with what the rule says and reports whether the rule allows it.
func (r rule) judges(t *testing.T, err error) bool {
	t.Helper()
	if r.wrong == "" {
		if err != nil {
			t.Error(err)
		}
		return true
	}
	refused(t, err, fault.Invalid)
	if at(err) != r.wrong {
		t.Errorf("wrong is %q, want %q", at(err), r.wrong)
	}
	return false
}

func TestRefusalsNameThePlaceOnly(t *testing.T) {
	w := newWorld(t)
	const private = "correct horse battery staple"
	_, err := w.CreateUser(t.Context(), w.project, directory.UserChange{
		LoginIDs: &[]string{private + "\n"}, Name: new(private + "\n"), Email: new(private), Phone: new(private),
	}, operator)
	refused(t, err, fault.Invalid)
	if strings.Contains(err.Error(), private) {
		t.Errorf("the refusal repeats what was sent: %v", err)
	}
}
