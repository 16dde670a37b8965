package wire

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestDecodeKnown(t *testing.T) {
	many := `{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj"`
	for i := range maxProblems {
		many += `,"m` + strings.Repeat("m", i) + `":1`
	}
	for name, c := range map[string]struct {
		body    string
		unknown int  // members that are told, while the others are read
		refused bool // whatever can be read
	}{
		"nothing":                       {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"]}`, 0, false},
		"a member":                      {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"],"colour":1,"shape":{"x":[1]}}`, 2, false},
		"below":                         {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"],"device":{"ip":"a","os":1}}`, 1, false},
		"with a wrong type":             {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":"pwd","colour":1}`, 0, true},
		"with one that is missing":      {`{"colour":1}`, 0, true},
		"twice":                         {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"],"colour":1,"colour":2}`, 0, true},
		"twice below":                   {`{"name":"abc","user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"],"colour":{"a":1,"a":2}}`, 0, true},
		"so many that the rest is lost": {many + `}`, 0, true},
		"no JSON":                       {`{"colour":1`, 0, true},
	} {
		var got, want signIn
		unknown, err := DecodeKnown(post(c.body), MaxBody, &got)
		if len(unknown) != c.unknown || (err != nil) != c.refused {
			t.Errorf("%s: %v, %v", name, unknown, err)
		}
		strictErr := Decode(post(c.body), MaxBody, &want)
		switch {
		case c.unknown == 0 && (!reflect.DeepEqual(got, want) || (strictErr == nil) != (err == nil)):
			t.Errorf("%s: not as Decode does it: %+v, %v", name, got, strictErr)
		case c.unknown > 0 && !reflect.DeepEqual(problems(t, unknown.With(nil)), problems(t, strictErr)):
			t.Errorf("%s: refused with %v, want %v", name, unknown.With(nil), strictErr)
		case c.unknown > 0 && got.Name != "abc":
			t.Errorf("%s: the members that are known weren't read: %+v", name, got)
		}
	}
}

func TestDecodeRawKnown(t *testing.T) {
	var got signInDevice
	unknown, err := DecodeRawKnown([]byte(`{"ip":"a","os":1}`), "/device", &got)
	if err != nil || len(unknown) != 1 || unknown[0].Pointer != "/device/os" || got.IP != "a" {
		t.Errorf("%+v %v %v", got, unknown, err)
	}
	if _, err := DecodeRawKnown([]byte(`{"ip":1,"os":1}`), "/device", &got); len(problems(t, err)) != 2 {
		t.Errorf("%v", err)
	}
}

func TestUnknownWith(t *testing.T) {
	field := func(pointer string) fault.Field { return fault.Field{Pointer: pointer, Code: "format", Detail: "no"} }
	refusal := func(k fault.Kind, pointers ...string) error {
		err := fault.New(k, "This is wrong.")
		for _, p := range pointers {
			err = err.WithFields(field(p))
		}
		return err
	}
	unknown := Unknown{{Pointer: "/x", Code: "unknown", Detail: "there is no such member"}}
	for name, c := range map[string]struct {
		unknown Unknown
		errs    []error
		kind    fault.Kind
		want    string // pointers; "-" for no error
	}{
		"nothing":                  {nil, []error{nil, nil}, 0, "-"},
		"a refusal":                {nil, []error{nil, refusal(fault.OutOfRange, "/a")}, fault.OutOfRange, "/a"},
		"two refusals":             {nil, []error{refusal(fault.ReservedClaim, "/a"), refusal(fault.Invalid, "/b", "/a")}, fault.ReservedClaim, "/a /b"},
		"unknown":                  {unknown, []error{nil}, fault.Invalid, "/x"},
		"unknown and wrong":        {unknown, []error{refusal(fault.ClaimsTooLarge, "/a"), refusal(fault.TemplateInvalid, "/b")}, fault.Invalid, "/x /a /b"},
		"told by others already":   {unknown, []error{fault.New(fault.Invalid, "").WithFields(append(unknown, field("/a"))...)}, fault.Invalid, "/x /a"},
		"nobody of that name":      {unknown, []error{refusal(fault.NotFound)}, fault.Invalid, "/x"},
		"nobody, and nothing else": {nil, []error{refusal(fault.NotFound, "/u"), refusal(fault.Invalid, "/a")}, fault.NotFound, "/u"},
		"not about the request":    {unknown, []error{refusal(fault.Invalid, "/a"), fault.New(fault.Unavailable, "")}, fault.Unavailable, ""},
		"a bug":                    {unknown, []error{errors.New("canary")}, fault.Internal, ""},
		"given up":                 {unknown, []error{context.Canceled}, fault.Internal, ""},
	} {
		err := c.unknown.With(c.errs...)
		var at []string
		var f *fault.Error
		if errors.As(err, &f) {
			for _, field := range f.Fields {
				at = append(at, field.Pointer)
			}
		}
		if got := strings.Join(at, " "); err == nil != (c.want == "-") || err != nil && (got != c.want || fault.KindOf(err) != c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(unknown) != 1 {
		t.Errorf("what was unknown has changed: %v", unknown)
	}
}
