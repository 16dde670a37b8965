package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
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
			w := widely{transaction: tx}
			for i, edit := range chunk {
				tell := tx.tellAll
				if edit.Wide {
					tell = w.tell
				}
				refused[i], err = tx.attempt(func(tx *transaction) error { return tx.edit(o, p, edit, tell) })
				if err != nil {
					return err
				}
			}
			return w.end(p)
		})
		if err != nil {
			return done, err
		}
		done = append(done, refused...)
	}
	return done, nil
}

// widely tells verifiers at the end of the transaction what concerns the whole project.
type widely struct {
	*transaction
	outdated bool
}

func (w *widely) tell(p id.Project, entries func(f feed) []revocation.Entry) error {
	return w.tellAll(p, func(f feed) []revocation.Entry {
		rest, outdated := directory.Wide(entries(f))
		w.outdated = w.outdated || outdated
		return rest
	})
}

func (w *widely) end(p id.Project) error {
	if !w.outdated {
		return nil
	}
	return w.tellAll(p, func(f feed) []revocation.Entry { return []revocation.Entry{directory.Outdated(p, f.life, w.now)} })
}

const userOfLogin = "SELECT u.id FROM login_ids l CROSS JOIN users u ON u.n = l.user WHERE l.project = ? AND l.login_id = ?"

func (s batches) Stored(ctx context.Context, p id.Project, users []id.User, logins []string) (map[id.User]directory.User, map[string]id.User, error) {
	found, holders := map[id.User]directory.User{}, map[string]id.User{}
	err := s.snapshot(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		for _, u := range users {
			_, stored, err := findUser(c, o, p, u)
			if err == nil {
				found[u] = stored
			} else if fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		for _, login := range logins {
			q := c.Query(userOfLogin).Int(o.n).Text(login)
			if q.Next() {
				var u id.User
				q.ReadInto(u[:])
				holders[login] = u
			}
			if err := q.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	return found, holders, err
}

// edit does one edit of a batch.
func (tx *transaction) edit(o owner, p id.Project, e directory.UserEdit, tell telling) error {
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
		_, err = tx.changeUser(o, n, old, next, tell)
	case !there && stays:
		err = tx.addUser(o, next)
	}
	if err != nil {
		return err
	}
	return tx.log(events...)
}
