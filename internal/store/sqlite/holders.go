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

	usersBetween = "SELECT n, " + userColumns + " FROM users WHERE project = ? AND id > ? AND id BETWEEN ? AND ? AND status <> 'deleted' ORDER BY id"

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

func (s holders) Resolve(ctx context.Context, p id.Project, g directory.Grants) (directory.Resolved, error) {
	var r directory.Resolved
	err := s.snapshot(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, p)
		if err != nil {
			return err
		}
		r, err = resolve(c, o, p, g)
		return err
	})
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return directory.Resolved{}, nil
	}
	return r, err
}

func (s holders) Search(ctx context.Context, f directory.UserQuery) ([]directory.User, id.User, error) {
	w := walk[directory.User]{limit: f.Limit, read: func(q *engine.Stmt) (directory.User, bool) {
		_, u := readUser(q, f.Project)
		return u, f.Matches(u)
	}}
	err := s.readLong(ctx, func(c *engine.Conn) error {
		o, err := findOwner(c, f.Project)
		if err == nil {
			err = placeOf(c, o, f)
		}
		if err == nil {
			err = search(c, o, f, &w)
		}
		if fault.KindOf(err) == fault.NotFound {
			return nil // nobody can be there
		}
		return err
	})
	if err != nil || !w.more {
		return w.page, id.User{}, err
	}
	return w.page, w.last.ID, nil
}

// placeOf returns fault.NotFound when the tenant or the role of a query isn't there.
func placeOf(c *engine.Conn, o owner, f directory.UserQuery) error {
	if !f.Tenant.IsZero() {
		if _, err := findTenant(c, o, f.Project, f.Tenant); err != nil {
			return err
		}
	}
	if !f.Role.IsZero() {
		if _, err := findRole(c, o, f.Project, f.Role); err != nil {
			return err
		}
	}
	return nil
}

// search takes the way on which it meets the fewest users. Whom it meets is looked at as a
// whole, so every way finds the same.
func search(c *engine.Conn, o owner, f directory.UserQuery, w *walk[directory.User]) error {
	var err error
	everywhere := f.Tenant.IsZero() && f.Role.IsZero()
	one, isID := id.ParseUser(directory.Fold(f.Text))
	switch {
	case isID == nil:
		_, err = w.along(c.Query(usersBetween).Int(o.n).Blob(f.After[:]).Blob(one[:]).Blob(one[:]))
	case indexable(f.Text) && (everywhere || crowded(c, o, f)):
		err = w.found(c, userTexts(), usersBetween, o.n, f.Text, f.After[:])
	case everywhere:
		_, err = w.along(c.Query(usersAfter).Int(o.n).Blob(f.After[:]))
	default:
		_, err = w.along(c.Query(holdersAfter).Int(o.n).Blob(optional(f.Tenant)).Blob(optional(f.Role)).Blob(f.After[:]))
	}
	return err
}

const holdersFrom = "SELECT 1 FROM user_grants WHERE project = ? AND tenant = ? AND role = ? AND user_id > ? LIMIT 1 OFFSET ?"

// crowded reports whether there are more users at a place than one page may look at.
func crowded(c *engine.Conn, o owner, f directory.UserQuery) bool {
	q := c.Query(holdersFrom).Int(o.n).Blob(optional(f.Tenant)).Blob(optional(f.Role)).Blob(f.After[:]).Int(walkBound)
	yes, err := found(q)
	return yes && err == nil // an error comes again
}
