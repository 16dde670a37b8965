package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/swaggest/jsonschema-go"
)

type selfish struct {
	Children []selfish `json:"children"`
}

func TestCheckFindsWrongTypes(t *testing.T) {
	for want, into := range map[string]any{
		"contains itself": selfish{},
		"type map[string]string can't be read": struct {
			A map[string]string `json:"a"`
		}{},
		"type interface {} can't be read": struct {
			A any `json:"a"`
		}{},
		"type []uint8 can't be read": struct {
			A []byte `json:"a"`
		}{},
		"needs an exported field": struct {
			a string `query:"a"` // vet would see the same fault in json
		}{},
		"without the option string": struct {
			A int `json:"a,string"`
		}{},
		"and a name": struct {
			A int `json:",omitempty"`
		}{},
		`the name "a" is taken`: struct {
			A, B int `query:"a"`
		}{},
		"embedded pointer": struct{ *signInDevice }{},
		"tag multipleOf isn't enforced": struct {
			A int `json:"a" multipleOf:"2"`
		}{},
		"tag minimum doesn't apply to a string": struct {
			A latchkey.Duration `json:"a" minimum:"2"`
		}{},
		"tag maximum: ": struct {
			A int `json:"a" maximum:"many"`
		}{},
		"tag maxLength doesn't apply to a list": struct {
			A []string `json:"a" maxLength:"2"`
		}{},
		"tag maxItems: ": struct {
			A []string `json:"a" maxItems:"2.5"`
		}{},
		"tag enum doesn't apply to a list": struct {
			A []string `json:"a" enum:"x,y"`
		}{},
		"tag pattern: ": struct {
			A string `json:"a" pattern:"("`
		}{},
		"tag default doesn't apply to a list": struct {
			A []string `json:"a" default:"x"`
		}{},
		"its default: must be from 1 to 2": struct {
			A int `json:"a" minimum:"1" maximum:"2" default:"3"`
		}{},
		`the tag required is "true" or "false"`: struct {
			A int `json:"a" required:"yes"`
		}{},
		"can't be a query parameter": struct {
			A signInDevice `query:"a"`
		}{},
		"type [][]time.Time can't be": struct {
			A [][]time.Time `query:"a"`
		}{},
		"type json.RawMessage can't be a query": struct {
			A json.RawMessage `query:"a"`
		}{},
		"isn't a struct":       0,
		"<nil> isn't a struct": nil,
	} {
		err := Check(into)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := Decode(post("{}"), 10, new(selfish)); err == nil || fault.KindOf(err) != fault.Internal {
		t.Error("a wrong type is blamed on the caller:", err)
	}
	for _, into := range []any{signIn{}, &signIn{}, listQuery{}} {
		if err := Check(into); err != nil {
			t.Error(err)
		}
	}
}

type described struct {
	Text    string              `json:"text" required:"true" minLength:"1" maxLength:"64" pattern:"^a"`
	Word    string              `json:"word" enum:"one,two"`
	Words   string              `json:"words" enum:"[\"a,b\",\"c\"]" default:"c"`
	Number  int                 `json:"number" minimum:"1" maximum:"200" default:"50"`
	Maybe   *float64            `json:"maybe" maximum:"1.5"`
	List    []string            `json:"list" minItems:"1" maxItems:"9"`
	Length  latchkey.Duration   `json:"length" maxLength:"9"`
	User    id.User             `json:"user" required:"true"`
	At      time.Time           `json:"at"`
	Limit   *latchkey.RateLimit `json:"limit"`
	Skipped string              `path:"skipped"`
	Hidden  string              `json:"-"`
	_       struct{}            `additionalProperties:"false"`
	signInEmbedded
}

// What the generated schema promises is what a plan enforces: same names, same
// constraints, read from the same tags by two programs.
func TestSchemaAgrees(t *testing.T) {
	schema, err := new(jsonschema.Reflector).Reflect(described{}, jsonschema.InlineRefs)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planOf(reflect.TypeFor[described](), "json")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.fields) != len(schema.Properties) {
		t.Errorf("%d members, %d properties", len(p.fields), len(schema.Properties))
	}
	var required []string
	for _, m := range p.fields {
		if m.required {
			required = append(required, m.name)
		}
		property := schema.Properties[m.name].TypeObject
		if property == nil {
			t.Errorf("%s isn't in the schema", m.name)
			continue
		}
		if got, want := promised(m.rules), written(property); got != want {
			t.Errorf("%s: enforced %s, described %s", m.name, got, want)
		}
	}
	if !reflect.DeepEqual(required, schema.Required) {
		t.Errorf("required %q, described %q", required, schema.Required)
	}
}

func promised(r rules) string {
	constraints := map[string]any{"minimum": r.min, "maximum": r.max, "minLength": r.minLen, "maxLength": r.maxLen, "minItems": r.minItems, "maxItems": r.maxItems}
	if r.enum != nil {
		constraints["enum"] = r.enum
	}
	if r.pattern != nil {
		constraints["pattern"] = r.pattern.String()
	}
	return canonicalJSON(constraints)
}

func written(s *jsonschema.Schema) string {
	constraints := map[string]any{"minimum": s.Minimum, "maximum": s.Maximum, "maxLength": s.MaxLength, "maxItems": s.MaxItems}
	constraints["minLength"], constraints["minItems"] = zeroIsNone(s.MinLength), zeroIsNone(s.MinItems)
	if len(s.Enum) > 0 {
		constraints["enum"] = s.Enum
	}
	if s.Pattern != nil {
		constraints["pattern"] = *s.Pattern
	}
	return canonicalJSON(constraints)
}

func zeroIsNone(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func canonicalJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
