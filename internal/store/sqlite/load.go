package sqlite

import (
	"context"
	"iter"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// loadStep is how many rows one transaction of a load adds.
const loadStep = 2000

// Load adds many sessions fast and returns how many it has added: for imports and
// benchmarks. Rows go in as they are, epochs included; their project and user must
// exist, but nothing is asked of project version, status of the user, or Admission, and
// no event is written. It stops at the first error and keeps what was added in the
// transactions before.
func (s *Store) Load(ctx context.Context, rows iter.Seq[session.Row]) (int, error) {
	return inLoads(rows, func(batch []session.Row) error {
		return s.write(ctx, func(tx *transaction) error { return tx.load(batch) })
	})
}

// LoadUsers adds many users fast, with what they are granted and what finds them, and
// returns how many it has added. It refuses what UserStore.Insert refuses, and writes no
// event. It stops at the first error and keeps what was added in the transactions before.
func (s *Store) LoadUsers(ctx context.Context, users iter.Seq[directory.User]) (int, error) {
	return inLoads(users, func(batch []directory.User) error {
		return s.write(ctx, func(tx *transaction) error {
			for _, u := range batch {
				o, err := findOwner(tx.Conn, u.Project)
				if err != nil {
					return err
				}
				if err := tx.addUser(o, u); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// inLoads gives add all of what is to be loaded, in batches, and counts.
func inLoads[T any](all iter.Seq[T], add func([]T) error) (int, error) {
	total := 0
	batch := make([]T, 0, loadStep)
	flush := func() error {
		err := add(batch)
		if err == nil {
			total += len(batch)
		}
		batch = batch[:0]
		return err
	}
	for v := range all {
		if batch = append(batch, v); len(batch) < loadStep {
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
