package latchkey

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const everyClaim = `{"iss":"https://a/prj","sub":"usr_1","aud":["prj","https://api"],"iat":1767225600,"nbf":1767225601,"exp":1767226200,` +
	`"auth_time":1767225000,"jti":"j","sid":"ses_1","rid":"r","drn":"DS","amr":["pwd","mfa"],"rexp":"2026-02-01T01:00:00+01:00","dct":"ten_1",` +
	`"tenants":{"ten_1":{"roles":["a"],"permissions":["b","c"],"name":"One"},"ten_2":{}},"roles":["r\u00e9"],"permissions":[],"su":true,` +
	`"epc":1767225600123,"client_id":"app","scope":"openid  email","act":{"sub":"usr_9"},"nsec":{"theme":"dark","sub":"x"},"plan":{"n":[1, 2]},"empty":null}`

func TestParseClaims(t *testing.T) {
	c, bound, ok := parseClaims(everyClaim)
	if !ok || bound {
		t.Fatal("refused")
	}
	at := func(sec int64) time.Time { return time.Unix(sec, 0).UTC() }
	want := &Claims{
		Issuer: "https://a/prj", Subject: "usr_1", Audience: []string{"prj", "https://api"},
		IssuedAt: at(1767225600), NotBefore: at(1767225601), ExpiresAt: at(1767226200), AuthTime: at(1767225000),
		RefreshExpiresAt: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		TokenID:          "j", SessionID: "ses_1", RefreshID: "r", AMR: []string{"pwd", "mfa"}, CurrentTenant: "ten_1",
		Tenants: map[string]TenantGrants{"ten_1": {[]string{"a"}, []string{"b", "c"}}, "ten_2": {}},
		Roles:   []string{"ré"}, Permissions: []string{}, SteppedUp: true, Epoch: 1767225600123,
		ClientID: "app", Scopes: []string{"openid", "email"}, Actor: json.RawMessage(`{"sub":"usr_9"}`),
		custom: []claimMember{{"drn", `"DS"`}, {"plan", `{"n":[1, 2]}`}, {"empty", "null"}},
		client: []claimMember{{"theme", `"dark"`}, {"sub", `"x"`}},
	}
	want.weight = c.weight
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c.weight < len(everyClaim) {
		t.Errorf("it weighs %d, less than its text", c.weight)
	}
}

// Every claim of a type that it doesn't have, in turn.
func TestClaimsOfWrongTypes(t *testing.T) {
	var good map[string]json.RawMessage
	if err := json.Unmarshal([]byte(everyClaim), &good); err != nil {
		t.Fatal(err)
	}
	numbers := []string{`"1767225600"`, `1767225600.0`, `1.7672256e9`, `-1`, `1e400`, `253402300800000`, `null`, `true`, `[]`, `{}`}
	texts := []string{`1`, `null`, `true`, `["x"]`, `{}`, `"\ud800"`}
	lists := []string{`"x"`, `null`, `{}`, `[1]`, `["a",null]`, `[["a"]]`, `1`}
	wrong := map[string][]string{
		"iat": numbers, "nbf": numbers, "exp": numbers, "auth_time": numbers,
		"epc": {`"1"`, `1.5`, `-1`, `253402300800000`, `null`},
		"iss": texts, "sub": texts, "jti": texts, "sid": texts, "rid": texts, "dct": texts, "client_id": texts, "scope": texts,
		"rexp": append(slices.Clone(texts), `"tomorrow"`, `"2026-02-01"`, `"1767225600"`, `""`),
		"amr":  lists, "roles": lists, "permissions": lists, "scopes": lists,
		"aud":     {`1`, `null`, `{}`, `[1]`, `["a",null]`, `true`},
		"su":      {`"true"`, `1`, `null`, `{}`},
		"tenants": {`[]`, `null`, `"x"`, `{"ten_1":[]}`, `{"ten_1":null}`, `{"ten_1":{"roles":"a"}}`, `{"ten_1":{"permissions":[1]}}`, `{"a":{},"a":{}}`, `{"a":{"roles":[],"roles":[]}}`},
		"nsec":    {`[]`, `null`, `"x"`, `{"a":1,"a":2}`}, "act": {`[]`, `null`, `"usr_2"`}, "cnf": {`[]`, `null`, `"x"`},
	}
	for name, values := range wrong {
		for _, value := range values {
			claims := maps.Clone(good)
			claims[name] = json.RawMessage(value)
			text, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			if c, _, ok := parseClaims(string(text)); ok || c != nil {
				t.Errorf("%s as %s is taken", name, value)
			}
		}
	}
}

