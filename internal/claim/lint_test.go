package claim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// shown writes findings as "pointer kind".
func shown(found []Finding) []string {
	out := []string{}
	for _, f := range found {
		out = append(out, f.Pointer+" "+string(f.Kind))
	}
	return out
}

// kinds returns what Lint finds in one claim.
func kinds(name, value string) []Sensitive {
	set, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		panic(err)
	}
	out := []Sensitive{}
	for _, f := range Lint(set, "/claims") {
		out = append(out, f.Kind)
	}
	return out
}

func TestLintWalks(t *testing.T) {
	const mail = `"alice@example.com"`
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":          {``, nil},
		"not JSON":         {`{"a":` + mail, nil},
		"two values":       {`{} {"a":` + mail + `}`, nil},
		"clean":            {`{"a":null,"b":true,"plan":"pro","seats":5}`, nil},
		"top":              {`{"a":` + mail + `}`, []string{"/claims/a email"}},
		"nested":           {`{"a":{"b":[1,{"c":` + mail + `}]},"d":` + mail + `}`, []string{"/claims/a/b/1/c email", "/claims/d email"}},
		"after nested":     {`{"a":{},"b":[],"c":[[],{}],"d":[` + mail + `]}`, []string{"/claims/d/0 email"}},
		"escaped pointer":  {`{"a/b~c":` + mail + `}`, []string{"/claims/a~1b~0c email"}},
		"escaped value":    {`{"a":"alice\u0040example.com"}`, []string{"/claims/a email"}},
		"twice the name":   {`{"a":1,"a":` + mail + `}`, []string{"/claims/a email"}},
		"two kinds":        {`{"a":"alice@example.com, 4111 1111 1111 1111"}`, []string{"/claims/a email", "/claims/a card"}},
		"a kind once":      {`{"a":"alice@example.com bob@example.com"}`, []string{"/claims/a email"}},
		"a name":           {`{"alice@example.com":{"x":1}}`, []string{"/claims email"}},
		"below a name":     {`{"x":{"alice@example.com":{"phone":"+14155552671"}},"y":` + mail + `}`, []string{"/claims/x email", "/claims/x/phone phone", "/claims/y email"}},
		"a name of number": {`{"4111111111111111":true}`, []string{"/claims card"}},
		"hinted list":      {`{"passwords":["a",{"x":"b"},"c"]}`, []string{"/claims/passwords/0 password", "/claims/passwords/2 password"}},
		"hint goes no far": {`{"token":{"issued":"yesterday or so","kind":"opaque-one"}}`, nil},
		"number":           {`{"n":4111111111111111}`, []string{"/claims/n card"}},
		"numbers":          {`{"a":1767322445250,"b":-4111111111111111,"c":4111111111111111.0,"d":4.111111111111111e15,"e":4111111111111112}`, nil},
		"counts":           {`{"tokens":200000000,"secrets":2.00000001e+18,"token":-12345678}`, nil},
		"hinted number":    {`{"ssn":123456789,"phone":4915112345678,"pin":1234}`, []string{"/claims/ssn national_id", "/claims/phone phone", "/claims/pin password"}},
	} {
		if got := shown(Lint(json.RawMessage(c.in), "/claims")); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s gives %q, want %q", name, c.in, got, c.want)
		}
	}
}

