package latchkey

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestErrorSaysWhatHappened(t *testing.T) {
	for want, e := range map[string]*Error{
		"latchkey: conflict (409): Taken. [request r1]":                              {Problem: Problem{Code: CodeConflict, Status: 409, Title: "Conflict", Detail: "Taken.", RequestID: "r1"}},
		"latchkey: status 502: Bad Gateway":                                          {Problem: Problem{Status: 502, Title: "Bad Gateway"}},
		"latchkey: invalid_request (400): No. /a: Wanted. /b: Too long. [request r]": {Problem: Problem{Code: CodeInvalidRequest, Status: 400, Detail: "No.", RequestID: "r", Errors: []FieldError{{Pointer: "/a", Detail: "Wanted."}, {Pointer: "/b", Detail: "Too long."}}}},
		"latchkey: status 400 /: x /: x /: x /: x /: x And 2 more.":                  {Problem: Problem{Status: 400, Errors: slices.Repeat([]FieldError{{Pointer: "/", Detail: "x"}}, 7)}},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCodeOfAndIsTerminal(t *testing.T) {
	over := &Error{Problem: Problem{Code: CodeTokenReuse, Status: 401, Terminal: true}}
	for _, test := range []struct {
		err      error
		code     Code
		terminal bool
	}{
		{nil, "", false},
		{errors.New("token_reuse"), "", false},
		{over, CodeTokenReuse, true},
		{fmt.Errorf("refreshing: %w", over), CodeTokenReuse, true},
		{&Error{Problem: Problem{Code: CodeRateLimited, Status: 429}}, CodeRateLimited, false},
	} {
		if CodeOf(test.err) != test.code || IsTerminal(test.err) != test.terminal {
			t.Errorf("%v: got %q, %v", test.err, CodeOf(test.err), IsTerminal(test.err))
		}
	}
}
