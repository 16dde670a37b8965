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
			return noPermission()
		}
		if err := tx.strip(o, p, name); err != nil {
			return err
		}
		return tx.log(e)
	})
}

// rolesNaming selects, in their order, the roles in whose list a name stands, whole or as
// part of another one: SQLite passes the others much faster than they are read.
const rolesNaming = "SELECT " + roleColumns + " FROM roles WHERE project = ? AND instr(permissions, ?) > 0 ORDER BY id"

// strip takes a permission away from every role, and tells verifiers of each name once.
func (tx *transaction) strip(o owner, p id.Project, name string) error {
	var had []directory.Role
	q := tx.Query(rolesNaming).Int(o.n).Blob([]byte(name))
	for q.Next() {
		if r := readRole(q, p); slices.Contains(r.Permissions, name) {
			had = append(had, r)
		}
	}
	if err := q.Close(); err != nil {
		return err
	}
	names := map[string]bool{}
	var told []directory.Role
	for _, r := range had {
		r.Permissions = slices.DeleteFunc(r.Permissions, func(have string) bool { return have == name })
		if err := tx.replaceRole(o, r); err != nil {
			return err
		}
		if !names[r.Name] {
			names[r.Name], told = true, append(told, r)
		}
	}
	return tx.tellAll(p, func(f feed) []revocation.Entry {
		var entries []revocation.Entry
		for _, r := range told {
			entries = append(entries, r.Revocation(f.life, tx.now))
		}
		return entries
	})
}
