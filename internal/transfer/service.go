package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/token"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// Deps is what a Service stands on.
type Deps struct {
	Store     store.Store
	Directory *directory.Service
	Webhooks  *webhook.Service
	Tokens    *token.Service // only for the lengths of tokens
	Now       func() time.Time
	// Pause lets others write between two transactions of an import that took d.
	Pause func(ctx context.Context, d time.Duration)
}

// Service exports and imports projects. It is safe for concurrent use.
type Service struct {
	d        Deps
	compiler *template.Compiler
}

// New returns a Service. All members of d are needed.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Directory == nil || d.Webhooks == nil || d.Tokens == nil || d.Now == nil || d.Pause == nil {
		return nil, errors.New("transfer: a dependency is missing")
	}
	compiler, err := template.NewCompiler()
	if err != nil {
		return nil, err
	}
	return &Service{d, compiler}, nil
}

// Target is the project that an import goes into.
type Target struct {
	Project id.Project
	New     bool // it isn't there yet: Check asks nothing of the store; Apply wants it to be there
	Origin  audit.Origin
}

// Check reads a whole file and finds what it would do and everything that is wrong with
// it. It changes nothing. progress is told of the lines read, now and then. An error is
// one of reading or of the store; what is wrong with the file is in the report.
func (s *Service) Check(ctx context.Context, t Target, from io.Reader, progress func(lines int)) (Report, error) {
	r := s.reading(ctx, t, progress)
	err := r.all(from)
	// Users are looked at a hundred at a time, so theirs come late.
	slices.SortStableFunc(r.report.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return r.report, err
}

// Measure reads a file again in which Check has found nothing wrong, and returns its report
// with the users whose session tokens would be too long. It changes nothing.
func (s *Service) Measure(ctx context.Context, t Target, from io.Reader, checked Report, progress func(lines int)) (Report, error) {
	r := s.reading(ctx, t, progress)
	if err := r.weigh(checked); err != nil {
		return r.report, err
	}
	err := r.all(from)
	return r.report, err
}

// errChanged stops an import whose file isn't the one that was checked.
var errChanged = errors.New("the file isn't as it was when it was checked, or the project has changed since; what was applied until now is in order, and the import can be repeated")

// Apply makes the project what a file says that Check has found nothing wrong with, and
// returns what has become of its lines. changes is how many lines Check has said will
// change something: of very many users that change, verifiers are told together. The report
// also names users whose session tokens would be too long, as Measure does. When it
// ends early, by an error or a crash, it can be repeated. The report holds the secrets of
// webhooks that were added, also with an error: nobody learns them again.
func (s *Service) Apply(ctx context.Context, t Target, from io.Reader, changes Report, progress func(lines int)) (Report, error) {
	t.New = false
	r := s.reading(ctx, t, progress)
	r.apply, r.wide = true, changes.Outcome[User].Changed > manyChanges
	if err := r.weigh(changes); err != nil {
		return r.report, err
	}
	if err := r.all(from); err != nil {
		return r.report, err
	}
	if r.report.Changes() == 0 {
		return r.report, nil
	}
	e := audit.New(t.Project, s.d.Now(), audit.ProjectImported, t.Origin)
	for k, c := range r.report.Outcome {
		e = e.With(string(k), map[string]any{"added": float64(c.Added), "changed": float64(c.Changed), "same": float64(c.Same)})
	}
	_, err := s.d.Store.Lives().Change(ctx, t.Project, func(p directory.Project) (directory.Project, []audit.Event, error) {
		return p, []audit.Event{e}, nil
	})
	return r.report, err
}

// manyChanges is how many users may change before verifiers are told of all at once.
const manyChanges = 1000
