package template

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Attack: a client asks for claims, and an expression lifts them to where only the project
// speaks. By name it is refused when it is saved; in any other way there is nothing.
func TestAttackExpressionsLiftClientClaims(t *testing.T) {
	for _, doc := range []string{
		`{"claims":{"plan":"{{ session.nsec.plan }}"}}`, `{"audience":["{{ session.nsec.plan }}"]}`, `{"subject":"{{ session.nsec.plan }}"}`,
		`{"claims":{"plan":"{{ session.nsec }}"}}`, `{"claims":{"plan":"{{ has(session.nsec) }}"}}`,
	} {
		_, err := compiler(t).Template(json.RawMessage(doc), User, "")
		if fault.KindOf(err) != fault.TemplateInvalid {
			t.Errorf("%s compiles: %v", doc, err)
		}
	}
	if _, err := compiler(t).Actions(json.RawMessage(`{"actions":[{"name":"a","when":"session.nsec.plan == 'pro'","lifetime":"8h"}]}`), ""); fault.KindOf(err) != fault.TemplateInvalid {
		t.Errorf("an action compiles: %v", err)
	}
	in := input()
	got := compiled(t, `{"claims":{"a":"{{ session['nsec'].plan }}","b":"{{ session[?'nsec'].orValue({}) }}","c":"{{ session }}","d":"{{ session.map(m, m) }}","e":"{{ 'nsec' in session }}"},
		"audience":["{{ session['nsec'].plan }}"],"subject":"{{ session['nsec'].plan }}"}`).Evaluate(in)
	if strings.Contains(string(got.Claims), "nsec") || !strings.Contains(string(got.Claims), `"e":false`) || got.Audience != nil || got.Subject != "" {
		t.Errorf("%+v", got)
	}
}
