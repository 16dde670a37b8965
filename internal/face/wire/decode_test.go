package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

type signIn struct {
	User     id.User             `json:"user" required:"true"`
	AMR      []string            `json:"amr" minItems:"1" maxItems:"3"`
	Claims   json.RawMessage     `json:"claims"`
	Device   *signInDevice       `json:"device"`
	Lifetime *latchkey.Duration  `json:"lifetime"`
	Limit    latchkey.RateLimit  `json:"limit"`
	At       time.Time           `json:"at"`
	Count    int                 `json:"count" minimum:"1" maximum:"10"`
	Small    uint8               `json:"small"`
	Ratio    float64             `json:"ratio" minimum:"0.5"`
	Others   bool                `json:"others"`
	Mode     string              `json:"mode" enum:"endOldest,deny" default:"deny"`
	Name     string              `json:"name" minLength:"2" maxLength:"4" pattern:"^[^;]*$"`
	Nested   struct{ signInDot } `json:"nested"`
	Devices  []signInDevice      `json:"devices"`
	Secret   secret.Text         `json:"secret" maxLength:"30"`
	Path     string              `path:"id"`
	signInEmbedded
}

type signInDevice struct {
	IP   string `json:"ip,omitempty" required:"true"`
	Name string `json:"name"`
}

type signInDot struct {
	Weird string `json:"a/b~c"`
}

type signInEmbedded struct {
	Extra string `json:"extra"`
}

func post(body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	return r
}

func TestDecodeReads(t *testing.T) {
	user := id.NewUser(time.UnixMilli(1))
	var got signIn
	body := fmt.Sprintf(`{"user":%q, "amr":["pwd","otp"],"claims": {"a":[1,{"b":null}]} ,"device":{"ip":"192.0.2.1"},"lifetime":"1h",
		"limit":"auto","at":"2026-01-02T03:04:05.5Z","count":10,"small":255,"ratio":5e-1,"others":true,"mode":null,"name":"äöüß",
		"nested":{"a/b~c":"\ud83d\ude00"},"devices":[{"ip":"a"},{"ip":"b","name":null}],"secret":"s3cret","extra":"x"}`, user)
	if err := Decode(post(body), MaxBody, &got); err != nil {
		t.Fatal(err)
	}
	hour := latchkey.Duration(time.Hour)
	want := signIn{
		User: user, AMR: []string{"pwd", "otp"}, Claims: json.RawMessage(`{"a":[1,{"b":null}]}`), Device: &signInDevice{IP: "192.0.2.1"},
		Lifetime: &hour, At: time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC), Count: 10, Small: 255, Ratio: 0.5, Others: true, Mode: "deny",
		Name: "äöüß", Devices: []signInDevice{{IP: "a"}, {IP: "b"}}, Secret: secret.New("s3cret"), signInEmbedded: signInEmbedded{"x"},
	}
	want.Nested.Weird = "😀"
	if !reflect.DeepEqual(got, want) || got.Secret.Reveal() != "s3cret" {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
}

