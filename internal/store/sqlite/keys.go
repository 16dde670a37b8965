package sqlite

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type keys struct{ *Store }

func (s keys) List(ctx context.Context, p id.Project) ([]key.Key, error) {
	var all []key.Key
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(`SELECT id, algorithm, state, created_at, activates_at, activated_at, retired_at, gone_at, longest, sealed
FROM signing_keys WHERE project = (SELECT n FROM projects WHERE id = ?) ORDER BY id`)
		for q.Blob(p[:]); q.Next(); {
			k := key.Key{Project: p}
			q.ReadInto(k.ID[:])
			k.Algorithm, k.State = key.Algorithm(q.ReadText()), key.State(q.ReadText())
			k.CreatedAt, k.ActivatesAt, k.ActivatedAt = readTime(q), readTime(q), readTime(q)
			k.RetiredAt, k.GoneAt = readTime(q), readTime(q)
			k.Longest, k.Sealed = time.Duration(q.ReadInt())*time.Millisecond, q.ReadBlob()
			all = append(all, k)
		}
		return q.Close()
	})
	return all, err
}

func (s keys) Apply(ctx context.Context, p id.Project, version int64, c key.Change) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		if o.version != version {
			return errChanged()
		}
		if err := tx.apply(o, p, c); err != nil {
			return err
		}
		if err := tx.Query("UPDATE projects SET version = version + 1 WHERE n = ?").Int(o.n).Exec(); err != nil {
			return err
		}
		return tx.log(c.Events...)
	})
}

// apply makes the change to the keys, in the order in which Change names its parts.
func (tx *transaction) apply(o owner, p id.Project, c key.Change) error {
	for _, k := range c.Insert {
		if err := tx.insertKey(o, k); err != nil {
			return err
		}
	}
	for _, k := range c.Update {
		k.Project = p
		if err := tx.updateKey(o, k); err != nil {
			return err
		}
	}
	for _, k := range c.Remove {
		if err := tx.Query("DELETE FROM signing_keys WHERE project = ? AND id = ?").Int(o.n).Blob(k[:]).Exec(); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) insertKey(o owner, k key.Key) error {
	q := tx.Query(`INSERT INTO signing_keys (algorithm, state, activates_at, activated_at, retired_at, gone_at, longest, project, id,
created_at, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
	putTime(putKey(q, k).Int(o.n).Blob(k.ID[:]), k.CreatedAt)
	if err := q.Blob(k.Sealed).Exec(); err != nil {
		return err
	}
	if tx.Changed() == 0 {
		return fault.New(fault.Conflict, "There is a signing key with this id already.")
	}
	return nil
}

func (tx *transaction) updateKey(o owner, k key.Key) error {
	old := key.Key{State: key.Revoked}
	if k.State == key.Revoked {
		q := tx.Query("SELECT state FROM signing_keys WHERE project = ? AND id = ?").Int(o.n).Blob(k.ID[:])
		if q.Next() {
			old.State = key.State(q.ReadText())
		}
		if err := q.Close(); err != nil {
			return err
		}
	}
	q := tx.Query(`UPDATE signing_keys SET algorithm = ?, state = ?, activates_at = ?, activated_at = ?, retired_at = ?, gone_at = ?,
longest = ? WHERE project = ? AND id = ?`)
	if err := putKey(q, k).Int(o.n).Blob(k.ID[:]).Exec(); err != nil {
		return err
	}
	if tx.Changed() == 0 {
		return fault.New(fault.NotFound, "This project has no such signing key.")
	}
	if !k.RevokedSince(old) {
		return nil
	}
	k.GoneAt = session.Instant(k.GoneAt)
	return tx.revoke(k.Project, k.Revocation)
}

func (s keys) Reseal(ctx context.Context, p id.Project, resealed []key.Resealed, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		for _, r := range resealed {
			q := tx.Query("UPDATE signing_keys SET sealed = ? WHERE project = ? AND id = ? AND sealed = ?")
			if err := q.Blob(r.Sealed).Int(o.n).Blob(r.ID[:]).Blob(r.Old).Exec(); err != nil {
				return err
			}
			if tx.Changed() == 0 {
				return errResealed()
			}
		}
		return tx.log(e)
	})
}

// putKey sets the parameters of what a step of the life cycle may change.
func putKey(q *engine.Stmt, k key.Key) *engine.Stmt {
	q.Text(string(k.Algorithm)).Text(string(k.State))
	putTime(putTime(putTime(putTime(q, k.ActivatesAt), k.ActivatedAt), k.RetiredAt), k.GoneAt)
	return q.Int(k.Longest.Milliseconds())
}
