package sqlite

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type users struct{ *Store }

// deleted is the status of the row that a user leaves while there are sessions of
// theirs. Nobody outside this package sees it.
const deleted directory.Status = "deleted"

const userColumns = "id, status, epoch, created_at, updated_at, login_ids, name, email, phone, attributes, grants"

const userByID = "SELECT n, " + userColumns + " FROM users WHERE project = ? AND id = ?"

// findUser returns a user and their row's number; fault.NotFound for an unknown one.
func findUser(c *engine.Conn, o owner, p id.Project, u id.User) (int64, directory.User, error) {
	n, found, err := anyUser(c.Query(userByID).Int(o.n).Blob(u[:]), p)
	if err == nil && found.Status == deleted {
		return 0, directory.User{}, fault.New(fault.NotFound, noUser)
	}
	return n, found, err
}

const noUser = "This project has no such user."

// anyUser returns the only user of a query, a deleted one as well.
func anyUser(q *engine.Stmt, p id.Project) (int64, directory.User, error) {
	if !q.Next() {
		return 0, directory.User{}, missing(q, noUser)
	}
	n, u := readUser(q, p)
	return n, u, q.Close()
}

func readUser(q *engine.Stmt, p id.Project) (int64, directory.User) {
	n := q.ReadInt()
	u := directory.User{Project: p}
	q.ReadInto(u.ID[:])
	u.Status, u.Epoch = directory.Status(q.ReadText()), q.ReadInt()
	u.CreatedAt, u.UpdatedAt = readTime(q), readTime(q)
	u.LoginIDs = readStrings(q)
	u.Name, u.Email, u.Phone = q.ReadText(), q.ReadText(), q.ReadText()
	u.Attributes, u.Grants = json.RawMessage(q.ReadBlob()), readGrants(q)
	return n, u
}

// putUser sets the parameters of userColumns.
func putUser(q *engine.Stmt, u directory.User) *engine.Stmt {
	q.Blob(u.ID[:]).Text(string(u.Status)).Int(u.Epoch)
	putTime(putTime(q, u.CreatedAt), u.UpdatedAt)
	putStrings(q, u.LoginIDs).Text(u.Name).Text(u.Email).Text(u.Phone)
	return putGrants(putRaw(q, u.Attributes), u.Grants)
}

// free returns fault.Conflict when somebody but the user in row n has one of the login
// ids.
func free(c *engine.Conn, o owner, n int64, loginIDs []string) error {
	for _, login := range loginIDs {
		q := c.Query("SELECT 1 FROM login_ids WHERE project = ? AND login_id = ? AND user <> ?")
		taken := q.Int(o.n).Text(login).Int(n).Next()
		if err := q.Close(); err != nil {
			return err
		}
		if taken {
			return fault.New(fault.Conflict, "Another user has this login id.")
		}
	}
	return nil
}

func (tx *transaction) addLogins(o owner, n int64, loginIDs []string) error {
	for _, login := range loginIDs {
		// A user may name one twice.
		q := tx.Query("INSERT INTO login_ids (project, login_id, user) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
		if err := q.Int(o.n).Text(login).Int(n).Exec(); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) removeLogins(o owner, loginIDs []string) error {
	for _, login := range loginIDs {
		q := tx.Query("DELETE FROM login_ids WHERE project = ? AND login_id = ?")
		if err := q.Int(o.n).Text(login).Exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s users) Insert(ctx context.Context, u directory.User, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, u.Project)
		if err != nil {
			return err
		}
		if err := tx.addUser(o, u); err != nil {
			return err
		}
		return tx.log(e)
	})
}

// What a row must have as epoch so that sessions of another one with its id stay over.
const (
	epochAfterUser   = "SELECT coalesce(max(s.user_epoch) + 1, 0) FROM users u CROSS JOIN sessions s ON s.user = u.n WHERE u.project = ? AND u.id = ?"
	epochAfterTenant = "SELECT coalesce(max(tenant_epoch) + 1, 0) FROM sessions WHERE tenant = ? AND project = ?"
)

// only returns the only value of a query that has its parameters.
func only(q *engine.Stmt) (v int64, err error) {
	if q.Next() {
		v = q.ReadInt()
	}
	return v, q.Close()
}