// A refresh without a body, the way curl -X POST sends it, and the bodies of clients
// that send null for "nothing".
func TestDecodeNothing(t *testing.T) {
	type refresh struct {
		Token  string `json:"refreshToken"`
		Rotate *bool  `json:"rotate"`
	}
	for _, body := range []string{"", "{}", "null", " {\n} ", `{"refreshToken":null}`, `{"rotate":null,"refreshToken":null}`} {
		got := refresh{Token: "kept"}
		if err := Decode(post(body), MaxBody, &got); err != nil || got.Token != "kept" || got.Rotate != nil {
			t.Errorf("%s: %+v %v", body, got, err)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Body, r.ContentLength = nil, 0
	if err := Decode(r, MaxBody, new(refresh)); err != nil {
		t.Error(err)
	}
	var raw json.RawMessage
	if err := Decode(post(""), MaxBody, &raw); err != nil || string(raw) != "{}" {
		t.Errorf("%s %v", raw, err)
	}
	if err := Decode(post(` {"a": null} `), MaxBody, &raw); err != nil || string(raw) != `{"a": null}` {
		t.Errorf("%s %v", raw, err)
	}
}

// problems returns "pointer code detail" of each field of a fault.Invalid.
func problems(t *testing.T, err error) []string {
	t.Helper()
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Kind != fault.Invalid || refusal.Detail == "" {
		t.Fatalf("%v isn't an invalid request", err)
	}
	var out []string
	for _, f := range refusal.Fields {
		out = append(out, f.Pointer+" "+f.Code+" "+f.Detail)
	}
	return out
}

func TestDecodeRefuses(t *testing.T) {
	const user = `"user":"usr_00000000010000000000000000",`
	tests := []struct{ name, body, want string }{
		{"unknown member", `{` + user + `"users":1}`, "/users unknown there is no such member"},
		{"name in another case", `{` + user + `"Name":"ab"}`, "/Name unknown there is no such member"},
		{"repeated", `{` + user + `"count":1,"count":2}`, "/count duplicate the member appears twice"},
		{"repeated after null", `{` + user + `"count":null,"count":2}`, "/count duplicate the member appears twice"},
		{"repeated by escape", `{` + user + `"count":1,"\u0063ount":2}`, "/count duplicate the member appears twice"},
		{"repeated in claims", `{` + user + `"claims":{"x":[{"y":1,"y":1}]}}`, "/claims/x/0/y duplicate the member appears twice"},
		{"required absent", `{}`, "/user required the member is required"},
		{"required null", `{"user":null}`, "/user required the member is required"},
		{"required in a list", `{` + user + `"devices":[{"ip":"a"},{}]}`, "/devices/1/ip required the member is required"},
		{"escaped pointer", `{` + user + `"nested":{"a/b~c":1}}`, "/nested/a~1b~0c type a string is wanted"},
		{"string wanted", `{` + user + `"name":1}`, "/name type a string is wanted"},
		{"object wanted", `{` + user + `"device":["x",{"ip":1}]}`, "/device type an object is wanted"},
		{"list wanted", `{` + user + `"amr":{"a":1}}`, "/amr type a list is wanted"},
		{"bool wanted", `{` + user + `"others":"true"}`, "/others type true or false is wanted"},
		{"number as string", `{` + user + `"count":"5"}`, "/count type a whole number is wanted"},
		{"fraction", `{` + user + `"count":1.5}`, "/count type a whole number is wanted"},
		{"whole fraction", `{` + user + `"count":1.0}`, "/count type a whole number is wanted"},
		{"exponent", `{` + user + `"count":1e0}`, "/count type a whole number is wanted"},
		{"negative", `{` + user + `"small":-1}`, "/small type a whole number, not negative, is wanted"},
		{"too big for the type", `{` + user + `"small":256}`, "/small range the number is too large"},
		{"far too big", `{` + user + `"count":99999999999999999999}`, "/count range must be from 1 to 10"},
		{"float overflow", `{` + user + `"ratio":1e400}`, "/ratio range must be at least 0.5"},
		{"over maximum", `{` + user + `"count":11}`, "/count range must be from 1 to 10"},
		{"under minimum", `{` + user + `"count":0}`, "/count range must be from 1 to 10"},
		{"enum", `{` + user + `"mode":"Deny"}`, `/mode range must be one of "endOldest", "deny"`},
		{"too short", `{` + user + `"name":"ä"}`, "/name size must have at least 2 characters"},
		{"too long", `{` + user + `"name":"12345"}`, "/name size must have at most 4 characters, has 5"},
		{"pattern", `{` + user + `"name":"a;b"}`, "/name format must match ^[^;]*$"},
		{"too few items", `{` + user + `"amr":[]}`, "/amr size must have at least 1 items"},
		{"too many items", `{` + user + `"amr":["a","b","c","d"]}`, "/amr size must have at most 3 items, has 4"},
		{"null item", `{` + user + `"amr":["a",null]}`, "/amr/1 type a string is wanted"},
		{"bad identifier", `{"user":"usr_"}`, "/user format not a valid identifier of this kind"},
		{"bad duration", `{` + user + `"lifetime":"5 min"}`, `/lifetime format "5 min" is not a duration such as "90s", "10m", "1h30m" or "28d"`},
		{"duration as number", `{` + user + `"lifetime":5}`, "/lifetime type a string is wanted"},
		{"bad limit", `{` + user + `"limit":{}}`, `/limit format "auto" or a whole number from 1 is wanted`},
		{"bad time", `{` + user + `"at":"2026-01-02 03:04:05"}`, "/at format " + wantTime},
		{"list at the top", `[]`, " type an object is wanted"},
		{"string at the top", `"{}"`, " type an object is wanted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := signIn{Name: "kept"}
			err := Decode(post(tt.body), MaxBody, &got)
			if p := problems(t, err); len(p) != 1 || p[0] != tt.want {
				t.Errorf("got %q, want %q", p, tt.want)
			}
			if !reflect.DeepEqual(got, signIn{Name: "kept"}) {
				t.Errorf("the target was changed: %+v", got)
			}
		})
	}
}

func TestDecodeReportsAllAtOnce(t *testing.T) {
	body := `{"Users":[{"a":1,"a":2}],"count":99,"name":true,"device":{"ip":1,"os":"x"},"count":1,"Users":1}`
	want := []string{
		"/Users unknown there is no such member",
		"/Users/0/a duplicate the member appears twice",
		"/count range must be from 1 to 10",
		"/name type a string is wanted",
		"/device/ip type a string is wanted",
		"/device/os unknown there is no such member",
		"/count duplicate the member appears twice",
		"/Users duplicate the member appears twice",
		"/user required the member is required",
	}
	if got := problems(t, Decode(post(body), MaxBody, new(signIn))); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDecodeDepth(t *testing.T) {
	nested := func(n int) string { return `{"claims":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	type claims struct {
		Claims json.RawMessage `json:"claims"`
	}
	if err := Decode(post(nested(maxDepth-1)), MaxBody, new(claims)); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	for _, body := range []string{nested(maxDepth + 1), nested(5000), `{"x":` + nested(100) + `,"y":1}`, strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)} {
		got := problems(t, Decode(post(body), MaxBody, new(claims)))
		if last := got[len(got)-1]; !strings.HasSuffix(last, " size nested more than 32 levels deep") {
			t.Errorf("%.60s: %q", body, got)
		}
	}
}

// The answer to a body that is all wrong must not be larger than the body.
func TestDecodeBoundsProblems(t *testing.T) {
	for _, body := range []string{
		"{" + strings.Repeat(`"x":1,`, 10_000) + `"x":1}`,
		`{"devices":[` + strings.Repeat("1,", 10_000) + `1]}`,
		`{"claims":{` + strings.Repeat(`"x":{},`, 10_000) + `"y":1}}`,
	} {
		if got := problems(t, Decode(post(body), MaxBody, new(signIn))); len(got) != maxProblems {
			t.Errorf("%d problems", len(got))
		}
	}
	long := problems(t, Decode(post(`{"`+strings.Repeat("n", 5000)+`":1}`), MaxBody, new(signInDevice)))
	if len(long[0]) > 150 {
		t.Errorf("the pointer has %d bytes", len(long[0]))
	}
}

// Attack 40: a credential in the wrong place must not come back in an error, which is
// logged.
func TestDecodeHidesCredentials(t *testing.T) {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJjYW5hcnkiOjF9.c2ln"
	body := `{"` + token + `":1,"lifetime":"` + token + `","limit":"lk_mgmt_0123456789abcdef","user":"rt_0123456789abcdef"}`
	err := Decode(post(body), MaxBody, new(signIn))
	if got := problems(t, err); len(got) != 3+1 {
		t.Errorf("%q", got)
	}
	for _, leak := range []string{"eyJ", "lk_mgmt", "rt_"} {
		if strings.Contains(err.Error(), leak) {
			t.Errorf("%s came out: %v", leak, err)
		}
	}
}

// FuzzDecode checks Decode against encoding/json: what Decode accepts, the other reads
// to the same value, so nothing strict is also wrong.
func FuzzDecode(f *testing.F) {
	type inner struct {
		A string   `json:"a"`
		N *int     `json:"n"`
		L []string `json:"l"`
	}
	type outer struct {
		S string          `json:"s"`
		I int64           `json:"i"`
		F float64         `json:"f"`
		B bool            `json:"b"`
		R json.RawMessage `json:"r"`
		O inner           `json:"o"`
		P *inner          `json:"p"`
		L []inner         `json:"l"`
	}
	for _, seed := range []string{
		``, `{}`, `null`, `{"s":"x","i":-5,"f":1e3,"b":true,"r":[{}],"o":{"a":"b","n":1,"l":["x"]},"p":{},"l":[{},{}]}`,
		`{"s":null,"r":null,"p":null,"l":null}`, `{"s":"\ud83d\ude00\\u"}`, `{"s":"\ud800"}`, `{"S":1}`, `{"s":1,"s":2}`, `{"i":1.0}`, `{"i":1e400}`,
		"\xef\xbb\xbf{}", `[[[[`, `{"r":{"a":1,"a":2}}`, `{"r" : "x" , "l" : [ ] }`, `{"l":[null]}`, `{"x":{"y":[1,"2",null,false]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got, want outer
		if err := Decode(post(body), MaxBody, &got); err != nil {
			if k := fault.KindOf(err); k != fault.Invalid {
				t.Fatalf("%v: %v", k, err)
			}
			if !reflect.DeepEqual(got, outer{}) {
				t.Error("a refused body changed the target")
			}
			return
		}
		if body == "" {
			body = "{}"
		}
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		if string(want.R) == "null" { // null equals absent
			want.R = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
