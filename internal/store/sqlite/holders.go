package sqlite

import (
	"context"
	"errors"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type holders struct{ *Store }

const (
	usersAfter = "SELECT n, " + userColumns + " FROM users WHERE project = ? AND id > ? AND status <> 'deleted' ORDER BY id"

	holdersAfter = "SELECT u.n, u.id, u.status, u.epoch, u.created_at, u.updated_at, u.login_ids, u.name, u.email, u.phone, u.attributes, u.grants " +
		"FROM user_grants g CROSS JOIN users u ON u.n = g.user WHERE g.project = ? AND g.tenant = ? AND g.role = ? AND g.user_id > ? ORDER BY g.user_id"
)

// snapshot runs reads that see one state of the file.
func (s *Store) snapshot(ctx context.Context, run func(*engine.Conn) error) error {
	return s.read(ctx, func(c *engine.Conn) error {
		if err := c.Query("BEGIN").Exec(); err != nil {
			return err
		}
		err := run(c)
		return errors.Join(err, c.Query("COMMIT").Exec())
	})
}

// resolve returns what grants lead to: each thing once, and nothing for what is gone.
func resolve(c *engine.Conn, o owner, p id.Project, g directory.Grants) (directory.Resolved, error) {
	var r directory.Resolved
	for _, place := range g.Places() {
		var err error
		switch {
		case place.Tenant.IsZero():
			var role directory.Role
			if role, err = findRole(c, o, p, place.Role); err == nil {
				r.Roles = append(r.Roles, role)
			}
		case place.Role.IsZero():
			var t directory.Tenant
			if t, err = findTenant(c, o, p, place.Tenant); err == nil {
				r.Tenants = append(r.Tenants, t)
			}
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return directory.Resolved{}, err
		}
	}
	return r, nil
}

func (s holders) Holder(ctx context.Context, p id.Project, u id.User) (directory.Holder, error) {
	var h directory.Holder
	err := s.snapshot(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		if _, h.User, err = findUser(c, o, p, u); err != nil {
			return err
		}
		h.Resolved, err = resolve(c, o, p, h.User.Grants)
		return err
	})
	if err != nil {
		return directory.Holder{}, err
	}
	return h, nil
}

func (s holders) Search(ctx context.Context, f directory.UserQuery) ([]directory.User, id.User, error) {
	var page []directory.User
	var next id.User
	err := s.readLong(ctx, func(c *engine.Conn) error {
		q, err := candidates(c, f)
		if q == nil || err != nil {
			return err
		}
		var last directory.User
		var more bool
		page, last, more = walk(q, f.Limit, func(q *engine.Stmt) (directory.User, bool) {
			_, u := readUser(q, f.Project)
			return u, f.Matches(u)
		})
		if more {
			next = last.ID
		}
		return q.Close()
	})
	return page, next, err
}

// candidates starts the query along which a search goes; nil when there can't be anybody.
func candidates(c *engine.Conn, f directory.UserQuery) (*engine.Stmt, error) {
	o, err := findOwner(c, f.Project)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !f.Tenant.IsZero() {
		_, err = findTenant(c, o, f.Project, f.Tenant)
	}
	if !f.Role.IsZero() && err == nil {
		_, err = findRole(c, o, f.Project, f.Role)
	}
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if one, err := id.ParseUser(directory.Fold(f.Text)); err == nil {
		if one.Compare(f.After) <= 0 {
			return nil, nil
		}
		return c.Query(userByID + " AND status <> 'deleted'").Int(o.n).Blob(one[:]), nil
	}
	if f.Tenant.IsZero() && f.Role.IsZero() {
		return c.Query(usersAfter).Int(o.n).Blob(f.After[:]), nil
	}
	return c.Query(holdersAfter).Int(o.n).Blob(optional(f.Tenant)).Blob(optional(f.Role)).Blob(f.After[:]), nil
}
