package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type revocations struct{ *Store }

// feed is the part of the revocation feed that belongs to a project. It is looked up by
// verbs that end something and by no others, so refreshes don't pay for it.
type feed struct {
	*transaction
	project int64 // number of the row
	life    revocation.Life
}

const feedOfProject = `SELECT n, settings ->> '$.sessionTokenTTL', settings ->> '$.accessKeyTokenTTL', tokens_until
FROM projects WHERE id = ?`

// feed returns fault.NotFound for an unknown project.
func (tx *transaction) feed(p id.Project) (feed, error) {
	q := tx.Query(feedOfProject).Blob(p[:])
	if !q.Next() {
		return feed{}, missing(q, "There is no such project.")
	}
	f := feed{transaction: tx, project: q.ReadInt()}
	text := [2]string{q.ReadText(), q.ReadText()}
	f.life.Before = readTime(q)
	if err := q.Close(); err != nil {
		return feed{}, err
	}
	var ttl [2]latchkey.Duration
	for i := range text {
		var err error
		if ttl[i], err = latchkey.ParseDuration(text[i]); err != nil {
			return feed{}, fmt.Errorf("the stored settings of project %v: %w", p, err)
		}
	}
	f.life.TTL, f.life.KeyTTL = ttl[0].Std(), ttl[1].Std()
	return f, nil
}

// add writes an entry. The tag only tells a database from an older copy of itself, so it
// needs to be unlikely to come twice, not hard to guess: whoever makes a cursor up leaves
// entries out of their own stream.
func (f feed) add(e revocation.Entry) error {
	f.revoked = true
	if f.now.Before(*f.latest) {
		e = e.Behind(*f.latest)
		// Else what is minted until the clock has caught up would be concerned, too.
		*f.latest = f.latest.Add(time.Millisecond)
	}
	q := f.Query("INSERT INTO revocations (project, tag, kind, about, spared, at, until) VALUES (?, ?, ?, ?, ?, ?, ?)")
	q = putID(q.Int(f.project).Int(int64(rand.Uint32())).Text(string(e.Kind)).Text(e.ID), e.Except)
	return q.Int(e.At.UnixMilli()).Int(e.Until.UnixMilli()).Exec()
}

// revoke is tellAll with one entry.
func (tx *transaction) revoke(p id.Project, entry func(l revocation.Life, now time.Time) revocation.Entry) error {
	return tx.tellAll(p, func(f feed) []revocation.Entry { return []revocation.Entry{entry(f.life, tx.now)} })
}

const (
	entryColumns = "SELECT r.seq, r.tag, p.id, r.kind, r.about, r.spared, r.at, r.until FROM "

	entriesOfAll     = entryColumns + "revocations r CROSS JOIN projects p ON p.n = r.project WHERE r.seq > ? ORDER BY r.seq LIMIT ?"
	entriesOfProject = entryColumns + "projects p CROSS JOIN revocations r ON r.project = p.n WHERE p.id = ? AND r.seq > ? ORDER BY r.seq LIMIT ?"
	oldEntries       = "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE until < ? ORDER BY until LIMIT ?)"
)

func (s revocations) After(ctx context.Context, seq int64, limit int) ([]revocation.Entry, error) {
	return s.list(ctx, func(c *engine.Conn) *engine.Stmt { return c.Query(entriesOfAll).Int(seq).Int(most(limit)) })
}

func (s revocations) Of(ctx context.Context, p id.Project, seq int64, limit int) ([]revocation.Entry, error) {
	return s.list(ctx, func(c *engine.Conn) *engine.Stmt {
		return c.Query(entriesOfProject).Blob(p[:]).Int(seq).Int(most(limit))
	})
}

// list is complete because one transaction writes at a time: those that commit later
// have greater numbers.
func (s revocations) list(ctx context.Context, query func(*engine.Conn) *engine.Stmt) ([]revocation.Entry, error) {
	var list []revocation.Entry
	err := s.read(ctx, func(c *engine.Conn) error {
		q := query(c)
		for q.Next() {
			e := revocation.Entry{Seq: q.ReadInt(), Tag: uint32(q.ReadInt())}
			q.ReadInto(e.Project[:])
			e.Kind, e.ID = revocation.Kind(q.ReadText()), q.ReadText()
			q.ReadInto(e.Except[:])
			e.At, e.Until = readTime(q), readTime(q)
			list = append(list, e)
		}
		return q.Close()
	})
	return list, err
}

func (s revocations) Last(ctx context.Context) (int64, error) {
	var last int64
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		last, err = number(c, "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'")
		return err
	})
	return last, err
}

func (s revocations) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			due := cutoff
			if due.After(tx.now) {
				due = tx.now
			}
			err := tx.Query(oldEntries).Int(ceiling(due)).Int(int64(n)).Exec()
			removed = int(tx.Changed())
			return err
		})
		return removed, removed == n, err
	})
}
