package claim

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// pointers returns where the fields of a refusal are.
func pointers(err error) (at []string) {
	var f *fault.Error
	if errors.As(err, &f) {
		for _, field := range f.Fields {
			at = append(at, field.Pointer+" "+field.Code)
		}
	}
	return at
}

func TestFinite(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0": true, "-0.0": true, "0e999999999": true, "1E-400": true, "-1e-400": true, "4.9e-324": true,
		"1e308": true, "1.7976931348623157e308": true, "-1.7976931348623157E+308": true, "9007199254740993": true,
		"1.7976931348623159e308": false, "1e309": false, "1e400": false, "-1E+400": false, "1e99999999999999999999": false,
		strings.Repeat("9", 308): true, strings.Repeat("9", 309): false, "-" + strings.Repeat("9", 309): false,
		strings.Repeat("9", 309) + "e-300": true, "0." + strings.Repeat("0", 400) + "1": true,
	} {
		if got := Finite(number); got != want {
			t.Errorf("Finite(%s) = %v", number, got)
		}
	}
}

func TestNumbersThatNobodyReadsAreRefused(t *testing.T) {
	long := strings.Repeat("9", 309)
	for name, c := range map[string]struct {
		in string
		at []string
	}{
		"the largest":     {`{"a":[1.7976931348623157e308,-1.7976931348623157e308,1e-400,-0]}`, nil},
		"in a text":       {`{"a":"1e400"}`, nil},
		"as a name":       {`{"1e400":1}`, nil},
		"alone":           {`{"a":1e400}`, []string{"/claims/a range"}},
		"negative":        {`{"a":-1E400}`, []string{"/claims/a range"}},
		"many digits":     {`{"a":` + long + `}`, []string{"/claims/a range"}},
		"below":           {`{"a":{"b/c":[1,{"d":1e309}]}}`, []string{"/claims/a/b~1c/1/d range"}},
		"all at once":     {`{"z":[1e400,2,1e401],"a":1e999,"m":"x"}`, []string{"/claims/a range", "/claims/z/0 range", "/claims/z/2 range"}},
		"with others":     {`{"iss":1e400,"b":1e400}`, []string{"/claims/b range", "/claims/iss reserved", "/claims/iss range"}},
		"with a size":     {`{"a":"` + strings.Repeat("x", MaxValue) + `","b":1e400}`, []string{"/claims/a size", "/claims/b range"}},
		"in what is long": {`{"a":["` + strings.Repeat("x", MaxValue) + `",1e400]}`, []string{"/claims/a size", "/claims/a/1 range"}},
		"a long name":     {`{"a":{"` + strings.Repeat("ä", 61) + `":1e400}}`, []string{"/claims/a/" + strings.Repeat("ä", 60) + " range"}},
	} {
		for _, parse := range []func(json.RawMessage, string) (json.RawMessage, error){Parse, ParseUntrusted} {
			got, err := parse(json.RawMessage(c.in), "/claims")
			want := c.at
			if name == "with others" && err != nil && pointers(err)[1] != c.at[1] {
				want = slices.Delete(slices.Clone(c.at), 1, 2) // in nsec nothing is reserved
			}
			if !slices.Equal(pointers(err), want) || (err == nil) != (len(want) == 0) || err == nil && string(got) != c.in {
				t.Errorf("%s: %s %v, want %v", name, got, err, want)
			}
		}
	}
	if _, err := Parse(json.RawMessage(`{"a":1e400}`), "/claims"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

// Hostile claims don't get an answer that is much larger than they are.
func TestNumbersThatNobodyReadsAreBounded(t *testing.T) {
	in := `{"a":[1e400` + strings.Repeat(`,1e400`, 10_000) + `],"b":[1e400` + strings.Repeat(`,1e400`, 70) + `]}`
	_, err := Parse(json.RawMessage(in), "/claims")
	if at := pointers(err); len(at) != 1+maxNumbers {
		t.Errorf("%d problems", len(at))
	}
}

// A merge looks at the numbers that it sets: one that is stored already must not refuse the
// change of something else.
func TestMergeLooksAtTheNumbersItSets(t *testing.T) {
	base := json.RawMessage(`{"old":1e400}`)
	if got, err := Merge(base, json.RawMessage(`{"a":1}`), "/claims", true); err != nil || string(got) != `{"a":1,"old":1e400}` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := Merge(base, json.RawMessage(`{"old":null}`), "/claims", true); err != nil || got != nil {
		t.Errorf("%s %v", got, err)
	}
	_, err := Merge(base, json.RawMessage(`{"a":[1,-1e400],"b":1e309}`), "/claims", true)
	if want := []string{"/claims/a/1 range", "/claims/b range"}; !slices.Equal(pointers(err), want) {
		t.Errorf("%v, want %v", err, want)
	}
}

// Whatever comes through can be read by encoding/json into float64, and is finite.
func FuzzNumbers(f *testing.F) {
	f.Add([]byte(`{"a":[1e400,-1E+308,{"b":1e-400}],"c":-0}`))
	f.Add([]byte(`{"a":"1e400","1e400":1}`))
	f.Add([]byte(`{"a":` + strings.Repeat("9", 309) + `}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseUntrusted(b, "/nsec")
		if err != nil || got == nil {
			return
		}
		var members map[string]any
		if err := json.Unmarshal(got, &members); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		var check func(v any)
		check = func(v any) {
			switch v := v.(type) {
			case float64:
				if math.IsInf(v, 0) {
					t.Errorf("%s has an infinite number", got)
				}
			case []any:
				for _, item := range v {
					check(item)
				}
			case map[string]any:
				for _, item := range v {
					check(item)
				}
			}
		}
		check(members)
	})
}
