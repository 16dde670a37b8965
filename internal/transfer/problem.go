package transfer

import (
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Problem is something that is wrong with a line.
type Problem struct {
	Line    int    `json:"line"`
	Pointer string `json:"pointer"` // JSON pointer to the member; "" for the whole line
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// MaxShown is how many problems are kept; all are counted.
const MaxShown = 1000

// Report says what an import would do, or why it can't be done.
type Report struct {
	Lines    int             `json:"lines"`
	Outcome  map[Kind]Change `json:"kinds"`
	Problems []Problem       `json:"problems,omitempty"` // the first MaxShown
	Found    int             `json:"problemsFound"`      // how many there are

	// Long are the first MaxLong users of the file whose session tokens would be too long,
	// of TooLong in all. Check doesn't look for them, since a template decides that stands
	// behind the users: see Measure.
	Long    []Long `json:"tokensTooLong,omitempty"`
	TooLong int    `json:"usersWithTokensTooLong"`

	// partial are lines that are read without some of their members, and the names of those
	// that were left: what is wrong with others, or with the line as a whole, may be so only
	// because these are missing.
	partial map[int]map[string]bool

	outlook outlook // what Check has found the project to become

	// Secrets are those of the webhooks that were added.
	Secrets []HookSecret `json:"-"`
}

// HookSecret is what a webhook that was added signs with.
type HookSecret struct {
	Webhook id.Webhook
	Secret  secret.Text
}

// Change is what becomes of the lines of a kind.
type Change struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Same    int `json:"same"`
}

func (r *Report) problem(line int, pointer, code, detail string) {
	if left, partial := r.partial[line]; partial && !left[member(pointer)] {
		return
	}
	if r.Found++; len(r.Problems) < MaxShown {
		r.Problems = append(r.Problems, Problem{line, pointer, code, wire.Sentence(detail)})
	}
}

func (r *Report) fields(line int, below string, fields []fault.Field) {
	for _, f := range fields {
		r.problem(line, below+f.Pointer, f.Code, f.Detail)
	}
}

// Changes is how many lines add or change something.
func (r *Report) Changes() int {
	n := 0
	for _, c := range r.Outcome {
		n += c.Added + c.Changed
	}
	return n
}

func (r *Report) count(k Kind, there, same bool) {
	c := r.Outcome[k]
	switch {
	case !there:
		c.Added++
	case same:
		c.Same++
	default:
		c.Changed++
	}
	r.Outcome[k] = c
}
