package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// text is a string of a document: pieces that stand for themselves, and expressions.
type text struct {
	pieces []piece
}

// piece is one of the two.
type piece struct {
	plain string
	expr  *expression
}

func (t text) constant() bool {
	return len(t.pieces) == 0 || len(t.pieces) == 1 && t.pieces[0].expr == nil
}

// single returns the expression of a text that is nothing else.
func (t text) single() *expression {
	if len(t.pieces) == 1 {
		return t.pieces[0].expr
	}
	return nil
}

// text takes a string apart and compiles what is between {{ and }}.
func (p *parser) text(s, at string) text {
	var t text
	for s != "" {
		open := strings.Index(s, "{{")
		if open < 0 {
			t.pieces = append(t.pieces, piece{plain: s})
			break
		}
		if open > 0 {
			t.pieces = append(t.pieces, piece{plain: s[:open]})
		}
		end := endOf(s[open+2:])
		if end < 0 {
			p.refuse(at, "format", fmt.Sprintf("The {{ at byte %d isn't closed by }}. Two braces that mean themselves are written {{ \"{{\" }}.", open))
			break
		}
		if e := p.expression(s[open+2:open+2+end], at); e != nil {
			t.pieces = append(t.pieces, piece{expr: e})
		}
		s = s[open+2+end+2:]
	}
	return t
}

// endOf returns where the }} stands that ends an expression, -1 when there is none. Braces
// of maps and those inside of CEL's strings don't count.
func endOf(s string) int {
	nesting := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"', c == '\'':
			n := quoted(s[i:], raw(s[:i]))
			if n < 0 {
				return -1
			}
			i += n
			continue
		case c == '{':
			nesting++
		case c == '}' && nesting > 0:
			nesting--
		case strings.HasPrefix(s[i:], "}}"):
			return i
		}
		i++
	}
	return -1
}

// raw reports whether a string literal behind s is a raw one: r"…", br"…".
func raw(s string) bool { return strings.HasSuffix(strings.ToLower(s), "r") }

// quoted returns the length of the string literal that s begins with, -1 when it doesn't
// end.
func quoted(s string, raw bool) int {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		if s[i] == '\\' && !raw {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], quote) {
			return i + len(quote)
		}
	}
	return -1
}

// Reasons of failures.
const (
	errType   = "The value has a type that can't stand here."
	errName   = "A text is wanted."
	errNumber = "The value is a number that JSON can't hold."
)

// write encodes the text as a claim or a part of one.
func (t text) write(w *writer, at string) bool {
	if e := t.single(); e != nil {
		v, why := e.eval(w.s)
		if why != "" {
			w.fail(at, why)
			return true
		}
		if kind := emptyValue(v); kind != "" {
			return w.nothing(kind)
		}
		if why := encode(w, v, 0); why != "" {
			w.fail(at, why)
		}
		return true
	}
	joined, why := t.join(w.s)
	switch {
	case why != "":
		w.fail(at, why)
	case joined == "":
		return w.nothing(`""`)
	default:
		writeString(w.Buffer, joined)
	}
	return true
}

// join puts the values of the expressions into the text.
func (t text) join(s *scope) (joined, why string) {
	var out strings.Builder
	for _, part := range t.pieces {
		if part.expr == nil {
			out.WriteString(part.plain)
			continue
		}
		v, why := part.expr.eval(s)
		if why != "" {
			return "", why
		}
		word, ok := asText(v)
		if !ok {
			return "", notText(v)
		}
		out.WriteString(word)
		if out.Len() > maxText {
			return "", errTextLong
		}
	}
	return out.String(), ""
}

// asText returns how a value looks inside a text.
func asText(v ref.Val) (string, bool) {
	if emptyValue(v) != "" {
		return "", true
	}
	switch v := unwrap(v).(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return strconv.FormatInt(int64(v), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), true
	case types.Bool:
		return strconv.FormatBool(bool(v)), true
	case types.Double:
		return formatFloat(float64(v))
	case types.Timestamp, types.Duration:
		s, ok := v.ConvertToType(types.StringType).(types.String)
		return string(s), ok
	}
	return "", false
}

// notText says why a value can't be put into a text.
func notText(v ref.Val) string {
	if _, number := unwrap(v).(types.Double); number {
		return errNumber
	}
	return errType
}

// name returns a text that may be a subject, "" when it is empty or failed.
func (t text) name(s *scope, at string, failures *[]Failure) string {
	names, why := t.names(s)
	if why == "" && len(names) > 1 {
		why = errName
	}
	if why != "" {
		*failures = append(*failures, Failure{at, why})
		return ""
	}
	return strings.Join(names, "")
}

// names returns what may stand in an audience: none for an empty value, and several when
// the text is an expression that gives a list.
func (t text) names(s *scope) (list []string, why string) {
	e := t.single()
	if e == nil {
		joined, why := t.join(s)
		if why != "" || joined == "" {
			return nil, why
		}
		return []string{joined}, nameRefusal(joined)
	}
	v, why := e.eval(s)
	if why != "" || emptyValue(v) != "" {
		return nil, why
	}
	v = unwrap(v)
	values := []ref.Val{v}
	if l, ok := v.(traits.Lister); ok {
		values = values[:0]
		for it := l.Iterator(); it.HasNext() == types.True; {
			if values = append(values, it.Next()); len(values) > MaxAudience {
				return nil, fmt.Sprintf("There are more than %d entries.", MaxAudience)
			}
		}
	}
	for _, v := range values {
		word, ok := unwrap(v).(types.String)
		if !ok {
			return nil, errName
		}
		if why := nameRefusal(string(word)); why != "" {
			return nil, why
		}
		list = append(list, string(word))
	}
	return list, ""
}

// nameRefusal says why a text can't be an audience or a subject.
func nameRefusal(s string) string {
	if s == "" || len(s) > MaxName || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Sprintf("1 to %d bytes without control characters are wanted.", MaxName)
	}
	return ""
}

// foreignID reports whether a subject has the form of an identifier that the server gives.
func foreignID(s string) bool {
	for _, prefix := range []string{"usr_", "ak_"} {
		if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}
