package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/claim"
)

// value is a part of a claim to be.
type value struct {
	kind    nodeKind
	literal string // of null, true, false or a number
	text    text
	items   []value
	members []namedValue // ascending by name
}

// compareNames orders names by their bytes, as slices.Sorted does in package claim.
func compareNames(a, b string) int { return strings.Compare(a, b) }

// value compiles a part of a claim.
func (p *parser) value(n node, at string, depth int) value {
	v := value{kind: n.kind}
	if depth > maxDepth {
		p.refuse(at, "size", fmt.Sprintf("A claim has at most %d levels.", maxDepth))
		return v
	}
	switch n.kind {
	case nullNode:
		v.literal = "null"
	case boolNode:
		v.literal = strconv.FormatBool(n.truth)
	case numberNode:
		if v.literal = n.text; !claim.Finite(n.text) {
			p.refuse(at, "range", claim.NotFinite)
		}
	case stringNode:
		v.text = p.text(n.text, at)
	case listNode:
		for i, item := range n.items {
			v.items = append(v.items, p.value(item, at+"/"+strconv.Itoa(i), depth+1))
		}
	case objectNode:
		for _, m := range n.members {
			here := at + "/" + escape(m.name)
			v.members = append(v.members, namedValue{m.name, p.relative(here), p.value(m.value, here, depth+1)})
		}
		slices.SortFunc(v.members, func(a, b namedValue) int { return compareNames(a.name, b.name) })
	}
	if depth == 1 && v.constant() {
		var out bytes.Buffer
		v.write(&writer{Buffer: &out, s: &scope{}, empty: keep}, "")
		if size := utf8.RuneCount(out.Bytes()); size > claim.MaxValue {
			p.refuse(at, "size", fmt.Sprintf("A value has at most %d characters once encoded, this one has %d.", claim.MaxValue, size))
		}
	}
	return v
}

func (v value) constant() bool {
	for _, item := range v.items {
		if !item.constant() {
			return false
		}
	}
	for _, m := range v.members {
		if !m.value.constant() {
			return false
		}
	}
	return v.text.constant()
}

// claimName checks the name of a claim; those before it are told apart under case
// folding, because readers of JSON may not tell them apart at all.
func (p *parser) claimName(name, at string, before []namedValue) {
	switch n := utf8.RuneCountInString(name); {
	case claim.Reserved(name):
		p.refuse(at, "reserved", "This name is reserved for the server's own claims.")
	case n == 0, n > claim.MaxName, strings.ContainsFunc(name, unicode.IsControl):
		p.refuse(at, "format", fmt.Sprintf("A name is 1 to %d characters without control characters.", claim.MaxName))
	case slices.ContainsFunc(before, func(b namedValue) bool { return b.name != name && strings.EqualFold(b.name, name) }):
		p.refuse(at, "duplicate", "Another claim has this name in other letter case.")
	}
}

// writer encodes one claim. It stops at the first failure, and as soon as there is more
// than a claim may have.
type writer struct {
	*bytes.Buffer
	s     *scope
	empty empties
	start int // of the claim
	path  string
	why   string
}

func (w *writer) fail(path, why string) {
	if w.why == "" {
		w.path, w.why = path, why
	}
}

// full reports whether nothing more is to be written. A character has at most 4 bytes, so
// what has more of them has too many characters.
func (w *writer) full() bool {
	if w.why == "" && w.Len()-w.start > 4*claim.MaxValue {
		w.fail("", errLong)
	}
	return w.why != ""
}

var errLong = fmt.Sprintf("The value has more than %d characters once encoded.", claim.MaxValue)

// evaluateClaims makes the claims. What fails is left out; one that is too long, too.
func evaluateClaims(s *scope, claims []namedValue, empty empties) (json.RawMessage, []Failure) {
	var out bytes.Buffer
	var failures []Failure
	for _, c := range claims {
		before := out.Len()
		out.WriteByte("{,"[min(before, 1)])
		quoted, _ := json.Marshal(c.name)
		out.Write(quoted)
		out.WriteByte(':')
		w := &writer{Buffer: &out, s: s, empty: empty, start: out.Len()}
		there := c.value.write(w, c.pointer)
		if w.why == "" && utf8.RuneCount(out.Bytes()[w.start:]) > claim.MaxValue {
			w.fail("", errLong)
		}
		if w.why != "" {
			path := w.path
			if path == "" {
				path = c.pointer
			}
			failures = append(failures, Failure{path, w.why})
		}
		if w.why != "" || !there {
			out.Truncate(before)
		}
	}
	if out.Len() == 0 {
		return nil, failures
	}
	out.WriteByte('}')
	return out.Bytes(), failures
}

// write encodes a value and reports whether there is one: what is empty may be left out.
func (v value) write(w *writer, at string) bool {
	switch v.kind {
	case stringNode:
		return v.text.write(w, at)
	case listNode:
		return v.writeList(w, at)
	case objectNode:
		return v.writeObject(w)
	case nullNode:
		return w.nothing("null")
	}
	w.WriteString(v.literal)
	return true
}

// nothing writes an empty value, in the way that is wanted of empty values.
func (w *writer) nothing(written string) bool {
	switch w.empty {
	case omit:
		return false
	case writeNil:
		written = "null"
	}
	w.WriteString(written)
	return true
}

func (v value) writeList(w *writer, at string) bool {
	start, count := w.Len(), 0
	w.WriteByte('[')
	for i, item := range v.items {
		if w.full() {
			return true
		}
		before := w.Len()
		if count > 0 {
			w.WriteByte(',')
		}
		if item.write(w, at+"/"+strconv.Itoa(i)) {
			count++
		} else {
			w.Truncate(before)
		}
	}
	if count == 0 {
		w.Truncate(start)
		return w.nothing("[]")
	}
	w.WriteByte(']')
	return true
}

func (v value) writeObject(w *writer) bool {
	start, count := w.Len(), 0
	w.WriteByte('{')
	for _, m := range v.members {
		if w.full() {
			return true
		}
		before := w.Len()
		if count > 0 {
			w.WriteByte(',')
		}
		writeString(w.Buffer, m.name)
		w.WriteByte(':')
		if m.value.write(w, m.pointer) {
			count++
		} else {
			w.Truncate(before)
		}
	}
	if count == 0 {
		w.Truncate(start)
		return w.nothing("{}")
	}
	w.WriteByte('}')
	return true
}
