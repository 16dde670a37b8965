package native

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// schema is what the page shows of a JSON schema.
type schema struct {
	Ref                 string `json:"$ref"`
	Type                words
	Description, Format string
	Pattern             string
	Properties          map[string]*schema
	Required            []string
	Items               *schema
	OneOf, AnyOf        []*schema
	Enum                []any
	Const, Default      any
	Examples            []any
	Minimum, Maximum    *float64
	MinLength           *int
	MaxLength           *int
	MaxItems            *int
	Order               []string `json:"x-order"`
}

// words is one word or a list of them.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// shape is a body, an answer, or a named type, as the page shows it.
type shape struct {
	Label   string
	Media   string
	About   string
	Kind    []term
	Members []member
}

type member struct {
	Name     string
	Optional bool
	Kind     []term
	About    string
}

// term is a part of a type's name. One with a link is a named type.
type term struct{ Text, Link string }

// shape shows the one media type of a body or answer, with the members of its type.
func (d specification) shape(label string, c map[string]content) shape {
	s := shape{Label: label}
	for media, content := range c {
		s.Media, s.Kind = media, content.Schema.kind()
		s.Members = d.resolve(content.Schema).members()
	}
	return s
}

func (d specification) named(name string) shape {
	s := d.Components.Schemas[name]
	out := shape{Label: name, Members: s.members()}
	if len(out.Members) == 0 {
		out.Kind, out.About = s.kind(), sentences(s.Description, s.limits())
	}
	return out
}

func (d specification) resolve(s *schema) *schema {
	if target, found := d.Components.Schemas[s.name()]; found {
		return target
	}
	return s
}

func (s *schema) name() string { return strings.TrimPrefix(s.Ref, schemaPrefix) }

func (s *schema) members() []member {
	var out []member
	for _, name := range s.Order {
		p := s.Properties[name]
		out = append(out, member{
			Name: name, Optional: !slices.Contains(s.Required, name), Kind: p.kind(), About: sentences(p.Description, p.limits()),
		})
	}
	return out
}

// kind returns what values are, in words.
func (s *schema) kind() []term {
	switch {
	case s.Ref != "":
		return []term{{s.name(), s.name()}}
	case len(s.OneOf) > 0:
		return alternatives(s.OneOf)
	case len(s.AnyOf) > 0:
		return alternatives(s.AnyOf)
	case s.Const != nil:
		return []term{{Text: value(s.Const)}}
	}
	var out []term
	for i, name := range s.Type {
		if i > 0 {
			out = append(out, term{Text: " or "})
		}
		out = append(out, s.plain(name)...)
	}
	return out
}

func alternatives(list []*schema) []term {
	var out []term
	for i, one := range list {
		if i > 0 {
			out = append(out, term{Text: " or "})
		}
		out = append(out, one.kind()...)
	}
	return out
}

func (s *schema) plain(name string) []term {
	switch {
	case name == "array" && s.Items != nil:
		return append([]term{{Text: "list of "}}, s.Items.kind()...)
	case name == "string" && s.Format == "date-time":
		return []term{{Text: "time"}}
	}
	return []term{{Text: name}}
}

// limits returns what values are allowed, in words.
func (s *schema) limits() string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch len(s.Enum) {
	case 0:
	case 1:
		add("Only %s.", value(s.Enum[0]))
	default:
		add("One of %s.", values(s.Enum))
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		add("From %s to %s.", decimal(*s.Minimum), decimal(*s.Maximum))
	case s.Minimum != nil:
		add("At least %s.", decimal(*s.Minimum))
	}
	if s.MaxLength != nil {
		add("At most %d characters.", *s.MaxLength)
	}
	if s.MaxItems != nil {
		add("At most %d entries.", *s.MaxItems)
	}
	if s.Default != nil {
		add("Default: %s.", value(s.Default))
	}
	if len(s.Examples) > 0 {
		add("Such as %s.", values(s.Examples))
	}
	return strings.Join(out, " ")
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func value(v any) string {
	if f, ok := v.(float64); ok {
		return decimal(f)
	}
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

func values(list []any) string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = value(v)
	}
	return strings.Join(all, ", ")
}

// sentences joins what there is to say.
func sentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}
