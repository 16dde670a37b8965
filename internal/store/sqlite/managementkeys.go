package sqlite

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type managementKeys struct{ *Store }

const managementKeySelect = `SELECT p.id, k.n, k.id, k.digest, k.kind, k.created_at, k.expires_at, k.name, k.scopes, k.networks, p.status
FROM management_keys k JOIN projects p ON p.n = k.project WHERE `

func readManagementKey(q *engine.Stmt) (int64, directory.ManagementKey) {
	var k directory.ManagementKey
	q.ReadInto(k.Project[:])
	n := q.ReadInt()
	q.ReadInto(k.ID[:])
	q.ReadInto(k.Digest[:])
	k.Kind = secret.KeyKind(q.ReadText())
	k.CreatedAt, k.ExpiresAt = readTime(q), readTime(q)
	k.Name = q.ReadText()
	readJSON(q, &k.Scopes)
	readJSON(q, &k.Networks)
	k.ProjectDeleted = directory.Status(q.ReadText()) == directory.Deleted
	return n, k
}

// managementKey returns the only key of a query and its row's number.
func managementKey(q *engine.Stmt) (int64, directory.ManagementKey, error) {
	if !q.Next() {
		return 0, directory.ManagementKey{}, missing(q, "There is no such management key.")
	}
	n, k := readManagementKey(q)
	return n, k, q.Close()
}

func findManagementKey(c *engine.Conn, p id.Project, k id.ManagementKey) (int64, directory.ManagementKey, error) {
	return managementKey(c.Query(managementKeySelect + "p.id = ? AND k.id = ?").Blob(p[:]).Blob(k[:]))
}

func (s managementKeys) Insert(ctx context.Context, k directory.ManagementKey, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, k.Project)
		if err != nil {
			return err
		}
		q := tx.Query(`INSERT INTO management_keys (project, id, digest, kind, created_at, expires_at, name, scopes, networks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
		q.Int(o.n).Blob(k.ID[:]).Blob(k.Digest[:]).Text(string(k.Kind))
		putTime(putTime(q, k.CreatedAt), k.ExpiresAt).Text(k.Name)
		if err := putJSON(putJSON(q, k.Scopes), k.Networks).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "There is such a management key already.")
		}
		return tx.log(e)
	})
}

func (s managementKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.ManagementKey, error) {
	var found directory.ManagementKey
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		// The index compares digests byte by byte, in time that depends on them. That
		// tells nothing: who could choose a digest's bytes would have broken SHA-256.
		_, found, err = managementKey(c.Query(managementKeySelect + "k.digest = ?").Blob(d[:]))
		return err
	})
	return found, err
}

func (s managementKeys) List(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]directory.ManagementKey, error) {
	var page []directory.ManagementKey
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(managementKeySelect + "p.id = ? AND k.id > ? ORDER BY k.id LIMIT ?")
		for q.Blob(p[:]).Blob(after[:]).Int(most(limit)); q.Next(); {
			_, k := readManagementKey(q)
			page = append(page, k)
		}
		return q.Close()
	})
	return page, err
}

func (s managementKeys) Rotate(ctx context.Context, p id.Project, k id.ManagementKey, d secret.Digest, e audit.Event) (directory.ManagementKey, error) {
	var found directory.ManagementKey
	err := s.write(ctx, func(tx *transaction) error {
		n, key, err := findManagementKey(tx.Conn, p, k)
		if err != nil {
			return err
		}
		// OR IGNORE: a digest that another key has leaves the row as it is.
		if err := tx.Query("UPDATE OR IGNORE management_keys SET digest = ? WHERE n = ?").Blob(d[:]).Int(n).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "Another management key has this secret.")
		}
		key.Digest = d
		found = key
		return tx.log(e)
	})
	if err != nil {
		return directory.ManagementKey{}, err
	}
	return found, nil
}

func (s managementKeys) Delete(ctx context.Context, p id.Project, k id.ManagementKey, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		n, _, err := findManagementKey(tx.Conn, p, k)
		if err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM management_keys WHERE n = ?").Int(n).Exec(); err != nil {
			return err
		}
		return tx.log(e)
	})
}
