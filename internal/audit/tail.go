package audit

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Tail follows the events that a query selects, in the order of commit. It keeps a place,
// and nothing of what was written. It isn't safe for concurrent use.
type Tail struct {
	store Store
	query Query
	at    Cursor
}

// NewTail returns a tail that starts behind a place. The query's Before and Limit don't
// count.
func NewTail(s Store, q Query, from Cursor) *Tail { return &Tail{s, q, from} }

// At returns the place behind what was looked at.
func (t *Tail) At() Cursor { return t.at }

// Next looks at up to limit more entries of the project and returns those that the query
// selects. done says that there is nothing more for now; there may be more when it isn't,
// however many were returned.
func (t *Tail) Next(ctx context.Context, limit int) (selected []Entry, done bool, err error) {
	list, reached, err := t.store.After(ctx, t.query.Project, t.at.Seq, limit)
	if err != nil {
		return nil, false, err
	}
	done = reached == t.at.Seq && len(list) == 0
	for _, e := range list {
		if t.at = e.Cursor(); t.query.Selects(e.Event) {
			selected = append(selected, e)
		}
	}
	if reached > t.at.Seq {
		t.at = Cursor{Seq: reached} // others' events, or none that is wanted
	}
	if done && t.at.Tag == 0 && t.at.Seq > 0 {
		// With the tag this log is told from another one, should the follower come back.
		t.at, err = Place(ctx, t.store, t.at.Seq)
	}
	return selected, done, err
}

// disorder is by how much the order of commit may differ from that of the times of events,
// which are taken a little before.
const disorder = time.Minute

// Since returns a place before all events that happened at a time or later, and not much
// before: a follower who wants none that is earlier says so in the query.
func Since(ctx context.Context, s Store, at time.Time) (Cursor, error) {
	last, err := s.Last(ctx)
	if err != nil {
		return Cursor{}, err
	}
	at = at.Add(-disorder)
	early, late := int64(0), last // the place is at or behind the first, and not behind the second
	for early < late {
		middle := early + (late-early)/2
		next, _, err := s.After(ctx, id.Project{}, middle, 1)
		if err != nil {
			return Cursor{}, err
		}
		if len(next) > 0 && next[0].At.Before(at) {
			early = next[0].Seq
		} else {
			late = middle
		}
	}
	return Place(ctx, s, early)
}
