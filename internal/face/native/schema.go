package native

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// schemaNames are what types are called in the document when their Go name wouldn't say
// it. Clients generate code from these names, so they stay.
var schemaNames = map[string]string{
	"RefreshBody": "RefreshRequest", "TokenBody": "TokenRequest",
	"jwks": "KeySet", "metadata": "DiscoveryDocument", "Code": "ProblemCode",
}

// schemaOptions makes schemas say what the API does: it is applied to every reflection.
func schemaOptions(rc *jsonschema.ReflectContext) {
	// Who reflects outside of an operation describes an answer.
	request := func() bool {
		oc, found := openapi.OperationCtx(rc)
		return found && !oc.IsProcessingResponse()
	}
	jsonschema.InterceptDefName(func(t reflect.Type, _ string) string {
		return schemaName(t, request())
	})(rc)
	jsonschema.InterceptSchema(func(p jsonschema.InterceptSchemaParams) (stop bool, err error) {
		if p.Processed {
			closeObject(p.Schema, p.Value, request())
			return false, nil
		}
		return special(p.Schema, p.Value), nil
	})(rc)
	jsonschema.InterceptProp(func(p jsonschema.InterceptPropParams) error {
		if p.Processed {
			property(p, request())
		}
		return nil
	})(rc)
}

// schemaName returns the name of a type in the document, without its package.
func schemaName(t reflect.Type, request bool) string {
	name := t.Name()
	if known, found := schemaNames[name]; found {
		return known
	}
	if isSettings(t) && request {
		return name + "Patch"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// isSettings reports whether t is part of the settings: what is patched and what is
// answered have the same type, but in a patch each member may be left out or null.
func isSettings(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[latchkey.Settings](), reflect.TypeFor[latchkey.Delivery](), reflect.TypeFor[latchkey.Cookies]():
		return true
	}
	return false
}

const schemaPrefix = "#/components/schemas/"

// special describes types that encode themselves, of which reflection sees nothing.
func special(s *jsonschema.Schema, v reflect.Value) (known bool) {
	if !v.IsValid() {
		return false
	}
	t := v.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := func() *jsonschema.Schema { return (&jsonschema.Schema{}).WithType(jsonschema.String.Type()) }
	switch t {
	case reflect.TypeFor[latchkey.Duration]():
		*s = *text().WithPattern(`^(off|0|([0-9]+(w|d|h|m|s|ms))+)$`).WithExamples("10m", "28d", "1h30m", "off").
			WithDescription("A length of time: numbers with the units w, d, h, m, s, ms; a day is 24 hours.")
	case reflect.TypeFor[latchkey.RateLimit]():
		number := (&jsonschema.Schema{}).WithType(jsonschema.Integer.Type()).WithMinimum(1)
		*s = *(&jsonschema.Schema{}).WithOneOf(text().WithConst("auto").ToSchemaOrBool(), number.ToSchemaOrBool()).
			WithExamples("auto", 20).WithDescription("auto, or a number.")
	case reflect.TypeFor[latchkey.Code]():
		*s = *text()
		for _, info := range wire.Codes() {
			s.Enum = append(s.Enum, string(info.Code))
		}
	case reflect.TypeFor[latchkey.UserReference]():
		name := text().WithDescription("A user id or a login id.")
		object := (&jsonschema.Schema{}).WithRef(schemaPrefix + "SignInUser")
		*s = *(&jsonschema.Schema{}).WithOneOf(name.ToSchemaOrBool(), object.ToSchemaOrBool()).
			WithDescription("A user id, a login id, or a user object.")
	case reflect.TypeFor[json.RawMessage]():
		// All members that are kept as they are hold claims.
		*s = *(&jsonschema.Schema{}).WithType(jsonschema.Object.Type()).WithAdditionalProperties(anything())
	default:
		return false
	}
	return true
}

func anything() jsonschema.SchemaOrBool {
	yes := true
	return jsonschema.SchemaOrBool{TypeBoolean: &yes}
}

// closeObject says that a request has no other members: they are refused. Answers may
// get more.
func closeObject(s *jsonschema.Schema, v reflect.Value, request bool) {
	if !request || !v.IsValid() || !s.HasType(jsonschema.Object) {
		return
	}
	if t := v.Type(); t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		no := false
		s.WithAdditionalProperties(jsonschema.SchemaOrBool{TypeBoolean: &no})
	}
}

// property says whether a member may be absent or null.
func property(p jsonschema.InterceptPropParams, request bool) {
	s := p.PropertySchema
	s.RemoveType(jsonschema.Null) // what Go has as nil is left out, or an empty list
	inOrder(p.ParentSchema, p.Name)
	options := p.Field.Tag.Get("json")
	optional := strings.Contains(options, ",omitempty") || strings.Contains(options, ",omitzero")
	if !request && !optional && options != "" {
		p.ParentSchema.Required = append(p.ParentSchema.Required, p.Name)
	}
	if request && patches(p.ParentSchema) {
		orNull(s)
	}
}

// inOrder notes the order of the members, which a JSON object doesn't keep: the one in
// which they were written is the one in which they are best read.
func inOrder(parent *jsonschema.Schema, name string) {
	names, _ := parent.ExtraProperties[orderName].([]string)
	parent.WithExtraPropertiesItem(orderName, append(names, name))
}

const orderName = "x-order"

func patches(parent *jsonschema.Schema) bool {
	t := parent.ReflectType
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t != nil && isSettings(t)
}

func orNull(s *jsonschema.Schema) {
	if len(s.Enum) > 0 {
		s.Enum = append(s.Enum, nil)
	}
	if s.Ref == nil {
		s.AddType(jsonschema.Null)
		return
	}
	ref := (&jsonschema.Schema{}).WithRef(*s.Ref).ToSchemaOrBool()
	s.Ref = nil
	s.WithAnyOf(ref, jsonschema.Null.ToSchemaOrBool())
}
