package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// The stable words of fault.Field that settings can earn.
const (
	codeUnknown       = "unknown"
	codeType          = "type"
	codeRange         = "range"
	codeFormat        = "format"
	codeDuplicate     = "duplicate"
	codeContradiction = "contradiction"
	codeSize          = "size"
)

// maxProblems bounds the answer to a body full of unknown members. It is more than
// Check can find in any settings, so Check is never cut short.
const maxProblems = 400

// problems collects all that is wrong, so that a caller repairs it in one go.
type problems []fault.Field

func (p *problems) add(pointer, code, format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, fault.Field{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
	}
}

// clash reports one contradiction at both of its settings: either may be the wrong one.
func (p *problems) clash(one, other, format string, args ...any) {
	p.add(one, codeContradiction, format, args...)
	p.add(other, codeContradiction, format, args...)
}

// values adds what Check refused about the members that could be read, so that one answer
// names all of it. Contradictions aren't added: the member that couldn't be read might
// have resolved them.
func (p *problems) values(err error) {
	var refused *fault.Error
	if !errors.As(err, &refused) {
		return
	}
	for _, f := range refused.Fields {
		if f.Code != codeContradiction && !p.at(f.Pointer) {
			p.add(f.Pointer, f.Code, "%s", f.Detail)
		}
	}
}

// at tells whether something is wrong with the setting at pointer.
func (p problems) at(pointer string) bool {
	return slices.ContainsFunc(p, func(f fault.Field) bool { return f.Pointer == pointer })
}

// kind returns the kind of the worst problem.
func (p problems) kind() fault.Kind {
	kind := fault.Invalid
	for _, f := range p {
		switch f.Code {
		case codeRange:
			return fault.OutOfRange
		case codeContradiction:
			kind = fault.Contradiction
		}
	}
	return kind
}
