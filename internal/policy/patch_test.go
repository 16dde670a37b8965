package policy

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// unusual returns settings in which no member has its default.
func unusual(t *testing.T) latchkey.Settings {
	t.Helper()
	s, err := Patch(Defaults(), []byte(unusualJSON))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const unusualJSON = `{
	"sessionTokenTTL": "5m", "absoluteTimeout": "1d", "idleTimeout": "1h30m", "stepUpTTL": "2m",
	"maxSessionsPerUser": 3, "onLimit": "deny", "accessKeyTokenTTL": "1h",
	"rotation": "never", "reuseWindow": "30s", "refreshRateLimit": 12, "foreignReplay": "end",
	"delivery": {"session": "cookie", "refresh": "cookie"},
	"cookies": {"sessionName": "s", "refreshName": "r", "prefix": "none", "previousDomains": ["example.org"], "domain": "example.com", "path": "/a",
		"sameSite": "lax", "partitioned": true, "persistent": true},
	"refreshTokenFormat": "opaque", "signingAlgorithm": "EdDSA", "keyRotation": "off",
	"audience": ["api"], "autoTenant": false, "claimsInRefreshToken": false, "claimLint": "reject", "clockSkew": "off",
	"approvedOrigins": ["https://app.example.com"], "approvedRedirects": ["https://app.example.com/cb"], "customDomain": "auth.example.com"
}`

// Every member can be set, keeps its value when it is left out, and returns to its
// default with null.
func TestPatchEveryMember(t *testing.T) {
	start, changed := Defaults(), unusual(t)
	if _, err := Check(changed, ""); err != nil {
		t.Fatal(err)
	}
	var compare func(at string, a, b reflect.Value)
	compare = func(at string, a, b reflect.Value) {
		for i := range a.NumField() {
			name := at + "/" + a.Type().Field(i).Tag.Get("json")
			if a.Field(i).Kind() == reflect.Struct {
				compare(name, a.Field(i), b.Field(i))
			} else if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				t.Errorf("%s was not set", name)
			}
		}
	}
	compare("", reflect.ValueOf(start), reflect.ValueOf(changed))

	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(unusualJSON), &members); err != nil {
		t.Fatal(err)
	}
	nulls := map[string]any{}
	for name := range members {
		nulls[name] = nil
		one, err := json.Marshal(map[string]any{name: nil})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Patch(changed, one)
		if err != nil {
			t.Fatal(err)
		}
		if diff := differing(got, changed); len(diff) != 1 || diff[0] != name {
			t.Errorf("%s: null changes %v", name, diff)
		}
		if diff := differing(got, start); len(diff) != len(members)-1 {
			t.Errorf("%s: null does not put the default back", name)
		}
	}
	all, err := json.Marshal(nulls)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Patch(changed, all); err != nil || !reflect.DeepEqual(got, start) {
		t.Errorf("%+v, %v", got, err)
	}
}

// differing returns the names of the top-level members that are not equal.
func differing(a, b latchkey.Settings) (names []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			names = append(names, x.Type().Field(i).Tag.Get("json"))
		}
	}
	return names
}

func TestPatchMerges(t *testing.T) {
	for _, c := range []struct {
		name, patch string
		want        func(*latchkey.Settings)
	}{
		{"nothing", ` {} `, func(*latchkey.Settings) {}},
		{"part of an object", `{"cookies":{"path":"/b"}}`, func(s *latchkey.Settings) { s.Cookies.Path = "/b" }},
		{"null in an object", `{"cookies":{"path":null,"domain":null}}`, func(s *latchkey.Settings) { s.Cookies.Path, s.Cookies.Domain = "/", "" }},
		{"null for an object", `{"delivery":null}`, func(s *latchkey.Settings) { s.Delivery = Defaults().Delivery }},
		{"empty object", `{"delivery":{}}`, func(*latchkey.Settings) {}},
		{"list", `{"audience":["x","y"]}`, func(s *latchkey.Settings) { s.Audience = []string{"x", "y"} }},
		{"empty list", `{"audience":[]}`, func(s *latchkey.Settings) { s.Audience = []string{} }},
		{"null for a list", `{"audience":null}`, func(s *latchkey.Settings) { s.Audience = []string{} }},
		{"auto", `{"refreshRateLimit":"auto"}`, func(s *latchkey.Settings) { s.RefreshRateLimit = 0 }},
		{"escaped", `{"\u0061udience":["\u0061"]}`, func(s *latchkey.Settings) { s.Audience = []string{"a"} }},
		{"white space", "\n{ \"clockSkew\" :\t\"2m\" ,\r\"autoTenant\": true }\n", func(s *latchkey.Settings) { s.ClockSkew, s.AutoTenant = duration(t, "2m"), true }},
		{"not this package's to refuse", `{"clockSkew":"9h","onLimit":"x"}`, func(s *latchkey.Settings) { s.ClockSkew, s.OnLimit = duration(t, "9h"), "x" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			current, want := unusual(t), unusual(t)
			c.want(&want)
			got, err := Patch(current, []byte(c.patch))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %v", got, err)
			}
			if !reflect.DeepEqual(current, unusual(t)) {
				t.Error("current was changed")
			}
		})
	}
}

