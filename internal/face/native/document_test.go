package native_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// refs returns every reference in a JSON value.
func refs(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		if ref, found := v["$ref"].(string); found {
			out = append(out, ref)
		}
		for _, member := range v {
			out = append(out, refs(member)...)
		}
	case []any:
		for _, item := range v {
			out = append(out, refs(item)...)
		}
	}
	return out
}

func TestDocumentHoldsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.spec.root
	info := object(root["info"])
	if root["openapi"] != "3.1.0" || info["version"] != "1.2.3" || object(list(root["servers"])[0])["url"] != publicURL {
		t.Errorf("the head: %v %v %v", root["openapi"], info, root["servers"])
	}
	used := map[string]bool{}
	for _, ref := range refs(root) {
		used[ref] = true
		if w.spec.resolve(ref) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
	for name := range object(object(root["components"])["schemas"]) {
		if !used["#/components/schemas/"+name] {
			t.Errorf("nothing refers to %s", name)
		}
		if !regexp.MustCompile(`^[A-Z][A-Za-z]+$`).MatchString(name) || strings.Contains(name, "Latchkey") || strings.Contains(name, "Native") {
			t.Errorf("%s is no good name", name)
		}
	}
	golden(t, "openapi", w.documents(t).Spec)
}

func TestOperationsAreDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	schemes := object(object(w.spec.root["components"])["securitySchemes"])
	for id, op := range w.spec.operations {
		route := w.routes[id]
		if op["summary"] == "" || len(list(op["tags"])) != 1 {
			t.Errorf("%s: no summary or tag", id)
		}
		for _, p := range list(op["parameters"]) {
			if p := object(p); p["schema"] == nil || p["in"] == "path" && p["description"] == nil {
				t.Errorf("%s: the parameter %v isn't described", id, p["name"])
			}
		}
		for _, way := range list(op["security"]) {
			for name := range object(way) {
				if schemes[name] == nil {
					t.Errorf("%s: no security scheme %s", id, name)
				}
			}
		}
		if scope := string(route.Scope); scope != "" {
			want := `[{"managementKey":["` + scope + `"]}]`
			if got, _ := json.Marshal(op["security"]); string(got) != want || !strings.Contains(op["description"].(string), scope) {
				t.Errorf("%s: security %s, want %s and the scope in the description", id, got, want)
			}
		}
		content := object(object(object(op["requestBody"])["content"])["application/json"])
		if (content != nil) != (len(w.spec.bodyMembers(id)) > 0) {
			t.Errorf("%s: a body without members", id)
		}
	}
}

// The examples of the document work: whoever copies one gets no refusal.
func TestExamplesWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := 0
	for _, r := range w.face.Routes() {
		content := object(object(object(w.spec.operations[r.ID]["requestBody"])["content"])["application/json"])
		if content == nil {
			continue
		}
		example, err := json.Marshal(content["example"])
		must(t, err)
		if content["example"] == nil {
			t.Errorf("%s has no example", r.ID)
			continue
		}
		n++
		s := w.another(t)
		c := w.goodAt(t, s, r)
		if r.ID == "createUser" {
			w.ok(t, call{method: "DELETE", path: strings.TrimSuffix(c.path, "/users") + "/users/" + s.user.String(), bearer: s.key}, nil)
		}
		c.body = strings.NewReplacer("rt_…", c.bearer, "prj_…", s.project.String(), "ten_01kkaj7vce4sb0m5r8t9wz2dxq", s.grants.tenant.String()).Replace(string(example))
		w.ok(t, c, nil)
	}
	if n < 10 {
		t.Errorf("only %d examples were found", n)
	}
}

// Members of requests and answers that differ by being optional have types of their own.
func TestSettingsPatchMayLeaveOutAndNull(t *testing.T) {
	t.Parallel()
	s := newWorld(t).spec
	patch, full := s.resolve("#/components/schemas/SettingsPatch"), s.resolve("#/components/schemas/Settings")
	names := slices.Sorted(maps.Keys(object(patch["properties"])))
	if !slices.Equal(names, slices.Sorted(maps.Keys(object(full["properties"])))) || len(list(patch["required"])) > 0 ||
		len(list(full["required"])) != len(names) || patch["additionalProperties"] != false {
		t.Errorf("the patch %v, the settings %v", patch, full)
	}
	for _, name := range names {
		p := object(object(patch["properties"])[name])
		if problems := s.validate(p, nil, name, false); len(problems) > 0 {
			t.Errorf("null isn't allowed: %v", problems)
		}
		if f := object(object(full["properties"])[name]); len(s.validate(f, nil, name, true)) == 0 {
			t.Errorf("%s may be null in an answer", name)
		}
	}
	for schema, values := range map[string]map[string]bool{
		"Duration":      {`"10m"`: true, `"1h30m"`: true, `"off"`: true, `"0"`: true, `"5 minutes"`: false, `""`: false, `300`: false},
		"RateLimit":     {`"auto"`: true, `20`: true, `"often"`: false, `1.5`: false},
		"UserReference": {`"alice"`: true, `{"loginIds":["a"]}`: true, `{"nick":"a"}`: false, `7`: false},
		"ProblemCode":   {`"conflict"`: true, `"oops"`: false},
	} {
		for text, want := range values {
			var v any
			must(t, json.Unmarshal([]byte(text), &v))
			if problems := s.validate(s.resolve("#/components/schemas/"+schema), v, "", false); (len(problems) == 0) != want {
				t.Errorf("%s, %s: %v", schema, text, problems)
			}
		}
	}
}

func TestProblemsAreGroupedByStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id, op := range w.spec.operations {
		found := map[string]bool{}
		for status, response := range object(op["responses"]) {
			for _, code := range list(object(response)["x-codes"]) {
				found[code.(string)] = true
				if !strings.Contains(object(response)["description"].(string), "`"+code.(string)+"`") {
					t.Errorf("%s: %s isn't in the description of %s", id, code, status)
				}
			}
		}
		for _, info := range wire.Codes() {
			if found[string(info.Code)] != slices.Contains(w.routes[id].All(), info.Code) {
				t.Errorf("%s: %s is in the document: %v", id, info.Code, found[string(info.Code)])
			}
		}
	}
}
