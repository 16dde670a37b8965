package latchkey

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read as JSON.
const (
	// maxJSONDepth is more than any token needs: the value of a custom claim has at most
	// 500 characters, so it nests at most 250 deep.
	maxJSONDepth = 300

	maxJSONMembers  = 256  // of one object
	maxJSONElements = 1024 // of one list of strings
	leastList       = 4    // room in a list of strings that isn't empty
)

// jsonReader reads one JSON text (RFC 8259) and refuses what parsers read differently
// from each other, because two parties that read different things into one token can be
// played off against each other: two members of one name, names in other letter case,
// invalid UTF-8, a byte order mark, anything behind the text. encoding/json accepts each
// of these.
//
// After the first fault bad is set and nothing more is read; results are then zero or
// partial and to be thrown away. Strings without escapes share memory with the text.
type jsonReader struct {
	text string
	at   int
	bad  bool
}

func (r *jsonReader) fail() {
	r.bad, r.at = true, len(r.text)
}

// peek returns the next byte that isn't white space, 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take reads the byte c, or fails.
func (r *jsonReader) take(c byte) {
	if r.peek() != c || c == 0 {
		r.fail()
		return
	}
	r.at++
}

// end fails unless the whole text was read.
func (r *jsonReader) end() {
	if r.peek() != 0 || r.at < len(r.text) {
		r.fail()
	}
}

// next reports whether a list or object, whose opening bracket was read, has another
// element. It reads the comma before that element, or the closing bracket.
func (r *jsonReader) next(first bool, closing byte) bool {
	if r.peek() == closing {
		r.at++
		return false
	}
	if !first {
		r.take(',')
	}
	return !r.bad
}

// jsonObject reads the members of an object one by one:
//
//	var names [16]string
//	o := jsonObject{jsonReader: r, names: names[:0]}
//	for name, ok := o.member(); ok; name, ok = o.member() { … read the value with r … }
type jsonObject struct {
	*jsonReader
	names  []string // of the members before
	marks  uint64   // a bit for each of them; several may share one
	opened bool
}

// repeats reports whether a member of this name was there before. Most names have a bit
// of their own, so that they needn't be compared with each one before.
func (o *jsonObject) repeats(name string) bool {
	n := len(name)
	if n > 0 {
		n = n*5 + int(name[0])*3 + int(name[n-1])*7
	}
	mark := uint64(1) << (n & 63)
	if o.marks&mark == 0 {
		o.marks |= mark
		return false
	}
	return slices.Contains(o.names, name)
}

// member reads the name of the next member, and reports false behind the last one. A
// name that was there before is a fault.
func (o *jsonObject) member() (string, bool) {
	first := !o.opened
	if first {
		o.take('{')
		o.opened = true
	}
	if o.bad || !o.next(first, '}') {
		return "", false
	}
	name := o.str()
	o.take(':')
	if o.repeats(name) || len(o.names) == maxJSONMembers {
		o.fail()
	}
	o.names = append(o.names, name)
	return name, !o.bad
}

// str reads a string.
func (r *jsonReader) str() string {
	start, end, escaped := r.quoted()
	if !escaped {
		return r.text[start:end]
	}
	s, ok := unescape(r.text[start:end])
	if !ok {
		r.fail()
	}
	return s
}

// quoted reads a string as it is written and returns where it is, without its quotes.
func (r *jsonReader) quoted() (start, end int, escaped bool) {
	r.take('"')
	start = r.at
	high := false
	for i := start; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			if high && !utf8.ValidString(r.text[start:i]) {
				r.fail()
				return 0, 0, false
			}
			r.at = i + 1
			return start, i, escaped
		case c == '\\':
			n := escapeLength(r.text[i:])
			if n == 0 {
				r.fail()
				return 0, 0, false
			}
			escaped = true
			i += n - 1
		case c < ' ':
			r.fail()
			return 0, 0, false
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	r.fail()
	return 0, 0, false
}

// natural reads a whole number from 0 to most. A fraction or an exponent is a fault even
// where the value is whole (1e3, 5.0): what is compared or shown elsewhere as text must
// have one spelling.
func (r *jsonReader) natural(most int64) int64 {
	r.peek()
	start := r.at
	r.number()
	if r.bad {
		return 0
	}
	n, err := strconv.ParseInt(r.text[start:r.at], 10, 64)
	if err != nil || n < 0 || n > most || r.text[start] == '-' {
		r.fail()
		return 0
	}
	return n
}

// number reads over a number.
func (r *jsonReader) number() {
	if r.peek() == '-' {
		r.at++
	}
	// No zero leads another digit.
	if r.at < len(r.text) && r.text[r.at] == '0' {
		r.at++
	} else {
		r.digits()
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		r.at++
		r.digits()
	}
	if r.at < len(r.text) && (r.text[r.at] == 'e' || r.text[r.at] == 'E') {
		r.at++
		if r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		r.digits()
	}
}

func (r *jsonReader) digits() {
	start := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	if r.at == start {
		r.fail()
	}
}

// literal reads over one of true, false and null.
func (r *jsonReader) literal(word string) {
	r.peek()
	if !strings.HasPrefix(r.text[r.at:], word) {
		r.fail()
		return
	}
	r.at += len(word)
}

// strings reads a list of strings. An empty list is not nil.
func (r *jsonReader) strings() []string {
	r.take('[')
	list := []string{}
	if r.peek() == '"' {
		list = make([]string, 0, leastList) // few lists are longer
	}
	for first := true; !r.bad && r.next(first, ']'); first = false {
		if len(list) == maxJSONElements {
			r.fail()
			break
		}
		list = append(list, r.str())
	}
	return list
}

// value reads over any value and returns it as it is written. Names inside of it are not
// compared: nobody here relies on them.
func (r *jsonReader) value() string {
	r.peek()
	start := r.at
	r.skip(1)
	if r.bad {
		return ""
	}
	return r.text[start:r.at]
}

func (r *jsonReader) skip(depth int) {
	if depth > maxJSONDepth {
		r.fail()
		return
	}
	switch r.peek() {
	case '"':
		r.quoted()
	case '{':
		r.at++
		for first := true; !r.bad && r.next(first, '}'); first = false {
			r.peek()
			r.quoted()
			r.take(':')
			r.skip(depth + 1)
		}
	case '[':
		r.at++
		for first := true; !r.bad && r.next(first, ']'); first = false {
			r.skip(depth + 1)
		}
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.number()
	}
}