// Numbers that the type of the setting can't hold are left to Check, which knows the
// range.
func TestPatchNumbersBeyondTheirRange(t *testing.T) {
	for _, patch := range []string{
		`{"refreshRateLimit":0}`, `{"refreshRateLimit":-0}`, `{"refreshRateLimit":-4}`, `{"refreshRateLimit":99999999999999999999}`,
		`{"maxSessionsPerUser":99999999999999999999}`, `{"maxSessionsPerUser":-99999999999999999999}`,
	} {
		s, err := Patch(Defaults(), []byte(patch))
		if err != nil {
			t.Errorf("%s: %v", patch, err)
			continue
		}
		if refused := refusal(t, s); refused == nil || refused.Kind != fault.OutOfRange || len(refused.Fields) != 1 {
			t.Errorf("%s: %v", patch, refused)
		}
	}
}

func TestPatchRefuses(t *testing.T) {
	for _, c := range []struct {
		patch, pointer, code, detail string
	}{
		{``, "", "format", "not JSON"},
		{`{`, "", "format", "not JSON"},
		{`{} {}`, "", "format", "not JSON: it breaks at byte 4"},
		{`{"audience":["` + "\xff" + `"]}`, "", "format", "UTF-8"},
		{`null`, "", "type", "object"},
		{`[]`, "", "type", "object"},
		{`"x"`, "", "type", "object"},
		{`1`, "", "type", "object"},
		{`{"audience":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`, "", "size", "8 levels"},
		{strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "", "format", "not JSON"},
		{`{"x":{}}`, "/x", "unknown", "no setting"},
		{`{"x":null}`, "/x", "unknown", "no setting"},
		{`{"":1}`, "/", "unknown", "no setting"},
		{`{"SessionTokenTTL":"5m"}`, "/SessionTokenTTL", "unknown", "no setting"},
		{`{"MaxSessions":1}`, "/MaxSessions", "unknown", "no setting"},
		{`{"cookies":{"Path":"/"}}`, "/cookies/Path", "unknown", "no setting"},
		{`{"a/b~c":1}`, "/a~1b~0c", "unknown", "no setting"},
		{`{"` + strings.Repeat("ü", 65) + `":1}`, "/" + strings.Repeat("ü", 64) + "…", "unknown", "no setting"},
		{`{"autoTenant":true,"autoTenant":true}`, "/autoTenant", "duplicate", "more than once"},
		{`{"autoTenant":true,"\u0061utoTenant":false,"autoTenant":null}`, "/autoTenant", "duplicate", "more than once"},
		{`{"delivery":{"session":"body","session":"cookie"}}`, "/delivery/session", "duplicate", "more than once"},
		{`{"sessionTokenTTL":600}`, "/sessionTokenTTL", "type", "string"},
		{`{"sessionTokenTTL":["10m"]}`, "/sessionTokenTTL", "type", "string"},
		{`{"sessionTokenTTL":"soon"}`, "/sessionTokenTTL", "format", `"soon" is not a duration`},
		{`{"sessionTokenTTL":""}`, "/sessionTokenTTL", "format", "duration"},
		{`{"sessionTokenTTL":"-5m"}`, "/sessionTokenTTL", "format", "duration"},
		{`{"maxSessionsPerUser":"3"}`, "/maxSessionsPerUser", "type", "whole number"},
		{`{"maxSessionsPerUser":1.5}`, "/maxSessionsPerUser", "type", "whole number"},
		{`{"maxSessionsPerUser":1e2}`, "/maxSessionsPerUser", "type", "whole number"},
		{`{"maxSessionsPerUser":true}`, "/maxSessionsPerUser", "type", "whole number"},
		{`{"refreshRateLimit":"none"}`, "/refreshRateLimit", "type", `"auto" or a whole number`},
		{`{"refreshRateLimit":1.5}`, "/refreshRateLimit", "type", `"auto" or a whole number`},
		{`{"refreshRateLimit":{}}`, "/refreshRateLimit", "type", `"auto" or a whole number`},
		{`{"autoTenant":"true"}`, "/autoTenant", "type", "true or false"},
		{`{"autoTenant":1}`, "/autoTenant", "type", "true or false"},
		{`{"onLimit":true}`, "/onLimit", "type", "string"},
		{`{"customDomain":[]}`, "/customDomain", "type", "string"},
		{`{"delivery":"body"}`, "/delivery", "type", "object"},
		{`{"cookies":[]}`, "/cookies", "type", "object"},
		{`{"cookies":{"path":1}}`, "/cookies/path", "type", "string"},
		{`{"audience":"api"}`, "/audience", "type", "list of strings"},
		{`{"audience":{"0":"api"}}`, "/audience", "type", "list of strings"},
		{`{"audience":["a",null]}`, "/audience/1", "type", "string"},
		{`{"audience":[1]}`, "/audience/0", "type", "string"},
		{`{"audience":["a",["b"]]}`, "/audience/1", "type", "string"},
	} {
		refused := patchRefusal(t, c.patch)
		if refused == nil {
			continue
		}
		if f := refused.Fields[0]; len(refused.Fields) != 1 || f.Pointer != c.pointer || f.Code != c.code || !strings.Contains(f.Detail, c.detail) {
			t.Errorf("%.80s: %v", c.patch, refused.Fields)
		}
	}
}

