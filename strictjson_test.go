package latchkey

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// readStrictly reads a text as one value of any kind, objects at top level by member.
func readStrictly(text string) (names []string, ok bool) {
	r := jsonReader{text: text}
	if r.peek() == '{' {
		o := jsonObject{jsonReader: &r}
		for _, more := o.member(); more; _, more = o.member() {
			r.value()
		}
		names = o.names
	} else {
		r.value()
	}
	r.end()
	return names, !r.bad
}

func TestStrictJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-1.5e+10`, `1E400`, `10`, `true`, `false`, `null`, "\t\r\n {\"a\" : [ 1 , {\"b\":null} ] }\n",
		`"\"\\\/\b\f\n\r\tA\uFFFF"`, `"\ud800"`, `"é€😀"`, "\"\x7f\"", `{"a":{"x":1,"x":2}}`, `{"a":1,"A":2,"":3}`,
		strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth),
	} {
		if _, ok := readStrictly(text); !ok {
			t.Errorf("%.60q is refused", text)
		}
	}
	for what, text := range map[string]string{
		"nothing": "", "space": " ", "a BOM": "\ufeff{}", "text behind": "{} {}", "a NUL behind": "{}\x00", "a bracket behind": "{}}",
		"a name twice": `{"a":1,"b":2,"a":1}`, "a name twice, escaped": `{"a":1,"\u0061":1}`,
		"a trailing comma": `{"a":1,}`, "a trailing comma in a list": `[1,]`, "no comma": `{"a":1 "b":2}`, "a comma first": `[,1]`, "two commas": `[1,,2]`,
		"no colon": `{"a" 1}`, "no value": `{"a":}`, "no name": `{1:2}`, "a bare name": `{a:1}`, "single quotes": `{'a':1}`, "open": `{"a":1`, "open list": `[1`, "open string": `"a`,
		"wrong bracket": `[1}`, "a comment": `{/**/}`, "a leading zero": `01`, "a plus": `+1`, "no digit": `-`, "no fraction": `1.`, "no whole": `.5`, "no exponent": `1e`, "hex": `0x1`,
		"NaN": `NaN`, "Infinity": `Infinity`, "half a literal": `tru`, "a literal in capitals": `True`, "a literal and more": `nullx`,
		"a control character": "\"a\nb\"", "a raw NUL": "\"\x00\"", "an unknown escape": `"\x41"`, "half an escape": `"\u12"`, "half an escape at the end": `"\`, "no hex": `"\u12g4"`,
		"invalid UTF-8": "\"\xff\"", "an overlong form": "\"\xc0\xaf\"", "a surrogate in UTF-8": "\"\xed\xa0\x80\"", "invalid UTF-8 in a name": "{\"\xff\":1}",
		"half a pair in a name": `{"\ud800":1}`, "a form feed": "\f{}", "a no-break space": "\u00a0{}",
		"too deep": strings.Repeat("[", maxJSONDepth+1) + strings.Repeat("]", maxJSONDepth+1), "deep and open": strings.Repeat(`{"a":`, 100_000),
	} {
		if names, ok := readStrictly(text); ok {
			t.Errorf("%s is read: %q", what, names)
		}
	}
}

func TestStrictJSONBounds(t *testing.T) {
	object := func(n int) string {
		var members []string
		for i := range n {
			members = append(members, `"`+strings.Repeat("x", i)+`":1`)
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	for n, want := range map[int]bool{maxJSONMembers: true, maxJSONMembers + 1: false} {
		if _, ok := readStrictly(object(n)); ok != want {
			t.Errorf("%d members: %v", n, ok)
		}
	}
	for n, want := range map[int]bool{maxJSONElements: true, maxJSONElements + 1: false} {
		r := jsonReader{text: "[" + strings.Repeat(`"",`, n-1) + `""]`}
		if list := r.strings(); r.bad == want || len(list) > maxJSONElements {
			t.Errorf("%d elements: %d, %v", n, len(list), r.bad)
		}
	}
}

func TestStrictJSONStrings(t *testing.T) {
	for text, want := range map[string]string{
		`"plain"`: "plain", `"é😀"`: "é😀", `"\u00e9\ud83d\ude00!"`: "é😀!", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u0000"`: "\x00", `""`: "",
	} {
		r := jsonReader{text: text}
		if got := r.str(); got != want || r.bad {
			t.Errorf("%s is %q", text, got)
		}
	}
	for _, text := range []string{`"\ud800"`, `"\udc00\ud800"`, `"\ud800x"`, `"\ud800\u0041"`, `"\ud800\ud800"`, `1`, `null`, `["a"]`} {
		r := jsonReader{text: text}
		if got := r.str(); !r.bad {
			t.Errorf("%s is %q", text, got)
		}
	}
}

func TestNatural(t *testing.T) {
	for text, want := range map[string]int64{`0`: 0, `7`: 7, ` 100`: 100} {
		r := jsonReader{text: text}
		if got := r.natural(100); got != want || r.bad {
			t.Errorf("%s is %d", text, got)
		}
	}
	for _, text := range []string{`101`, `-1`, `-0`, `1.0`, `1e2`, `1E0`, `"1"`, `true`, `null`, `[1]`, ``, `18446744073709551617`, `1e400`, `0.5`} {
		r := jsonReader{text: text}
		if got := r.natural(100); !r.bad || got != 0 {
			t.Errorf("%s is %d", text, got)
		}
	}
}

// Whatever is read strictly, encoding/json reads as well and the same.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"\u00e9\ud83d\ude00",{"b":null}],"c":-1.5e3}`, `{"a":1,"a":2}`, "\ufeff{}", `"\ud800"`, `{"\ud83d\ude00":"é"} `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, ok := readStrictly(text)
		if !ok {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is read, but isn't JSON", text)
		}
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &members) == nil && members != nil {
			if len(members) != len(names) {
				t.Errorf("%q has members %q", text, names)
			}
			for name := range members {
				if !slices.Contains(names, name) {
					t.Errorf("%q has no member %q", text, name)
				}
			}
		}
		r, s := jsonReader{text: text}, ""
		if got := r.str(); !r.bad && (json.Unmarshal([]byte(text), &s) != nil || s != got) {
			t.Errorf("%q is %q, want %q", text, got, s)
		}
	})
}
