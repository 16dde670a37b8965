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
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
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

// sweepStep is how many rows one transaction of a sweep looks at, so that others get
// their turn. Refreshes that come meanwhile wait for it, and for the checkpoint that it
// may bring about.
const sweepStep = 50

// inSteps removes at most limit rows with several calls of remove, which is told how
// many rows to look at and returns whether there may be more. When there are, nothing is
// removed for as long as the call before took: a sweep would be the first in line again
// as soon as it has left the transaction, and every refresh would wait for a step of it.
func inSteps(ctx context.Context, limit int, remove func(n int) (removed int, more bool, err error)) (int, error) {
	total := 0
	for total < limit {
		start := time.Now()
		n, more, err := remove(min(limit-total, sweepStep))
		total += n
		if err != nil || !more {
			return total, err
		}
		select {
		case <-time.After(time.Since(start)):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
	return total, nil
}
