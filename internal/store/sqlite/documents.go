package sqlite

import (
	"context"
	"encoding/json"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type documents struct{ *Store }

const (
	stateColumns   = "stable, candidate, percent, previous, last"
	versionColumns = "n, document, comment, created_at, actor, conceals"

	// The stable version first: the candidate is always newer.
	documentsInUse = "SELECT d.kind, " + stateColumns + ", " + versionColumns + " FROM documents d CROSS JOIN document_versions v " +
		"ON v.project = d.project AND v.kind = d.kind AND v.n IN (d.stable, d.candidate) " +
		"WHERE d.project = (SELECT n FROM projects WHERE id = ?) ORDER BY d.kind, v.n"
	documentState   = "SELECT " + stateColumns + " FROM documents WHERE project = ? AND kind = ?"
	documentVersion = "SELECT " + versionColumns + " FROM document_versions WHERE project = ? AND kind = ? AND n = ?"
	documentList    = "SELECT " + versionColumns + " FROM document_versions WHERE project = ? AND kind = ? AND n < ? ORDER BY n DESC LIMIT ?"
	concealing      = "SELECT 1 FROM documents d CROSS JOIN document_versions v ON v.project = d.project AND v.kind = d.kind " +
		"AND v.n IN (d.stable, d.candidate) WHERE d.project = ? AND d.kind = ? AND v.conceals LIMIT 1"
	documentNumbers = "SELECT n FROM document_versions WHERE project = ? AND kind = ? ORDER BY n"
)

func readState(q *engine.Stmt) document.State {
	return document.State{
		Stable: int(q.ReadInt()), Candidate: int(q.ReadInt()), Percent: int(q.ReadInt()), Previous: int(q.ReadInt()), Last: int(q.ReadInt()),
	}
}

func readVersion(q *engine.Stmt) document.Version {
	v := document.Version{N: int(q.ReadInt()), Document: json.RawMessage(q.ReadBlob()), Comment: q.ReadText()}
	v.CreatedAt, v.Actor, v.Conceals = readTime(q), audit.Actor(q.ReadText()), q.ReadInt() != 0
	return v
}

// findState returns the state of a kind, the zero one when nothing was ever saved.
func findState(c *engine.Conn, project int64, k document.Kind) (document.State, error) {
	var state document.State
	q := c.Query(documentState).Int(project).Text(string(k))
	if q.Next() {
		state = readState(q)
	}
	return state, q.Close()
}

func findVersion(c *engine.Conn, project int64, k document.Kind, n int) (document.Version, error) {
	q := c.Query(documentVersion).Int(project).Text(string(k)).Int(int64(n))
	if !q.Next() {
		return document.Version{}, missing(q, "There is no such version.")
	}
	v := readVersion(q)
	return v, q.Close()
}

// InUse is one query: a version that it names can't be removed in between.
func (s documents) InUse(ctx context.Context, p id.Project) ([]document.Current, error) {
	var all []document.Current
	err := s.read(ctx, func(c *engine.Conn) error {
		found := map[document.Kind]*document.Current{}
		q := c.Query(documentsInUse).Blob(p[:])
		for q.Next() {
			k := document.Kind(q.ReadText())
			if found[k] == nil {
				found[k] = &document.Current{Kind: k}
			}
			found[k].State = readState(q)
			found[k].Versions = append(found[k].Versions, readVersion(q))
		}
		all = nil
		for _, k := range document.Kinds() {
			if found[k] != nil {
				all = append(all, *found[k])
			}
		}
		return q.Close()
	})
	return all, err
}

// rowOf returns the number of a project's row, 0 for an unknown one.
func rowOf(c *engine.Conn, p id.Project) (int64, error) {
	q := c.Query("SELECT n FROM projects WHERE id = ?").Blob(p[:])
	var n int64
	if q.Next() {
		n = q.ReadInt()
	}
	return n, q.Close()
}

func (s documents) Find(ctx context.Context, p id.Project, k document.Kind) (document.State, error) {
	var state document.State
	err := s.read(ctx, func(c *engine.Conn) error {
		owner, err := findOwner(c, p)
		if err != nil {
			return err
		}
		state, err = findState(c, owner.n, k)
		return err
	})
	return state, err
}

func (s documents) Version(ctx context.Context, p id.Project, k document.Kind, n int) (document.Version, error) {
	var v document.Version
	err := s.read(ctx, func(c *engine.Conn) error {
		owner, err := findOwner(c, p)
		if err != nil {
			return err
		}
		v, err = findVersion(c, owner.n, k, n)
		return err
	})
	return v, err
}

func (s documents) List(ctx context.Context, p id.Project, k document.Kind, before, limit int) ([]document.Version, error) {
	var page []document.Version
	err := s.read(ctx, func(c *engine.Conn) error {
		page = nil
		project, err := rowOf(c, p)
		if err != nil {
			return err
		}
		if before == 0 {
			before = 1 << 62
		}
		q := c.Query(documentList).Int(project).Text(string(k)).Int(int64(before)).Int(most(limit))
		for q.Next() {
			page = append(page, readVersion(q))
		}
		return q.Close()
	})
	return page, err
}

func (s documents) Change(ctx context.Context, p id.Project, k document.Kind, step func(document.State) (document.Step, error)) (document.State, error) {
	var state document.State
	err := s.write(ctx, func(tx *transaction) error {
		owner, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		before, err := findState(tx.Conn, owner.n, k)
		if err != nil {
			return err
		}
		to, err := step(before)
		if err != nil {
			return err
		}
		state = to.State
		if err := tx.shelve(owner.n, k, to); err != nil {
			return err
		}
		if err := tx.Query("UPDATE projects SET version = version + 1 WHERE n = ?").Int(owner.n).Exec(); err != nil {
			return err
		}
		feed, err := tx.feed(p)
		if err != nil {
			return err
		}
		for _, e := range document.Entries(p, k, before, to.State, feed.life, tx.now) {
			if err := feed.add(e); err != nil {
				return err
			}
		}
		return tx.log(to.Event)
	})
	if err != nil {
		return document.State{}, err
	}
	return state, nil
}

// shelve writes a state and its new version, and removes what is too much.
func (tx *transaction) shelve(project int64, k document.Kind, to document.Step) error {
	s := to.State
	q := tx.Query("INSERT OR REPLACE INTO documents (project, kind, " + stateColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?)")
	q.Int(project).Text(string(k)).Int(int64(s.Stable)).Int(int64(s.Candidate)).Int(int64(s.Percent)).Int(int64(s.Previous)).Int(int64(s.Last))
	if err := q.Exec(); err != nil {
		return err
	}
	if to.Clear {
		if err := tx.Query("DELETE FROM document_versions WHERE project = ? AND kind = ?").Int(project).Text(string(k)).Exec(); err != nil {
			return err
		}
	}
	if v := to.Save; v != nil {
		q := tx.Query("INSERT INTO document_versions (project, kind, " + versionColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
		q = putTime(putRaw(q.Int(project).Text(string(k)).Int(int64(s.Last)), v.Document).Text(v.Comment), v.CreatedAt)
		if err := q.Text(string(v.Actor)).Int(flag(v.Conceals)).Exec(); err != nil {
			return err
		}
	}
	return tx.prune(project, k, s)
}

// prune removes the oldest versions that aren't in use, while there are too many.
func (tx *transaction) prune(project int64, k document.Kind, s document.State) error {
	var numbers []int64
	q := tx.Query(documentNumbers).Int(project).Text(string(k))
	for q.Next() {
		numbers = append(numbers, q.ReadInt())
	}
	if err := q.Close(); err != nil {
		return err
	}
	excess := len(numbers) - document.MaxVersions
	for _, n := range numbers {
		if excess <= 0 {
			break
		}
		if s.Uses(int(n)) {
			continue
		}
		excess--
		if err := tx.Query("DELETE FROM document_versions WHERE project = ? AND kind = ? AND n = ?").Int(project).Text(string(k)).Int(n).Exec(); err != nil {
			return err
		}
	}
	return nil
}
