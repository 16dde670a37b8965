package template

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestPatterns(t *testing.T) {
	in := input()
	in.User.Attributes = json.RawMessage(`{"n":5}`)
	for expression, want := range map[string]string{
		`user.name.matches('^A.{2}ce$')`:                                    `true`,
		`matches(user.name, 'b{2,}')`:                                       `false`,
		`user.email.matches('(?i)^[A-Z.]{1,20}@EXAMPLE\\.(com|org)$')`:      `true`,
		`user.name.matches(r'^\pL+$')`:                                      `true`,
		`user.roles.exists(r, r.matches('^ad')) && !user.name.matches('x')`: `true`,
		`'a'.matches('') ? user.attributes.n : 0`:                           `5`,
	} {
		raw, _ := json.Marshal(map[string]any{"claims": map[string]string{"a": "{{ " + expression + " }}"}})
		if got := compiled(t, string(raw)).Evaluate(in); string(got.Claims) != `{"a":`+want+`}` || got.Failures != nil {
			t.Errorf("%s: %s %v", expression, got.Claims, got.Failures)
		}
	}
	got := compiled(t, `{"claims":{"a":"{{ user.attributes.n.matches('5') }}"}}`).Evaluate(in)
	if got.Claims != nil || len(got.Failures) != 1 {
		t.Errorf("a number matches: %s", got.Claims)
	}
}

// Attack 38: patterns that take long to be read are refused before anybody reads them, and
// those that take long to be held against a text fail.
func TestAttack38Patterns(t *testing.T) {
	start := time.Now()
	for name, expression := range map[string]string{
		"is none":            `user.name.matches('(')`,
		"of values":          `user.name.matches(user.email)`,
		"put together":       `user.name.matches('a' + 'b')`,
		"chosen":             `user.name.matches(user.name == 'x' ? 'a' : 'b')`,
		"long":               `user.name.matches('` + strings.Repeat("a", 501) + `')`,
		"repeated":           `user.name.matches('(a{31}){32}b{9}')`,
		"repeated very much": `user.name.matches('` + strings.Repeat("a{1000}", 60) + `')`,
		"all cases":          `user.name.matches(r'` + strings.Repeat(`(?i)[B-\x{1e942}]`, 25) + `')`,
		"all letters":        `user.name.matches(r'` + strings.Repeat(`(?i:\pL\PN)`, 40) + `')`,
		"beyond ASCII":       `user.name.matches('(?s-i)(?Ui)ä')`,
	} {
		for _, call := range []string{expression, strings.Replace(expression, "user.name.matches(", "matches(user.name, ", 1)} {
			raw, _ := json.Marshal(map[string]any{"claims": map[string]string{"a": "{{ " + call + " }}"}})
			if _, err := compiler(t).Template(raw, User, ""); fault.KindOf(err) != fault.TemplateInvalid {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	in := input()
	in.User.Attributes = json.RawMessage(`{"long":"` + strings.Repeat("a", 8000) + `"}`)
	claims := map[string]string{}
	for i := range 100 {
		claims["c"+strings.Repeat("x", i%50)+string(rune('a'+i/50))] = `{{ user.attributes.long.matches('(a|b){300}c') || user.attributes.long.substring(0, 500).matches('(a|b){80}c') }}`
	}
	raw, _ := json.Marshal(map[string]any{"claims": claims})
	tpl, err := compiler(t).Template(raw, User, "")
	if err != nil {
		t.Fatal(err)
	}
	got := tpl.Evaluate(in)
	if len(got.Failures) != 100 || got.Failures[0].Reason != errSteps || got.Failures[99].Reason != errCost {
		t.Errorf("%v", got.Failures)
	}
	// The machines of builds are slow.
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