// texts are values of a claim without a telling name, by what is found in them.
var texts = map[Sensitive]struct{ yes, no []string }{
	Email: {
		yes: []string{"alice@example.com", "Alice <a.b+c@mail.example.co.uk>", "mailto:alice@example.org", "x=o'brien@example.ie;", "jürgen@müller.de", "ALICE@EXAMPLE.COM", "{alice@example.com}"},
		no: []string{"", "@alice", "alice@localhost", "user@host", "left-pad@1.2.3", "@scope/package", "git@github.com:acme/app.git", "https://medium.com/@user.name/post",
			"logo@2x.png", "ssh://deploy@host.example.com/srv", "alice at example.com", "a@b", "image@sha256:0123", "@@"},
	},
	Phone: {
		yes: []string{"+14155552671", "+49 170 1234567", "call +44 (0)20 7946 0958!", "+1-415-555-2671", "+33.1.23.45.67.89", "tel:5552671", "TEL:+4930123456", "(415) 555-2671", "415-555-2671", "415.555.2671"},
		no: []string{"+02:00", "UTC+2", "+1", "+1234567", "2026-11-22", "2026-11-22T01:20:00+02:00", "1+14155552671", "+1415555267100000", "4155552671", "115-555-2671", "415-055-2671",
			"10.0.0.1", "192.168.100.200", "415-555-26711", "+0049170123456", "c++11 and 14", "1.2.3-415-555-2671", "hotel:5552671", "550e8400-e29b-41d4-a716-446655440000", "99.5", "+12345678901x"},
	},
	Card: {
		yes: []string{"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "card_4111111111111111", "paid with 5555555555554444.", "2223003122003222", "378282246310005", "3782 822463 10005",
			"6011111111111117", "3530111333300000", "30569309025904", "3056 930902 5904", "6200000000000005"},
		no: []string{"4111111111111112", "0000000000000000", "4222222222222", "1767322445250", "1767322445250000", "1767322445250000000", "9111111111111111", "41111111111111111", "a4111111111111111", "4111111111111111f",
			"550e8400-e29b-41d4-a716-446655440000", "41111111-1111-1111-4111-111111111111", "4111.1111.1111.1111", "ab-4111111111111111", "1.4111111111111111", "411111111111", "378282246310006"},
	},
	NationalID: {
		yes: []string{
			"123-45-6789", "078-05-1120", "SSN 219 09 9999", // US
			"86095742719", "47036892816", "65929970489", "ID 86 095 742 719", // DE: with a digit twice, and three times
			"12345678Z", "12345678-Z", "X1234567L", "Y-1234567-X", "00000000T", // ES
			"RSSMRA85T10A562S", "rssmra85t10a562s", "RSSMRA85T10A56NH", // IT
			"255081416802538", "2 55 08 14 168 025 38", "1 85 05 78 006 084 91", "185052A00608435", // FR
			"AB123456C", "AB 12 34 56 C", // GB
		},
		no: []string{
			"000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "123-45 6789", "123456789", "1123-45-6789", "x-123-45-6789", "123-45-6789-0",
			"86095742718", "06095742719", "12345678901", "11111111111", "01234567890", "86095742719a", "86095742719.5", "11122345670",
			"12345678A", "12345678z", "12345678ZZ", "X1234567A", "912345678Z",
			"RSSMRA85T10A562T", "RSSMRA85Z10A562S", "RSSMRA85T10A562SX",
			"255081416802539", "355081416802538", "255131416802538",
			"BG123456C", "AO123456C", "DA123456C", "AB123456E", "ab123456c", "AB1234567C",
		},
	},
	Password: {
		yes: []string{"postgres://app:hunter2@db.internal/app", "redis://:hunter2@cache", "Server=db;User=sa;Password=hunter2;", "?pwd=hunter2", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
			"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub", "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2"},
		no: []string{"password: required", "https://example.com:8443/path@home", "https://example.com/a:b", "$2 and $6", "$5 a month", "pwd=x", "password", "forgot your password?", "https://alice@example/", "cwd=/home/alice"},
	},
	Key: {
		yes: []string{
			"lk_mgmt_" + strings.Repeat("0a", 20), "lk_verify_" + strings.Repeat("z9", 20), "lk_ak_" + strings.Repeat("z9", 20), "key=lk_mgmt_" + strings.Repeat("0", 16),
			"-----BEGIN " + "PRIVATE KEY-----\nMIIE", "-----BEGIN RSA " + "PRIVATE KEY-----", "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
			"AKIA" + "IOSFODNN7EXAMPLE", "gh" + "p_" + strings.Repeat("aB3", 12), "github" + "_pat_" + strings.Repeat("aB3", 12), "gl" + "pat-" + strings.Repeat("aB3x", 5), "npm" + "_" + strings.Repeat("aB3", 12),
			"pypi-" + "AgEIcHlwaS5vcmcCJ", "sk" + "_live_" + strings.Repeat("aB3x", 6), "rk" + "_test_" + strings.Repeat("aB3x", 6), "wh" + "sec_" + strings.Repeat("aB3x", 6),
			"xo" + "xb-123456789012-abcdef", "AI" + "za" + strings.Repeat("aB3-x", 7), "sk" + "-" + strings.Repeat("aB3x", 6), "sk" + "-proj-" + strings.Repeat("aB3x", 6), "sk" + "-ant-api03-" + strings.Repeat("aB3x", 6),
			"S" + "G." + strings.Repeat("a", 22) + "." + strings.Repeat("b", 43), "h" + "f_" + strings.Repeat("aB", 17), "shp" + "at_" + strings.Repeat("0f", 16), "AGE-SECRET" + "-KEY-1" + strings.Repeat("Q", 58),
		},
		no: []string{
			"-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", "lk_mgmt_short", "bulk_mgmt_" + strings.Repeat("0", 30), "sk-learn-with-a-long-slug-of-words", "risk-" + strings.Repeat("aB3x", 6),
			"AKIAIOSF", "NPM_CONFIG", "ghp_short", "pk_live_" + strings.Repeat("aB3x", 6), "ses_01kkaj7vbn3yk2m6t9qdh0x5rw", "550e8400-e29b-41d4-a716-446655440000", strings.Repeat("0f", 32), "9wLXIuCNqfLTXcPXqKzJtA",
		},
	},
	Bearer: {
		yes: []string{"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0", "Authorization: Bearer abcdef0123456789", "bearer abc.def-0123456789==", "Basic YWxpY2U6aHVudGVyMg==",
			"rt_" + strings.Repeat("aB3-", 12), "ya" + "29." + strings.Repeat("aB3x", 6), "access_token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0"},
		no: []string{"Bearer", "bearer of good news", "Bearer responsibilities", "basic understanding", "eyJhbGciOiJFUzI1NiJ9", "heyJude.something.else", "keyJhbGciOiJ.x.y", "rt_short", "sort_" + strings.Repeat("aB3-", 12), "forbearer abcdef0123456789"},
	},
}

