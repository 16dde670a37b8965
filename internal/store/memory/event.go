package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
)

type events struct{ *Store }

func (s events) List(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	var page []audit.Event
	for _, e := range tx.events {
		if selected(e, q) {
			page = append(page, copyEvent(e))
		}
	}
	slices.SortFunc(page, func(a, b audit.Event) int { return b.ID.Compare(a.ID) })
	return page[:min(max(q.Limit, 0), len(page))], nil
}

func selected(e audit.Event, q audit.Query) bool {
	return e.Project == q.Project &&
		(len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.Session.IsZero() || e.Session == q.Session) &&
		(q.User.IsZero() || e.User == q.User) &&
		(q.From.IsZero() || !e.At.Before(q.From)) &&
		(q.To.IsZero() || e.At.Before(q.To)) &&
		(q.Before.IsZero() || e.ID.Compare(q.Before) < 0)
}

func (s events) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	old := slices.Collect(maps.Values(tx.events))
	old = slices.DeleteFunc(old, func(e audit.Event) bool { return !e.At.Before(cutoff) })
	slices.SortFunc(old, func(a, b audit.Event) int { return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID)) })
	old = old[:min(max(limit, 0), len(old))]
	for _, e := range old {
		delete(tx.events, e.ID)
	}
	return len(old), nil
}
