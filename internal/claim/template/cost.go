package template

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// Limits of what expressions may do. A unit is about a step, or ten bytes of text.
const (
	MaxCost      = 5_000  // of one expression
	MaxTotalCost = 20_000 // of a document: no expression begins beyond it

	maxText  = 8 << 10 // bytes of a text that is put together
	maxNodes = 2000    // values in a list or map that an expression makes
)

// Reasons of refusals.
const (
	errTextLong = "A text gets too long."
	errLarge    = "A list or a map gets too large."
)

// cost counts what calls cost. CEL's own tracker goes by overloads, which aren't known
// before an expression runs when a value may be anything, as those of attributes may: each
// call would cost 1, and a few doublings of a text would take all memory.
type cost struct {
	weights map[string]int // of the expression's patterns
}

// CallCost implements interpreter.ActualCostEstimator.
func (c cost) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	total := uint64(1) + length(result)
	for _, a := range args {
		total += length(a)
	}
	switch function {
	case operators.Add:
		// The left side was counted when it was made. What is appended shares its memory, but
		// a comparison walks through all of it.
		if len(args) == 2 {
			total += uint64(count(args[1], MaxCost+1))
		}
	case operators.Equals, operators.NotEquals, operators.In, "join":
		for _, a := range args {
			total += uint64(count(a, MaxCost+1))
		}
	case overloads.Matches:
		if len(args) == 2 {
			text, _ := args[0].(types.String)
			pattern, _ := args[1].(types.String)
			total += min(steps(c.weights[string(pattern)], string(text)), maxSteps)
		}
	}
	return &total
}

// length is what it costs to read a text.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)) / 10
	case types.Bytes:
		return uint64(len(v)) / 10
	}
	return 0
}

// count returns how many values there are in v, itself included; not more than most.
func count(v ref.Val, most int) int {
	n := 1
	each := func(v ref.Val) bool {
		n += count(v, most-n)
		return n < most
	}
	switch v := v.(type) {
	case traits.Mapper:
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			value, _ := v.Find(it.Next())
			if n++; value != nil && !each(value) {
				return most
			}
		}
	case traits.Lister:
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			if !each(it.Next()) {
				return most
			}
		}
	case *types.Optional:
		if v.HasValue() {
			each(v.GetValue())
		}
	}
	return min(n, max(most, 1))
}

// bounded makes lists and maps that an expression writes down fail when there is too much
// in them. Lists of lists share their elements, so their cost is little, but whoever
// compares two of them goes through each element as often as it appears. Patterns get
// ready.
func bounded(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch i := i.(type) {
	case interpreter.InterpretableConstructor:
		return constructor{i}, nil
	case interpreter.InterpretableCall:
		if i.Function() == overloads.Matches {
			return matching(i)
		}
	}
	return i, nil
}

type constructor struct {
	interpreter.InterpretableConstructor
}

func (c constructor) check(v ref.Val) ref.Val {
	if count(v, maxNodes+1) > maxNodes {
		return types.NewErr("%s", errLarge)
	}
	if m, ok := v.(traits.Mapper); ok {
		return ordered{m} // CEL makes those of map literals without asking the adapter
	}
	return v
}

// Eval implements interpreter.Interpretable.
func (c constructor) Eval(vars interpreter.Activation) ref.Val {
	return c.check(c.InterpretableConstructor.Eval(vars))
}

// Exec implements interpreter.InterpretableV2.
func (c constructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return c.check(c.InterpretableConstructor.Exec(frame))
}

// textFunctions are those of CEL's extension for strings that claims are made with. Their
// results are bounded before they are made: replace alone squares the length of a text.
func textFunctions() []cel.EnvOption {
	str := cel.StringType
	return []cel.EnvOption{
		unaryText("lowerAscii", strings.ToLower),
		unaryText("upperAscii", strings.ToUpper),
		unaryText("trim", strings.TrimSpace),
		cel.Function("split", cel.MemberOverload("string_split_string", []*cel.Type{str, str}, cel.ListType(str),
			cel.BinaryBinding(func(s, sep ref.Val) ref.Val {
				text, by := string(s.(types.String)), string(sep.(types.String))
				if len(text) > maxText {
					return types.NewErr("%s", errTextLong)
				}
				return types.NewStringList(types.DefaultTypeAdapter, strings.Split(text, by))
			}))),
		cel.Function("join",
			cel.MemberOverload("list_join", []*cel.Type{cel.ListType(str)}, str,
				cel.UnaryBinding(func(l ref.Val) ref.Val { return join(l, "") })),
			cel.MemberOverload("list_join_string", []*cel.Type{cel.ListType(str), str}, str,
				cel.BinaryBinding(func(l, sep ref.Val) ref.Val { return join(l, string(sep.(types.String))) }))),
		cel.Function("replace", cel.MemberOverload("string_replace_string_string", []*cel.Type{str, str, str}, str,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				return replace(string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String)))
			}))),
		cel.Function("substring",
			cel.MemberOverload("string_substring_int", []*cel.Type{str, cel.IntType}, str,
				cel.BinaryBinding(func(s, from ref.Val) ref.Val {
					return substring(string(s.(types.String)), int64(from.(types.Int)), -1)
				})),
			cel.MemberOverload("string_substring_int_int", []*cel.Type{str, cel.IntType, cel.IntType}, str,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val {
					return substring(string(args[0].(types.String)), int64(args[1].(types.Int)), max(int64(args[2].(types.Int)), 0))
				}))),
	}
}

// unaryText is a function from text to text that leaves all but ASCII as it is.
func unaryText(name string, change func(string) string) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload("string_"+strings.ToLower(name), []*cel.Type{cel.StringType}, cel.StringType,
		cel.UnaryBinding(func(s ref.Val) ref.Val {
			text := string(s.(types.String))
			if len(text) > maxText {
				return types.NewErr("%s", errTextLong)
			}
			return types.String(change(text))
		})))
}

func join(list ref.Val, sep string) ref.Val {
	var out strings.Builder
	first := true
	for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; first = false {
		s, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("no such overload")
		}
		if !first {
			out.WriteString(sep)
		}
		if out.WriteString(string(s)); out.Len() > maxText {
			return types.NewErr("%s", errTextLong)
		}
	}
	return types.String(out.String())
}

func replace(s, old, by string) ref.Val {
	if len(s) > maxText || strings.Count(s, old)*(len(by)-len(old))+len(s) > maxText {
		return types.NewErr("%s", errTextLong)
	}
	return types.String(strings.ReplaceAll(s, old, by))
}

// substring counts characters. to < 0 means the end.
func substring(s string, from, to int64) ref.Val {
	if len(s) > maxText {
		return types.NewErr("%s", errTextLong)
	}
	runes := []rune(s)
	if to < 0 {
		to = int64(len(runes))
	}
	if from < 0 || from > to || to > int64(len(runes)) {
		return types.NewErr("index out of bounds")
	}
	return types.String(string(runes[from:to]))
}
