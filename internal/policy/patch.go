package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

const (
	// maxDepth is more than settings need, so that a member at the wrong place is
	// still reported by its name.
	maxDepth = 8
	// maxMember bounds how much of an unknown member's name an error repeats.
	maxMember = 64
)

// Patch returns current changed by a JSON merge patch (RFC 7396): members left out
// keep their value, null puts the default back, delivery and cookies are merged member
// by member, lists are replaced. current is not changed.
//
// A patch that can't be applied changes nothing; the error is a *fault.Error of kind
// Invalid whose Fields hold every problem at once, with JSON pointers into the patch:
// unknown members (names are case-sensitive), members that stand twice, wrong types, and
// what Check has against the values that could be read. Of a patch that can be applied,
// Check decides whether the result is allowed; the caller runs it. The caller bounds the
// length of the patch.
func Patch(current latchkey.Settings, patch []byte) (latchkey.Settings, error) {
	var p problems
	next, defaults := Complete(current), Defaults()
	if p.readable(patch) {
		p.merge("", patch, reflect.ValueOf(&next).Elem(), reflect.ValueOf(&defaults).Elem())
	}
	if len(p) > 0 {
		_, refused := Check(next, "")
		p.values(refused)
		return latchkey.Settings{}, fault.New(fault.Invalid, "this change of settings can't be read").WithFields(p...)
	}
	return next, nil
}

// readable tells whether patch is JSON of a bounded depth.
func (p *problems) readable(patch []byte) bool {
	var whole json.RawMessage
	err := json.Unmarshal(patch, &whole)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		p.add("", codeFormat, "the body is not JSON: it breaks at byte %d", syntax.Offset)
	case err != nil || !utf8.Valid(patch):
		// encoding/json replaces what is not UTF-8 without a word.
		p.add("", codeFormat, "the body is not JSON in UTF-8")
	case deep(patch):
		p.add("", codeSize, "the body is nested deeper than %d levels", maxDepth)
	}
	return len(*p) == 0
}

func deep(valid []byte) bool {
	depth := 0
	for tokens := json.NewDecoder(bytes.NewReader(valid)); ; {
		token, err := tokens.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return true
		}
	}
}

// merge applies the object raw, which stands at the pointer, to the struct into. It
// reads the members itself since encoding/json ignores case and lets the last of two
// equal names win: the change that was reviewed would not be the one that is made.
func (p *problems) merge(pointer string, raw []byte, into, defaults reflect.Value) {
	members := json.NewDecoder(bytes.NewReader(raw))
	if start, err := members.Token(); err != nil || start != json.Delim('{') {
		p.add(pointer, codeType, "an object is wanted")
		return
	}
	seen := map[string]int{}
	for members.More() {
		token, err := members.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || members.Decode(&value) != nil {
			p.add(pointer, codeFormat, "the object can't be read")
			return
		}
		at := pointer + "/" + escape(name)
		if seen[name]++; seen[name] > 1 {
			if seen[name] == 2 {
				p.add(at, codeDuplicate, "the member stands here more than once")
			}
			continue
		}
		field := member(into.Type(), name)
		if field < 0 {
			p.add(at, codeUnknown, "%s", unknown(into.Type(), name))
			continue
		}
		p.set(at, value, into.Field(field), defaults.Field(field))
	}
}

// member returns the index of the field of t that has the JSON name, or -1.
func member(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return i
		}
	}
	return -1
}

// escape makes name a reference token of a JSON pointer (RFC 6901, 3).
func escape(name string) string {
	if utf8.RuneCountInString(name) > maxMember {
		name = string([]rune(name)[:maxMember]) + "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// unknown says what is wrong with a member that t doesn't have.
func unknown(t reflect.Type, name string) string {
	if t == reflect.TypeFor[latchkey.TenantSettings]() && member(reflect.TypeFor[latchkey.Settings](), name) >= 0 {
		return "this is decided by the project alone"
	}
	return "there is no setting of this name"
}

func (p *problems) set(pointer string, raw json.RawMessage, into, defaults reflect.Value) {
	if string(raw) == "null" {
		into.Set(defaults)
		return
	}
	if into.Kind() == reflect.Pointer {
		// A value of its own: what the pointer leads to may be somebody else's, too.
		fresh := reflect.New(into.Type().Elem())
		p.set(pointer, raw, fresh.Elem(), reflect.Zero(into.Type().Elem()))
		into.Set(fresh)
		return
	}
	switch v := into.Addr().Interface().(type) {
	case *latchkey.Duration:
		p.duration(pointer, raw, v)
	case *latchkey.RateLimit:
		p.rateLimit(pointer, raw, v)
	case *int:
		p.whole(pointer, raw, v, "a whole number is wanted")
	case *bool:
		p.decode(pointer, raw, v, "true or false is wanted")
	case *string:
		p.decode(pointer, raw, v, "a string is wanted")
	case *[]string:
		p.list(pointer, raw, v)
	default:
		p.merge(pointer, raw, into, defaults)
	}
}

func (p *problems) decode(pointer string, raw json.RawMessage, into any, wanted string) bool {
	if err := json.Unmarshal(raw, into); err != nil {
		p.add(pointer, codeType, "%s", wanted)
		return false
	}
	return true
}

func (p *problems) duration(pointer string, raw json.RawMessage, into *latchkey.Duration) {
	var text string
	if !p.decode(pointer, raw, &text, `a duration in a string is wanted, such as "90s", "10m", "28d" or "off"`) {
		return
	}
	d, err := latchkey.ParseDuration(text)
	if err != nil {
		p.add(pointer, codeFormat, "%v", err)
		return
	}
	*into = d
}

func (p *problems) rateLimit(pointer string, raw json.RawMessage, into *latchkey.RateLimit) {
	var text string
	if json.Unmarshal(raw, &text) == nil && text == "auto" {
		*into = 0
		return
	}
	var n int
	if !p.whole(pointer, raw, &n, `"auto" or a whole number is wanted`) {
		return
	}
	if n == 0 {
		// As a value, zero means auto. As a number it is out of range, which is for
		// Check to say, so let it be another number that is.
		n = -1
	}
	*into = latchkey.RateLimit(n)
}

// whole reads a whole number. One that doesn't fit into an int becomes the largest or
// smallest that does, so that Check refuses it with the range.
func (p *problems) whole(pointer string, raw json.RawMessage, into *int, wanted string) bool {
	n, err := strconv.ParseInt(string(raw), 10, strconv.IntSize)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		p.add(pointer, codeType, "%s", wanted)
		return false
	}
	*into = int(n)
	return true
}

// list reads a list of strings entry by entry, since encoding/json takes null for an
// empty string.
func (p *problems) list(pointer string, raw json.RawMessage, into *[]string) {
	var values []json.RawMessage
	if !p.decode(pointer, raw, &values, "a list of strings is wanted") {
		return
	}
	list := make([]string, len(values))
	for i, value := range values {
		if value[0] != '"' {
			p.add(pointer+"/"+strconv.Itoa(i), codeType, "a string is wanted")
			continue
		}
		p.decode(pointer+"/"+strconv.Itoa(i), value, &list[i], "a string is wanted")
	}
	*into = list
}
