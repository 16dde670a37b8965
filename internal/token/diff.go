package token

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Difference is one part of two sets of claims that differs.
type Difference struct {
	Path          string          // JSON pointer into the claims
	Before, After json.RawMessage // nil: it isn't there
}

// differences compares two objects member by member, at every depth; lists are compared
// whole. They are in the order of their paths. What differs from token to token is left
// out.
func differences(before, after json.RawMessage) []Difference {
	var out []Difference
	compare(before, after, "", &out)
	return slices.DeleteFunc(out, func(d Difference) bool { return d.Path == "/jti" })
}

// members returns the members of an object; nil for anything else.
func members(raw json.RawMessage) map[string]json.RawMessage {
	if !bytes.HasPrefix(raw, []byte("{")) {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

func compare(before, after json.RawMessage, path string, out *[]Difference) {
	if bytes.Equal(before, after) {
		return
	}
	b, a := members(before), members(after)
	if b == nil || a == nil {
		*out = append(*out, Difference{path, before, after})
		return
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(b)), maps.Keys(a))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		compare(b[name], a[name], path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), out)
	}
}
