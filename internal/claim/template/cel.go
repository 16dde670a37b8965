package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// environment returns what expressions over the variables may use: CEL's own functions
// and macros, optional values, and some for texts.
func environment(vars vocabulary) (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(celenv.NewLibrarySubset().AddExcludedFunctions(append(zoned(), withoutMatches())...))),
		cel.CustomTypeAdapter(adapter{registry}),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EagerlyValidateDeclarations(true),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ParserRecursionLimit(60),
		cel.ParserErrorRecoveryLimit(10),
		cel.ExpressionNodeLimit(2000),
		patternFunction(),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(3), patterns{},
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for name := range vars {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	return cel.NewCustomEnv(append(options, textFunctions()...)...)
}

// zoned are the overloads that take the name of a time zone: those read the machine's
// files, and what is in them changes.
func zoned() []*celenv.Function {
	var list []*celenv.Function
	for function, overload := range map[string]string{
		overloads.TimeGetDate: overloads.TimestampToDayOfMonthOneBasedWithTz, overloads.TimeGetDayOfMonth: overloads.TimestampToDayOfMonthZeroBasedWithTz,
		overloads.TimeGetDayOfWeek: overloads.TimestampToDayOfWeekWithTz, overloads.TimeGetDayOfYear: overloads.TimestampToDayOfYearWithTz,
		overloads.TimeGetFullYear: overloads.TimestampToYearWithTz, overloads.TimeGetMonth: overloads.TimestampToMonthWithTz,
		overloads.TimeGetHours: overloads.TimestampToHoursWithTz, overloads.TimeGetMinutes: overloads.TimestampToMinutesWithTz,
		overloads.TimeGetSeconds: overloads.TimestampToSecondsWithTz, overloads.TimeGetMilliseconds: overloads.TimestampToMillisecondsWithTz,
	} {
		list = append(list, celenv.NewFunction(function, celenv.NewOverload(overload, nil, nil)))
	}
	return list
}

// expression is a compiled expression.
type expression struct {
	program cel.Program
}

// expression compiles one; nil when it is refused.
func (p *parser) expression(source, at string) *expression {
	return p.compile(source, at, nil)
}

func (p *parser) compile(source, at string, want *cel.Type) *expression {
	if p.expressions++; p.expressions > MaxExpressions {
		if p.expressions == MaxExpressions+1 {
			p.refuse(p.pointer, "size", fmt.Sprintf("A document has at most %d expressions.", MaxExpressions))
		}
		return nil
	}
	switch {
	case strings.TrimSpace(source) == "":
		p.refuse(at, "format", "The expression is empty.")
		return nil
	case len(source) > MaxExpression:
		p.refuse(at, "size", fmt.Sprintf("An expression has at most %d bytes, this one has %d.", MaxExpression, len(source)))
		return nil
	}
	checked, issues := p.env.Compile(source)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			p.refuse(at, "format", fmt.Sprintf("The expression doesn't compile, at line %d, column %d: %s.",
				max(e.Location.Line(), 1), max(e.Location.Column(), 0)+1, firstLine(e.Message)))
		}
		return nil
	}
	if want != nil && !checked.OutputType().IsExactType(want) {
		p.refuse(at, "type", fmt.Sprintf("An expression of the type %s is wanted, this one is %s. A member may hold anything, so compare it: user.attributes.x == true.",
			want, checked.OutputType()))
		return nil
	}
	if !p.members(checked.NativeRep(), at) {
		return nil
	}
	program, err := p.env.Program(checked, cel.CostTracking(cost{weights(checked.NativeRep())}), cel.CostLimit(MaxCost), cel.CustomDecoratorV2(bounded),
		cel.EvalOptions(cel.OptTrackCost))
	if err != nil {
		p.refuse(at, "format", "The expression can't be used: "+firstLine(err.Error())+".")
		return nil
	}
	return &expression{program}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(s, ".")
}

