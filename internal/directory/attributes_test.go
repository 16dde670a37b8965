package directory_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// members is a JSON object with n members.
func members(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"a%02d":%d`, i, i))
	}
	return "{" + strings.Join(all, ",") + "}"
}

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

func TestAttributes(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct{ base, patch, want string }{
		"nothing":               {"", "", ""},
		"null":                  {`{"a":1}`, "null", `{"a":1}`},
		"an empty patch":        {`{"a":1}`, "{}", `{"a":1}`},
		"a null of none":        {"", `{"a":null}`, ""},
		"the last one goes":     {`{"a":1}`, `{"a":null}`, ""},
		"one goes":              {`{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		"one comes":             {`{"b":2}`, `{"a":1}`, `{"a":1,"b":2}`},
		"one changes its type":  {`{"a":1}`, `{"a":[1]}`, `{"a":[1]}`},
		"beneath":               {`{"a":{"b":1,"c":2}}`, `{"a":{"b":null,"d":3}}`, `{"a":{"c":2,"d":3}}`},
		"an object for another": {`{"a":[1]}`, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
		"lists are replaced":    {`{"a":[1,2]}`, `{"a":[null]}`, `{"a":[null]}`},
		"order and space":       {"", "{ \"b\" : { \"d\":1, \"c\":2 },\n\"a\":[ 1 ] }", `{"a":[1],"b":{"c":2,"d":1}}`},
		"spelling":              {"", `{"\u0061":"\u00e4\/<&>"}`, `{"a":"ä/<&>"}`},
		"numbers as they are":   {"", `{"a":12345678901234567890,"b":1.50,"c":-0}`, `{"a":12345678901234567890,"b":1.50,"c":-0}`},
		"fifty":                 {"", members(50), members(50)},
		"fifty, one for one":    {members(50), `{"a00":null,"z":0}`, strings.TrimSuffix(strings.Replace(members(50), `"a00":0,`, "", 1), "}") + `,"z":0}`},
		"the longest name":      {"", `{"` + strings.Repeat("ä", 60) + `":1}`, `{"` + strings.Repeat("ä", 60) + `":1}`},
		"as large as can be":    {"", `{"a":"` + strings.Repeat("x", 8184) + `"}`, `{"a":"` + strings.Repeat("x", 8184) + `"}`},
		"as deep as can be":     {"", nested(16), nested(16)},
	} {
		tenant, err := w.CreateTenant(t.Context(), w.project, directory.TenantChange{Name: new("x"), Attributes: json.RawMessage(c.base)}, operator)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		changed, err := w.ChangeTenant(t.Context(), w.project, tenant.ID, directory.TenantChange{Attributes: json.RawMessage(c.patch)}, operator)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if string(changed.Attributes) != c.want || c.want == "" && changed.Attributes != nil {
			t.Errorf("%s: got %q, want %q", what, changed.Attributes, c.want)
		}
	}
}

func TestAttributesAreRefused(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada")
	known, err := w.ChangeUser(t.Context(), w.project, u.ID, directory.UserChange{Attributes: json.RawMessage(members(50))}, operator)
	if err != nil {
		t.Fatal(err)
	}
	w.said()
	for what, c := range map[string]struct{ patch, wrong string }{
		"a list":              {`[]`, "/attributes"},
		"a string":            {`"a"`, "/attributes"},
		"no JSON":             {`{"a":}`, "/attributes"},
		"more behind":         {`{} {}`, "/attributes"},
		"not UTF-8":           {"{\"a\":\"\xff\"}", "/attributes"},
		"one too many":        {`{"a":1}`, "/attributes"},
		"too large":           {`{"a00":"` + strings.Repeat("x", 8<<10) + `"}`, "/attributes"},
		"too deep":            {nested(17), "/attributes"},
		"no name":             {`{"":1,"a00":null}`, "/attributes/"},
		"a long name":         {`{"` + strings.Repeat("ä", 61) + `":1,"a00":null}`, "/attributes/" + strings.Repeat("ä", 60)},
		"a control character": {`{"a\u0000":1,"a00":null}`, "/attributes/a\x00"},
		"escaped":             {`{"a/b~\n":1,"a00":null}`, "/attributes/a~1b~0\n"},
		"a huge number":       {`{"a00":{"b":[-1e400]}}`, "/attributes/a00/b/0"},
		"huge numbers":        {`{"a00":{"z":[1,1e400],"b":1e309},"a01":1e400,"a02":1e-400}`, "/attributes/a00/b /attributes/a00/z/1 /attributes/a01"},
		"many digits":         {`{"a00":` + strings.Repeat("9", 309) + `}`, "/attributes/a00"},
		"two":                 {`{"\u0001":1,"\u0002":1,"a00":null,"a01":null}`, "/attributes/\x01 /attributes/\x02"},
	} {
		_, err := w.ChangeUser(t.Context(), w.project, u.ID, directory.UserChange{Attributes: json.RawMessage(c.patch)}, operator)
		if refused(t, err, fault.Invalid); at(err) != c.wrong {
			t.Errorf("%s: wrong is %q, want %q", what, at(err), c.wrong)
		}
	}
	if now, err := w.User(t.Context(), w.project, u.ID); err != nil || !reflect.DeepEqual(now, known) {
		t.Errorf("refused changes made %+v, %v", now, err)
	}
	w.expect()
}

// FuzzAttributes checks that whatever is accepted is canonical, within the limits, and
// what RFC 7396 says, and that nothing else is stored.
func FuzzAttributes(f *testing.F) {
	for _, base := range []string{"", `{"a":1,"b":{"c":[1,{"d":null}]}}`, members(49)} {
		for _, patch := range []string{"", `{"a":null}`, `{"b":{"c":null,"e":"\u2028"}}`, nested(20), `{"x":1e999,"x":-0.0}`, `{"\ud800":"\ud800"}`, `[1]`} {
			f.Add(base, patch)
		}
	}
	f.Fuzz(func(t *testing.T, base, patch string) {
		old, err := directory.MergeAttributes(nil, json.RawMessage(base))
		if err != nil {
			return
		}
		got, err := directory.MergeAttributes(old, json.RawMessage(patch))
		if err != nil {
			return
		}
		if got == nil {
			return
		}
		if len(got) > directory.MaxAttributesSize || !json.Valid(got) {
			t.Fatalf("%q", got)
		}
		again, err := directory.MergeAttributes(nil, got)
		if err != nil || string(again) != string(noNulls(t, got)) {
			t.Errorf("%q, once more %q, %v", got, again, err)
		}
		var all map[string]any
		if err := json.Unmarshal(got, &all); err != nil || len(all) > directory.MaxAttributes {
			t.Errorf("%q: %v", got, err)
		}
		repeated, err := directory.MergeAttributes(got, json.RawMessage(patch))
		if err != nil || string(repeated) != string(got) {
			t.Errorf("%q patched again with %q is %q, %v", got, patch, repeated, err)
		}
	})
}

// noNulls is what a merge patch that is the whole object leaves: all of it, since canonical
// attributes have no null but in lists.
func noNulls(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	var check func(v any)
	check = func(v any) {
		if m, ok := v.(map[string]any); ok {
			for name, value := range m {
				if value == nil {
					t.Errorf("%s is null in %q", name, raw)
				}
				check(value)
			}
		}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	check(v)
	return raw
}
