package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// doublings chains n macros that each make their value twice as large.
func doublings(start, each string, n int) string {
	return start + strings.Repeat(".map(x, "+each+")", n)
}

// Expressions that would take all time or memory fail fast, whatever types are known
// before they run.
func TestAttackExpensiveExpressions(t *testing.T) {
	for name, expression := range map[string]string{
		"text":                 doublings("['aaaaaaaaaa']", "x + x", 90),
		"text of unknown type": doublings("[user.name]", "x + x", 90),
		"bytes":                doublings("[b'aaaaaaaaaa']", "x + x", 90),
		"lists":                doublings("[user.roles]", "x + x", 90) + "[0].exists(r, r == 'nobody')",
		"lists in one another": doublings("[user.roles]", "[x, x]", 90) + " == " + doublings("[user.roles]", "[x, x]", 30),
		"is in":                "1 in " + doublings("[user.roles]", "x + x", 90) + "[0]",
		"equal":                doublings("[user.roles]", "x + x", 60) + " == " + doublings("[user.roles]", "x + x", 60),
		"maps":                 doublings("[user.attributes]", "{'a': x, 'b': x}", 80) + "[0] == 1",
		"comprehensions":       "[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, user.roles.size() + a * b * c)))",
		"replace":              doublings("[user.name]", "x.replace('', x)", 40),
		"join":                 doublings("[user.name]", "[x,x,x,x,x,x,x,x].join(x)", 40),
		"split":                doublings("['a'.replace('', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')]", "x.split('').join(x)", 40),
		"pattern":              "user.roles.exists(r, (" + strings.Repeat("r + ", 300) + "r).matches('(((a*)*)*)*(" + strings.Repeat("x?", 300) + ")'))",
	} {
		t.Run(name, func(t *testing.T) {
			raw, _ := json.Marshal(map[string]any{"claims": map[string]string{"a": "{{ " + expression + " }}", "z": "{{ user.name }}"}})
			tpl, err := compiler(t).Template(raw, User, "")
			if err != nil {
				return // refused when it is saved
			}
			start := time.Now()
			got := tpl.Evaluate(input())
			// A generous bound: the machines of builds are slow, the attacks endless.
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(got.Failures) != 1 || string(got.Claims) != `{"z":"Alice"}` {
				t.Errorf("%s %v", got.Claims, got.Failures)
			}
		})
	}
}

// A document of expensive expressions is no dearer than the limit of all together.
func TestTotalCost(t *testing.T) {
	claims := map[string]string{}
	for i := range 100 {
		claims[fmt.Sprintf("c%03d", i)] = `{{ user.tenants.map(a, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].all(d, d > 0))).size() }}`
	}
	raw, _ := json.Marshal(map[string]any{"claims": claims})
	tpl, err := compiler(t).Template(raw, User, "")
	if err != nil {
		t.Fatal(err)
	}
	s := newScope(input(), tpl.needs)
	got := tpl.evaluate(s)
	if s.spent > MaxTotalCost+MaxCost {
		t.Errorf("%d were spent", s.spent)
	}
	if len(got.Failures) == 0 || got.Failures[len(got.Failures)-1] != (Failure{"/claims/c099", errCost}) || !strings.HasPrefix(string(got.Claims), `{"c000":2,`) {
		t.Errorf("%s %v", got.Claims, got.Failures)
	}
	// Those whose limit is reached pay for it, too.
	claims = map[string]string{}
	for i := range 50 {
		claims[fmt.Sprintf("c%03d", i)] = `{{ [1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [a,b,c]))) }}`
	}
	raw, _ = json.Marshal(map[string]any{"claims": claims})
	if tpl, err = compiler(t).Template(raw, User, ""); err != nil {
		t.Fatal(err)
	}
	s = newScope(input(), tpl.needs)
	if got = tpl.evaluate(s); len(got.Failures) != 50 || s.spent > MaxTotalCost+2*MaxCost {
		t.Errorf("%d were spent, %d failed", s.spent, len(got.Failures))
	}
}

// What needs a clock, a file or chance doesn't compile.
func TestNoClockAndNoFiles(t *testing.T) {
	for _, expression := range []string{"now()", "timestamp.now()", "timestamp(0).getDate('Europe/Berlin')", "timestamp(0).getSeconds('UTC')",
		"timestamp(0).getMilliseconds('UTC')", "timestamp(0).getDayOfWeek('UTC')", "timestamp(0).getDayOfMonth('UTC')", "timestamp(0).getDayOfYear('UTC')",
		"timestamp(0).getFullYear('UTC')", "timestamp(0).getMonth('UTC')", "timestamp(0).getHours('UTC')", "timestamp(0).getMinutes('UTC')", "math.rand()", "env('HOME')"} {
		raw, _ := json.Marshal(map[string]any{"claims": map[string]string{"a": "{{ " + expression + " }}"}})
		if _, err := compiler(t).Template(raw, User, ""); err == nil {
			t.Errorf("%s compiles", expression)
		}
	}
}

func TestOnlyWhatIsAskedForIsMade(t *testing.T) {
	for doc, c := range map[string]struct {
		variable string
		members  int
	}{
		`{"claims":{"a":"{{ user.name }}"}}`:                             {"user", 1},
		`{"claims":{"a":"{{ user.name }}","b":"{{ user.attributes }}"}}`: {"user", 2},
		`{"claims":{"a":"{{ user.name }}","b":"{{ user }}"}}`:            {"user", 10},
		`{"claims":{"a":"{{ user['name'] }}"}}`:                          {"user", 10},
		`{"claims":{"a":"{{ session.?actor }}"}}`:                        {"session", 9},
		`{"claims":{"a":"{{ has(session.actor) }}"}}`:                    {"session", 1},
	} {
		tpl := compiled(t, doc)
		v, ok := newScope(input(), tpl.needs).ResolveName(c.variable)
		if members, _ := v.(map[string]any); !ok || len(members) != c.members {
			t.Errorf("%s: %v", doc, v)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	in := input()
	for name, doc := range map[string]string{
		"constant": `{"claims":{"a":1,"b":"text","c":{"x":[1,2,3]}},"audience":["https://x"]}`,
		"one":      `{"claims":{"a":"{{ user.name }}"}}`,
		"ten": `{"claims":{"a":"{{ user.name }}","b":"Hi {{ user.name }}","c":"{{ user.attributes.legacyId }}","d":"{{ tenant.attributes.plan }}","e":"{{ user.roles }}",
			"f":"{{ 'admin' in user.roles }}","g":"{{ session.amr }}","h":"{{ user.attributes.deep }}","i":"{{ user.tenants.map(t, user.tenants[t].name) }}","j":"{{ timestamp(session.authTime) }}"}}`,
	} {
		tpl := compiled(b, doc)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := tpl.Evaluate(in); got.Claims == nil || len(got.Failures) > 0 {
					b.Fatal(got)
				}
			}
		})
	}
	worst := map[string]string{}
	for i := range 100 {
		worst[fmt.Sprint("c", i)] = `{{ user.tenants.map(a, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].all(d, d > 0))).size() }}`
	}
	raw, _ := json.Marshal(map[string]any{"claims": worst})
	tpl := compiled(b, string(raw))
	b.Run("as dear as allowed", func(b *testing.B) {
		for b.Loop() {
			tpl.Evaluate(in)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	c := compiler(b)
	for b.Loop() {
		if _, err := c.Template(json.RawMessage(`{"claims":{"a":"{{ user.name }}","b":"{{ tenant.attributes.plan }}"}}`), User, ""); err != nil {
			b.Fatal(err)
		}
	}
}