func patchRefusal(t *testing.T, patch string) *fault.Error {
	t.Helper()
	got, err := Patch(unusual(t), []byte(patch))
	var refused *fault.Error
	if !errors.As(err, &refused) || refused.Kind != fault.Invalid || len(refused.Fields) == 0 || !reflect.DeepEqual(got, latchkey.Settings{}) {
		t.Errorf("%.80s: %+v, %v", patch, got, err)
		return nil
	}
	return refused
}

func TestPatchReportsAllAtOnce(t *testing.T) {
	refused := patchRefusal(t, `{"x":1,"clockSkew":1,"audience":[1,"a",null],"cookies":{"y":2,"path":3},"delivery":0,"rotation":1,"rotation":2,"keyRotation":"?"}`)
	want := map[string]string{
		"/x": "unknown", "/clockSkew": "type", "/audience/0": "type", "/audience/2": "type", "/cookies/y": "unknown", "/cookies/path": "type",
		"/delivery": "type", "/rotation": "type duplicate", "/keyRotation": "format",
	}
	if refused == nil {
		return
	}
	got := map[string]string{}
	for _, f := range refused.Fields {
		got[f.Pointer] = strings.TrimSpace(got[f.Pointer] + " " + f.Code)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPatchReportsValuesBesideMembers(t *testing.T) {
	// idleTimeout is under the token's life that can't be read: no contradiction to tell of.
	patch := `{"x":1,"reuseWindow":"5m","rotation":"sometimes","sessionTokenTTL":1,"idleTimeout":"5m","cookies":{"sameSite":"x"}}`
	want := map[string]string{"/x": "unknown", "/reuseWindow": "range", "/rotation": "range", "/sessionTokenTTL": "type", "/cookies/sameSite": "range"}
	_, err := PatchTenant(latchkey.TenantSettings{}, []byte(`{"x":1,"reuseWindow":"5m","idleTimeout":"1s","maxSessionsPerUser":-1,"sessionTokenTTL":"1h"}`))
	ofTenant := map[string]string{"/x": "unknown", "/reuseWindow": "unknown", "/idleTimeout": "range", "/maxSessionsPerUser": "range"}
	var tenant *fault.Error
	if !errors.As(err, &tenant) {
		t.Fatal(err)
	}
	for _, c := range []struct {
		refused *fault.Error
		want    map[string]string
	}{{patchRefusal(t, patch), want}, {tenant, ofTenant}} {
		got := map[string]string{}
		for _, f := range c.refused.Fields {
			got[f.Pointer] = strings.TrimSpace(got[f.Pointer] + " " + f.Code)
		}
		if c.refused.Kind != fault.Invalid || !maps.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.refused.Kind, got, c.want)
		}
	}
}

func TestPatchRefusalIsBounded(t *testing.T) {
	for _, patch := range []string{
		`{"audience":[` + strings.Repeat("1,", 100_000) + `1]}`,
		`{` + strings.Repeat(`"x":1,`, 100_000) + `"y":1}`,
	} {
		if refused := patchRefusal(t, patch); refused != nil && len(refused.Fields) > maxProblems {
			t.Errorf("%d fields", len(refused.Fields))
		}
	}
	names := strings.Builder{}
	for i := range 2 * maxProblems {
		names.WriteString(`"` + strings.Repeat("x", i+1) + `":1,`)
	}
	if refused := patchRefusal(t, `{`+names.String()+`"y":1}`); refused != nil && len(refused.Fields) != maxProblems {
		t.Errorf("%d fields, want %d", len(refused.Fields), maxProblems)
	}
}

// Whatever the patch, Patch and Check return; and what Patch accepts is settings that
// read back as themselves, over any others.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, unusualJSON, defaults, `{"cookies":null,"delivery":{"session":"cookie"}}`, `{"audience":["\ud800"]}`,
		`{"refreshRateLimit":0}`, `{"maxSessionsPerUser":-1}`, `{"refreshRateLimit":99999999999999999999}`, `{"clockSkew":"1ms"}`, `{"sessionTokenTTL":"15250w"}`,
		`{"audience":[null]}`, `{"x":[[[[[[[[[]]]]]]]]]}`, `{"rotation":1,"rotation":2}`, `{"customDomain":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		got, err := Patch(Defaults(), patch)
		if err != nil {
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Kind != fault.Invalid || len(refused.Fields) == 0 || len(refused.Fields) > maxProblems {
				t.Fatalf("%#v", err)
			}
			return
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, current := range []latchkey.Settings{Defaults(), got, unusual(t), {}} {
			again, err := Patch(current, text)
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Fatalf("%s reads back as %+v, %v", text, again, err)
			}
		}
		warnings, err := Check(got, "")
		if (warnings == nil) != (err != nil) {
			t.Fatalf("%v with %v", warnings, err)
		}
	})
}
