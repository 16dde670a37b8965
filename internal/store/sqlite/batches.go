package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type batches struct{ *Store }

// batchStep is how many edits share a transaction: enough that the wait for the disk
// doesn't count, and few enough that those who wait meanwhile don't notice.
const batchStep = 100

func (s batches) Apply(ctx context.Context, p id.Project, edits []directory.UserEdit) ([]error, error) {
	done := make([]error, 0, len(edits))
	for chunk := range slices.Chunk(edits, batchStep) {
		var refused []error
		err := s.write(ctx, func(tx *transaction) error {
			refused = make([]error, len(chunk))
			o, err := findOwner(tx.Conn, p)
			if err != nil {
				return err
			}
			for i, edit := range chunk {
				refused[i], err = tx.attempt(func(tx *transaction) error { return tx.edit(o, p, edit) })
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		done = append(done, refused...)
	}
	return done, nil
}

// edit does one edit of a batch.
func (tx *transaction) edit(o owner, p id.Project, e directory.UserEdit) error {
	n, old, err := findUser(tx.Conn, o, p, e.User)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	there := err == nil
	next, events, err := e.Edit(old.Clone())
	if err != nil {
		return err
	}
	stays := !next.ID.IsZero()
	next.ID, next.Project = e.User, p
	switch {
	case there && !stays:
		err = tx.removeUser(o, n, old)
	case there && !next.Equal(old):
		_, err = tx.changeUser(o, n, old, next)
	case !there && stays:
		err = tx.addUser(o, next)
	}
	if err != nil {
		return err
	}
	return tx.log(events...)
}
