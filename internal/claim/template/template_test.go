package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func compiler(t testing.TB) *Compiler {
	t.Helper()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compiled(t testing.TB, doc string) *Template {
	t.Helper()
	tpl, err := compiler(t).Template(json.RawMessage(doc), User, "/document")
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return tpl
}

// input is a user in two tenants, with a session in one of them.
func input() Input {
	here := Place{ID: "ten_a", Name: "Acme", Attributes: json.RawMessage(`{"plan":"gold","seats":25,"share":0.5,"empty":""}`),
		Roles: []string{"owner"}, Permissions: []string{"pay"}}
	return Input{
		User: &Person{
			ID: "usr_1", LoginIDs: []string{"alice", "alice@example.com"}, Name: "Alice", Email: "alice@example.com", Status: "enabled",
			Attributes: json.RawMessage(`{"legacyId":"a-17","badge":9007199254740993,"apis":["https://a","https://b"],"nothing":null,"list":[],
				"deep":{"b":[1,2.50,{"z":true,"a":"<&>"}],"a":null},"large":1e400,"usr":"usr_2"}`),
			Roles: []string{"admin", "contractor"}, Permissions: []string{"read", "write"},
			Tenants: []Place{here, {ID: "ten_b", Name: "Beta"}},
		},
		Tenant:  &here,
		Session: Session{ID: "ses_1", AMR: []string{"pwd", "totp", "mfa"}, AuthTime: 1700000000, CreatedAt: 1700000001, Claims: json.RawMessage(`{"tier":3}`), Device: Device{Name: "phone"}},
		Project: Project{ID: "prj_1", Name: "Shop"},
	}
}

func TestEvaluate(t *testing.T) {
	for name, c := range map[string]struct{ value, want string }{
		"literals":          {`{"b":[1,2.50,"x",true,null],"a":{"n":1e308,"z":-0,"s":1E-400}}`, `{"a":{"n":1e308,"s":1E-400,"z":-0},"b":[1,2.50,"x",true]}`},
		"type kept":         {`"{{ tenant.attributes.seats }}"`, `25`},
		"fraction":          {`"{{ tenant.attributes.share }}"`, `0.5`},
		"large int":         {`"{{ user.attributes.badge }}"`, `9007199254740993`},
		"beyond floats":     {`"{{ user.attributes.large }}"`, `"1e400"`},
		"object":            {`"{{ user.attributes.deep }}"`, `{"a":null,"b":[1,2.5,{"a":"<&>","z":true}]}`},
		"list":              {`"{{ user.roles }}"`, `["admin","contractor"]`},
		"text":              {`"Hi {{ user.name }}, {{ tenant.name }} has {{ tenant.attributes.seats }}!"`, `"Hi Alice, Acme has 25!"`},
		"missing in text":   {`"Hi {{ user.attributes.nick }}!"`, `"Hi !"`},
		"missing":           {`"{{ user.attributes.nick }}"`, ``},
		"missing tenant":    {`"{{ user.tenants.ten_x.name }}"`, ``},
		"optional":          {`"{{ user.attributes.?nick.orValue('none') }}"`, `"none"`},
		"optional there":    {`"{{ user.attributes.?legacyId }}"`, `"a-17"`},
		"optional gone":     {`"{{ user.attributes.?nick }}"`, ``},
		"null":              {`"{{ user.attributes.nothing }}"`, ``},
		"empty list":        {`"{{ user.attributes.list }}"`, ``},
		"empty in object":   {`{"x":"{{ user.attributes.nick }}","y":1}`, `{"y":1}`},
		"empty in list":     {`["{{ user.attributes.nick }}",1]`, `[1]`},
		"all empty":         {`{"x":{"y":["{{ user.attributes.nick }}"]}}`, ``},
		"arithmetic":        {`"{{ tenant.attributes.seats + 1 }}"`, `26`},
		"mixed comparison":  {`"{{ tenant.attributes.seats > 1.5 }}"`, `true`},
		"map literal":       {`"{{ {\"a\": {\"b\": 1}} }}"`, `{"a":{"b":1}}`},
		"map then end":      {`"{{{\"a\":1}}}"`, `{"a":1}`},
		"braces in string":  {`"{{ '}}' + \"}}\" + '''}}''' + r'\\' }}"`, `"}}}}}}\\"`},
		"literal braces":    {`"{{ '{{' }}x}}"`, `"{{x}}"`},
		"unpaired closing":  {`"a }} b"`, `"a }} b"`},
		"macro":             {`"{{ user.roles.filter(r, r != 'admin').map(r, r.upperAscii()) }}"`, `["CONTRACTOR"]`},
		"in":                {`"{{ 'read' in user.permissions }}"`, `true`},
		"tenants":           {`"{{ user.tenants.map(t, user.tenants[t].name).join(',').size() }}"`, `9`},
		"session":           {`"{{ session.authTime }}"`, `1700000000`},
		"time":              {`"{{ timestamp(session.authTime).getFullYear() }}"`, `2023`},
		"timestamp":         {`"{{ timestamp(session.authTime) }}"`, `"2023-11-14T22:13:20Z"`},
		"duration":          {`"{{ duration('90m') }}"`, `"5400s"`},
		"bytes":             {`"{{ b'abc' }}"`, `"YWJj"`},
		"uint":              {`"{{ 5u }}"`, `5`},
		"device":            {`"{{ session.device.name }}"`, `"phone"`},
		"claims":            {`"{{ session.claims.tier }}"`, `3`},
		"stepped up":        {`"{{ session.stepUp }}"`, `false`},
		"nobody acts":       {`"{{ session.actor }}"`, ``},
		"project":           {`"{{ project.name }}/{{ project.id }}"`, `"Shop/prj_1"`},
		"texts":             {`"{{ ' a-b '.trim().replace('-', '+').split('+').join('/').substring(1) }}"`, `"/b"`},
		"shadowed variable": {`"{{ [{'anything': 1}].map(user, user.anything) }}"`, `[1]`},
		"has":               {`"{{ has(user.attributes.legacyId) }}"`, `true`},
		"has not":           {`"{{ has(user.attributes.nick) }}"`, `false`},
		"whole variable":    {`"{{ size(project) }}"`, `2`},
	} {
		t.Run(name, func(t *testing.T) {
			got := compiled(t, `{"claims":{"c":`+c.value+`}}`).Evaluate(input())
			want := ""
			if c.want != "" {
				want = `{"c":` + c.want + `}`
			}
			if string(got.Claims) != want || len(got.Failures) > 0 {
				t.Fatalf("%s, %v; want %s", got.Claims, got.Failures, want)
			}
			if canonical, err := claim.Parse(got.Claims, ""); err != nil || string(canonical) != string(got.Claims) {
				t.Errorf("not as claims are kept: %s, %v", canonical, err)
			}
		})
	}
}

func TestEmptyClaims(t *testing.T) {
	doc := `{"emptyClaims":%q,"claims":{"missing":"{{ user.attributes.nick }}","text":"{{ tenant.attributes.empty }}","list":"{{ user.attributes.list }}",
		"object":"{{ user.attributes.?x.orValue({}) }}","nothing":"{{ user.attributes.nothing }}","written":"","joined":"{{ user.phone }}{{ user.attributes.nick }}","in":{"x":"{{ user.phone }}"}}}`
	for policy, want := range map[string]string{
		"omit": ``,
		"null": `{"in":{"x":null},"joined":null,"list":null,"missing":null,"nothing":null,"object":null,"text":null,"written":null}`,
		"keep": `{"in":{"x":""},"joined":"","list":[],"missing":"","nothing":null,"object":{},"text":"","written":""}`,
	} {
		got := compiled(t, fmt.Sprintf(doc, policy)).Evaluate(input())
		if string(got.Claims) != want || len(got.Failures) > 0 {
			t.Errorf("%s: %s, %v; want %s", policy, got.Claims, got.Failures, want)
		}
	}
}

func TestAudienceAndSubject(t *testing.T) {
	for name, c := range map[string]struct {
		doc      string
		audience []string
		subject  string
		failed   string
	}{
		"none":               {doc: `{}`},
		"audience":           {doc: `{"audience":["https://x","{{ tenant.id }}","{{ user.attributes.apis }}","https://x","{{ user.phone }}"]}`, audience: []string{"https://x", "ten_a", "https://a", "https://b"}},
		"audience type":      {doc: `{"audience":["{{ tenant.attributes.seats }}","y"]}`, audience: []string{"y"}, failed: "/audience/0"},
		"audience long":      {doc: `{"audience":["y{{ 'abcdefghij'.replace('a', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb') }}{{ ['` + strings.Repeat("x", 190) + `'].join() }}"]}`, failed: "/audience/0"},
		"subject":            {doc: `{"subject":"{{ user.attributes.legacyId }}"}`, subject: "a-17"},
		"subject text":       {doc: `{"subject":"legacy:{{ user.attributes.badge }}"}`, subject: "legacy:9007199254740993"},
		"subject missing":    {doc: `{"subject":"{{ user.attributes.nick }}"}`},
		"subject type":       {doc: `{"subject":"{{ user.attributes.badge }}"}`, failed: "/subject"},
		"subject of another": {doc: `{"subject":"{{ user.attributes.usr }}"}`, failed: "/subject"},
		"subject a list":     {doc: `{"subject":"{{ user.roles }}"}`, failed: "/subject"},
		"subject control":    {doc: `{"subject":"{{ user.name + '\\n' }}"}`, failed: "/subject"},
	} {
		t.Run(name, func(t *testing.T) {
			got := compiled(t, c.doc).Evaluate(input())
			failed := ""
			for _, f := range got.Failures {
				failed += f.Path
			}
			if !slices.Equal(got.Audience, c.audience) || got.Subject != c.subject || failed != c.failed {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAuthorizationIsCarriedAlong(t *testing.T) {
	for doc, want := range map[string]Authorization{`{}`: AllTenants, `{"authorization":"currentTenant"}`: CurrentTenant, `{"authorization":"none","subject":"{{ user.name }}"}`: None} {
		if got := compiled(t, doc).Evaluate(input()).Authorization; got != want {
			t.Errorf("%s: %s, want %s", doc, got, want)
		}
	}
}

// A claim that fails is left out, and nothing else is.
func TestFailuresAreLeftOut(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct{ value, at string }{
		"type":            {`"{{ user.name + 1 }}"`, "/claims/c"},
		"nested":          {`{"x":[1,"{{ user.name + 1 }}"]}`, "/claims/c/x/1"},
		"list in text":    {`"a {{ user.roles }}"`, "/claims/c"},
		"zero":            {`"{{ 1 / (tenant.attributes.seats - 25) }}"`, "/claims/c"},
		"overflow":        {`"{{ 9223372036854775807 + tenant.attributes.seats }}"`, "/claims/c"},
		"infinite":        {`"{{ 1.0 / (tenant.attributes.share - 0.5) }}"`, "/claims/c"},
		"infinite here":   {`"{{ 1e308 * 10.0 }}"`, "/claims/c"},
		"infinite below":  {`{"x":["{{ [1.0, -1e308 * 10.0] }}"]}`, "/claims/c/x/0"},
		"infinite inside": {`"{{ {'a': [1e308 * 10.0]} }}"`, "/claims/c"},
		"not a number":    {`"{{ (tenant.attributes.share - 0.5) / (tenant.attributes.share - 0.5) }}"`, "/claims/c"},
		"infinite words":  {`"{{ double('Infinity') }}"`, "/claims/c"},
		"nan words":       {`"{{ [double('NaN')] }}"`, "/claims/c"},
		"in a text":       {`"at most {{ 1e308 * 10.0 }}"`, "/claims/c"},
		"beyond doubles":  {`"{{ double('1e400') }}"`, "/claims/c"},
		"index":           {`"{{ user.roles[7] }}"`, "/claims/c"},
		"conversion":      {`"{{ int(user.name) }}"`, "/claims/c"},
		"type itself":     {`"{{ type(user.name) }}"`, "/claims/c"},
		"names of ints":   {`"{{ {1: user.name} }}"`, "/claims/c"},
		"too long":        {`"{{ user.name }}` + long + `{{ '` + long + `' }}"`, "/claims/c"},
		"too long inside": {`{"a":"{{ user.name }}` + long + `","b":"` + long + `"}`, "/claims/c"},
		"far too long":    {`"{{ [1,2,3,4,5,6,7,8,9].map(x, [x,x,x,x,x,x,x,x,x].map(y, '` + long + `')) }}"`, "/claims/c"},
	} {
		t.Run(name, func(t *testing.T) {
			got := compiled(t, `{"claims":{"a":1,"c":`+c.value+`,"z":"{{ user.name }}"}}`).Evaluate(input())
			if string(got.Claims) != `{"a":1,"z":"Alice"}` || len(got.Failures) != 1 || got.Failures[0].Path != c.at || got.Failures[0].Reason == "" {
				t.Errorf("%s, %v", got.Claims, got.Failures)
			}
		})
	}
}

// Reasons go into events and logs.
func TestReasonsHoldNoValues(t *testing.T) {
	for _, expression := range []string{"int(user.name)", "timestamp(user.name)", "duration(user.name)", "user.attributes.apis[user.name]", "user.roles[user.name]",
		"user.name - 1", "bool(user.name)", "double(user.name)"} {
		got := compiled(t, `{"claims":{"c":"{{ `+expression+` }}"}}`).Evaluate(input())
		if len(got.Failures) != 1 || strings.Contains(fmt.Sprint(got.Failures), "Alice") {
			t.Errorf("%s: %v", expression, got.Failures)
		}
	}
}

func TestProblemsAreToldAllAtOnce(t *testing.T) {
	doc := `{"claims":{"sub":1,"SUB":2,"roles":"{{ user.roles }}","ok":1,"Plan":1,"plan":2,"":1,"` + strings.Repeat("n", 61) + `":1,
		"typo":"{{ tennant.name }}","member":"{{ user.nmae }}","device":"{{ session.device.nam }}","open":"{{ user.name","empty":"{{ }}","syntax":"x {{ 1 + }}",
		"types":"{{ 1 + 'a' }}","no":"{{ now() }}","zone":"{{ timestamp(0).getHours('Europe/Berlin') }}","key":"{{ key.name }}",
		"long":"` + strings.Repeat("x", 600) + `","a/b~c":"{{ nope }}","twice":{"x":1,"x":2},"regex":"{{ user.name.matches('(') }}",
		"huge":[1,{"n":1e400},-1e309],"digits":` + strings.Repeat("9", 309) + `},
		"emptyClaims":"never","authorization":1,"audience":["",3,"` + strings.Repeat("a", 201) + `"],"subject":"","extra":1,"subject":"x"}`
	_, err := compiler(t).Template(json.RawMessage(doc), User, "/document")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.TemplateInvalid {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.Fields {
		got = append(got, strings.TrimPrefix(p.Pointer, "/document")+" "+p.Code)
		if p.Detail == "" || strings.Contains(p.Detail, "\n") {
			t.Errorf("%s: %q", p.Pointer, p.Detail)
		}
	}
	want := []string{"/claims/twice/x duplicate", "/subject duplicate",
		"/claims/sub reserved", "/claims/SUB reserved", "/claims/roles reserved", "/claims/plan duplicate", "/claims/ format", "/claims/" + strings.Repeat("n", 60) + " format",
		"/claims/typo format", "/claims/member unknown", "/claims/device unknown", "/claims/open format", "/claims/empty format", "/claims/syntax format",
		"/claims/types format", "/claims/no format", "/claims/zone format", "/claims/key format", "/claims/long size", "/claims/a~1b~0c format", "/claims/regex format",
		"/claims/huge/1/n range", "/claims/huge/2 range", "/claims/digits range",
		"/emptyClaims range", "/authorization range", "/audience/0 format", "/audience/1 type", "/audience/2 format", "/subject type", "/extra unknown"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for _, detail := range []struct{ at, says string }{
		{"/claims/typo", "line 1, column 2"}, {"/claims/member", "user has no member nmae, at line 1, column 6"},
	} {
		i := slices.IndexFunc(f.Fields, func(p fault.Field) bool { return p.Pointer == "/document"+detail.at })
		if !strings.Contains(f.Fields[i].Detail, detail.says) {
			t.Errorf("%s: %s", detail.at, f.Fields[i].Detail)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	many := func(n int, each string) string { return strings.TrimSuffix(strings.Repeat(each+",", n), ",") }
	var names []string
	for i := range claim.MaxCount + 1 {
		names = append(names, fmt.Sprintf(`"c%d":1`, i))
	}
	for name, c := range map[string]struct{ doc, at, code string }{
		"nothing":          {``, "/document", "format"},
		"null":             {`null`, "/document", "type"},
		"a list":           {`[]`, "/document", "type"},
		"cut":              {`{"claims":{`, "/document", "format"},
		"two":              {`{} {}`, "/document", "format"},
		"not UTF-8":        {"{\"claims\":{\"a\":\"\xff\"}}", "/document", "format"},
		"large":            {`{"x":"` + strings.Repeat("x", MaxDocument) + `"}`, "/document", "size"},
		"bottomless":       {strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000), "/document", "size"},
		"deep claim":       {`{"claims":{"a":` + strings.Repeat(`[`, maxDepth+1) + strings.Repeat(`]`, maxDepth+1) + `}}`, "/document/claims/a" + strings.Repeat("/0", maxDepth), "size"},
		"claims a list":    {`{"claims":[]}`, "/document/claims", "type"},
		"too many claims":  {`{"claims":{` + strings.Join(names, ",") + `}}`, "/document/claims", "size"},
		"too many":         {`{"claims":{"a":[` + many(MaxExpressions+1, `"{{ 1 }}"`) + `]}}`, "/document", "size"},
		"a long one":       {`{"claims":{"a":"{{ 1` + strings.Repeat(" ", MaxExpression) + `}}"}}`, "/document/claims/a", "size"},
		"nested a lot":     {`{"claims":{"a":"{{ ` + strings.Repeat("(", 900) + "1" + strings.Repeat(")", 900) + ` }}"}}`, "/document/claims/a", "format"},
		"macros of macros": {`{"claims":{"a":"{{ [1].map(a,[1].map(b,[1].map(c,[1].map(d,1)))) }}"}}`, "/document/claims/a", "format"},
		"a user's subject": {`{"subject":"USR_01m80qwa37jxxh5w1w5jfq4rn1"}`, "/document/subject", "reserved"},
		"a key's subject":  {`{"subject":"ak_1"}`, "/document/subject", "reserved"},
		"audience":         {`{"audience":"x"}`, "/document/audience", "type"},
		"long audience":    {`{"audience":[` + many(MaxAudience+1, `"x"`) + `]}`, "/document/audience", "size"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compiler(t).Template(json.RawMessage(c.doc), User, "/document")
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.TemplateInvalid || len(f.Fields) != 1 || f.Fields[0].Pointer != c.at || f.Fields[0].Code != c.code {
				t.Errorf("%.300v", err)
			}
		})
	}
}

func TestAccessKeyTemplates(t *testing.T) {
	c := compiler(t)
	tpl, err := c.Template(json.RawMessage(`{"claims":{"k":"{{ key.name }} {{ key.tenants.ten_a.name }}"}}`), AccessKey, "")
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	got := tpl.Evaluate(Input{Key: &Person{ID: "ak_1", Name: "robot", Tenants: in.User.Tenants}})
	if string(got.Claims) != `{"k":"robot Acme"}` {
		t.Errorf("%+v", got)
	}
	for _, doc := range []string{`{"claims":{"k":"{{ user.name }}"}}`, `{"claims":{"k":"{{ session.id }}"}}`, `{"claims":{"k":"{{ key.email }}"}}`} {
		if _, err := c.Template(json.RawMessage(doc), AccessKey, ""); fault.KindOf(err) != fault.TemplateInvalid {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// The zero input is what a caller has who knows nothing: everything is empty then.
func TestNothingIsKnown(t *testing.T) {
	got := compiled(t, `{"claims":{"a":"{{ user.name }}","b":"{{ tenant.id }}","c":"{{ session.claims.x }}","d":"{{ project.id }}"}}`).Evaluate(Input{})
	if got.Claims != nil {
		t.Errorf("%s", got.Claims)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	tpl := compiled(t, `{"claims":{"t":"{{ user.tenants }}","d":"{{ user.attributes.deep }}","m":"{{ {'z':1,'a':2,'k':{'y':1,'b':2}} }}","r":"{{ user.tenants.map(t, t) }}",
		"l":"{{ {2:0,1:0,'b':0,'a':0,true:0,false:0,1u:0}.map(k, string(k)) }}","n":"{{ [{'b':1,'a':2}][0].map(k, k) }}","x":"{{ user.attributes.deep.b[2].map(k, k) }}"}}`)
	first := tpl.Evaluate(input())
	if len(first.Failures) > 0 {
		t.Fatal(first.Failures)
	}
	for range 100 {
		if got := tpl.Evaluate(input()); string(got.Claims) != string(first.Claims) {
			t.Fatalf("%s\n%s", got.Claims, first.Claims)
		}
	}
}

// What a token doesn't name and yet follows from is concealed; what nothing asks for isn't.
func TestConceals(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"claims":{"a":"{{ user.roles }}"}}`:                                                          false,
		`{"authorization":"none"}`:                                                                     false,
		`{"authorization":"none","claims":{"a":"constant"}}`:                                           false,
		`{"authorization":"none","claims":{"a":"{{ user.name }} of {{ tenant.name }}"}}`:               false,
		`{"authorization":"none","claims":{"a":"{{ 'admin' in user.roles }}"}}`:                        true,
		`{"authorization":"none","claims":{"a":{"b":["{{ user.permissions }}"]}}}`:                     true,
		`{"authorization":"none","claims":{"a":"{{ user['roles'] }}"}}`:                                true,
		`{"authorization":"none","claims":{"a":"{{ tenant.permissions }}"}}`:                           true,
		`{"authorization":"none","audience":["{{ user.tenants.map(t, t) }}"]}`:                         true,
		`{"authorization":"none","subject":"{{ user.roles[0] }}"}`:                                     true,
		`{"authorization":"currentTenant","claims":{"a":"{{ user.roles }}","b":"{{ tenant.roles }}"}}`: false,
		`{"authorization":"currentTenant","claims":{"a":"{{ size(user.tenants) }}"}}`:                  true,
		`{"authorization":"tenants","claims":{"a":"{{ user.tenants }}"}}`:                              false,
	} {
		if got := compiled(t, doc).Conceals(); got != want {
			t.Errorf("%s: %v", doc, got)
		}
	}
}
