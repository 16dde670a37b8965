package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func actions(t testing.TB, list string) *Actions {
	t.Helper()
	a, err := compiler(t).Actions(json.RawMessage(`{"actions":[`+list+`]}`), "/document")
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return a
}

func TestActions(t *testing.T) {
	denied := &Denial{Code: "no", Message: "Not you."}
	for name, c := range map[string]struct {
		list string
		want Outcome
	}{
		"none":          {``, Outcome{}},
		"always":        {`{"name":"a","claims":{"b":1,"a":"{{ user.name }}"}}`, Outcome{Claims: json.RawMessage(`{"a":"Alice","b":1}`)}},
		"met":           {`{"name":"a","when":"'contractor' in user.roles","audience":["https://x","{{ tenant.id }}"],"lifetime":"8h","idle":"30m"}`, Outcome{Audience: []string{"https://x", "ten_a"}, Lifetime: 8 * time.Hour, Idle: 30 * time.Minute}},
		"unmet":         {`{"name":"a","when":"'boss' in user.roles","claims":{"a":1}},{"name":"b","when":false,"claims":{"b":1}}`, Outcome{}},
		"later wins":    {`{"name":"a","claims":{"a":1,"b":1},"lifetime":"2h","idle":"1h"},{"name":"b","claims":{"b":2,"c":2},"lifetime":"1h","idle":"2h"}`, Outcome{Claims: json.RawMessage(`{"a":1,"b":2,"c":2}`), Lifetime: time.Hour, Idle: time.Hour}},
		"denied":        {`{"name":"a","claims":{"a":1}},{"name":"b","when":"user.name == 'Alice'","deny":{"code":"no","message":"Not you."}},{"name":"c","claims":{"c":1}}`, Outcome{Action: "b", Deny: denied, Claims: json.RawMessage(`{"a":1}`)}},
		"not denied":    {`{"name":"b","when":"user.name != 'Alice'","deny":{"code":"no","message":"Not you."}}`, Outcome{}},
		"mfa shown":     {`{"name":"b","require":"mfa"}`, Outcome{}},
		"step-up":       {`{"name":"a","require":"mfa"},{"name":"b","require":"stepUp","claims":{"x":1}},{"name":"c","deny":{"code":"no","message":"Not you."}}`, Outcome{Action: "b", Require: StepUp}},
		"denied first":  {`{"name":"a","deny":{"code":"no","message":"Not you."}},{"name":"b","require":"stepUp"}`, Outcome{Action: "a", Deny: denied}},
		"audience once": {`{"name":"a","audience":["x","y"]},{"name":"b","audience":["y","z"]}`, Outcome{Audience: []string{"x", "y", "z"}}},
		// Whoever forgets that a member may be missing lets nobody in.
		"deny fails closed":    {`{"name":"a","when":"user.attributes.blocked == true","deny":{"code":"no","message":"Not you."}}`, Outcome{Action: "a", Deny: denied, Failures: []Failure{{"/actions/0/when", "The condition asks for a member that isn't there."}}}},
		"require fails closed": {`{"name":"a","claims":{"a":1}},{"name":"b","when":"user.name > 1","require":"stepUp"}`, Outcome{Action: "b", Require: StepUp, Claims: json.RawMessage(`{"a":1}`), Failures: []Failure{{"/actions/1/when", "The values have types that don't go together."}}}},
		"others are skipped":   {`{"name":"a","when":"user.attributes.x == 1","claims":{"a":1}},{"name":"b","claims":{"b":1}}`, Outcome{Claims: json.RawMessage(`{"b":1}`), Failures: []Failure{{"/actions/0/when", "The condition asks for a member that isn't there."}}}},
		"optional":             {`{"name":"a","when":"user.attributes.?blocked.orValue(false) == true","deny":{"code":"no","message":"Not you."}}`, Outcome{}},
		"a claim that fails":   {`{"name":"a","claims":{"a":"{{ 1 + user.name }}","b":1},"audience":["{{ session.authTime }}"]}`, Outcome{Claims: json.RawMessage(`{"b":1}`), Failures: []Failure{{"/actions/0/claims/a", "The values have types that don't go together."}, {"/actions/0/audience/0", errName}}}},
		"no tenant":            {`{"name":"a","when":"has(tenant.id) && tenant.attributes.plan == 'gold'","claims":{"gold":true}}`, Outcome{Claims: json.RawMessage(`{"gold":true}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := actions(t, c.list).Evaluate(input()); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestMFAIsRequired(t *testing.T) {
	in := input()
	in.Session.AMR = []string{"pwd"}
	a := actions(t, `{"name":"a","require":"mfa"}`)
	if got := a.Evaluate(in); got.Require != MFA || got.Action != "a" {
		t.Errorf("%+v", got)
	}
	in.Session.StepUp = true
	if got := actions(t, `{"name":"a","require":"stepUp"}`).Evaluate(in); got.Require != "" {
		t.Errorf("%+v", got)
	}
}

func TestManyActionsStayInTheLimits(t *testing.T) {
	var list []string
	for i := range MaxActions {
		var claims []string
		for k := range 5 {
			claims = append(claims, fmt.Sprintf(`"c%d_%d":1`, i, k))
		}
		list = append(list, fmt.Sprintf(`{"name":"a%d","claims":{%s},"audience":[%q]}`, i, strings.Join(claims, ","), fmt.Sprint("https://", i)))
	}
	got := actions(t, strings.Join(list, ",")).Evaluate(input())
	var members map[string]int
	if err := json.Unmarshal(got.Claims, &members); err != nil || len(members) != 100 || len(got.Audience) != MaxAudience || len(got.Failures) == 0 {
		t.Errorf("%d claims, %d audiences, %v", len(members), len(got.Audience), got.Failures)
	}
}

func TestActionProblemsAreToldAllAtOnce(t *testing.T) {
	doc := `{"actions":[
		{"when":"true","claims":{"sub":1}},
		{"name":"a","claims":[],"lifetime":"1m","idle":"soon","require":"mfe","when":"user.name","extra":1},
		{"name":"a","deny":{"code":"","message":"","why":1},"claims":{"x":"{{ usr.name }}","n":1e400}},
		{"name":"b"}, 7,
		{"name":"c","deny":{"message":"m"}},
		{"name":"d e","when":3,"deny":"no"},
		{"name":"f","when":"user.nmae == 'x'","lifetime":"9999d"},
		{"name":"g","when":" {{ user.name == 'x' }}","require":"mfa"}], "more":1}`
	_, err := compiler(t).Actions(json.RawMessage(doc), "/document")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.TemplateInvalid {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.Fields {
		got = append(got, strings.TrimPrefix(p.Pointer, "/document")+" "+p.Code)
	}
	want := []string{"/actions/0/claims/sub reserved", "/actions/0/name required",
		"/actions/1/claims type", "/actions/1/lifetime range", "/actions/1/idle format", "/actions/1/require range", "/actions/1/when type", "/actions/1/extra unknown",
		"/actions/2/name duplicate", "/actions/2/deny/code format", "/actions/2/deny/message size", "/actions/2/deny/why unknown", "/actions/2/claims/x format", "/actions/2/claims/n range", "/actions/2 contradiction",
		"/actions/3 required", "/actions/4 type", "/actions/5/deny/code required", "/actions/6/name format", "/actions/6/when type", "/actions/6/deny type",
		"/actions/7/when unknown", "/actions/7/lifetime range", "/actions/8/when format", "/more unknown"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for _, doc := range []string{`{"actions":{}}`, `{"actions":[` + strings.TrimSuffix(strings.Repeat(`{"name":"x","require":"mfa"},`, MaxActions+1), ",") + `]}`, `[]`} {
		if _, err := compiler(t).Actions(json.RawMessage(doc), ""); fault.KindOf(err) != fault.TemplateInvalid {
			t.Errorf("%.50s: %v", doc, err)
		}
	}
}
