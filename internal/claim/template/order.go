package template

import (
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// adapter makes values of CEL out of Go's. It is CEL's own but for maps: a macro that goes
// through one meets its members in order, or the same input would give different claims
// from one refresh to the next.
type adapter struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		return ordered{types.NewStringInterfaceMap(a, v)}
	case map[ref.Val]ref.Val:
		return ordered{types.NewRefValMap(a, v)}
	case []any:
		return types.NewDynamicList(a, v)
	case []ref.Val:
		return types.NewRefValList(a, v)
	case []string:
		return types.NewStringList(a, v)
	}
	return a.Adapter.NativeToValue(v)
}

// ordered is a map whose members are met in the order of their names.
type ordered struct{ traits.Mapper }

// Iterator implements traits.Iterable.
func (m ordered) Iterator() traits.Iterator {
	var names []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		names = append(names, it.Next())
	}
	slices.SortFunc(names, compareValues)
	return types.NewRefValList(types.DefaultTypeAdapter, names).Iterator()
}

// compareValues orders names of members, which may be of several types.
func compareValues(a, b ref.Val) int {
	if a.Type() != b.Type() {
		return compareNames(a.Type().TypeName(), b.Type().TypeName())
	}
	if c, ok := a.(traits.Comparer); ok {
		if n, ok := c.Compare(b).(types.Int); ok {
			return int(n)
		}
	}
	return 0
}
