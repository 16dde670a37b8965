package native_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// spec is the OpenAPI document as a client would read it, and just enough of JSON
// Schema to hold answers against it.
type spec struct {
	root       map[string]any
	operations map[string]map[string]any // by operationId
}

func readSpec(t testing.TB, document []byte) spec {
	t.Helper()
	s := spec{operations: map[string]map[string]any{}}
	must(t, json.Unmarshal(document, &s.root))
	for _, item := range object(s.root["paths"]) {
		for _, op := range object(item) {
			op := object(op)
			s.operations[op["operationId"].(string)] = op
		}
	}
	return s
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// conforms fails unless an answer is what the document says, without other members.
func (s spec) conforms(t testing.TB, id string, status int, media string, body []byte) {
	t.Helper()
	response := object(object(s.operations[id]["responses"])[strconv.Itoa(status)])
	content := object(object(response["content"])[media])
	if content == nil {
		t.Errorf("%s: the document has no answer %d of %s", id, status, media)
		return
	}
	s.judge(t, id, content["schema"], body, true)
}

// accepts fails unless the document allows a body that was taken.
func (s spec) accepts(t testing.TB, id string, body []byte) {
	t.Helper()
	content := object(object(object(s.operations[id]["requestBody"])["content"])["application/json"])
	if content == nil {
		if string(body) != "{}" {
			t.Errorf("%s: took a body, but the document has none", id)
		}
		return
	}
	s.judge(t, id+", its body", content["schema"], body, false)
}

func (s spec) judge(t testing.TB, what string, schema any, body []byte, closed bool) {
	t.Helper()
	var v any
	must(t, json.Unmarshal(body, &v))
	for _, problem := range s.validate(object(schema), v, "", closed) {
		t.Errorf("%s: %s: %s", what, problem, body)
	}
}

// validate returns what is wrong with v. Closed objects have no member that the schema
// doesn't name, unless it says that they may.
func (s spec) validate(schema map[string]any, v any, at string, closed bool) []string {
	if ref, found := schema["$ref"].(string); found {
		return s.validate(s.resolve(ref), v, at, closed)
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if options := list(schema[word]); options != nil {
			return s.oneOf(options, v, at, closed)
		}
	}
	if types := schemaTypes(schema); !slices.ContainsFunc(types, func(name string) bool { return hasType(v, name) }) {
		return []string{fmt.Sprintf("%s is %v, not %v", at, v, types)}
	}
	switch v := v.(type) {
	case string:
		return text(schema, v, at)
	case []any:
		var out []string
		for i, item := range v {
			out = append(out, s.validate(object(schema["items"]), item, fmt.Sprintf("%s/%d", at, i), closed)...)
		}
		return out
	case map[string]any:
		return s.members(schema, v, at, closed)
	}
	return nil
}

func (s spec) resolve(ref string) map[string]any {
	v := any(s.root)
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		v = object(v)[part]
	}
	return object(v)
}

func (s spec) oneOf(options []any, v any, at string, closed bool) []string {
	var all []string
	for _, o := range options {
		problems := s.validate(object(o), v, at, closed)
		if len(problems) == 0 {
			return nil
		}
		all = append(all, problems...)
	}
	return all
}

func (s spec) members(schema, v map[string]any, at string, closed bool) []string {
	var out []string
	for _, name := range list(schema["required"]) {
		if _, found := v[name.(string)]; !found {
			out = append(out, fmt.Sprintf("%s/%s is missing", at, name))
		}
	}
	properties := object(schema["properties"])
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if p, known := properties[name]; known {
			if v[name] == nil && !closed {
				continue // in a request, null counts as absent
			}
			out = append(out, s.validate(object(p), v[name], at+"/"+name, closed)...)
			continue
		}
		more, said := schema["additionalProperties"]
		if more == false || !said && closed {
			out = append(out, fmt.Sprintf("%s/%s isn't in the document", at, name))
		}
	}
	return out
}

func schemaTypes(schema map[string]any) []string {
	switch t := schema["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, name := range t {
			out = append(out, name.(string))
		}
		return out
	}
	return []string{"any"}
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null" || name == "any"
	case string:
		return name == "string" || name == "any"
	case bool:
		return name == "boolean" || name == "any"
	case float64:
		return name == "number" || name == "any" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array" || name == "any"
	}
	return name == "object" || name == "any"
}

func text(schema map[string]any, v, at string) []string {
	var out []string
	if enum := list(schema["enum"]); enum != nil && !slices.Contains(enum, any(v)) {
		out = append(out, fmt.Sprintf("%s is %q, none of %v", at, v, enum))
	}
	if c, found := schema["const"]; found && c != v {
		out = append(out, fmt.Sprintf("%s is %q, not %v", at, v, c))
	}
	if p, found := schema["pattern"].(string); found && !regexp.MustCompile(p).MatchString(v) {
		out = append(out, fmt.Sprintf("%s is %q, which doesn't match %s", at, v, p))
	}
	if schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, v); err != nil || !strings.HasSuffix(v, "Z") {
			out = append(out, fmt.Sprintf("%s is %q, no time in UTC", at, v))
		}
	}
	return out
}
