package directory

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Outcome is what became of one user of a batch.
type Outcome struct {
	User User
	Err  error // why it was refused; nil when it wasn't
}

// CreateUsers adds users in their order, each for itself: that one is refused leaves the
// others alone. When the store fails midway, the outcomes of the rest say so.
func (s *Service) CreateUsers(ctx context.Context, p id.Project, all []UserChange, o audit.Origin) []Outcome {
	out := make([]Outcome, len(all))
	l := s.look(p)
	var edits []UserEdit
	var at []int // where in out the edit belongs
	for i, c := range all {
		u, e, err := s.newUser(ctx, l, c, o)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].User = u
		at = append(at, i)
		edits = append(edits, UserEdit{User: u.ID, Edit: func(old User) (User, []audit.Event, error) {
			if !old.ID.IsZero() {
				return old, nil, fault.New(fault.Conflict, "There is a user with this id already.")
			}
			return u, []audit.Event{e}, nil
		}})
	}
	for j, err := range s.apply(ctx, p, edits) {
		if err != nil {
			out[at[j]] = Outcome{Err: err}
		}
	}
	return out
}

// DeleteUsers removes users like CreateUsers adds them. One that is named twice isn't
// there the second time: fault.NotFound.
func (s *Service) DeleteUsers(ctx context.Context, p id.Project, all []id.User, o audit.Origin) []error {
	now := s.now()
	edits := make([]UserEdit, len(all))
	for i, u := range all {
		edits[i] = UserEdit{User: u, Edit: func(old User) (User, []audit.Event, error) {
			if old.ID.IsZero() {
				return old, nil, fault.New(fault.NotFound, "This project has no such user.")
			}
			return User{}, []audit.Event{audit.New(p, now, audit.UserDeleted, o).Of(id.Session{}, u)}, nil
		}}
	}
	return s.apply(ctx, p, edits)
}

// apply does edits and returns what became of each; what the store failed at is told of
// every edit that it hasn't done.
func (s *Service) apply(ctx context.Context, p id.Project, edits []UserEdit) []error {
	if len(edits) == 0 {
		return nil
	}
	done, err := s.batches.Apply(ctx, p, edits)
	for len(done) < len(edits) {
		done = append(done, err)
	}
	return done
}
