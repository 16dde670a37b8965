package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// declared reads the package's own constants of a type, in the order of the source.
func declared(t *testing.T, typeName string) (names, values []string) {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != typeName {
				return true
			}
			for i, name := range spec.Names {
				literal, ok := spec.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s isn't a plain string", name.Name)
				}
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				names, values = append(names, name.Name), append(values, value)
			}
			return true
		})
	}
	return names, values
}

// A type that Types forgets can't be filtered for, nor is it in the reference.
func TestTypesAreWhole(t *testing.T) {
	names, want := declared(t, "Type")
	if len(want) < 20 {
		t.Fatalf("found only %v", names)
	}
	var got []string
	for _, typ := range audit.Types() {
		got = append(got, string(typ))
	}
	if !slices.Equal(got, want) {
		t.Errorf("Types returns\n%q, declared are\n%q", got, want)
	}
}

func TestTypesAreNamedAlike(t *testing.T) {
	nounVerb := regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$`)
	seen := map[audit.Type]bool{}
	for _, typ := range audit.Types() {
		if seen[typ] {
			t.Errorf("%s stands there twice", typ)
		}
		seen[typ] = true
		if !nounVerb.MatchString(string(typ)) {
			t.Errorf("%s isn't noun.verb", typ)
		}
	}
}

// Each call returns a list of its own, which a caller may change.
func TestTypesAreCopied(t *testing.T) {
	first := audit.Types()
	clear(first)
	if slices.Contains(audit.Types(), "") {
		t.Error("a caller changed the vocabulary")
	}
}

func TestActors(t *testing.T) {
	names, values := declared(t, "Actor")
	if !slices.Equal(values, []string{"system", "cli"}) {
		t.Errorf("actors %v are %q", names, values)
	}
	u, k := id.NewUser(now), id.NewManagementKey(now)
	if got := audit.UserActor(u); got != audit.Actor("user:"+u.String()) || !strings.HasPrefix(string(got), "user:usr_") {
		t.Errorf("a user acts as %s", got)
	}
	if got := audit.KeyActor(k); got != audit.Actor("key:"+k.String()) || !strings.HasPrefix(string(got), "key:mk_") {
		t.Errorf("a key acts as %s", got)
	}
}

func TestNew(t *testing.T) {
	p, s, u := id.NewProject(now), id.NewSession(now), id.NewUser(now)
	o := audit.Origin{Actor: audit.System, IP: "192.0.2.1", RequestID: "r"}
	e := audit.New(p, now, audit.KeyCreated, o)
	want := audit.Event{ID: e.ID, Project: p, At: now, Type: audit.KeyCreated, Origin: o}
	if !reflect.DeepEqual(e, want) || e.ID.IsZero() || e.ID.Time() != now {
		t.Errorf("made\n%+v at %v, want\n%+v", e, e.ID.Time(), want)
	}
	if again := audit.New(p, now, audit.KeyCreated, o); again.ID == e.ID {
		t.Error("two events have one identifier")
	}
	want.Session, want.User = s, u
	if of := e.Of(s, u); !reflect.DeepEqual(of, want) {
		t.Errorf("of a session\n%+v, want\n%+v", of, want)
	}
	if !e.Session.IsZero() || !e.User.IsZero() {
		t.Error("Of changed its receiver")
	}
}

// Events of one origin are made from each other: what is added to one must not appear in
// another.
func TestWithSharesNothing(t *testing.T) {
	base := audit.New(id.NewProject(now), now, audit.SessionEnded, audit.Origin{}).With("reason", "logout")
	one, other := base.With("count", 1.0), base.With("count", 2.0).With("reason", "revoked")
	for what, c := range map[string]struct {
		e    audit.Event
		want map[string]any
	}{
		"the base": {base, map[string]any{"reason": "logout"}},
		"one":      {one, map[string]any{"reason": "logout", "count": 1.0}},
		"other":    {other, map[string]any{"reason": "revoked", "count": 2.0}},
	} {
		if !maps.Equal(c.e.Data, c.want) {
			t.Errorf("%s says %v, want %v", what, c.e.Data, c.want)
		}
	}
	one.Data["more"] = true
	if base.Data["more"] != nil || other.Data["more"] != nil {
		t.Error("events share their data")
	}
	bare := audit.Event{}
	if bare.With("a", nil); bare.Data != nil {
		t.Error("With changed its receiver")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		want     []audit.Type
	}{
		{nil, nil},
		{[]string{"session.ended", "user.created"}, []audit.Type{audit.UserCreated, audit.SessionEnded}},
		{[]string{"permission.*", "permission.created"}, []audit.Type{audit.PermissionCreated, audit.PermissionUpdated, audit.PermissionDeleted}},
		{[]string{"master_key.*"}, []audit.Type{audit.MasterKeyResealed}},
	} {
		if got, err := audit.Match(c.patterns...); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v, want %v", c.patterns, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "*", ".*", "user", "user.", "user*", "user.creat*", "us.*", "user.*.*", "User.created", "user.created ", "users.*"} {
		if got, err := audit.Match("session.ended", bad); err != audit.ErrType || got != nil {
			t.Errorf("%q: %v, %v, want ErrType", bad, got, err)
		}
	}
}

// What is shown is what was written, with times in UTC.
func TestPublic(t *testing.T) {
	zone := time.FixedZone("", 3600)
	s, u := id.NewSession(now), id.NewUser(now)
	e := audit.New(id.NewProject(now), now.In(zone), audit.SessionEnded, audit.Origin{Actor: audit.CLI, IP: "192.0.2.1", RequestID: "r"}).Of(s, u).With("reason", "logout")
	want := latchkey.Event{
		ID: e.ID.String(), At: now, Type: "session.ended", Actor: "cli", Session: s.String(), User: u.String(), IP: "192.0.2.1", RequestID: "r",
		Data: map[string]any{"reason": "logout"},
	}
	if got := e.Public(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (audit.Event{}).Public(); got.ID != "" || got.Session != "" || got.User != "" {
		t.Errorf("nothing is shown as %+v", got)
	}
}
