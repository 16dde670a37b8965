package document

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Whole is which versions of a kind are to be in use, as a file says it: by what is in
// them, since their numbers are a store's own. Members that are nil stay as they are,
// except that another stable version ends the candidate there was, and leaves the one
// before as the previous one.
type Whole struct {
	Stable, Candidate, Previous *Edition
	Percent                     int // of the candidate
}

// Edition is a version without its number.
type Edition struct {
	Document  json.RawMessage
	Comment   *string // nil: any
	CreatedAt time.Time
	Conceals  bool // see Version.Conceals; it follows from Document
}

// is reports whether a version has the same contents.
func (e *Edition) is(v Version) bool {
	return (e.Comment == nil || *e.Comment == v.Comment) && bytes.Equal(compact(e.Document), compact(v.Document))
}

// compact takes out the spaces, so that a document is the same however it was sent.
func compact(doc json.RawMessage) []byte {
	var out bytes.Buffer
	if json.Compact(&out, doc) != nil {
		return doc
	}
	return out.Bytes()
}

func (e *Edition) version(n int, actor audit.Actor) Version {
	v := Version{N: n, Document: e.Document, CreatedAt: e.CreatedAt, Actor: actor, Conceals: e.Conceals}
	if e.Comment != nil {
		v.Comment = *e.Comment
	}
	return v
}

// arrange returns the state that is wanted, and the versions that have to be saved for it.
// kept are those that there are.
func (w Whole) arrange(before State, kept []Version, actor audit.Actor) (State, []Version) {
	after := before
	var missing []Version
	// Two of the three may say the same, as after saving it twice: each is one of its own,
	// else going a step back would lead nowhere.
	var taken []int
	for _, v := range kept {
		if v.N == before.Stable && w.Stable != nil && w.Stable.is(v) {
			taken = append(taken, v.N) // which Previous could be mistaken for
		}
	}
	number := func(e *Edition, preferred, above int) int {
		found := 0
		for _, v := range kept {
			free := v.N == preferred || !slices.Contains(taken, v.N)
			if free && v.N > above && e.is(v) && (found == 0 || v.N == preferred) {
				found = v.N
			}
		}
		if found == 0 {
			after.Last++
			found = after.Last
			missing = append(missing, e.version(found, actor))
		}
		taken = append(taken, found)
		return found
	}
	if w.Previous != nil {
		after.Previous = number(w.Previous, before.Previous, 0)
	}
	if w.Stable != nil {
		after.Stable = number(w.Stable, before.Stable, 0)
	}
	if after.Stable != before.Stable {
		after.Candidate, after.Percent = 0, 0
		if w.Previous == nil {
			after.Previous = before.Stable
		}
	}
	if w.Candidate != nil {
		// A candidate is always newer than what it is to replace.
		after.Candidate, after.Percent = number(w.Candidate, before.Candidate, after.Stable), w.Percent
	}
	return after, missing
}

// Foretell says whether there are documents of a kind, and whether they are as w wants
// them.
func (w Whole) Foretell(ctx context.Context, st Store, p id.Project, k Kind) (there, same bool, err error) {
	state, err := st.Find(ctx, p, k)
	if err != nil {
		return false, false, err
	}
	kept, err := st.List(ctx, p, k, 0, MaxVersions)
	if err != nil {
		return false, false, err
	}
	after, missing := w.arrange(state, kept, "")
	return state.Stable > 0 || state.Candidate > 0, after == state && len(missing) == 0, nil
}

var errMoved = errors.New("somebody else has changed the documents")

// Adopt makes the documents of a kind what w wants. What has to be saved is saved first,
// for nobody, and then all that is in use changes in one step: no session ever gets a
// version that is on its way. When it is cut off, it can be repeated.
func (w Whole) Adopt(ctx context.Context, st Store, p id.Project, k Kind, now time.Time, o audit.Origin) error {
	for done := false; !done; {
		state, err := st.Find(ctx, p, k)
		if err != nil {
			return err
		}
		kept, err := st.List(ctx, p, k, 0, MaxVersions)
		if err != nil {
			return err
		}
		after, missing := w.arrange(state, kept, o.Actor)
		if after == state {
			return nil
		}
		step := w.step(p, k, state, after, missing, now, o)
		_, err = st.Change(ctx, p, k, func(before State) (Step, error) {
			if before != state {
				return Step{}, errMoved
			}
			return step, nil
		})
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
		done = err == nil && step.State == after
	}
	return nil
}

func (w Whole) step(p id.Project, k Kind, before, after State, missing []Version, now time.Time, o audit.Origin) Step {
	version, percent := after.Stable, Shares
	if after.Candidate > 0 {
		version, percent = after.Candidate, after.Percent
	}
	step := Step{State: after}
	t := audit.TemplateRolledOut
	if len(missing) > 0 {
		step.Save, t = &missing[0], audit.TemplateSaved
		version = step.Save.N
	}
	if len(missing) > 1 {
		step.State, percent = before, 0
		step.State.Last++
	}
	step.Event = event(p, k, t, now, step.State, o).With("version", float64(version)).With("percent", float64(percent))
	if step.Save != nil && step.Save.Comment != "" {
		step.Event = step.Event.With("comment", step.Save.Comment)
	}
	return step
}
