package sqlite

import (
	"context"
	"encoding/json"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type tenants struct{ *Store }

const (
	tenantColumns = "id, status, epoch, created_at, updated_at, name, attributes, settings"

	tenantByID = "SELECT " + tenantColumns + " FROM tenants WHERE project = ? AND id = ?"

	tenantsOfProject = "SELECT " + tenantColumns + " FROM tenants WHERE project = ? AND id > ? ORDER BY id"

	tenantsBetween = "SELECT " + tenantColumns + " FROM tenants WHERE project = ? AND id > ? AND id BETWEEN ? AND ? ORDER BY id"

	overridesOfProject = "SELECT " + tenantColumns + " FROM tenants WHERE project = (SELECT n FROM projects WHERE id = ?) " +
		"AND settings IS NOT NULL AND status = 'enabled' ORDER BY id"
)

func readTenant(q *engine.Stmt, p id.Project) directory.Tenant {
	t := directory.Tenant{Project: p}
	q.ReadInto(t.ID[:])
	t.Status, t.Epoch = directory.Status(q.ReadText()), q.ReadInt()
	t.CreatedAt, t.UpdatedAt = readTime(q), readTime(q)
	t.Name, t.Attributes = q.ReadText(), json.RawMessage(q.ReadBlob())
	if q.IsNull() {
		q.Skip()
	} else {
		readJSON(q, &t.Settings)
	}
	return t
}

// putTenant sets the parameters of tenantColumns.
func putTenant(q *engine.Stmt, t directory.Tenant) *engine.Stmt {
	q.Blob(t.ID[:]).Text(string(t.Status)).Int(t.Epoch)
	putTime(putTime(q, t.CreatedAt), t.UpdatedAt)
	putRaw(q.Text(t.Name), t.Attributes)
	if !t.Overrides() {
		return q.Null()
	}
	return putJSON(q, t.Settings)
}

// findTenant returns fault.NotFound for an unknown tenant.
func findTenant(c *engine.Conn, o owner, p id.Project, t id.Tenant) (directory.Tenant, error) {
	q := c.Query(tenantByID).Int(o.n).Blob(t[:])
	if !q.Next() {
		return directory.Tenant{}, missing(q, "This project has no such tenant.")
	}
	found := readTenant(q, p)
	return found, q.Close()
}

// newVersion grows the project's version.
func (tx *transaction) newVersion(o owner) error {
	return tx.Query("UPDATE projects SET version = version + 1 WHERE n = ?").Int(o.n).Exec()
}

// tellAll writes entries to the feed of a project, and what a template asks for besides:
// document.Version.Conceals.
func (tx *transaction) tellAll(p id.Project, entries func(f feed) []revocation.Entry) error {
	f, err := tx.feed(p)
	if err != nil {
		return err
	}
	named := false
	for _, e := range entries(f) {
		named = named || e.ByName()
		if err := f.add(e); err != nil {
			return err
		}
	}
	if !named {
		return nil
	}
	concealed, err := found(tx.Query(concealing).Int(f.project).Text(string(document.User)))
	if err != nil || !concealed {
		return err
	}
	return f.add(directory.Outdated(p, f.life, tx.now))
}

func (s tenants) Insert(ctx context.Context, t directory.Tenant, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, t.Project)
		if err != nil {
			return err
		}
		if err := tx.addTenant(o, t); err != nil {
			return err
		}
		if t.Overrides() {
			if err := tx.newVersion(o); err != nil {
				return err
			}
		}
		return tx.log(e)
	})
}

// addTenant writes a new tenant, unless it is there.
func (tx *transaction) addTenant(o owner, t directory.Tenant) error {
	least, err := only(tx.Query(epochAfterTenant).Blob(t.ID[:]).Int(o.n))
	if err != nil {
		return err
	}
	t.Epoch = max(t.Epoch, least)
	q := tx.Query("INSERT INTO tenants (project, " + tenantColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
	if err := putTenant(q.Int(o.n), t).Exec(); err != nil {
		return err
	}
	if tx.Changed() == 0 {
		return fault.New(fault.Conflict, "There is a tenant with this id already.")
	}
	if err := tx.regain(o, t.ID, id.Role{}); err != nil {
		return err
	}
	return tenantTexts().reindex(tx.Conn, docOf(t.ID[:]))
}

func (s tenants) Find(ctx context.Context, p id.Project, t id.Tenant) (directory.Tenant, error) {
	var found directory.Tenant
	err := s.read(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		found, err = findTenant(c, o, p, t)
		return err
	})
	return found, err
}

