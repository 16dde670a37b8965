package sqlite

import (
	"context"
	"iter"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// loadStep is how many sessions one transaction of Load adds.
const loadStep = 2000

// Load adds many sessions fast and returns how many it has added: for imports and
// benchmarks. Rows go in as they are, epochs included; their project and user must
// exist, but nothing is asked of project version, status of the user, or Admission, and
// no event is written. It stops at the first error and keeps what was added in the
// transactions before.
func (s *Store) Load(ctx context.Context, rows iter.Seq[session.Row]) (int, error) {
	total := 0
	batch := make([]session.Row, 0, loadStep)
	flush := func() error {
		err := s.write(ctx, func(tx *transaction) error { return tx.load(batch) })
		if err == nil {
			total += len(batch)
		}
		batch = batch[:0]
		return err
	}
	for row := range rows {
		if batch = append(batch, row); len(batch) < loadStep {
			continue
		}
		if err := flush(); err != nil {
			return total, err
		}
	}
	return total, flush()
}

func (tx *transaction) load(rows []session.Row) error {
	for _, row := range rows {
		o, err := findOwner(tx.Conn, row.Project)
		if err != nil {
			return err
		}
		n, _, err := findUser(tx.Conn, o, row.Project, row.User)
		if err != nil {
			return err
		}
		free, err := tx.insert(o, n, row)
		if err != nil {
			return err
		}
		if !free {
			return fault.New(fault.Conflict, "There is a session with the id %v already.", row.ID)
		}
	}
	return nil
}
