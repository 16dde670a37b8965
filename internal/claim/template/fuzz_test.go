package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// lawful fails unless a result is one that a token may carry.
func lawful(t *testing.T, claims json.RawMessage, audience []string, subject string) {
	t.Helper()
	canonical, err := claim.Parse(claims, "")
	if err != nil || string(canonical) != string(claims) {
		t.Errorf("%s: %v", claims, err)
	}
	if len(audience) > MaxAudience || len(subject) > MaxName {
		t.Errorf("%q %q", audience, subject)
	}
	for _, a := range audience {
		if a == "" || len(a) > MaxName {
			t.Errorf("audience %q", a)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, doc := range []string{
		`{}`, `{"claims":{"plan":"{{ tenant.attributes.plan }}","hello":"Hi {{ user.name }}","n":5,"deep":{"x":["{{ user.email }}"]}},"emptyClaims":"keep"}`,
		`{"audience":["https://api.example.com","{{ tenant.id }}"],"subject":"{{ user.attributes.legacyId }}","authorization":"none"}`,
		`{"claims":{"a":"{{ {'a': '}}'} }}","b":"{{ r'\\' }}{{","sub":1,"a":2}}`,
		`{"claims":{"a":"{{ user.roles.map(r, r + r).filter(r, r.matches('a+b{1,3}')).size() > 0 ? user.attributes : null }}"}}`,
		`{"claims":{"a":"{{ [1].map(x, [x,x]).map(x, x + x) == [optional.none()] }}","b":"{{ {1: 2}[1] / 0 }}"}}`,
		`{"claims":{"a":"{{ timestamp('2020-01-01T00:00:00Z') - duration('1h') }}","b":"{{ b'\\xff' + bytes(user.name) }}"}}`,
		`{"claims":{"a":"{{ google.protobuf.Struct{fields: {'a': google.protobuf.Value{number_value: 1.0}}} }}"}}`,
		`{"actions":[]}`, "{\"claims\":{\"\xff\":1}}", `{"claims":{"ſub":"{{ 1 }}"}}`,
	} {
		f.Add([]byte(doc), []byte(`{"plan":"x","n":1e999,"deep":{"a":[null,"",{}]}}`))
	}
	c := compiler(f)
	f.Fuzz(func(t *testing.T, doc, attributes []byte) {
		tpl, err := c.Template(doc, User, "/document")
		if err != nil {
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Kind != fault.TemplateInvalid || len(refusal.Fields) == 0 {
				t.Fatalf("%v", err)
			}
			for _, p := range refusal.Fields {
				if !strings.HasPrefix(p.Pointer, "/document") || !utf8.ValidString(p.Pointer+p.Detail) || p.Code == "" {
					t.Errorf("%+v", p)
				}
			}
			return
		}
		in := input()
		in.User.Attributes, in.Tenant.Attributes, in.Session.Claims = attributes, attributes, attributes
		got := tpl.Evaluate(in)
		lawful(t, got.Claims, got.Audience, got.Subject)
		if again := tpl.Evaluate(in); string(again.Claims) != string(got.Claims) || len(again.Failures) != len(got.Failures) {
			t.Errorf("%s, then %s", got.Claims, again.Claims)
		}
	})
}

func FuzzActions(f *testing.F) {
	for _, doc := range []string{
		`{"actions":[{"name":"contractors","when":"'contractor' in user.roles","claims":{"badge":"{{ user.attributes.badge }}"},"audience":["x"],"lifetime":"8h","idle":"30m","require":"mfa"}]}`,
		`{"actions":[{"name":"a","when":"has(user.attributes.x) ? true : 1/0 > 2","deny":{"code":"c","message":"m"}}]}`, `{"actions":[{}]}`, `{}`,
	} {
		f.Add([]byte(doc), []byte(`{"badge":"17"}`))
	}
	c := compiler(f)
	f.Fuzz(func(t *testing.T, doc, attributes []byte) {
		a, err := c.Actions(doc, "/document")
		if err != nil {
			if fault.KindOf(err) != fault.TemplateInvalid {
				t.Fatalf("%v", err)
			}
			return
		}
		in := input()
		in.User.Attributes = attributes
		got := a.Evaluate(in)
		lawful(t, got.Claims, got.Audience, "")
		if got.Deny != nil && got.Require != "" || got.Lifetime < 0 || got.Idle < 0 {
			t.Errorf("%+v", got)
		}
	})
}

// The end of an expression is where CEL's own parser would agree that it is.
func FuzzEndOf(f *testing.F) {
	for _, s := range []string{`a }}`, `{"a":{"b":1}} }}`, `'}}' }}`, `r'\' }}`, `"""}}""" }}`, `'\'}}' }}`, `}}`, `{}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if end := endOf(s); end >= 0 && !strings.HasPrefix(s[end:], "}}") {
			t.Errorf("%q ends at %d", s, end)
		}
	})
}
