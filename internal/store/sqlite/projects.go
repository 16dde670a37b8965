package sqlite

import (
	"context"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type projects struct{ *Store }

// owner is what other verbs need of a project.
type owner struct {
	n, version, epoch int64
	enabled           bool
}

// findOwner returns fault.NotFound for an unknown project.
func findOwner(c *engine.Conn, p id.Project) (owner, error) {
	q := c.Query("SELECT n, version, epoch, status FROM projects WHERE id = ?").Blob(p[:])
	if !q.Next() {
		return owner{}, missing(q, "There is no such project.")
	}
	o := owner{q.ReadInt(), q.ReadInt(), q.ReadInt(), q.ReadText() == string(directory.Enabled)}
	return o, q.Close()
}

// missing closes a query that found nothing: an error of the query itself goes first.
func missing(q *engine.Stmt, detail string) error {
	if err := q.Close(); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "%s", detail)
}

const (
	firstColumns   = "id, version, epoch, created_at, name, sealed_mac, settings"
	projectColumns = firstColumns + ", status, deleted_at"
)

func readProject(q *engine.Stmt) directory.Project {
	var p directory.Project
	q.ReadInto(p.ID[:])
	p.Version, p.Epoch, p.CreatedAt = q.ReadInt(), q.ReadInt(), readTime(q)
	p.Name, p.SealedMAC = q.ReadText(), q.ReadBlob()
	readJSON(q, &p.Settings)
	p.Status, p.DeletedAt = directory.Status(q.ReadText()), readTime(q)
	return p
}

func (s projects) Insert(ctx context.Context, p directory.Project, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		q := tx.Query("INSERT INTO projects (" + firstColumns + ") VALUES (?, 1, 0, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
		putTime(q.Blob(p.ID[:]), p.CreatedAt).Text(p.Name).Blob(p.SealedMAC)
		if err := putJSON(q, p.Settings).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "There is a project with this id already.")
		}
		return tx.log(e)
	})
}

func (s projects) Find(ctx context.Context, p id.Project) (directory.Project, error) {
	var found directory.Project
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		found, err = onlyProject(c.Query(projectByID).Blob(p[:]))
		return err
	})
	return found, err
}

const projectByID = "SELECT " + projectColumns + " FROM projects WHERE id = ?"

// onlyProject returns the project of a query for one.
func onlyProject(q *engine.Stmt) (directory.Project, error) {
	if !q.Next() {
		return directory.Project{}, missing(q, "There is no such project.")
	}
	p := readProject(q)
	return p, q.Close()
}

func (s projects) Version(ctx context.Context, p id.Project) (int64, error) {
	var found owner
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		found, err = findOwner(c, p)
		return err
	})
	return found.version, err
}

func (s projects) List(ctx context.Context, after id.Project, limit int) ([]directory.Project, error) {
	var page []directory.Project
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query("SELECT " + projectColumns + " FROM projects WHERE id > ? ORDER BY id LIMIT ?")
		for q.Blob(after[:]).Int(most(limit)); q.Next(); {
			page = append(page, readProject(q))
		}
		return q.Close()
	})
	return page, err
}

// most returns a limit for SQL, where a negative one means none.
func most(limit int) int64 { return int64(max(limit, 0)) }

// customDomain is read out of the settings, where it stands anyway: a column would be a
// second truth.
const (
	customDomain = "json_extract(settings, '$.customDomain')"

	domainsAfter = "SELECT " + customDomain + ", id FROM projects WHERE " + customDomain + " > ? AND " + customDomain + " <> '' " +
		"ORDER BY " + customDomain + " LIMIT ?"
	domainOfAnother = "SELECT 1 FROM projects WHERE " + customDomain + " = ? AND " + customDomain + " <> '' AND n <> ?"
)

func (s projects) Domains(ctx context.Context, after string, limit int) ([]directory.Domain, error) {
	var page []directory.Domain
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(domainsAfter)
		for q.Text(after).Int(most(limit)); q.Next(); {
			d := directory.Domain{Host: q.ReadText()}
			q.ReadInto(d.Project[:])
			page = append(page, d)
		}
		return q.Close()
	})
	return page, err
}

// untaken refuses a custom domain that another project has. There is one writer at a
// time, so nobody takes it until this transaction is over.
func untaken(c *engine.Conn, p owner, domain string) error {
	if domain == "" {
		return nil
	}
	q := c.Query(domainOfAnother).Text(domain).Int(p.n)
	taken := q.Next()
	if err := q.Close(); err != nil {
		return err
	}
	if taken {
		return directory.DomainTaken()
	}
	return nil
}

func (s projects) ChangeSettings(ctx context.Context, p id.Project, version int64, settings latchkey.Settings, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		found, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		if found.version != version {
			return errChanged()
		}
		if err := untaken(tx.Conn, found, settings.CustomDomain); err != nil {
			return err
		}
		feed, err := tx.feed(p)
		if err != nil {
			return err
		}
		q := putJSON(tx.Query("UPDATE projects SET settings = ?, version = version + 1, tokens_until = ? WHERE n = ?"), settings)
		q = putTime(q, feed.life.Shortened(directory.LifeUnder(settings), tx.now).Before)
		if err := q.Int(found.n).Exec(); err != nil {
			return err
		}
		return tx.log(e)
	})
}

func (s projects) Reseal(ctx context.Context, p id.Project, old, sealed []byte, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		found, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		q := tx.Query("UPDATE projects SET sealed_mac = ? WHERE n = ? AND sealed_mac = ?")
		if err := q.Blob(sealed).Int(found.n).Blob(old).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return errResealed()
		}
		return tx.log(e)
	})
}

func errResealed() error {
	return fault.New(fault.Conflict, "What was to be resealed has changed in the meantime.")
}

func errChanged() error {
	return fault.New(fault.Conflict, "The project has changed in the meantime.")
}
