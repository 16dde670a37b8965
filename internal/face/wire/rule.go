package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// rules are the constraints that the tags of a struct field state. They are the tags
// from which OpenAPI is generated, so the description and the behaviour are one.
type rules struct {
	min, max       *float64
	minLen, maxLen *int
	minItems       *int
	maxItems       *int
	enum           []string
	pattern        *regexp.Regexp
	fallback       *string // the default tag: the value of an absent member
}

// unenforced are schema tags that would appear in OpenAPI but that rules doesn't
// check. A plan refuses them, because a documented promise that nobody keeps is worse
// than none.
var unenforced = []string{
	"exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems", "const", "minProperties", "maxProperties",
}

// readRules reads the tags of a field whose values have shape s.
func readRules(tag reflect.StructTag, s shape) (rules, error) {
	var r rules
	for _, name := range unenforced {
		if _, found := tag.Lookup(name); found {
			return r, fmt.Errorf("the tag %s isn't enforced", name)
		}
	}
	read := tagReader{tag: tag, shape: s}
	r.min, r.max = read.number("minimum"), read.number("maximum")
	r.minLen, r.maxLen = read.size("minLength", shapeText), read.size("maxLength", shapeText)
	r.minItems, r.maxItems = read.size("minItems", shapeList), read.size("maxItems", shapeList)
	r.enum, r.pattern = read.enum(), read.pattern()
	if text, found := tag.Lookup("default"); found {
		read.fits("default", s.scalar())
		r.fallback = &text
	}
	return r, read.err
}

// tagReader reads tags until one of them is wrong.
type tagReader struct {
	tag   reflect.StructTag
	shape shape
	err   error
}

func (t *tagReader) fits(name string, ok bool) {
	if !ok && t.err == nil {
		t.err = fmt.Errorf("the tag %s doesn't apply to %s", name, t.shape)
	}
}

func (t *tagReader) number(name string) *float64 {
	text, found := t.tag.Lookup(name)
	if !found {
		return nil
	}
	t.fits(name, t.shape.number())
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("the tag %s: %w", name, err)
	}
	return &f
}

func (t *tagReader) size(name string, s shape) *int {
	text, found := t.tag.Lookup(name)
	if !found {
		return nil
	}
	t.fits(name, t.shape == s)
	n, err := strconv.Atoi(text)
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("the tag %s: %w", name, err)
	}
	return &n
}

// enum reads the two spellings that schema generation knows: a JSON array of strings,
// or a list with commas.
func (t *tagReader) enum() []string {
	text, found := t.tag.Lookup("enum")
	if !found {
		return nil
	}
	t.fits("enum", t.shape == shapeText)
	var words []string
	if json.Unmarshal([]byte(text), &words) == nil {
		return words
	}
	return strings.Split(text, ",")
}

func (t *tagReader) pattern() *regexp.Regexp {
	text, found := t.tag.Lookup("pattern")
	if !found {
		return nil
	}
	t.fits("pattern", t.shape == shapeText)
	re, err := regexp.Compile(text) // RE2: linear time, whatever the input
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("the tag pattern: %w", err)
	}
	return re
}

// issue is what is wrong with one value, as part of a sentence; the zero value is
// "nothing".
type issue struct{ code, detail string }

// field returns the issue of the value at pointer.
func (i issue) field(pointer string) fault.Field {
	return fault.Field{Pointer: pointer, Code: i.code, Detail: i.detail}
}

// checkText returns what is wrong with a text. Lengths count characters (code
// points), as JSON Schema does.
func (r *rules) checkText(s string) issue {
	if r.minLen != nil || r.maxLen != nil {
		if out := outside(utf8.RuneCountInString(s), r.minLen, r.maxLen, "characters"); out != "" {
			return issue{"size", out}
		}
	}
	if len(r.enum) > 0 && !slices.Contains(r.enum, s) {
		return issue{"range", "must be one of " + quoted(r.enum)}
	}
	if r.pattern != nil && !r.pattern.MatchString(s) {
		return issue{"format", "must match " + r.pattern.String()}
	}
	return issue{}
}

func (r *rules) checkItems(n int) issue {
	if out := outside(n, r.minItems, r.maxItems, "items"); out != "" {
		return issue{"size", out}
	}
	return issue{}
}

func (r *rules) checkNumber(f float64) issue {
	if r.min != nil && f < *r.min || r.max != nil && f > *r.max {
		return issue{"range", "must be " + r.interval()}
	}
	return issue{}
}

func (r *rules) interval() string {
	switch {
	case r.min == nil:
		return "at most " + decimal(*r.max)
	case r.max == nil:
		return "at least " + decimal(*r.min)
	}
	return "from " + decimal(*r.min) + " to " + decimal(*r.max)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func outside(n int, low, high *int, unit string) string {
	if low != nil && n < *low {
		return fmt.Sprintf("must have at least %d %s", *low, unit)
	}
	if high != nil && n > *high {
		return fmt.Sprintf("must have at most %d %s, has %d", *high, unit, n)
	}
	return ""
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}
