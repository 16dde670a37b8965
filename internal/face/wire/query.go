package wire

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// maxQuery is the most bytes that a query string may have.
const maxQuery = 8 << 10

// Query reads the query parameters of r into the struct that into points to. Its
// fields are named by the tag query and may be strings, numbers, bools, times (RFC
// 3339), anything with UnmarshalText, and slices of those, written with commas.
// Structs embedded without a tag, such as Page, add their fields.
//
// Unknown, repeated and malformed parameters, and values that break the tags that
// Decode knows, are refused in one go as fault.Invalid; the pointer of a Field is "?"
// and the parameter's name. On error into is untouched.
func Query(r *http.Request, into any) error {
	ptr := reflect.ValueOf(into)
	if ptr.Kind() != reflect.Pointer || ptr.IsNil() || ptr.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("wire: Query needs a pointer to a struct, not %T", into)
	}
	p, err := planOf(ptr.Type().Elem(), "query")
	if err != nil {
		return err
	}
	if len(r.URL.RawQuery) > maxQuery {
		return fault.New(fault.TooLarge, "The query string may have at most %d bytes.", maxQuery)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "The query string is malformed.").
			WithFields(issue{"format", "percent-encoding is broken, or ';' separates parameters"}.field("?"))
	}
	fresh := reflect.New(p.typ).Elem()
	fresh.Set(ptr.Elem())
	if fields := p.readValues(values, fresh); len(fields) > 0 {
		return problemsError("query string", fields)
	}
	ptr.Elem().Set(fresh)
	return nil
}

func (p *plan) readValues(values url.Values, v reflect.Value) []fault.Field {
	var fields []fault.Field
	report := func(name string, bad issue) {
		if bad.code != "" && len(fields) < maxProblems {
			fields = append(fields, bad.field("?"+publicName(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i, known := p.byName[name]
		switch {
		case !known:
			report(name, issue{"unknown", "there is no such parameter"})
		case len(values[name]) > 1:
			report(name, issue{"duplicate", "the parameter appears more than once"})
		default:
			report(name, p.fields[i].setParameter(v, values[name][0]))
		}
	}
	for i := range p.fields {
		m := &p.fields[i]
		if _, given := values[m.name]; given {
			continue
		}
		if m.required {
			report(m.name, issue{"required", "the parameter is required"})
		} else {
			m.setDefault(v)
		}
	}
	return fields
}

func (m *member) setParameter(v reflect.Value, text string) issue {
	v = v.FieldByIndex(m.index)
	if m.plan.shape != shapeList {
		return m.plan.setText(v, &m.rules, text)
	}
	v = m.plan.target(v)
	list := reflect.MakeSlice(m.plan.typ, 0, 0)
	if text != "" {
		for part := range strings.SplitSeq(text, ",") {
			item := reflect.New(m.plan.typ.Elem()).Elem()
			if bad := m.plan.elem.setText(item, &rules{}, part); bad.code != "" {
				return bad
			}
			list = reflect.Append(list, item)
		}
	}
	v.Set(list)
	return m.rules.checkItems(list.Len())
}
