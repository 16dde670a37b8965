package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (s bulk) Largest(ctx context.Context, p id.Project, limit int) ([]session.Row, []session.Subject, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer tx.end()
	owner, known := tx.projects[p]
	if !known {
		return nil, nil, nil
	}
	var rows []session.Row
	for _, row := range owner.sessions {
		if status, _ := row.Status(owner.subject(row), tx.now); status == session.Active {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b session.Row) int {
		return cmp.Or(cmp.Compare(len(b.Claims)+len(b.NSec), len(a.Claims)+len(a.NSec)), b.ID.Compare(a.ID))
	})
	rows = rows[:min(max(limit, 0), len(rows))]
	var subjects []session.Subject
	for i, row := range rows {
		rows[i], subjects = copyRow(row), append(subjects, owner.subject(row))
	}
	return rows, subjects, nil
}