// addUser writes a new user, unless they are refused.
func (tx *transaction) addUser(o owner, u directory.User) error {
	err := free(tx.Conn, o, 0, u.LoginIDs)
	if err != nil {
		return err
	}
	if u.Grants, err = u.Grants.Settle(directory.Grants{}, known{tx.Conn, o}); err != nil {
		return err
	}
	// The row of a deleted user may come back to life. Their sessions must not.
	least, err := only(tx.Query(epochAfterUser).Int(o.n).Blob(u.ID[:]))
	if err != nil {
		return err
	}
	u.Epoch = max(u.Epoch, least)
	q := tx.Query("INSERT INTO users (project, " + userColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (project, id) DO UPDATE SET status = excluded.status, epoch = excluded.epoch, created_at = excluded.created_at,
updated_at = excluded.updated_at, login_ids = excluded.login_ids, name = excluded.name, email = excluded.email, phone = excluded.phone,
attributes = excluded.attributes, grants = excluded.grants
WHERE status = 'deleted' RETURNING n`)
	added := putUser(q.Int(o.n), u).Next()
	n := int64(0)
	if added {
		n = q.ReadInt()
	}
	if err := q.Exec(); err != nil {
		return err
	}
	if !added {
		return fault.New(fault.Conflict, "There is a user with this id already.")
	}
	if err := tx.addLogins(o, n, u.LoginIDs); err != nil {
		return err
	}
	if err := tx.regrant(o, n, u.ID, directory.Grants{}, u.Grants); err != nil {
		return err
	}
	return userTexts().reindex(tx.Conn, docOf(u.ID[:]))
}

func (s users) Find(ctx context.Context, p id.Project, u id.User) (directory.User, error) {
	var found directory.User
	err := s.read(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		_, found, err = findUser(c, o, p, u)
		return err
	})
	return found, err
}

func (s users) FindByLogin(ctx context.Context, p id.Project, loginID string) (directory.User, error) {
	var found directory.User
	err := s.read(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		q := c.Query("SELECT n, " + userColumns + " FROM users WHERE n = (SELECT user FROM login_ids WHERE project = ? AND login_id = ?)")
		_, found, err = anyUser(q.Int(o.n).Text(loginID), p)
		return err
	})
	return found, err
}

func (s users) List(ctx context.Context, p id.Project, after id.User, limit int) ([]directory.User, error) {
	var page []directory.User
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query("SELECT n, " + userColumns + ` FROM users
WHERE project = (SELECT n FROM projects WHERE id = ?) AND id > ? AND status <> 'deleted' ORDER BY id LIMIT ?`)
		for q.Blob(p[:]).Blob(after[:]).Int(most(limit)); q.Next(); {
			_, u := readUser(q, p)
			page = append(page, u)
		}
		return q.Close()
	})
	return page, err
}

func (s users) Change(ctx context.Context, p id.Project, u id.User, change func(directory.User) (directory.User, []audit.Event, error)) (directory.User, error) {
	var changed directory.User
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		n, old, err := findUser(tx.Conn, o, p, u)
		if err != nil {
			return err
		}
		var events []audit.Event
		if changed, events, err = change(old.Clone()); err != nil {
			return err
		}
		if changed, err = tx.changeUser(o, n, old, changed, tx.tellAll); err != nil {
			return err
		}
		return tx.log(events...)
	})
	if err != nil {
		return directory.User{}, err
	}
	return changed, nil
}

// telling says to verifiers what a change asks for; tellAll does.
type telling func(p id.Project, entries func(f feed) []revocation.Entry) error

// changeUser writes a changed user, unless that is refused, and tells verifiers. It
// returns the user as they are now.
func (tx *transaction) changeUser(o owner, n int64, old, changed directory.User, tell telling) (directory.User, error) {
	changed.ID, changed.Project, changed.CreatedAt = old.ID, old.Project, old.CreatedAt
	changed.UpdatedAt = session.Instant(changed.UpdatedAt)
	err := free(tx.Conn, o, n, changed.LoginIDs)
	if err != nil {
		return old, err
	}
	if changed.Grants, err = changed.Grants.Settle(old.Grants, known{tx.Conn, o}); err != nil {
		return old, err
	}
	if err := tx.replace(o, n, old, changed); err != nil {
		return old, err
	}
	if err := tell(old.Project, func(f feed) []revocation.Entry { return changed.Entries(old, f.life, tx.now) }); err != nil {
		return old, err
	}
	if changed.Disables(old) {
		return changed, tx.endAccessKeys(o, old.Project, old.ID)
	}
	return changed, nil
}

// replace writes a changed user.
func (tx *transaction) replace(o owner, n int64, old, changed directory.User) error {
	if err := tx.regrant(o, n, changed.ID, old.Grants, changed.Grants); err != nil {
		return err
	}
	if !slices.Equal(old.LoginIDs, changed.LoginIDs) {
		if err := tx.removeLogins(o, old.LoginIDs); err != nil {
			return err
		}
		if err := tx.addLogins(o, n, changed.LoginIDs); err != nil {
			return err
		}
	}
	q := tx.Query(`UPDATE users SET id = ?, status = ?, epoch = ?, created_at = ?, updated_at = ?, login_ids = ?, name = ?, email = ?,
phone = ?, attributes = ?, grants = ? WHERE n = ?`)
	if err := putUser(q, changed).Int(n).Exec(); err != nil || slices.Equal(old.Texts(), changed.Texts()) {
		return err
	}
	return userTexts().reindex(tx.Conn, docOf(changed.ID[:]))
}

func (s users) Delete(ctx context.Context, p id.Project, u id.User, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		n, old, err := findUser(tx.Conn, o, p, u)
		if err != nil {
			return err
		}
		if err := tx.removeUser(o, n, old); err != nil {
			return err
		}
		return tx.log(e)
	})
}

// removeUser deletes a user and tells verifiers.
func (tx *transaction) removeUser(o owner, n int64, old directory.User) error {
	if err := tx.replace(o, n, old, directory.User{ID: old.ID, Status: deleted}); err != nil {
		return err
	}
	if err := tx.forget(n); err != nil {
		return err
	}
	if err := tx.revoke(old.Project, old.Revocation); err != nil {
		return err
	}
	if err := tx.endAccessKeys(o, old.Project, old.ID); err != nil {
		return err
	}
	return tx.removeAccessKeys(o, old.ID)
}

// forget removes the row of a deleted user without sessions.
func (tx *transaction) forget(n int64) error {
	return tx.Query(`DELETE FROM users WHERE n = ?1 AND status = 'deleted'
AND NOT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)`).Int(n).Exec()
}
