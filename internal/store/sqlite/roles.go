package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type roles struct{ *Store }

const (
	roleColumns = "id, tenant, created_at, updated_at, name, description, permissions"

	roleByID = "SELECT " + roleColumns + " FROM roles WHERE project = ? AND id = ?"

	rolesOfLevel = "SELECT " + roleColumns + " FROM roles WHERE project = (SELECT n FROM projects WHERE id = ?) " +
		"AND tenant = ? AND id > ? ORDER BY id LIMIT ?"

	// The plus keeps SQLite from walking along the level for one name.
	roleOfName = "SELECT " + roleColumns + " FROM roles WHERE project = (SELECT n FROM projects WHERE id = ?) " +
		"AND tenant = ? AND name = ? AND +id > ? LIMIT ?"
)

func readRole(q *engine.Stmt, p id.Project) directory.Role {
	r := directory.Role{Project: p}
	q.ReadInto(r.ID[:])
	q.ReadWith(func(b []byte) error {
		copy(r.Tenant[:], b)
		return nil
	})
	r.CreatedAt, r.UpdatedAt = readTime(q), readTime(q)
	r.Name, r.Description, r.Permissions = q.ReadText(), q.ReadText(), readStrings(q)
	return r
}

// putRole sets the parameters of roleColumns.
func putRole(q *engine.Stmt, r directory.Role) *engine.Stmt {
	q.Blob(r.ID[:]).Blob(optional(r.Tenant))
	putTime(putTime(q, r.CreatedAt), r.UpdatedAt).Text(r.Name).Text(r.Description)
	return putStrings(q, r.Permissions)
}

// findRole returns fault.NotFound for an unknown role.
func findRole(c *engine.Conn, o owner, p id.Project, r id.Role) (directory.Role, error) {
	q := c.Query(roleByID).Int(o.n).Blob(r[:])
	if !q.Next() {
		return directory.Role{}, missing(q, "This project has no such role.")
	}
	found := readRole(q, p)
	return found, q.Close()
}

// accept returns what a new or changed role is refused for. old is zero for a new one.
func (tx *transaction) accept(o owner, old, r directory.Role) error {
	if r.Name != old.Name {
		q := tx.Query("SELECT 1 FROM roles WHERE project = ? AND tenant = ? AND name = ?")
		taken, err := found(q.Int(o.n).Blob(optional(r.Tenant)).Text(r.Name))
		if err != nil {
			return err
		}
		if taken {
			return fault.New(fault.Conflict, "There is a role with this name already.")
		}
	}
	return r.Listed(old, func(name string) (bool, error) {
		return found(tx.Query("SELECT 1 FROM permissions WHERE project = ? AND name = ?").Int(o.n).Text(name))
	})
}

// full returns fault.Conflict when a level has all the roles that it may have.
func (tx *transaction) full(o owner, level id.Tenant) error {
	most := int64(directory.MaxProjectRoles)
	if !level.IsZero() {
		most = directory.MaxTenantRoles
	}
	full, err := found(tx.Query("SELECT 1 FROM roles WHERE project = ? AND tenant = ? LIMIT 1 OFFSET ?").Int(o.n).Blob(optional(level)).Int(most - 1))
	if err == nil && full {
		return fault.New(fault.Conflict, "There are %d roles already: no more are possible.", most)
	}
	return err
}

func (s roles) Insert(ctx context.Context, r directory.Role, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, r.Project)
		if err != nil {
			return err
		}
		if !r.Tenant.IsZero() {
			if _, err := findTenant(tx.Conn, o, r.Project, r.Tenant); err != nil {
				return err
			}
		}
		if err := tx.accept(o, directory.Role{}, r); err != nil {
			return err
		}
		if err := tx.full(o, r.Tenant); err != nil {
			return err
		}
		q := tx.Query("INSERT INTO roles (project, " + roleColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
		if err := putRole(q.Int(o.n), r).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "There is a role with this id already.")
		}
		if err := tx.regain(o, id.Tenant{}, r.ID); err != nil {
			return err
		}
		return tx.log(e)
	})
}

func (s roles) Find(ctx context.Context, p id.Project, r id.Role) (directory.Role, error) {
	var found directory.Role
	err := s.read(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		found, err = findRole(c, o, p, r)
		return err
	})
	return found, err
}

func (s roles) List(ctx context.Context, f directory.RoleQuery) ([]directory.Role, error) {
	var page []directory.Role
	err := s.read(ctx, func(c *engine.Conn) error {
		sql := rolesOfLevel
		if f.Name != "" {
			sql = roleOfName
		}
		q := c.Query(sql).Blob(f.Project[:]).Blob(optional(f.Tenant))
		if f.Name != "" {
			q.Text(f.Name)
		}
		for q.Blob(f.After[:]).Int(most(f.Limit)); q.Next(); {
			page = append(page, readRole(q, f.Project))
		}
		return q.Close()
	})
	return page, err
}

func (s roles) Change(ctx context.Context, p id.Project, r id.Role, change func(directory.Role) (directory.Role, []audit.Event, error)) (directory.Role, error) {
	var changed directory.Role
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		old, err := findRole(tx.Conn, o, p, r)
		if err != nil {
			return err
		}
		copied := old
		copied.Permissions = slices.Clone(old.Permissions)
		var events []audit.Event
		if changed, events, err = change(copied); err != nil {
			return err
		}
		changed.ID, changed.Project, changed.Tenant, changed.CreatedAt = old.ID, old.Project, old.Tenant, old.CreatedAt
		changed.UpdatedAt = session.Instant(changed.UpdatedAt)
		if err := tx.accept(o, old, changed); err != nil {
			return err
		}
		if err := tx.replaceRole(o, changed); err != nil {
			return err
		}
		if changed.Outdated(old) {
			if err := tx.revoke(p, old.Revocation); err != nil {
				return err
			}
		}
		return tx.log(events...)
	})
	if err != nil {
		return directory.Role{}, err
	}
	return changed, nil
}

func (tx *transaction) replaceRole(o owner, r directory.Role) error {
	q := tx.Query(`UPDATE roles SET id = ?, tenant = ?, created_at = ?, updated_at = ?, name = ?, description = ?, permissions = ?
WHERE project = ? AND id = ?`)
	return putRole(q, r).Int(o.n).Blob(r.ID[:]).Exec()
}

func (s roles) Delete(ctx context.Context, p id.Project, r id.Role, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		old, err := findRole(tx.Conn, o, p, r)
		if err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM roles WHERE project = ? AND id = ?").Int(o.n).Blob(r[:]).Exec(); err != nil {
			return err
		}
		if err := tx.lose(o, id.Tenant{}, r); err != nil {
			return err
		}
		if err := tx.revoke(p, old.Revocation); err != nil {
			return err
		}
		return tx.log(e)
	})
}
