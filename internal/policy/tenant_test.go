package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

const overrideJSON = `{"sessionTokenTTL":"5m","absoluteTimeout":"1d","idleTimeout":"1h","stepUpTTL":"2m","maxSessionsPerUser":3,"onLimit":"deny"}`

func overriding(t *testing.T, patch string) latchkey.TenantSettings {
	t.Helper()
	s, err := PatchTenant(latchkey.TenantSettings{}, []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A tenant can override nothing that the merge doesn't know of.
func TestTenantMembersAreSettings(t *testing.T) {
	tenant, project := reflect.TypeFor[latchkey.TenantSettings](), reflect.TypeFor[latchkey.Settings]()
	for i := range tenant.NumField() {
		name, _, _ := strings.Cut(tenant.Field(i).Tag.Get("json"), ",")
		at := member(project, name)
		if at < 0 || project.Field(at).Type != tenant.Field(i).Type.Elem() {
			t.Errorf("%s isn't a setting of a project", name)
		}
	}
}

func TestPatchTenant(t *testing.T) {
	full := overriding(t, overrideJSON)
	if got := text(t, full); got != overrideJSON {
		t.Fatalf("%s, want %s", got, overrideJSON)
	}
	for _, c := range []struct{ name, patch, want string }{
		{"nothing", `{}`, overrideJSON},
		{"one", `{"idleTimeout":"30m"}`, strings.Replace(overrideJSON, `"1h"`, `"30m"`, 1)},
		{"off is a value", `{"idleTimeout":"off"}`, strings.Replace(overrideJSON, `"1h"`, `"off"`, 1)},
		{"zero is a value", `{"maxSessionsPerUser":0}`, strings.Replace(overrideJSON, `:3`, `:0`, 1)},
		{"null takes away", `{"idleTimeout":null,"onLimit":null}`, `{"sessionTokenTTL":"5m","absoluteTimeout":"1d","stepUpTTL":"2m","maxSessionsPerUser":3}`},
		{"all away", `{"sessionTokenTTL":null,"absoluteTimeout":null,"idleTimeout":null,"stepUpTTL":null,"maxSessionsPerUser":null,"onLimit":null}`, `{}`},
	} {
		before := text(t, full)
		got, err := PatchTenant(full, []byte(c.patch))
		if err != nil || text(t, got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, text(t, got), err, c.want)
		}
		if text(t, full) != before {
			t.Fatalf("%s: what was there changed", c.name)
		}
	}
}

func TestPatchTenantRefused(t *testing.T) {
	_, err := PatchTenant(latchkey.TenantSettings{}, []byte(`{"sessionTokenTTL":5,"absoluteTimeout":"soon","maxSessionsPerUser":"3","onLimit":true,
		"reuseWindow":"20s","idletimeout":"1h","stepUpTTL":"2m","stepUpTTL":"3m"}`))
	var refused *fault.Error
	if !errors.As(err, &refused) || refused.Kind != fault.Invalid {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range refused.Fields {
		got[f.Pointer] = f.Code
		if about := strings.Contains(f.Detail, "project alone"); about != (f.Pointer == "/reuseWindow") {
			t.Errorf("%s: %s", f.Pointer, f.Detail)
		}
	}
	want := map[string]string{
		"/sessionTokenTTL": "type", "/absoluteTimeout": "format", "/maxSessionsPerUser": "type", "/onLimit": "type",
		"/reuseWindow": "unknown", "/idletimeout": "unknown", "/stepUpTTL": "duplicate",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, bad := range []string{``, `[]`, `"x"`, `null`, `{"a":`, "{\"onLimit\":\"\xff\"}", strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)} {
		if _, err := PatchTenant(latchkey.TenantSettings{}, []byte(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The ranges are those of the project: what one may have, the other may override with.
func TestTenantRanges(t *testing.T) {
	members := map[string][]string{
		"sessionTokenTTL":    {"59s", "1m", "24h", "25h"},
		"absoluteTimeout":    {"2m", "3m", "730d", "731d"},
		"idleTimeout":        {"off", "1s", "4m59s", "5m", "730d", "731d"},
		"stepUpTTL":          {"off", "59s", "1m", "24h", "25h"},
		"maxSessionsPerUser": {"-1", "0", "100000", "100001"},
		"onLimit":            {"", "deny", "endOldest", "Deny"},
	}
	for name, values := range members {
		for _, v := range values {
			raw := fmt.Sprintf("%q", v)
			if name == "maxSessionsPerUser" {
				raw = v
			}
			patch := fmt.Sprintf(`{%q:%s}`, name, raw)
			s, err := Patch(Defaults(), []byte(`{"absoluteTimeout":"730d","sessionTokenTTL":"1m"}`))
			if err == nil {
				s, err = Patch(s, []byte(patch))
			}
			if err != nil {
				t.Fatal(err)
			}
			project := refusalAt(refusal(t, s), "/"+name)
			_, err = CheckTenant(overriding(t, patch), Defaults())
			var refused *fault.Error
			errors.As(err, &refused)
			if tenant := refusalAt(refused, "/"+name); tenant != project {
				t.Errorf("%s: %q for a tenant, %q for a project", patch, tenant, project)
			}
		}
	}
}

// refusalAt returns the details of range problems at a pointer.
func refusalAt(refused *fault.Error, pointer string) string {
	if refused == nil {
		return ""
	}
	for _, f := range refused.Fields {
		if f.Pointer == pointer && f.Code == codeRange {
			return f.Detail
		}
	}
	return ""
}

func TestTenantContradictions(t *testing.T) {
	for _, c := range []struct {
		patch    string
		kind     fault.Kind
		pointers string
	}{
		{`{"sessionTokenTTL":"1h","absoluteTimeout":"30m"}`, fault.Contradiction, "/sessionTokenTTL /absoluteTimeout"},
		{`{"sessionTokenTTL":"1h","idleTimeout":"30m"}`, fault.Contradiction, "/sessionTokenTTL /idleTimeout"},
		{`{"idleTimeout":"2h","absoluteTimeout":"1h"}`, fault.Contradiction, "/idleTimeout /absoluteTimeout"},
		{`{"sessionTokenTTL":"25h","absoluteTimeout":"1m","idleTimeout":"1m","stepUpTTL":"1s","maxSessionsPerUser":-1,"onLimit":"x"}`, fault.OutOfRange,
			"/sessionTokenTTL /absoluteTimeout /idleTimeout /stepUpTTL /maxSessionsPerUser /onLimit " +
				"/sessionTokenTTL /absoluteTimeout /sessionTokenTTL /idleTimeout"},
	} {
		w, err := CheckTenant(overriding(t, c.patch), Defaults())
		var refused *fault.Error
		if !errors.As(err, &refused) || refused.Kind != c.kind || w != nil {
			t.Fatalf("%s: %v, %v", c.patch, w, err)
		}
		var got []string
		for _, f := range refused.Fields {
			got = append(got, f.Pointer)
		}
		if strings.Join(got, " ") != c.pointers {
			t.Errorf("%s: %v, want %s", c.patch, got, c.pointers)
		}
	}
}

func TestTenantWarnings(t *testing.T) {
	for _, c := range []struct {
		name, project, tenant string
		want                  map[string]string // pointer -> part of the detail
	}{
		{"nothing", `{}`, `{}`, nil},
		{"stricter", `{"maxSessionsPerUser":9}`, `{"sessionTokenTTL":"5m","absoluteTimeout":"1d","idleTimeout":"1h","stepUpTTL":"2m","maxSessionsPerUser":3,"onLimit":"deny"}`, nil},
		{"equal", `{"idleTimeout":"1h","maxSessionsPerUser":3,"onLimit":"deny"}`,
			`{"sessionTokenTTL":"10m","absoluteTimeout":"28d","idleTimeout":"1h","stepUpTTL":"10m","maxSessionsPerUser":3,"onLimit":"deny"}`, nil},
		{"laxer", `{"idleTimeout":"1h","maxSessionsPerUser":3,"onLimit":"deny"}`,
			`{"sessionTokenTTL":"11m","absoluteTimeout":"29d","idleTimeout":"2h","stepUpTTL":"11m","maxSessionsPerUser":4,"onLimit":"endOldest"}`,
			map[string]string{"/sessionTokenTTL": "(10m)", "/absoluteTimeout": "(28d)", "/idleTimeout": "(1h)", "/stepUpTTL": "(10m)", "/maxSessionsPerUser": "(3)", "/onLimit": "(deny)"}},
		{"none where the project has one", `{"idleTimeout":"1h","maxSessionsPerUser":3}`, `{"idleTimeout":"off","maxSessionsPerUser":0}`,
			map[string]string{"/idleTimeout": "(1h)", "/maxSessionsPerUser": "(3)"}},
		{"none where there is none", `{}`, `{"idleTimeout":"off","maxSessionsPerUser":0}`, nil},
		{"deny without a limit", `{}`, `{"onLimit":"deny"}`, map[string]string{"/onLimit": "maxSessionsPerUser"}},
		{"deny with a limit", `{}`, `{"onLimit":"deny","maxSessionsPerUser":1}`, nil},
		{"the session is shorter than its tokens", `{}`, `{"absoluteTimeout":"5m"}`, map[string]string{"/absoluteTimeout": "live 5m only"}},
		{"idle is shorter than its tokens", `{}`, `{"idleTimeout":"5m"}`, map[string]string{"/idleTimeout": "live 5m only"}},
	} {
		project, err := Patch(Defaults(), []byte(c.project))
		if err != nil {
			t.Fatal(err)
		}
		got, err := CheckTenant(overriding(t, c.tenant), project)
		if err != nil || got == nil || len(got) != len(c.want) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		for _, w := range got {
			if part, ok := c.want[w.Pointer]; !ok || !strings.Contains(w.Detail, part) {
				t.Errorf("%s: %v", c.name, w)
			}
		}
	}
}

func TestEffective(t *testing.T) {
	for tenant, want := range map[string]string{
		`{}`:         `{"sessionTokenTTL":"10m","absoluteTimeout":"28d","idleTimeout":"off","stepUpTTL":"10m","maxSessionsPerUser":0,"onLimit":"endOldest"}`,
		overrideJSON: overrideJSON,
		`{"absoluteTimeout":"5m","sessionTokenTTL":"1m"}`: `{"sessionTokenTTL":"1m","absoluteTimeout":"5m","idleTimeout":"off","stepUpTTL":"10m","maxSessionsPerUser":0,"onLimit":"endOldest"}`,
		`{"absoluteTimeout":"5m","stepUpTTL":"1h"}`:       `{"sessionTokenTTL":"5m","absoluteTimeout":"5m","idleTimeout":"off","stepUpTTL":"10m","maxSessionsPerUser":0,"onLimit":"endOldest"}`,
	} {
		if got := text(t, Effective(Defaults(), overriding(t, tenant))); got != want {
			t.Errorf("%s: %s, want %s", tenant, got, want)
		}
	}
}

// Whatever a patch holds, it is refused with a place for each problem, or gives settings
// that mean the same after they were stored and read.
func FuzzPatchTenant(f *testing.F) {
	f.Add([]byte(overrideJSON))
	f.Add([]byte(`{"idleTimeout":"off","maxSessionsPerUser":0,"onLimit":null}`))
	f.Add([]byte(`{"onLimit":{"onLimit":{}},"\u0073tepUpTTL":"1m"}`))
	f.Fuzz(func(t *testing.T, patch []byte) {
		start := latchkey.TenantSettings{MaxSessions: new(1)}
		s, err := PatchTenant(start, patch)
		if *start.MaxSessions != 1 {
			t.Fatal("what was there changed")
		}
		var refused *fault.Error
		if err != nil {
			if !errors.As(err, &refused) || len(refused.Fields) == 0 {
				t.Fatal(err)
			}
			return
		}
		if _, err := CheckTenant(s, Defaults()); err != nil {
			return
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back latchkey.TenantSettings
		if err := json.Unmarshal(b, &back); err != nil || Merge(Of(Defaults()), back) != Merge(Of(Defaults()), s) {
			t.Fatalf("%s means something else when it is read again: %v", b, err)
		}
	})
}
