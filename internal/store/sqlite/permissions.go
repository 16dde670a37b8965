package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type permissions struct{ *Store }

const permissionsAfter = "SELECT name, description, created_at FROM permissions WHERE project = (SELECT n FROM projects WHERE id = ?) " +
	"AND name > ? ORDER BY name LIMIT ?"

func readPermission(q *engine.Stmt, p id.Project) directory.Permission {
	return directory.Permission{Project: p, Name: q.ReadText(), Description: q.ReadText(), CreatedAt: readTime(q)}
}

func noPermission() error {
	return fault.New(fault.NotFound, "This project has no such permission.")
}

func (s permissions) Insert(ctx context.Context, p directory.Permission, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p.Project)
		if err != nil {
			return err
		}
		lost, err := tx.lost(o, p.Name)
		if err != nil {
			return err
		}
		if lost {
			return directory.StillLost()
		}
		full, err := found(tx.Query("SELECT 1 FROM permissions WHERE project = ? LIMIT 1 OFFSET ?").Int(o.n).Int(directory.MaxPermissions - 1))
		if err != nil {
			return err
		}
		if full {
			return fault.New(fault.Conflict, "There are %d permissions already: no more are possible.", directory.MaxPermissions)
		}
		q := tx.Query("INSERT INTO permissions (project, name, description, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
		if err := putTime(q.Int(o.n).Text(p.Name).Text(p.Description), p.CreatedAt).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.Conflict, "There is a permission with this name already.")
		}
		return tx.log(e)
	})
}

func (s permissions) List(ctx context.Context, p id.Project, after string, limit int) ([]directory.Permission, error) {
	var page []directory.Permission
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(permissionsAfter)
		for q.Blob(p[:]).Text(after).Int(most(limit)); q.Next(); {
			page = append(page, readPermission(q, p))
		}
		return q.Close()
	})
	return page, err
}

func (s permissions) Describe(ctx context.Context, p id.Project, name, description string, e audit.Event) (directory.Permission, error) {
	var described directory.Permission
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		q := tx.Query("UPDATE permissions SET description = ? WHERE project = ? AND name = ? RETURNING name, description, created_at")
		if !q.Text(description).Int(o.n).Text(name).Next() {
			if err := q.Close(); err != nil {
				return err
			}
			return noPermission()
		}
		described = readPermission(q, p)
		if err := q.Exec(); err != nil {
			return err
		}
		return tx.log(e)
	})
	return described, err
}

func (s permissions) Delete(ctx context.Context, p id.Project, name string, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		if err := tx.Query("DELETE FROM permissions WHERE project = ? AND name = ?").Int(o.n).Text(name).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			lost, err := tx.lost(o, name)
			if err != nil || lost {
				return err
			}
			return noPermission()
		}
		if err := tx.Query("INSERT INTO lost_permissions (project, name, role) VALUES (?, ?, x'')").Int(o.n).Text(name).Exec(); err != nil {
			return err
		}
		return tx.log(e)
	})
}

// lost reports whether roles may still have a permission that was deleted.
func (tx *transaction) lost(o owner, name string) (bool, error) {
	return found(tx.Query("SELECT 1 FROM lost_permissions WHERE project = ? AND name = ?").Int(o.n).Text(name))
}

func (s permissions) Strip(ctx context.Context, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (looked int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			looked, more, err = tx.strip(n)
			return err
		})
		return looked, more, err
	})
}

const (
	firstLostPermission = "SELECT l.project, p.id, l.name, l.role FROM lost_permissions l CROSS JOIN projects p ON p.n = l.project " +
		"ORDER BY l.project, l.name LIMIT 1"

	rolesBehind = "SELECT id FROM roles WHERE project = ? AND id > ? ORDER BY id LIMIT ?"
	nextRoles   = "SELECT count(*), max(id) FROM (" + rolesBehind + ")"

	// Those in whose list a name stands, whole or as part of another one: SQLite passes
	// the others much faster than they are read.
	rolesNaming = "SELECT " + roleColumns + " FROM roles WHERE project = ? AND id > ? AND id <= ? AND instr(permissions, ?) > 0 ORDER BY id"
)

// lostPermission is a deleted permission with the roles that are looked at now.
type lostPermission struct {
	o          owner
	project    id.Project
	name       string
	from, last []byte // behind the one, as far as the other
}

// strip takes the first deleted permission from those of the next n roles that have it.
func (tx *transaction) strip(n int) (looked int, more bool, err error) {
	q := tx.Query(firstLostPermission)
	if !q.Next() {
		return 0, false, q.Close()
	}
	var l lostPermission
	l.o.n = q.ReadInt()
	q.ReadInto(l.project[:])
	l.name, l.from = q.ReadText(), q.ReadBlob()
	if err := q.Close(); err != nil {
		return 0, false, err
	}
	if q = tx.Query(nextRoles).Int(l.o.n).Blob(l.from).Int(int64(n)); q.Next() {
		looked, l.last = int(q.ReadInt()), q.ReadBlob()
	}
	if err := q.Close(); err != nil {
		return 0, false, err
	}
	if looked > 0 {
		if err := tx.stripRoles(l); err != nil {
			return 0, false, err
		}
	}
	if looked < n {
		return looked + 1, true, tx.Query("DELETE FROM lost_permissions WHERE project = ? AND name = ?").Int(l.o.n).Text(l.name).Exec()
	}
	return looked, true, tx.Query("UPDATE lost_permissions SET role = ? WHERE project = ? AND name = ?").Blob(l.last).Int(l.o.n).Text(l.name).Exec()
}

// stripRoles takes a permission away from roles, and tells verifiers of each name once.
func (tx *transaction) stripRoles(l lostPermission) error {
	var had []directory.Role
	q := tx.Query(rolesNaming).Int(l.o.n).Blob(l.from).Blob(l.last).Blob([]byte(l.name))
	for q.Next() {
		if r := readRole(q, l.project); slices.Contains(r.Permissions, l.name) {
			had = append(had, r)
		}
	}
	if err := q.Close(); err != nil || len(had) == 0 {
		return err
	}
	names := map[string]bool{}
	var told []directory.Role
	for _, r := range had {
		r.Permissions = slices.DeleteFunc(r.Permissions, func(have string) bool { return have == l.name })
		if err := tx.replaceRole(l.o, r); err != nil {
			return err
		}
		if !names[r.Name] {
			names[r.Name], told = true, append(told, r)
		}
	}
	return tx.tellAll(l.project, func(f feed) []revocation.Entry {
		var entries []revocation.Entry
		for _, r := range told {
			entries = append(entries, r.Namesakes(f.life, tx.now))
		}
		return entries
	})
}
