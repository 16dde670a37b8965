package wire

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// walkBody reads a body of proven syntax into v and returns everything wrong with it.
// An empty body, and null, is an object without members.
func walkBody(body []byte, p *plan, v reflect.Value) []fault.Field {
	w := &walker{cursor: cursor{body: body}}
	if len(body) == 0 || w.peek() == 'n' {
		w.cursor = cursor{body: []byte("{}")}
	}
	if w.peek() != '{' {
		w.problem(issue{"type", "an object is wanted"})
		return w.fields
	}
	w.value(p, &rules{}, v)
	return w.fields
}

// codeUnknown is the code of a member that there is no place for.
const codeUnknown = "unknown"

// walker reads a body member by member, so that one pass sees what encoding/json's own
// decoding hides: repeated names, names in another case, and more than one problem.
type walker struct {
	cursor
	path   []step
	fields []fault.Field
	done   bool // too deep, or too many problems: the rest isn't looked at
}

// step is one part of a JSON pointer: a name, or an index when the name is unset.
type step struct {
	name  string
	index int
	named bool
}

func (w *walker) problem(bad issue) {
	if w.done || bad.code == "" {
		return
	}
	w.fields = append(w.fields, bad.field(w.pointer()))
	w.done = len(w.fields) >= maxProblems
}

func (w *walker) pointer() string {
	var b strings.Builder
	for _, s := range w.path {
		b.WriteByte('/')
		if !s.named {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(publicName(s.name)))
	}
	return b.String()
}

// push enters a member or an item; it is false when nothing more is to be read.
func (w *walker) push(s step) bool {
	if len(w.path) >= maxDepth {
		w.problem(issue{"size", "nested more than " + strconv.Itoa(maxDepth) + " levels deep"})
		w.done = true
	}
	w.path = append(w.path, s)
	return !w.done
}

func (w *walker) pop() { w.path = w.path[:len(w.path)-1] }

// more reports whether the object or list at hand is to be read further.
func (w *walker) more() bool { return !w.done && w.cursor.more() }

// value reads one value into v. It returns false for null.
func (w *walker) value(p *plan, r *rules, v reflect.Value) bool {
	first := w.peek()
	switch {
	case first == 'n':
		w.literal()
		return false
	case p.shape == shapeRaw || p.shape == shapeOwn:
		start := w.at
		w.skip()
		if !w.done {
			w.own(p, v, w.body[start:w.at:w.at])
		}
	case first == '{' && p.shape == shapeObject:
		w.object(p, p.target(v))
	case first == '[' && p.shape == shapeList:
		w.list(p, r, p.target(v))
	case first == '{' || first == '[':
		w.problem(p.wrongType())
		w.skip()
	case first == '"':
		w.scalar(p, r, v, w.text(), p.shape == shapeText)
	case first == 't' || first == 'f':
		w.scalar(p, r, v, w.literal(), p.shape == shapeBool)
	default:
		w.scalar(p, r, v, w.literal(), p.shape.number())
	}
	return true
}

func (w *walker) scalar(p *plan, r *rules, v reflect.Value, text string, fits bool) {
	if !fits {
		w.problem(p.wrongType())
		return
	}
	w.problem(p.setText(v, r, text))
}

// own hands raw JSON to a json.RawMessage or to the type's own UnmarshalJSON.
func (w *walker) own(p *plan, v reflect.Value, raw []byte) {
	v = p.target(v)
	if p.shape == shapeRaw {
		v.SetBytes(raw)
		return
	}
	if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
		w.problem(issue{"format", publicDetail(err, string(raw))})
	}
}

func (w *walker) list(p *plan, r *rules, v reflect.Value) {
	v.SetZero() // what a caller preset is replaced, not written over
	n := 0
	w.enter()
	for ; w.more(); n++ {
		if w.push(step{index: n}) {
			w.item(p, r, v, n)
		}
		w.pop()
	}
	if n == 0 {
		v.Set(reflect.MakeSlice(p.typ, 0, 0))
	}
	w.problem(r.checkItems(n))
}

// item reads an item to the end of the list v. One that is too many by the rules is
// only skipped: a stranger shouldn't choose how much is made of a refused list.
func (w *walker) item(p *plan, r *rules, v reflect.Value, n int) {
	if r.maxItems != nil && n >= *r.maxItems {
		w.skip()
		return
	}
	v.Grow(1)
	v.SetLen(n + 1)
	if !w.value(p.elem, &rules{}, v.Index(n)) {
		w.problem(p.elem.wrongType())
	}
}

func (w *walker) object(p *plan, v reflect.Value) {
	const null, present = 1, 2
	state := make([]uint8, len(p.fields))
	var unknown map[string]bool
	w.enter()
	for w.more() {
		name := w.text()
		i, known := p.byName[name]
		if !w.push(step{name: name, named: true}) {
			w.pop()
			break
		}
		switch {
		case known && state[i] == 0:
			state[i] = null
			if m := &p.fields[i]; w.value(m.plan, &m.rules, v.FieldByIndex(m.index)) {
				state[i] = present
			}
		case known || unknown[name]:
			w.problem(issue{"duplicate", "the member appears twice"})
			w.skip()
		default:
			if unknown == nil {
				unknown = map[string]bool{}
			}
			unknown[name] = true
			w.problem(issue{codeUnknown, "there is no such member"})
			w.skip()
		}
		w.pop()
	}
	for i := range p.fields {
		if state[i] != present {
			w.absent(&p.fields[i], v)
		}
	}
}

func (w *walker) absent(m *member, v reflect.Value) {
	if m.required {
		if w.push(step{name: m.name, named: true}) {
			w.problem(issue{"required", "the member is required"})
		}
		w.pop()
		return
	}
	m.setDefault(v)
}

// setDefault fills an absent member. That the default fits was proven with the plan.
func (m *member) setDefault(v reflect.Value) {
	if v = v.FieldByIndex(m.index); m.rules.fallback != nil && v.IsZero() {
		m.plan.setText(v, &m.rules, *m.rules.fallback)
	}
}

// skip reads a value of any kind and refuses repeated names in it.
func (w *walker) skip() {
	switch w.peek() {
	case '{':
		w.skipObject()
	case '[':
		w.enter()
		for i := 0; w.more(); i++ {
			if w.push(step{index: i}) {
				w.skip()
			}
			w.pop()
		}
	case '"':
		w.text()
	default:
		w.literal()
	}
}

func (w *walker) skipObject() {
	seen := map[string]bool{}
	w.enter()
	for w.more() {
		name := w.text()
		if w.push(step{name: name, named: true}) {
			if seen[name] {
				w.problem(issue{"duplicate", "the member appears twice"})
			}
			seen[name] = true
			w.skip()
		}
		w.pop()
	}
}