func TestLintTexts(t *testing.T) {
	for kind, c := range texts {
		for _, s := range c.yes {
			if got := kinds("note", s); !slices.Equal(got, []Sensitive{kind}) {
				t.Errorf("%q is %q, want %s", s, got, kind)
			}
			if got := kinds("note", "see: "+s); !slices.Contains(got, kind) && !strings.HasPrefix(s, "x=") {
				t.Errorf("in a sentence, %q is %q, want %s", s, got, kind)
			}
		}
		for _, s := range c.no {
			if got := kinds("note", s); slices.Contains(got, kind) {
				t.Errorf("%q is %q", s, got)
			}
		}
	}
}

// Names that tell, and such as only seem to.
func TestLintNames(t *testing.T) {
	for kind, c := range map[Sensitive]struct{ yes, no [][2]string }{
		Password: {
			yes: [][2]string{{"password", "x"}, {"dbPassword", "hunter2"}, {"user_passwd", "a b c"}, {"PWD", "x"}, {"password-hash", "ab12"}, {"passphrase", "correct horse"}, {"pin", "1234"}, {"cardPIN", "123456"}},
			no: [][2]string{{"password", ""}, {"passwordChangedAt", "yesterday"}, {"passwordPolicy", "strict"}, {"hasPassword2", "yes"}, {"passwordless", "yes"}, {"pin", "on the board"}, {"pin", "123"},
				{"spin", "1234"}, {"method", "password"}, {"pinned", "1234"}, {strings.Repeat("x", 200) + "_password", "x"}},
		},
		Key: {
			yes: [][2]string{{"secret", "hunter2hunter2"}, {"clientSecret", "abcdefgh"}, {"api_key", "0123abcd"}, {"APIKey", "0123abcd"}, {"x-apikey", "0123abcd"}, {"privateKey", "0123abcd"}, {"accessKey", "0123abcd"}},
			no:  [][2]string{{"secret", "santa"}, {"secret", "the secret of life"}, {"secretSanta", "alice-and-bob"}, {"accessKeyId", "0123abcd"}, {"publicKey", "0123abcd"}, {"sortKey", "0123abcd"}, {"key", "0123abcd"}, {"secretary", "alice-smith"}},
		},
		Bearer: {
			yes: [][2]string{{"token", "0123abcd"}, {"accessToken", "0123abcd"}, {"id_token", "0123abcd"}, {"jwt", "0123abcd"}},
			no:  [][2]string{{"token", "none"}, {"tokens", "200000000"}, {"tokenType", "DPoP-bound"}, {"tokens", "one or two of them"}, {"token_expires_in", "3600000000"}, {"tokenize", "sentencewise"}},
		},
		NationalID: {
			yes: [][2]string{{"ssn", "123456789"}, {"userSSN", "123456789"}, {"social_security_number", "123456789"}, {"nationalId", "PT-12345678"}, {"steuerId", "12345678901"}, {"dni", "1234567"}, {"codiceFiscale", "RSSMRA85T10A562X"}, {"nino", "qq123456c"}},
			no:  [][2]string{{"ssn", "present"}, {"ssnVerified", "2026-11-22"}, {"ssnLast", "123456789"}, {"assn", "123456789"}, {"orderId", "123456789"}, {"nie", "1"}},
		},
		Phone: {
			yes: [][2]string{{"phone", "01701234567"}, {"phoneNumber", "415 555 2671"}, {"mobile_phone", "4155552671"}, {"tel", "5552671"}, {"MSISDN", "491701234567"}},
			no:  [][2]string{{"phone", "verified"}, {"phone", "911"}, {"phoneModel", "3310331033"}, {"phone", "pixel 9 1234567"}, {"hotel", "5552671"}, {"phone", "1234567890123456"}},
		},
		Card: {
			yes: [][2]string{{"cvv", "123"}, {"cardCvc", "1234"}},
			no:  [][2]string{{"cvv", "ok"}, {"cvv", "12"}, {"cvvMatched", "123"}, {"code", "123"}},
		},
	} {
		for _, s := range c.yes {
			if got := kinds(s[0], s[1]); !slices.Contains(got, kind) {
				t.Errorf("%q is %q, want %s", s, got, kind)
			}
		}
		for _, s := range c.no {
			if got := kinds(s[0], s[1]); slices.Contains(got, kind) {
				t.Errorf("%q is %q", s, got)
			}
		}
	}
}

