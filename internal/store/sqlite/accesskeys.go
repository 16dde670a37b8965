package sqlite

import (
	"context"
	"encoding/json"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type accessKeys struct{ *Store }

const (
	accessKeyColumns = "id, digest, user, status, created_at, updated_at, expires_at, last_used_at, name, description, claims, attributes, grants, networks"

	accessKeyByID = "SELECT n, " + accessKeyColumns + " FROM access_keys WHERE project = ? AND id = ?"

	accessKeyByDigest = "SELECT project, n, " + accessKeyColumns + " FROM access_keys WHERE digest = ?"

	accessKeysOfProject = "SELECT n, " + accessKeyColumns + " FROM access_keys WHERE project = ? AND id > ? ORDER BY id"

	accessKeysOfUser = "SELECT n, " + accessKeyColumns + " FROM access_keys WHERE project = ? AND user = ? AND id > ? ORDER BY id"
)

func readAccessKey(q *engine.Stmt, p id.Project) (int64, directory.AccessKey) {
	n := q.ReadInt()
	k := directory.AccessKey{Project: p}
	q.ReadInto(k.ID[:])
	q.ReadInto(k.Digest[:])
	q.ReadInto(k.User[:])
	k.Status = directory.Status(q.ReadText())
	k.CreatedAt, k.UpdatedAt, k.ExpiresAt, k.LastUsedAt = readTime(q), readTime(q), readTime(q), readTime(q)
	k.Name, k.Description = q.ReadText(), q.ReadText()
	k.Claims, k.Attributes = json.RawMessage(q.ReadBlob()), json.RawMessage(q.ReadBlob())
	k.Grants = readGrants(q)
	readJSON(q, &k.Networks)
	return n, k
}

// putAccessKey sets the parameters of accessKeyColumns.
func putAccessKey(q *engine.Stmt, k directory.AccessKey) *engine.Stmt {
	putID(q.Blob(k.ID[:]).Blob(k.Digest[:]), k.User).Text(string(k.Status))
	putTime(putTime(putTime(putTime(q, k.CreatedAt), k.UpdatedAt), k.ExpiresAt), k.LastUsedAt)
	putRaw(putRaw(q.Text(k.Name).Text(k.Description), k.Claims), k.Attributes)
	return putJSON(putGrants(q, k.Grants), k.Networks)
}

// findAccessKey returns fault.NotFound for a key that the project doesn't have.
func findAccessKey(c *engine.Conn, o owner, p id.Project, k id.AccessKey) (int64, directory.AccessKey, error) {
	q := c.Query(accessKeyByID).Int(o.n).Blob(k[:])
	if !q.Next() {
		return 0, directory.AccessKey{}, missing(q, "This project has no such access key.")
	}
	n, found := readAccessKey(q, p)
	return n, found, q.Close()
}

// keysOf returns the access keys of a user, of which there are few.
func (tx *transaction) keysOf(o owner, p id.Project, u id.User) ([]directory.AccessKey, error) {
	var all []directory.AccessKey
	var none id.AccessKey
	q := tx.Query(accessKeysOfUser).Int(o.n).Blob(u[:]).Blob(none[:])
	for q.Next() {
		_, k := readAccessKey(q, p)
		all = append(all, k)
	}
	return all, q.Close()
}

// endAccessKeys tells verifiers of the enabled access keys of a user.
func (tx *transaction) endAccessKeys(o owner, p id.Project, u id.User) error {
	keys, err := tx.keysOf(o, p, u)
	if err != nil || len(keys) == 0 {
		return err
	}
	return tx.tellAll(p, func(f feed) []revocation.Entry {
		var entries []revocation.Entry
		for _, k := range keys {
			if k.Status == directory.Enabled {
				entries = append(entries, k.Ended(f.life, tx.now))
			}
		}
		return entries
	})
}

// removeAccessKeys removes the access keys of a user.
func (tx *transaction) removeAccessKeys(o owner, u id.User) error {
	return tx.Query("DELETE FROM access_keys WHERE project = ? AND user = ?").Int(o.n).Blob(u[:]).Exec()
}

func (s accessKeys) Insert(ctx context.Context, k directory.AccessKey, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, k.Project)
		if err != nil {
			return err
		}
		if !k.User.IsZero() {
			if err := tx.roomFor(o, k.Project, k.User); err != nil {
				return err
			}
		}
		settled := k
		if settled.Grants, err = k.Grants.Settle(directory.Grants{}, known{tx.Conn, o}); err != nil {
			return err
		}
		q := tx.Query("INSERT INTO access_keys (project, " + accessKeyColumns + `)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
		if err := putAccessKey(q.Int(o.n), settled).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "There is such an access key already.")
		}
		return tx.log(e)
	})
}

// roomFor refuses an access key of somebody who isn't there or has too many.
func (tx *transaction) roomFor(o owner, p id.Project, u id.User) error {
	if _, _, err := findUser(tx.Conn, o, p, u); err != nil {
		return err
	}
	keys, err := tx.keysOf(o, p, u)
	if err == nil && len(keys) >= directory.MaxUserKeys {
		return fault.New(fault.Conflict, "A user has at most %d access keys.", directory.MaxUserKeys)
	}
	return err
}

func (s accessKeys) Find(ctx context.Context, p id.Project, k id.AccessKey) (directory.AccessKey, error) {
	var found directory.AccessKey
	err := s.read(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		_, found, err = findAccessKey(c, o, p, k)
		return err
	})
	return found, err
}

func (s accessKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.AccessKey, error) {
	var found directory.AccessKey
	err := s.read(ctx, func(c *engine.Conn) error {
		// The index compares digests byte by byte, in time that depends on them. That
		// tells nothing: who could choose a digest's bytes would have broken SHA-256.
		q := c.Query("SELECT p.id, k.* FROM (" + accessKeyByDigest + ") k JOIN projects p ON p.n = k.project").Blob(d[:])
		if !q.Next() {
			return missing(q, "There is no such access key.")
		}
		var p id.Project
		q.ReadInto(p[:])
		q.Skip()
		_, found = readAccessKey(q, p)
		return q.Close()
	})
	return found, err
}

// Open is a write, though it mostly writes nothing and waits for no disk then: only the
// order of transactions tells whether a change is later than what was read.
func (s accessKeys) Open(ctx context.Context, p id.Project, k id.AccessKey, d secret.Digest) (directory.Opened, error) {
	var out directory.Opened
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		n, found, err := findAccessKey(tx.Conn, o, p, k)
		if err != nil {
			return err
		}
		if !found.Digest.Equal(d) {
			return fault.New(fault.NotFound, "The access key has another secret.")
		}
		var used bool
		if found, used = found.Used(tx.now); used {
			if err := putTime(tx.Query("UPDATE access_keys SET last_used_at = ? WHERE n = ?"), found.LastUsedAt).Int(n).Exec(); err != nil {
				return err
			}
		}
		out = directory.Opened{Key: found, At: tx.now, Behind: tx.latest.Sub(tx.now)}
		if out.Resolved, err = resolve(tx.Conn, o, p, found.Grants); err != nil || found.User.IsZero() {
			return err
		}
		_, u, err := findUser(tx.Conn, o, p, found.User)
		out.User = &u
		return err
	})
	if err != nil {
		return directory.Opened{}, err
	}
	return out, nil
}

func (s accessKeys) List(ctx context.Context, f directory.AccessKeyQuery) ([]directory.AccessKey, id.AccessKey, error) {
	w := walk[directory.AccessKey]{limit: f.Limit, read: func(q *engine.Stmt) (directory.AccessKey, bool) {
		_, k := readAccessKey(q, f.Project)
		return k, f.Matches(k)
	}}
	err := s.readLong(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, f.Project)
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		q := c.Query(accessKeysOfProject).Int(o.n)
		if !f.User.IsZero() {
			q = c.Query(accessKeysOfUser).Int(o.n).Blob(f.User[:])
		}
		_, err = w.along(q.Blob(f.After[:]))
		return err
	})
	if err != nil || !w.more {
		return w.page, id.AccessKey{}, err
	}
	return w.page, w.last.ID, nil
}

func (s accessKeys) Change(ctx context.Context, p id.Project, k id.AccessKey, change func(directory.AccessKey) (directory.AccessKey, []audit.Event, error)) (directory.AccessKey, error) {
	var changed directory.AccessKey
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		n, old, err := findAccessKey(tx.Conn, o, p, k)
		if err != nil {
			return err
		}
		var events []audit.Event
		if changed, events, err = change(old.Clone()); err != nil {
			return err
		}
		changed.ID, changed.Project, changed.User, changed.CreatedAt, changed.LastUsedAt = old.ID, old.Project, old.User, old.CreatedAt, old.LastUsedAt
		changed.UpdatedAt, changed.ExpiresAt = session.Instant(changed.UpdatedAt), session.Instant(changed.ExpiresAt)
		if changed.Grants, err = changed.Grants.Settle(old.Grants, known{tx.Conn, o}); err != nil {
			return err
		}
		// OR IGNORE: a digest that another key has leaves the row as it is.
		q := tx.Query(`UPDATE OR IGNORE access_keys SET id = ?, digest = ?, user = ?, status = ?, created_at = ?, updated_at = ?, expires_at = ?,
last_used_at = ?, name = ?, description = ?, claims = ?, attributes = ?, grants = ?, networks = ? WHERE n = ?`)
		if err := putAccessKey(q, changed).Int(n).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "Another access key has this secret.")
		}
		if err := tx.tellAll(p, func(f feed) []revocation.Entry { return changed.Entries(old, f.life, tx.now) }); err != nil {
			return err
		}
		return tx.log(events...)
	})
	if err != nil {
		return directory.AccessKey{}, err
	}
	return changed, nil
}

func (s accessKeys) Delete(ctx context.Context, p id.Project, k id.AccessKey, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		n, found, err := findAccessKey(tx.Conn, o, p, k)
		if err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM access_keys WHERE n = ?").Int(n).Exec(); err != nil {
			return err
		}
		if err := tx.tellAll(p, func(f feed) []revocation.Entry { return []revocation.Entry{found.Ended(f.life, tx.now)} }); err != nil {
			return err
		}
		return tx.log(e)
	})
}
