package sqlite

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Sweep goes along reap_at, which may be earlier than the moment at which a session is
// over, but never later. It never looks past now, whatever the cutoff: a session that
// has yet to run out isn't over.
func (s bulk) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	return inSteps(limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			removed, more, err = tx.reap(cutoff, n)
			return err
		})
		return removed, more, err
	})
}

// reap looks at n sessions: it removes those that are over and puts reap_at of the
// others right, so that it doesn't meet them again.
func (tx *transaction) reap(cutoff time.Time, n int) (removed int, more bool, err error) {
	if cutoff.After(tx.now) {
		cutoff = tx.now
	}
	due, err := tx.due(cutoff, n)
	if err != nil {
		return 0, false, err
	}
	for _, s := range due {
		if over := s.row.OverAt(); !over.Before(cutoff) {
			err = tx.Query("UPDATE sessions SET reap_at = ? WHERE n = ?").Int(over.UnixMilli()).Int(s.n).Exec()
		} else if err = tx.Query("DELETE FROM sessions WHERE n = ?").Int(s.n).Exec(); err == nil {
			removed++
			err = tx.forget(s.user)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return removed, len(due) == n, nil
}

const dueSessions = "SELECT " + headColumns + fromSessions + "WHERE s.reap_at < ? ORDER BY s.reap_at LIMIT ?"

// due returns up to n sessions that may have been over before cutoff.
func (tx *transaction) due(cutoff time.Time, n int) ([]stored, error) {
	var due []stored
	q := tx.Query(dueSessions)
	for q.Int(ceiling(cutoff)).Int(int64(n)); q.Next(); {
		due = append(due, readHead(q, id.Project{}))
	}
	return due, q.Close()
}