// What applications keep in claims every day is left alone.
func TestLintLeavesOrdinaryClaimsAlone(t *testing.T) {
	for _, set := range []string{
		`{"plan":"pro","trial":true,"seats":250,"beta":null,"nickname":"Alice","locale":"de-DE","zoneinfo":"Europe/Berlin"}`,
		`{"org":"550e8400-e29b-41d4-a716-446655440000","shard":12,"region":"eu-west-1","build":"2026.11.22-1234567","ip":"192.0.2.17","net":"2001:db8::1"}`,
		`{"since":"2026-11-22T01:20:00.123456789Z","until":1767322445,"ms":1767322445250,"us":1767322445250123,"ns":1767322445250123456,"offset":"+02:00"}`,
		`{"features":["sso","audit-log","v2.10.3"],"limits":{"requests":1000000,"tokens":200000,"storage":"107374182400"},"url":"https://app.example.com/t/42?x=1#top"}`,
		`{"commit":"7626275c9e12a319cd5be7cdfb3baa6f4b3f7944","etag":"W/\"33a64df5\"","sha":"` + strings.Repeat("0a1b", 16) + `","ulid":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}`,
		`{"user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","session":"ses_01kkaj7vbn3yk2m6t9qdh0x5rw","customer":"cus_NffrFeUfNV2Hib","order":"2026-000123456","isbn":"978-3-16-148410-0","ean":"4006381333931"}`,
		`{"https://example.com/roles":["admin","a.b:write"],"mfa_method":"totp","password_changed":true,"token_version":3,"keyId":"2026-01","lat":52.520008,"lon":13.404954}`,
	} {
		if found := Lint(json.RawMessage(set), "/claims"); len(found) > 0 {
			t.Errorf("%s: %q", set, shown(found))
		}
	}
}

// A random number of the usual lengths is hardly ever taken for a card or an id: this
// is what the prefixes and check digits are for.
func TestLintSeldomErrsOnNumbers(t *testing.T) {
	for digits, most := range map[int]int{9: 0, 10: 0, 11: 16, 12: 0, 13: 0, 14: 16, 15: 20, 16: 80, 17: 16, 18: 16, 19: 50} {
		wrong := 0
		n := uint64(88172645463325252)
		for range 2000 {
			text := ""
			for len(text) < digits {
				n ^= n << 13
				n ^= n >> 7
				n ^= n << 17
				text += fmt.Sprint(n % 10)
			}
			wrong += len(inText(text))
		}
		if wrong > most {
			t.Errorf("%d of 2000 numbers of %d digits, want %d at most", wrong, digits, most)
		}
	}
}

// A text has one detail for each kind, and none repeats what was found.
func TestFindingsDoNotRepeat(t *testing.T) {
	for kind, c := range texts {
		for _, s := range c.yes {
			for _, f := range Lint(json.RawMessage(fmt.Sprintf(`{"a":%q,%q:{"b":%q}}`, s, s, s)), "/nsec") {
				if strings.Contains(f.Pointer+f.Detail, s) || f.Detail == "" || !strings.HasPrefix(f.Pointer, "/nsec") {
					t.Errorf("%s: %q gives %+v", kind, s, f)
				}
			}
		}
	}
}

func TestLintStopsAtTheMost(t *testing.T) {
	set := `{"a":[` + strings.Repeat(`"a@example.com",`, 100) + `1],"b":"b@example.com"}`
	if found := Lint(json.RawMessage(set), ""); len(found) != MaxFindings {
		t.Errorf("%d findings", len(found))
	}
	found, err := LintWarn.Apply(json.RawMessage(set), json.RawMessage(set))
	if len(found) != MaxFindings || err != nil {
		t.Errorf("%d findings, %v", len(found), err)
	}
}