func TestClaimForms(t *testing.T) {
	for text, check := range map[string]func(*Claims) bool{
		`{"aud":"one"}`:                              func(c *Claims) bool { return slices.Equal(c.Audience, []string{"one"}) },
		`{"aud":[]}`:                                 func(c *Claims) bool { return len(c.Audience) == 0 },
		`{"su":false}`:                               func(c *Claims) bool { return !c.SteppedUp },
		`{"scopes":["a b"],"scope":"c"}`:             func(c *Claims) bool { return slices.Equal(c.Scopes, []string{"a b"}) },
		`{"scope":"c","scopes":[]}`:                  func(c *Claims) bool { return len(c.Scopes) == 0 },
		`{"SUB":"x","Exp":1,"Aud":"a"}`:              func(c *Claims) bool { return c.Subject == "" && c.ExpiresAt.IsZero() && c.Audience == nil },
		`{"s\u0075b":"usr_1"}`:                       func(c *Claims) bool { return c.Subject == "usr_1" },
		`{"nsec":{"roles":["admin"]}}`:               func(c *Claims) bool { return c.Roles == nil && len(c.client) == 1 },
		`{"exp":253402300799}`:                       func(c *Claims) bool { return c.ExpiresAt.Year() == 9999 },
		`{"cnf":{"jkt":"x"}}`:                        func(c *Claims) bool { return len(c.custom) == 1 },
		`{"deep":` + nested(200) + `}`:               func(c *Claims) bool { return len(c.custom) == 1 },
		`{"n":1e400,"s":"\ud800","m":{"x":1,"x":2}}`: func(c *Claims) bool { return len(c.custom) == 3 },
	} {
		if c, _, ok := parseClaims(text); !ok || !check(c) {
			t.Errorf("%.80s: %v, %+v", text, ok, c)
		}
	}
	for _, text := range []string{``, `[]`, `null`, `"x"`, `1`, `{} ` + "\x00", `{"a":1,"a":1}`, `{"sub":"a","sub":"a"}`, `{"a":` + nested(400) + `}`} {
		if _, _, ok := parseClaims(text); ok {
			t.Errorf("%.80q is taken for claims", text)
		}
	}
	if _, bound, _ := parseClaims(`{"cnf":{"jkt":"x"}}`); !bound {
		t.Error("a token that is bound to a key isn't known as one")
	}
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// What is read as claims says what encoding/json reads, and only once.
func FuzzClaims(f *testing.F) {
	f.Add(everyClaim)
	f.Add(`{"aud":"a","exp":1,"tenants":{"t":{"roles":["x"]}}}`)
	f.Add(`{"sub":"a","SUB":"b"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, _, ok := parseClaims(text)
		if !ok {
			if c != nil {
				t.Fatal("claims beside a refusal")
			}
			return
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%q is read, but isn't an object: %v", text, err)
		}
		var sub string
		var exp int64
		if raw, has := all["sub"]; has && (json.Unmarshal(raw, &sub) != nil || sub != c.Subject) {
			t.Errorf("%q: sub is %q", text, c.Subject)
		}
		if raw, has := all["exp"]; has != !c.ExpiresAt.IsZero() || has && (json.Unmarshal(raw, &exp) != nil || exp != c.ExpiresAt.Unix()) {
			t.Errorf("%q: exp is %v", text, c.ExpiresAt)
		}
		for _, m := range c.custom {
			var v any
			if _, err := c.Claim(m.name, &v); err != nil && !strings.Contains(m.value, "e") && !strings.Contains(m.value, "E") {
				t.Errorf("%q: claim %q: %v", text, m.name, err)
			}
		}
	})
}
