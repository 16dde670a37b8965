package claim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestParse(t *testing.T) {
	many := map[string]int{}
	for i := range MaxCount + 1 {
		many[fmt.Sprint("c", i)] = i
	}
	tooMany, _ := json.Marshal(many)
	for name, c := range map[string]struct {
		in, want string
		kind     fault.Kind
		pointers []string
	}{
		"nothing":         {in: ``},
		"null":            {in: `null`},
		"empty":           {in: ` {} `},
		"canonical":       {in: `{ "b" : [1, 2] , "a":"x" }`, want: `{"a":"x","b":[1,2]}`},
		"number kept":     {in: `{"n":1.50e+3,"z":-0}`, want: `{"n":1.50e+3,"z":-0}`},
		"not an object":   {in: `[1]`, kind: fault.Invalid, pointers: []string{"/claims"}},
		"string":          {in: `"x"`, kind: fault.Invalid, pointers: []string{"/claims"}},
		"reserved":        {in: `{"roles":["admin"]}`, kind: fault.ReservedClaim, pointers: []string{"/claims/roles"}},
		"reserved case":   {in: `{"SUB":"x"}`, kind: fault.ReservedClaim, pointers: []string{"/claims/SUB"}},
		"reserved folded": {in: `{"ſid":"x","toKen":1}`, kind: fault.ReservedClaim, pointers: []string{"/claims/ſid"}},
		"empty name":      {in: `{"":1}`, kind: fault.Invalid, pointers: []string{"/claims"}},
		"control":         {in: `{"a\nb":1}`, kind: fault.Invalid, pointers: []string{"/claims/a\nb"}},
		"name at limit":   {in: `{"` + strings.Repeat("n", 60) + `":1}`, want: `{"` + strings.Repeat("n", 60) + `":1}`},
		"name over limit": {in: `{"` + strings.Repeat("n", 61) + `":1}`, kind: fault.ClaimsTooLarge, pointers: []string{"/claims/" + strings.Repeat("n", 60)}},
		"value at limit":  {in: `{"a":"` + strings.Repeat("é", 498) + `"}`, want: `{"a":"` + strings.Repeat("é", 498) + `"}`},
		"value over":      {in: `{"a":"` + strings.Repeat("é", 499) + `"}`, kind: fault.ClaimsTooLarge, pointers: []string{"/claims/a"}},
		"too many":        {in: string(tooMany), kind: fault.ClaimsTooLarge, pointers: []string{"/claims"}},
		"all at once": {in: `{"iss":1,"x/y~":"` + strings.Repeat("v", 600) + `","exp":2}`, kind: fault.ReservedClaim,
			pointers: []string{"/claims/exp", "/claims/iss", "/claims/x~1y~0"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(json.RawMessage(c.in), "/claims")
			if string(got) != c.want || (err != nil) != (c.pointers != nil) {
				t.Fatalf("got %s, %v", got, err)
			}
			if err == nil {
				return
			}
			var f *fault.Error
			errors.As(err, &f)
			var at []string
			for _, field := range f.Fields {
				at = append(at, field.Pointer)
			}
			if f.Kind != c.kind || !slices.Equal(at, c.pointers) {
				t.Errorf("%v at %v, want %v at %v", f.Kind, at, c.kind, c.pointers)
			}
		})
	}
}

func TestUntrustedMayUseReservedNames(t *testing.T) {
	got, err := ParseUntrusted(json.RawMessage(`{"roles":["x"]}`), "/nsec")
	if err != nil || string(got) != `{"roles":["x"]}` {
		t.Errorf("%s %v", got, err)
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ base, patch, want string }{
		{``, `{"a":1}`, `{"a":1}`},
		{`{"a":1,"b":2}`, `{"a":null,"c":3}`, `{"b":2,"c":3}`},
		{`{"a":1}`, `{"a":null}`, ``},
		{`{"a":{"x":1}}`, `{"a":{"y":2}}`, `{"a":{"y":2}}`},
		{`{"a":1}`, ``, `{"a":1}`},
	} {
		got, err := Merge(json.RawMessage(c.base), json.RawMessage(c.patch), "/claims", true)
		if err != nil || string(got) != c.want {
			t.Errorf("%s + %s = %s, %v; want %s", c.base, c.patch, got, err, c.want)
		}
	}
	if _, err := Merge(nil, json.RawMessage(`{"sub":1}`), "/claims", true); fault.KindOf(err) != fault.ReservedClaim {
		t.Error("a patch may not set a reserved claim:", err)
	}
	if _, err := Merge(json.RawMessage(`[]`), nil, "/claims", true); err == nil {
		t.Error("a damaged base must not be taken for an empty one")
	}
	if _, err := Merge(nil, json.RawMessage(`3`), "/claims", true); err == nil {
		t.Error("a patch that is no object must be refused")
	}
}

func TestFit(t *testing.T) {
	if err := Fit("refresh token", MaxCookie, MaxCookie); err != nil {
		t.Error(err)
	}
	err := Fit("refresh token", MaxCookie+1, MaxCookie, json.RawMessage(`{"small":1,"large":"xxxxxxxx"}`), json.RawMessage(`{"mid":"xx"}`))
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.ClaimsTooLarge || len(f.Fields) != 3 || f.Fields[0].Pointer != "/claims/large" {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,null,"x"]}}`))
	f.Add([]byte(`{"sub":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b, "/claims")
		if err != nil || got == nil {
			return
		}
		again, err := Parse(got, "/claims")
		if err != nil || string(again) != string(got) {
			t.Errorf("%s isn't canonical: %s %v", got, again, err)
		}
		var members map[string]any
		if json.Unmarshal(got, &members) == nil {
			for name := range members {
				if Reserved(name) {
					t.Errorf("reserved name %q came through", name)
				}
			}
		}
	})
}