// The largest set there is, made of what patterns like best, takes no time to speak of.
func TestLintIsBounded(t *testing.T) {
	for _, part := range []string{"a.", "1 ", "1-", "+1 ", "a@a.", "eyJ", "4111 ", "://:", "$2b$12$", "Bearer ", "tel:1 ", "RSSMRA", "(415) ", "lk_mgmt_", "12 ", "@"} {
		set := map[string]string{}
		for i := range MaxCount {
			set[fmt.Sprint("c", i)] = strings.Repeat(part, MaxValue/len(part))
		}
		raw, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		Lint(raw, "")
		// A hundred times what was measured, for slow machines and the race detector.
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%q: %v", part, took)
		} else {
			t.Logf("%q: %v", part, took)
		}
	}
	// Deeper than anything that is decoded.
	Lint(json.RawMessage(strings.Repeat(`[`, 9999)+strings.Repeat(`]`, 9999)), "")
}

func TestLintPolicies(t *testing.T) {
	claims, nsec := json.RawMessage(`{"mail":"alice@example.com","plan":"pro"}`), json.RawMessage(`{"x":{"password":"hunter2"}}`)
	for _, off := range []LintPolicy{LintOff, "", "else"} {
		if found, err := off.Apply(claims, nsec); found != nil || err != nil {
			t.Errorf("%q: %v %v", off, found, err)
		}
	}
	want := []string{"/claims/mail email", "/nsec/x/password password"}
	found, err := LintWarn.Apply(claims, nsec)
	if err != nil || !slices.Equal(shown(found), want) {
		t.Errorf("warn: %v %v", shown(found), err)
	}
	none, err := LintReject.Apply(claims, nsec)
	refusal, _ := err.(*fault.Error)
	if none != nil || refusal == nil || refusal.Kind != fault.Invalid || len(refusal.Fields) != 2 || !Rejected(err) {
		t.Fatalf("reject: %v %v", none, err)
	}
	for i, f := range refusal.Fields {
		if f.Pointer+" "+string(found[i].Kind) != want[i] || f.Code != "sensitive" || !strings.HasPrefix(f.Detail, found[i].Detail) {
			t.Errorf("%+v", f)
		}
	}
	if found, err := LintReject.Apply(json.RawMessage(`{"plan":"pro"}`), nil); len(found) > 0 || err != nil {
		t.Errorf("a clean set: %v %v", found, err)
	}
	mixed := fault.New(fault.Invalid, "").WithFields(append(refusal.Fields, fault.Field{Code: "type"})...)
	for _, other := range []error{nil, mixed, fault.New(fault.Invalid, ""), fault.New(fault.ReservedClaim, "").WithFields(refusal.Fields...)} {
		if Rejected(other) {
			t.Errorf("%v isn't the linter's alone", other)
		}
	}
	if News(found, found) || News(nil, found) || !News(found, found[:1]) || !News(found, nil) {
		t.Error("what is news")
	}
	if got := fmt.Sprint(Flagged(found)); got != "[map[kind:email pointer:/claims/mail] map[kind:password pointer:/nsec/x/password]]" {
		t.Errorf("the event says %s", got)
	}
}

func FuzzLint(f *testing.F) {
	for _, c := range texts {
		for _, s := range append(slices.Clone(c.yes), c.no...) {
			set, _ := json.Marshal(map[string]any{"note": s, "list": []string{s}, s: 1})
			f.Add(set)
		}
	}
	f.Add([]byte(`{"password":["a",1,null],"ssn":123456789,"pin":1234,"x":{"cvv":"123"}}`))
	f.Add([]byte(`[[[[{"a":"\u0000"}]]]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := Lint(b, "/claims")
		if len(found) > MaxFindings || len(found) > 0 && !json.Valid(b) {
			t.Fatalf("%d findings in %q", len(found), b)
		}
		for i, one := range found {
			if slices.Contains(found[:i], one) || !strings.HasPrefix(one.Pointer, "/claims") || one.Detail != one.Kind.detail() {
				t.Errorf("%+v in %q", one, b)
			}
			// The place itself has nothing in it that would be flagged.
			for part := range strings.SplitSeq(one.Pointer, "/") {
				if kinds := inText(strings.NewReplacer("~1", "/", "~0", "~").Replace(part)); len(kinds) > 0 {
					t.Errorf("the pointer %q holds %q", one.Pointer, kinds)
				}
			}
		}
		if again := Lint(b, "/claims"); !slices.Equal(again, found) {
			t.Errorf("%q gives %+v, then %+v", b, found, again)
		}
	})
}
