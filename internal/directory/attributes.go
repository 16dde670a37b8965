package directory

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/claim"
)

// Limits of the attributes of a user or tenant.
const (
	MaxAttributes     = 50
	MaxAttributesSize = 8 << 10 // bytes, encoded
	maxAttributeDepth = 16
)

// mergeAttributes applies a JSON merge patch (RFC 7396) to attributes and returns the
// result in canonical form: no insignificant space, members sorted at every level, each
// string in its shortest spelling, numbers as they were written. Equal attributes are
// equal bytes, and none are nil. An empty patch, and null, changes nothing. What is wrong
// with the result is told below pointer.
func mergeAttributes(base, patch json.RawMessage, pointer string, bad *problems) json.RawMessage {
	if patch = bytes.TrimSpace(patch); len(patch) == 0 || string(patch) == "null" {
		return base
	}
	known, _ := attributes(base) // stored ones have been checked
	changes, ok := attributes(patch)
	if !ok {
		bad.add(pointer, "type", "A JSON object is wanted.")
		return base
	}
	if deep(changes, maxAttributeDepth) {
		bad.add(pointer, "size", "Nested more than %d levels deep.", maxAttributeDepth)
		return base
	}
	merged := merge(known, changes)
	checkAttributes(merged, pointer, bad)
	if len(merged) == 0 {
		return nil
	}
	out, err := encode(merged)
	if err != nil {
		bad.add(pointer, "format", "The attributes can't be stored as JSON.")
	}
	if len(out) > MaxAttributesSize {
		bad.add(pointer, "size", "At most %d bytes once encoded; these would take %d.", MaxAttributesSize, len(out))
	}
	*bad = append(*bad, claim.Numbers(out, pointer)...) // a template, and clients, would fail at them
	return out
}

func attributes(raw json.RawMessage) (map[string]any, bool) {
	if len(raw) == 0 {
		return nil, true
	}
	var members map[string]any
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber() // a float64 would change what the application has written
	if !utf8.Valid(raw) || !json.Valid(raw) || in.Decode(&members) != nil || members == nil {
		return nil, false
	}
	return members, true
}

// deep reports whether v nests more than levels deep.
func deep(v any, levels int) bool {
	beneath := func(v any) bool { return deep(v, levels-1) }
	switch v := v.(type) {
	case map[string]any:
		return levels == 0 || slices.ContainsFunc(slices.Collect(maps.Values(v)), beneath)
	case []any:
		return levels == 0 || slices.ContainsFunc(v, beneath)
	}
	return false
}

// merge is MergePatch of RFC 7396, 2, for a patch that is an object.
func merge(base, patch map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(patch))
	maps.Copy(out, base)
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			inner, _ := out[name].(map[string]any)
			out[name] = merge(inner, value)
		default:
			out[name] = value
		}
	}
	return out
}

func checkAttributes(members map[string]any, pointer string, bad *problems) {
	if len(members) > MaxAttributes {
		bad.add(pointer, "size", "At most %d attributes are allowed; these would be %d.", MaxAttributes, len(members))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "" || utf8.RuneCountInString(name) > maxWord || strings.ContainsFunc(name, unicode.IsControl) {
			bad.add(pointer+step(name), "format", "The name of an attribute is 1 to %d characters without control characters.", maxWord)
		}
	}
}

func encode(members map[string]any) (json.RawMessage, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(members); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
