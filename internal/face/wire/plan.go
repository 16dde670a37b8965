package wire

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/secret"
)

// shape is how values of a Go type are written.
type shape uint8

const (
	shapeObject shape = iota // a struct
	shapeList                // a slice
	shapeText                // a string, a secret, a time, or anything with UnmarshalText
	shapeBool
	shapeInt
	shapeUint
	shapeFloat
	shapeOwn // anything with UnmarshalJSON
	shapeRaw // json.RawMessage
)

var wants = [...]string{
	"an object", "a list", "a string", "true or false", "a whole number", "a whole number, not negative,", "a number", "a value", "a value",
}

// String returns what to call the shape in a sentence.
func (s shape) String() string { return wants[s] }

func (s shape) number() bool { return s == shapeInt || s == shapeUint || s == shapeFloat }

func (s shape) scalar() bool { return s == shapeText || s == shapeBool || s.number() }

// plan is what reading into a type takes. It is built once per type and immutable.
type plan struct {
	shape  shape
	typ    reflect.Type // without pointers
	stars  int          // pointers in front of typ
	elem   *plan        // of a list
	fields []member     // of an object
	byName map[string]int
}

// member is one member of an object, or one query parameter.
type member struct {
	name     string
	index    []int // for reflect.Value.FieldByIndex
	plan     *plan
	rules    rules
	required bool
}

type planKey struct {
	typ reflect.Type
	tag string
}

// plans caches reflection, which costs more than the reading itself. It holds nothing
// but what the compiler fixed: one entry per request type of the program.
var plans sync.Map // planKey -> *plan

// planOf returns the plan for the struct type t, whose members are named by tag
// ("json" or "query").
func planOf(t reflect.Type, tag string) (*plan, error) {
	if cached, found := plans.Load(planKey{t, tag}); found {
		return cached.(*plan), nil
	}
	p, err := (&planner{tag: tag}).build(t)
	if err != nil {
		return nil, fmt.Errorf("wire: %s: %w", t, err)
	}
	plans.Store(planKey{t, tag}, p)
	return p, nil
}

// Check reports whether Decode and Query can read into a struct of the type of the
// value into, so that a test finds a wrong tag before a request does.
func Check(into any) error {
	t := reflect.TypeOf(into)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return fmt.Errorf("wire: %T isn't a struct", into)
	}
	_, bodyErr := planOf(t, "json")
	_, queryErr := planOf(t, "query")
	return errors.Join(bodyErr, queryErr)
}

type planner struct {
	tag   string
	above []reflect.Type // the structs being planned, outermost first
}

var (
	textType        = reflect.TypeFor[secret.Text]()
	timeType        = reflect.TypeFor[time.Time]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (b *planner) build(t reflect.Type) (*plan, error) {
	p := &plan{typ: t}
	for p.typ.Kind() == reflect.Pointer {
		p.typ, p.stars = p.typ.Elem(), p.stars+1
	}
	var known bool
	if p.shape, known = shapeOf(p.typ); !known {
		return nil, fmt.Errorf("type %s can't be read", t)
	}
	if b.tag == "query" && (p.shape == shapeOwn || p.shape == shapeRaw || p.shape == shapeObject && len(b.above) > 0) {
		return nil, fmt.Errorf("type %s can't be a query parameter", t)
	}
	switch p.shape {
	case shapeList:
		var err error
		if p.elem, err = b.build(p.typ.Elem()); err != nil {
			return nil, err
		}
		if b.tag == "query" && !p.elem.shape.scalar() {
			return nil, fmt.Errorf("type %s can't be a query parameter", t)
		}
	case shapeObject:
		if err := b.object(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func shapeOf(t reflect.Type) (shape, bool) {
	to := reflect.PointerTo(t)
	switch {
	case t == textType, t == timeType:
		return shapeText, true
	case t == rawType:
		return shapeRaw, true
	case to.Implements(jsonUnmarshaler):
		return shapeOwn, true
	case to.Implements(textUnmarshaler):
		return shapeText, true
	}
	switch t.Kind() {
	case reflect.Struct:
		return shapeObject, true
	case reflect.Slice:
		// encoding/json reads bytes as base64, schema generation too; nobody needs it.
		return shapeList, t.Elem().Kind() != reflect.Uint8
	case reflect.String:
		return shapeText, true
	case reflect.Bool:
		return shapeBool, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return shapeInt, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return shapeUint, true
	case reflect.Float32, reflect.Float64:
		return shapeFloat, true
	}
	return 0, false
}

func (b *planner) object(p *plan) error {
	for _, t := range b.above {
		if t == p.typ {
			return fmt.Errorf("type %s contains itself", p.typ)
		}
	}
	b.above = append(b.above, p.typ)
	defer func() { b.above = b.above[:len(b.above)-1] }()
	p.byName = map[string]int{}
	return b.members(p, p.typ, nil)
}

// members adds the fields of t, and those of structs embedded in it without a name of
// their own, to p. Fields without the tag are no business of this reading: they may be
// path parameters.
func (b *planner) members(p *plan, t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(index[:len(index):len(index)], i)
		text, tagged := f.Tag.Lookup(b.tag)
		name, options, _ := strings.Cut(text, ",")
		switch {
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
			if err := b.members(p, f.Type, at); err != nil {
				return err
			}
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Pointer:
			return fmt.Errorf("field %s: an embedded pointer can't be read", f.Name)
		case !tagged || text == "-" || f.Name == "_":
		case !f.IsExported() || name == "" || strings.Contains(options, "string"):
			return fmt.Errorf("field %s: a tag needs an exported field and a name, without the option string", f.Name)
		default:
			if err := b.member(p, f, name, at); err != nil {
				return fmt.Errorf("field %s: %w", f.Name, err)
			}
		}
	}
	return nil
}

func (b *planner) member(p *plan, f reflect.StructField, name string, index []int) error {
	if _, twice := p.byName[name]; twice {
		return fmt.Errorf("the name %q is taken", name)
	}
	inner, err := b.build(f.Type)
	if err != nil {
		return err
	}
	m := member{name: name, index: index, plan: inner}
	if m.rules, err = readRules(f.Tag, inner.shape); err != nil {
		return err
	}
	switch f.Tag.Get("required") {
	case "", "false":
	case "true":
		m.required = true
	default:
		return errors.New(`the tag required is "true" or "false"`)
	}
	if m.rules.fallback != nil {
		if bad := inner.setText(reflect.New(f.Type).Elem(), &m.rules, *m.rules.fallback); bad.code != "" {
			return fmt.Errorf("its default: %s", bad.detail)
		}
	}
	p.byName[name] = len(p.fields)
	p.fields = append(p.fields, m)
	return nil
}
