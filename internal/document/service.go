package document

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Deps is what a Service stands on.
type Deps struct {
	Store Store

	// Check refuses a document that can't be used, or whose claims don't fit into the
	// tokens of a sample (nil for a built-in one) or of the sessions that there are. Pointers in its errors begin with /document or /sample.
	Check func(ctx context.Context, p id.Project, k Kind, document json.RawMessage, sample *latchkey.TemplateSample) error

	// Conceals says of a document that Check has let pass what Version.Conceals is.
	Conceals func(k Kind, document json.RawMessage) (bool, error)

	Now func() time.Time
}

// Service saves documents and rolls them out. It is safe for concurrent use.
type Service struct{ d Deps }

// New returns a Service. All members of d are needed.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Check == nil || d.Conceals == nil || d.Now == nil {
		return nil, errors.New("document: a dependency is missing")
	}
	return &Service{d}, nil
}

// Draft is a document to be saved.
type Draft struct {
	Document json.RawMessage
	Percent  int // 0 to 100: of the sessions that get it
	Comment  string
	Sample   *latchkey.TemplateSample // see Deps.Check
}

// Find returns the state of a kind and the versions that are in use, newest first;
// fault.NotFound when there are none.
func (s *Service) Find(ctx context.Context, p id.Project, k Kind) (State, []Version, error) {
	if err := known(k); err != nil {
		return State{}, nil, err
	}
	state, err := s.d.Store.Find(ctx, p, k)
	if err != nil {
		return State{}, nil, err
	}
	var versions []Version
	for _, n := range []int{state.Candidate, state.Stable} {
		if n == 0 {
			continue
		}
		v, err := s.d.Store.Version(ctx, p, k, n)
		if err != nil {
			return State{}, nil, err
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 {
		return State{}, nil, fault.New(fault.NotFound, "The project has no document of this kind.")
	}
	return state, versions, nil
}

// Version returns one version; fault.NotFound for one that isn't kept.
func (s *Service) Version(ctx context.Context, p id.Project, k Kind, n int) (Version, error) {
	if err := known(k); err != nil {
		return Version{}, err
	}
	return s.d.Store.Version(ctx, p, k, n)
}

// List returns at most limit versions with a number less than before, newest first; 0 is
// for all.
func (s *Service) List(ctx context.Context, p id.Project, k Kind, before, limit int) ([]Version, error) {
	if err := known(k); err != nil {
		return nil, err
	}
	return s.d.Store.List(ctx, p, k, before, limit)
}

// Save checks a document and makes it a new version. Errors: fault.TemplateInvalid,
// OutOfRange, Invalid, ClaimsTooLarge with everything that is wrong; NotFound for an
// unknown project or kind. Nothing is saved then.
func (s *Service) Save(ctx context.Context, p id.Project, k Kind, d Draft, o audit.Origin) (State, Version, error) {
	if err := known(k); err != nil {
		return State{}, Version{}, err
	}
	if err := d.check(); err != nil {
		return State{}, Version{}, err
	}
	if err := s.d.Check(ctx, p, k, d.Document, d.Sample); err != nil {
		return State{}, Version{}, err
	}
	conceals, err := s.d.Conceals(k, d.Document)
	if err != nil {
		return State{}, Version{}, err
	}
	now := time.UnixMilli(s.d.Now().UnixMilli()).UTC()
	var saved Version
	state, err := s.d.Store.Change(ctx, p, k, func(before State) (Step, error) {
		after := before.Saved(d.Percent)
		saved = Version{N: after.Last, Document: d.Document, Comment: d.Comment, CreatedAt: now, Actor: o.Actor, Conceals: conceals}
		e := event(p, k, audit.TemplateSaved, now, after, o).With("version", float64(saved.N)).With("percent", float64(d.Percent))
		if d.Comment != "" {
			e = e.With("comment", d.Comment)
		}
		return Step{State: after, Save: &saved, Event: e}, nil
	})
	return state, saved, err
}

func (d Draft) check() error {
	var bad []fault.Field
	if f := percentRefusal(d.Percent); f != nil {
		bad = append(bad, *f)
	}
	if n := utf8.RuneCountInString(d.Comment); n > MaxComment {
		bad = append(bad, fault.Field{Pointer: "/comment", Code: "size", Detail: fmt.Sprintf("At most %d characters are allowed, this has %d.", MaxComment, n)})
	}
	if len(bad) > 0 {
		return fault.New(fault.OutOfRange, "The document can't be saved like this.").WithFields(bad...)
	}
	return nil
}

func percentRefusal(percent int) *fault.Field {
	if percent >= 0 && percent <= Shares {
		return nil
	}
	return &fault.Field{Pointer: "/percent", Code: "range", Detail: "0 to 100 is wanted."}
}

// RollOut gives the candidate to another share of the sessions; 100 makes it the stable
// version. Errors: fault.OutOfRange, Conflict without a candidate, NotFound.
func (s *Service) RollOut(ctx context.Context, p id.Project, k Kind, percent int, o audit.Origin) (State, error) {
	if f := percentRefusal(percent); f != nil {
		return State{}, fault.New(fault.OutOfRange, "The document can't be rolled out like this.").WithFields(*f)
	}
	return s.change(ctx, p, k, audit.TemplateRolledOut, o, func(s State) (State, error) { return s.RolledOut(percent) },
		func(e audit.Event, before State) audit.Event {
			return e.With("version", float64(before.Candidate)).With("percent", float64(percent))
		})
}

// RollBack goes one step back: State.RolledBack. Errors: fault.Conflict, NotFound.
func (s *Service) RollBack(ctx context.Context, p id.Project, k Kind, o audit.Origin) (State, error) {
	return s.change(ctx, p, k, audit.TemplateRolledBack, o, State.RolledBack,
		func(e audit.Event, before State) audit.Event {
			gone := before.Candidate
			if gone == 0 {
				gone = before.Stable
			}
			return e.With("version", float64(gone))
		})
}

// Delete removes all versions of a kind. fault.NotFound when there is none in use.
func (s *Service) Delete(ctx context.Context, p id.Project, k Kind, o audit.Origin) error {
	if err := known(k); err != nil {
		return err
	}
	now := s.d.Now()
	_, err := s.d.Store.Change(ctx, p, k, func(before State) (Step, error) {
		after := before.Deleted()
		if before == after {
			return Step{}, fault.New(fault.NotFound, "The project has no document of this kind.")
		}
		return Step{State: after, Clear: true, Event: event(p, k, audit.TemplateDeleted, now, after, o)}, nil
	})
	return err
}

func (s *Service) change(ctx context.Context, p id.Project, k Kind, t audit.Type, o audit.Origin,
	move func(State) (State, error), tell func(audit.Event, State) audit.Event) (State, error) {
	if err := known(k); err != nil {
		return State{}, err
	}
	now := s.d.Now()
	return s.d.Store.Change(ctx, p, k, func(before State) (Step, error) {
		after, err := move(before)
		if err != nil {
			return Step{}, err
		}
		return Step{State: after, Event: tell(event(p, k, t, now, after, o), before)}, nil
	})
}

func event(p id.Project, k Kind, t audit.Type, now time.Time, after State, o audit.Origin) audit.Event {
	e := audit.New(p, now, t, o).With("kind", string(k)).With("stable", float64(after.Stable))
	if after.Candidate > 0 {
		e = e.With("candidate", float64(after.Candidate))
	}
	return e
}

func known(k Kind) error {
	if !slices.Contains(Kinds(), k) {
		return fault.New(fault.NotFound, "There is no such kind of document: user, accessKey and signIn are known.")
	}
	return nil
}
