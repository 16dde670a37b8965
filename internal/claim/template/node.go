package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// node is a JSON value as it was written: members in order, repeated ones included.
type node struct {
	kind    nodeKind
	text    string // of a string; the literal of a number
	truth   bool
	items   []node
	members []member
}

type member struct {
	name  string
	value node
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	listNode
	objectNode
)

var errDeep = errors.New("too deep")

// readNode reads one value; depth is how many levels of lists and objects may follow.
func readNode(d *json.Decoder, depth int) (node, error) {
	token, err := d.Token()
	if err != nil {
		return node{}, err
	}
	switch v := token.(type) {
	case bool:
		return node{kind: boolNode, truth: v}, nil
	case json.Number:
		return node{kind: numberNode, text: v.String()}, nil
	case string:
		return node{kind: stringNode, text: v}, nil
	case json.Delim:
		if depth == 0 {
			return node{}, errDeep
		}
		if v == '{' {
			return readObject(d, depth-1)
		}
		return readList(d, depth-1)
	}
	return node{}, nil
}

func readObject(d *json.Decoder, depth int) (node, error) {
	n := node{kind: objectNode}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return n, err
		}
		value, err := readNode(d, depth)
		if err != nil {
			return n, err
		}
		text, _ := name.(string) // the decoder gives nothing else here
		n.members = append(n.members, member{text, value})
	}
	_, err := d.Token()
	return n, err
}

func readList(d *json.Decoder, depth int) (node, error) {
	n := node{kind: listNode}
	for d.More() {
		value, err := readNode(d, depth)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, value)
	}
	_, err := d.Token()
	return n, err
}

// parser compiles one document and collects what is wrong with it.
type parser struct {
	env         *cel.Env
	vars        vocabulary
	pointer     string // of the document
	problems    []fault.Field
	expressions int
	needs       needs
}

// maxProblems bounds what one document is told at once.
const maxProblems = 100

// refuse notes a problem at a pointer.
func (p *parser) refuse(pointer, code, detail string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, fault.Field{Pointer: pointer, Code: code, Detail: detail})
	}
}

func (p *parser) unknown(pointer, known string) {
	p.refuse(pointer, "unknown", "There is no such member. Known are "+known+".")
}

// refusal returns what was noted as one error, nil when nothing was.
func (p *parser) refusal(detail string) error {
	if len(p.problems) == 0 {
		return nil
	}
	return fault.New(fault.TemplateInvalid, "%s", detail).WithFields(p.problems...)
}

// at returns the pointer of a member; in "" means the document's own.
func (p *parser) at(in, name string) string {
	if in == "" {
		in = p.pointer
	}
	return in + "/" + escape(name)
}

// relative returns a pointer as seen from the document.
func (p *parser) relative(pointer string) string { return strings.TrimPrefix(pointer, p.pointer) }

// escape makes a name a part of a JSON pointer (RFC 6901, 3). Names of any length come
// in; what is shown of them is bounded.
func escape(name string) string {
	const most = 60
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// document reads the text of a document. Members that come twice are noted at every
// depth: parsers differ in which of them they take.
func (p *parser) document(raw json.RawMessage) ([]member, bool) {
	if len(raw) > MaxDocument {
		p.refuse(p.pointer, "size", fmt.Sprintf("A document has at most %d bytes, this one has %d.", MaxDocument, len(raw)))
		return nil, false
	}
	if !utf8.Valid(raw) {
		p.refuse(p.pointer, "format", "The document isn't UTF-8.")
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	// An action is three levels above its claims.
	n, err := readNode(d, maxDepth+4)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("more than one value")
		}
	}
	switch {
	case errors.Is(err, errDeep):
		p.refuse(p.pointer, "size", "The document is nested too deeply.")
		return nil, false
	case err != nil:
		p.refuse(p.pointer, "format", fmt.Sprintf("The document isn't JSON, at byte %d.", d.InputOffset()))
		return nil, false
	case n.kind != objectNode:
		p.refuse(p.pointer, "type", "An object is wanted.")
		return nil, false
	}
	p.duplicates(n, p.pointer)
	return n.members, true
}

func (p *parser) duplicates(n node, at string) {
	seen := make(map[string]bool, len(n.members))
	for _, m := range n.members {
		here := at + "/" + escape(m.name)
		if seen[m.name] {
			p.refuse(here, "duplicate", "This member is given twice.")
		}
		seen[m.name] = true
		p.duplicates(m.value, here)
	}
	for i, item := range n.items {
		p.duplicates(item, fmt.Sprintf("%s/%d", at, i))
	}
}

// word reads one of several words, and returns otherwise when it is none of them.
func (p *parser) word(n node, at, otherwise string, words ...string) string {
	for _, w := range words {
		if n.kind == stringNode && n.text == w {
			return w
		}
	}
	p.refuse(at, "range", "One of "+strings.Join(words, ", ")+" is wanted.")
	return otherwise
}
