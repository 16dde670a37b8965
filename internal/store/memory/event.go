package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type events struct{ *Store }

func (s events) List(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	var page []audit.Event
	for _, e := range tx.newest(func(e audit.Entry) bool { return q.Selects(e.Event) }) {
		page = append(page, copyEvent(e.Event))
	}
	return page[:min(max(q.Limit, 0), len(page))], nil
}

// newest returns the entries that are wanted, newest first.
func (tx transaction) newest(wanted func(audit.Entry) bool) []audit.Entry {
	var list []audit.Entry
	for _, e := range tx.events {
		if wanted(e) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b audit.Entry) int { return b.ID.Compare(a.ID) })
	return list
}

func (s events) Walk(ctx context.Context, q audit.Query) (page []audit.Event, next id.Event, err error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, next, err
	}
	defer tx.end()
	all := tx.newest(func(e audit.Entry) bool {
		return e.Project == q.Project && (q.Before.IsZero() || e.ID.Compare(q.Before) < 0)
	})
	var last id.Event
	for i, e := range all {
		if i == audit.Look {
			return page, last, nil
		}
		if q.Selects(e.Event) {
			if len(page) == q.Limit {
				return page, last, nil
			}
			page = append(page, copyEvent(e.Event))
		}
		last = e.ID
	}
	return page, id.Event{}, nil
}

func (s events) After(ctx context.Context, p id.Project, seq int64, limit int) (list []audit.Entry, reached int64, err error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, seq, err
	}
	defer tx.end()
	var behind []audit.Entry
	for _, e := range tx.events {
		if e.Seq > seq {
			behind = append(behind, e)
		}
	}
	slices.SortFunc(behind, func(a, b audit.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range behind[:min(audit.Look, len(behind))] {
		if len(list) == limit {
			break
		}
		if p.IsZero() || e.Project == p {
			list = append(list, audit.Entry{Seq: e.Seq, Event: copyEvent(e.Event)})
		}
		seq = e.Seq
	}
	return list, seq, nil
}

func (s events) At(ctx context.Context, seq int64) (audit.Entry, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return audit.Entry{}, err
	}
	defer tx.end()
	for _, e := range tx.events {
		if e.Seq == seq {
			return audit.Entry{Seq: seq, Event: copyEvent(e.Event)}, nil
		}
	}
	return audit.Entry{}, fault.New(fault.NotFound, "There is no such event.")
}

func (s events) Last(ctx context.Context) (int64, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	return tx.logged, nil
}

func (s events) Append(ctx context.Context, list ...audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	tx.log(list...)
	return nil
}

func (s events) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	old := tx.newest(func(e audit.Entry) bool { return e.At.Before(cutoff) })
	slices.SortFunc(old, func(a, b audit.Entry) int { return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID)) })
	old = old[:min(max(limit, 0), len(old))]
	for _, e := range old {
		delete(tx.events, e.ID)
	}
	return len(old), nil
}
