package sqlite

import (
	"context"
	"math"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type lives struct{ *Store }

func (s lives) Change(ctx context.Context, p id.Project, change func(directory.Project) (directory.Project, []audit.Event, error)) (directory.Project, error) {
	var next directory.Project
	err := s.write(ctx, func(tx *transaction) error {
		old, err := onlyProject(tx.Query(projectByID).Blob(p[:]))
		if err != nil {
			return err
		}
		given := old
		given.SealedMAC = slices.Clone(old.SealedMAC)
		changed, events, err := change(given)
		if err != nil {
			return err
		}
		if next = old.Turned(changed, tx.now); next.Version > old.Version {
			if err := tx.turn(old, next); err != nil {
				return err
			}
		}
		return tx.log(events...)
	})
	if err != nil {
		return directory.Project{}, err
	}
	return next, nil
}

// turn writes what a project has become, and tells verifiers when its sessions end.
func (tx *transaction) turn(old, next directory.Project) error {
	f, err := tx.feed(old.ID)
	if err != nil {
		return err
	}
	q := tx.Query("UPDATE projects SET name = ?, status = ?, deleted_at = ?, version = ?, epoch = ?, settings = ? WHERE n = ?")
	putTime(q.Text(next.Name).Text(string(next.Status)), next.DeletedAt).Int(next.Version).Int(next.Epoch)
	if err := putJSON(q, next.Settings).Int(f.project).Exec(); err != nil {
		return err
	}
	if next.Epoch == old.Epoch {
		return nil
	}
	return f.add(old.Revocation(f.life, tx.now))
}

// belongings are rows of a project.
type belongings struct {
	table string
	key   string           // the columns that tell its rows apart
	byID  bool             // its column project holds the project's id, not the number of its row
	texts func() textIndex // what finds its rows; nil for most
}

// belonging is what a project has, in the order in which it goes: a session is read
// together with its user, so it goes first. The project's own row and its signing keys are
// not here: they go in one step at the end, since a project without keys can't be read.
func belonging() []belongings {
	return []belongings{
		{table: "sessions", key: "n"},
		{table: "lost_grants", key: "project, tenant, role"},
		{table: "user_grants", key: "project, tenant, role, user_id"},
		{table: "login_ids", key: "project, login_id"},
		{table: "users", key: "n", texts: userTexts},
		{table: "tenants", key: "n", texts: tenantTexts},
		{table: "permissions", key: "project, name"},
		{table: "lost_permissions", key: "project, name"},
		{table: "roles", key: "n"},
		{table: "management_keys", key: "n"},
		{table: "document_versions", key: "project, kind, n"},
		{table: "documents", key: "project, kind"},
		{table: "access_keys", key: "n"},
		{table: "webhook_deliveries", key: "webhook, event"},
		{table: "webhooks", key: "n"},
		{table: "events", key: "n", byID: true},
	}
}

func (b belongings) removal() string {
	return "DELETE FROM " + b.table + " WHERE (" + b.key + ") IN (SELECT " + b.key + " FROM " + b.table + " WHERE project = ? LIMIT ?)" + b.returning()
}

func (b belongings) returning() string {
	if b.texts == nil {
		return ""
	}
	return " RETURNING id"
}

// outlived selects the oldest deleted project without entries in the feed: those are
// removed by the feed's own sweep, once they matter no longer.
const outlived = `SELECT n, tokens_until, ` + projectColumns + ` FROM projects p WHERE deleted_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.project = p.n) ORDER BY deleted_at`

func (s lives) Erase(ctx context.Context, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) (err error) {
			removed, more, err = tx.erase(n)
			return err
		})
		return removed, more, err
	})
}

// erase removes up to limit rows of one project, and reports whether there is more to do.
func (tx *transaction) erase(limit int) (removed int, more bool, err error) {
	n, p, err := tx.outlived()
	if err != nil || n == 0 {
		return 0, false, err
	}
	for _, b := range belonging() {
		some, err := tx.remove(b, n, p, limit-removed)
		if err != nil {
			return 0, false, err
		}
		if removed += some; removed == limit {
			return removed, true, nil
		}
	}
	if err := tx.Query("DELETE FROM signing_keys WHERE project = ?").Int(n).Exec(); err != nil {
		return 0, false, err
	}
	return removed + 1, true, tx.Query("DELETE FROM projects WHERE n = ?").Int(n).Exec()
}

// remove removes up to limit rows, and what finds them.
func (tx *transaction) remove(b belongings, n int64, p id.Project, limit int) (removed int, err error) {
	if b.table == "events" {
		// The newest event may be the project's.
		if err := tx.keepPlace(math.MaxInt64); err != nil {
			return 0, err
		}
	}
	q := tx.Query(b.removal())
	if b.byID {
		q.Blob(p[:])
	} else {
		q.Int(n)
	}
	q.Int(int64(limit))
	if b.texts == nil {
		err := q.Exec()
		return int(tx.Changed()), err
	}
	var found [][]byte
	for q.Next() {
		found = append(found, q.ReadBlob())
	}
	if err := q.Close(); err != nil {
		return 0, err
	}
	for _, v := range found {
		if err := b.texts().reindex(tx.Conn, docOf(v)); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// outlived returns a project that may go, and the number of its row; 0 when there is none.
func (tx *transaction) outlived() (int64, id.Project, error) {
	q := tx.Query(outlived)
	for q.Next() {
		n, until := q.ReadInt(), readTime(q)
		if p := readProject(q); p.Outlived(p.Life(until), tx.now) {
			return n, p.ID, q.Close()
		}
	}
	return 0, id.Project{}, q.Close()
}