// members notes which members of the variables an expression asks for, and refuses those
// that there are none of. Only what is asked for by name is known: a variable that is used
// in any other way is needed whole.
func (p *parser) members(checked *ast.AST, at string) bool {
	if p.needs == nil {
		p.needs = needs{}
	}
	w := walk{p: p, at: at, checked: checked, ok: true, inner: map[string]bool{}}
	// A macro's own variable hides ours, for good measure in the whole expression.
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			w.inner[e.AsComprehension().IterVar()] = true
			w.inner[e.AsComprehension().IterVar2()] = true
			w.inner[e.AsComprehension().AccuVar()] = true
		}
	}))
	named := map[int64]bool{} // identifiers that stand before a dot
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			w.selected(e, named)
		case ast.IdentKind:
			if name := e.AsIdent(); !named[e.ID()] && p.vars[name] != nil {
				p.needs[name] = true
			}
		}
	}))
	return w.ok
}

// walk is the search for members in one expression.
type walk struct {
	p       *parser
	at      string
	checked *ast.AST
	inner   map[string]bool // variables of macros
	ok      bool
}

func (w *walk) selected(e ast.Expr, named map[int64]bool) {
	sel := e.AsSelect()
	operand := sel.Operand()
	switch operand.Kind() {
	case ast.IdentKind:
		variable := operand.AsIdent()
		known := w.p.vars[variable]
		if known == nil || w.inner[variable] {
			return
		}
		named[operand.ID()] = true
		w.p.needs[variable+"."+sel.FieldName()] = true
		w.require(e, variable, sel.FieldName(), known)
	case ast.SelectKind:
		outer := operand.AsSelect()
		if outer.Operand().Kind() != ast.IdentKind || w.inner[outer.Operand().AsIdent()] {
			return
		}
		variable := outer.Operand().AsIdent()
		if variable == "session" && outer.FieldName() == "device" {
			w.require(e, variable, "device."+sel.FieldName(), w.p.vars[variable])
		}
	}
}

func (w *walk) require(e ast.Expr, variable, member string, known []string) {
	if slices.Contains(known, member) {
		return
	}
	w.ok = false
	where := w.checked.SourceInfo().GetStartLocation(e.ID())
	w.p.refuse(w.at, "unknown", fmt.Sprintf("%s has no member %s, at line %d, column %d. It has %s.",
		variable, firstLine(member), max(where.Line(), 1), max(where.Column(), 0)+1, strings.Join(known, ", ")))
}

// eval runs an expression. A nil value without a reason is a member that isn't there.
func (e *expression) eval(s *scope) (v ref.Val, why string) {
	if s.spent >= MaxTotalCost {
		return nil, errCost
	}
	defer func() {
		// CEL recovers from its own panics while it evaluates; one of a value that is
		// read later must not take a refresh along, either.
		if recover() != nil {
			v, why = nil, errOther
		}
	}()
	v, details, err := e.program.Eval(s)
	if details != nil {
		if spent := details.ActualCost(); spent != nil {
			s.spent += *spent
		}
	}
	if err != nil {
		if why = reason(err); why == errCost {
			s.spent += MaxCost
		}
		return nil, why
	}
	if types.IsUnknownOrError(v) {
		return nil, errOther
	}
	return v, ""
}

// Reasons why an expression has no value.
const (
	errCost  = "The expression costs too much."
	errOther = "The expression can't be evaluated with these values."
)

// ownReasons are the words of our own functions.
func ownReasons() []string {
	return []string{errLarge, errTextLong, errSteps}
}

// reason says why an expression has failed, "" for a member that isn't there. Of CEL's own
// words only those are repeated that hold no value, which may be somebody's.
func reason(err error) string {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "no such key"), strings.HasPrefix(text, "no such attribute"):
		return ""
	case strings.Contains(text, "cost limit"):
		return errCost
	case slices.Contains(ownReasons(), text):
		return text
	case strings.HasPrefix(text, "no such overload"):
		return "The values have types that don't go together."
	case strings.HasPrefix(text, "division by zero"), strings.HasPrefix(text, "modulus by zero"):
		return "Something is divided by zero."
	case strings.Contains(text, "index out of bounds"), strings.Contains(text, "out of range"), strings.Contains(text, "overflow"):
		return "A number or an index is out of range."
	}
	return errOther
}
