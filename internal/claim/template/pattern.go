package template

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// Patterns are read once, when a document is compiled, so they have to stand in it: one
// that is put together from values would be read for every token, and by whoever has a say
// in the values. The limits of CEL aren't used: they panic on a repetition such as a{2}
// (cel-go 0.31.0), and say nothing of how long a text is that a pattern is held against.
const (
	maxPattern = 500  // bytes
	maxWeight  = 1000 // see weigh
	maxSteps   = 2000 // what one match may cost
)

var (
	errPattern     = errors.New("a pattern has to be a text that stands in the expression, in quotes")
	errPatternSize = fmt.Errorf("a pattern has at most %d bytes, and what it repeats is counted as often as it is", maxPattern)
	errPatternFold = errors.New("a pattern without regard to case, (?i), has to be in ASCII, without \\p and \\x{…}")
)

// errSteps is the reason of a failure.
const errSteps = "A pattern is too much for so long a text."

// folding finds what makes a pattern one without regard to case, and wide what a class of
// many characters needs: together they can take milliseconds to read.
var (
	folding = regexp.MustCompile(`\(\?[A-Za-z-]*i`)
	wide    = regexp.MustCompile(`[^\x00-\x7f]|\\[pP]|\\x\{`)
)

// weight is how much a pattern is, or why it is none that may be used.
func weight(pattern string) (int, error) {
	if len(pattern) > maxPattern {
		return 0, errPatternSize
	}
	if folding.MatchString(pattern) && wide.MatchString(pattern) {
		return 0, errPatternFold
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	n := weigh(re)
	if n > maxWeight {
		return 0, errPatternSize
	}
	return n, nil
}

// weigh is about how many states there are: a match goes through all of them with each
// character of the text.
func weigh(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)/10
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += weigh(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, maxWeight+1)
}

// steps is what it costs to hold a pattern of a weight against a text.
func steps(weight int, text string) uint64 { return uint64(weight) * uint64(len(text)) / 100 }

// patternFunction replaces that of the standard library, which sets no limits. It is never
// called: see matching.
func patternFunction() cel.EnvOption {
	str := cel.StringType
	never := cel.BinaryBinding(func(_, _ ref.Val) ref.Val { return types.WrapErr(errPattern) })
	return cel.Function(overloads.Matches,
		cel.Overload("pattern_matches", []*cel.Type{str, str}, cel.BoolType, never),
		cel.MemberOverload("text_matches", []*cel.Type{str, str}, cel.BoolType, never))
}

func withoutMatches() *celenv.Function { return celenv.NewFunction(overloads.Matches) }

// patterns refuses calls of matches that can't be used, when they are saved.
type patterns struct{}

// Name implements cel.ASTValidator.
func (patterns) Name() string { return "latchkey.patterns" }

// Validate implements cel.ASTValidator.
func (patterns) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.FunctionMatcher(overloads.Matches)) {
		args := call.AsCall().Args()
		last := args[len(args)-1]
		err := errPattern
		if last.Kind() == ast.LiteralKind {
			p, _ := last.AsLiteral().(types.String)
			_, err = weight(string(p))
		}
		if err != nil {
			issues.ReportErrorAtID(last.ID(), "%s", err)
		}
	}
}

// matching makes a call of matches one of a pattern that is ready.
func matching(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	args := call.Args()
	literal, ok := args[len(args)-1].(interpreter.InterpretableConst)
	if !ok {
		return nil, errPattern
	}
	p, _ := literal.Value().(types.String)
	n, err := weight(string(p))
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(string(p))
	if err != nil {
		return nil, err
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), args, func(values ...ref.Val) ref.Val {
		s, ok := values[0].(types.String)
		switch {
		case !ok:
			return types.MaybeNoSuchOverloadErr(values[0])
		case len(s) > maxText:
			return types.NewErr("%s", errTextLong)
		case steps(n, string(s)) > maxSteps:
			return types.NewErr("%s", errSteps)
		}
		return types.Bool(re.MatchString(string(s)))
	}), nil
}

// weights are those of the patterns in an expression that was checked.
func weights(checked *ast.AST) map[string]int {
	all := map[string]int{}
	for _, call := range ast.MatchDescendants(ast.NavigateAST(checked), ast.FunctionMatcher(overloads.Matches)) {
		args := call.AsCall().Args()
		if p, ok := args[len(args)-1].AsLiteral().(types.String); ok {
			all[string(p)], _ = weight(string(p))
		}
	}
	return all
}