func (s tenants) List(ctx context.Context, f directory.TenantQuery) ([]directory.Tenant, id.Tenant, error) {
	w := walk[directory.Tenant]{limit: f.Limit, read: func(q *engine.Stmt) (directory.Tenant, bool) {
		t := readTenant(q, f.Project)
		return t, f.Matches(t)
	}}
	err := s.readLong(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, f.Project)
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		one, isID := id.ParseTenant(directory.Fold(f.Text))
		switch {
		case err != nil:
		case isID == nil:
			_, err = w.along(c.Query(tenantsBetween).Int(o.n).Blob(f.After[:]).Blob(one[:]).Blob(one[:]))
		case indexable(f.Text):
			err = w.found(c, tenantTexts(), tenantsBetween, o.n, f.Text, f.After[:])
		default:
			_, err = w.along(c.Query(tenantsOfProject).Int(o.n).Blob(f.After[:]))
		}
		return err
	})
	if err != nil || !w.more {
		return w.page, id.Tenant{}, err
	}
	return w.page, w.last.ID, nil
}

func (s tenants) Overrides(ctx context.Context, p id.Project) ([]directory.Tenant, error) {
	var all []directory.Tenant
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(overridesOfProject).Blob(p[:])
		for q.Next() {
			all = append(all, readTenant(q, p))
		}
		return q.Close()
	})
	return all, err
}

func (s tenants) Change(ctx context.Context, p id.Project, t id.Tenant, change func(directory.Tenant) (directory.Tenant, []audit.Event, error)) (directory.Tenant, error) {
	var changed directory.Tenant
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		old, err := findTenant(tx.Conn, o, p, t)
		if err != nil {
			return err
		}
		var events []audit.Event
		if changed, events, err = change(old.Clone()); err != nil {
			return err
		}
		changed.ID, changed.Project, changed.CreatedAt = old.ID, old.Project, old.CreatedAt
		changed.UpdatedAt = session.Instant(changed.UpdatedAt)
		if err := tx.replaceTenant(o, changed); err != nil {
			return err
		}
		if changed.Name != old.Name {
			if err := tenantTexts().reindex(tx.Conn, docOf(t[:])); err != nil {
				return err
			}
		}
		if changed.Reversions(old) {
			if err := tx.newVersion(o); err != nil {
				return err
			}
		}
		if err := tx.tellAll(p, func(f feed) []revocation.Entry { return changed.Entries(old, f.life, tx.now) }); err != nil {
			return err
		}
		if err := tx.opened(o, old, changed); err != nil {
			return err
		}
		return tx.log(events...)
	})
	if err != nil {
		return directory.Tenant{}, err
	}
	return changed, nil
}

// firstMembers selects one more than verifiers are told of one by one.
const firstMembers = "SELECT user_id FROM user_grants WHERE project = ? AND tenant = ? AND role = x'' ORDER BY user_id LIMIT ?"

// opened tells verifiers of the members of a tenant that was enabled.
func (tx *transaction) opened(o owner, old, t directory.Tenant) error {
	if !t.Opens(old) {
		return nil
	}
	var members []id.User
	q := tx.Query(firstMembers)
	for q.Int(o.n).Blob(t.ID[:]).Int(directory.MaxTold + 1); q.Next(); {
		var u id.User
		q.ReadInto(u[:])
		members = append(members, u)
	}
	if err := q.Close(); err != nil {
		return err
	}
	return tx.tellAll(t.Project, func(f feed) []revocation.Entry { return t.Opened(members, f.life, tx.now) })
}

// replaceTenant writes a changed tenant.
func (tx *transaction) replaceTenant(o owner, t directory.Tenant) error {
	q := tx.Query(`UPDATE tenants SET id = ?, status = ?, epoch = ?, created_at = ?, updated_at = ?, name = ?, attributes = ?, settings = ?
WHERE project = ? AND id = ?`)
	return putTenant(q, t).Int(o.n).Blob(t.ID[:]).Exec()
}

func (s tenants) Delete(ctx context.Context, p id.Project, t id.Tenant, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		old, err := findTenant(tx.Conn, o, p, t)
		if err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM tenants WHERE project = ? AND id = ?").Int(o.n).Blob(t[:]).Exec(); err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM roles WHERE project = ? AND tenant = ?").Int(o.n).Blob(t[:]).Exec(); err != nil {
			return err
		}
		if err := tenantTexts().reindex(tx.Conn, docOf(t[:])); err != nil {
			return err
		}
		if err := tx.lose(o, t, id.Role{}); err != nil {
			return err
		}
		if old.Overrides() {
			if err := tx.newVersion(o); err != nil {
				return err
			}
		}
		if err := tx.tellAll(p, func(f feed) []revocation.Entry { return old.Gone(f.life, tx.now) }); err != nil {
			return err
		}
		return tx.log(e)
	})
}

func (s tenants) Sweep(ctx context.Context, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			removed, more, err = tx.reclaim(n)
			return err
		})
		return removed, more, err
	})
}
