package sqlite

import (
	"encoding/binary"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// putGrants sets the next parameter to grants: the number of roles and the roles, then
// for each membership the tenant and its roles in the same way. None are NULL, which is
// how a refresh sees without another read that there is nothing to be looked up.
func putGrants(q *engine.Stmt, g directory.Grants) *engine.Stmt {
	if g.None() {
		return q.Null()
	}
	b := appendRoles(nil, g.Roles)
	for _, m := range g.Memberships {
		b = appendRoles(append(b, m.Tenant[:]...), m.Roles)
	}
	return q.Blob(b)
}

func appendRoles(b []byte, roles []id.Role) []byte {
	b = binary.AppendUvarint(b, uint64(len(roles)))
	for _, r := range roles {
		b = append(b, r[:]...)
	}
	return b
}

func readGrants(q *engine.Stmt) directory.Grants {
	var g directory.Grants
	q.ReadWith(func(b []byte) (err error) {
		if len(b) == 0 {
			return nil
		}
		if g.Roles, b, err = cutRoles(b); err != nil {
			return err
		}
		for len(b) > 0 {
			var m directory.Membership
			n := copy(m.Tenant[:], b)
			if m.Roles, b, err = cutRoles(b[n:]); err != nil {
				return err
			}
			g.Memberships = append(g.Memberships, m)
		}
		return nil
	})
	return g
}

// cutRoles reads what appendRoles has written, and returns the rest.
func cutRoles(b []byte) ([]id.Role, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)/uint64(len(id.Role{})) {
		return nil, nil, errList
	}
	b = b[size:]
	if n == 0 {
		return nil, b, nil
	}
	roles := make([]id.Role, n)
	for i := range roles {
		b = b[copy(roles[i][:], b):]
	}
	return roles, b, nil
}

// known is directory.Known of one project in one transaction.
type known struct {
	c *engine.Conn
	o owner
}

func (k known) HasTenant(t id.Tenant) (bool, error) {
	return found(k.c.Query("SELECT 1 FROM tenants WHERE project = ? AND id = ?").Int(k.o.n).Blob(t[:]))
}

func (k known) HasRole(r id.Role, level id.Tenant) (bool, error) {
	return found(k.c.Query("SELECT 1 FROM roles WHERE project = ? AND id = ? AND tenant = ?").Int(k.o.n).Blob(r[:]).Blob(optional(level)))
}

// found reports whether a query has a row.
func found(q *engine.Stmt) (bool, error) {
	yes := q.Next()
	return yes, q.Close()
}

// optional returns the bytes of an identifier, none for none.
func optional[T ~[16]byte](v T) []byte {
	if v == (T{}) {
		return nil
	}
	return v[:]
}

// regrant brings user_grants from the old to the new grants of a user.
func (tx *transaction) regrant(o owner, n int64, u id.User, before, after directory.Grants) error {
	if before.None() && after.None() {
		return nil
	}
	was, is := before.Places(), after.Places()
	in := func(places []directory.Place, p directory.Place) bool {
		_, yes := slices.BinarySearchFunc(places, p, directory.Place.Compare)
		return yes
	}
	for _, p := range was {
		if in(is, p) {
			continue
		}
		q := tx.Query("DELETE FROM user_grants WHERE project = ? AND tenant = ? AND role = ? AND user_id = ?")
		if err := q.Int(o.n).Blob(optional(p.Tenant)).Blob(optional(p.Role)).Blob(u[:]).Exec(); err != nil {
			return err
		}
	}
	for _, p := range is {
		if in(was, p) {
			continue
		}
		q := tx.Query("INSERT INTO user_grants (project, tenant, role, user_id, user) VALUES (?, ?, ?, ?, ?)")
		if err := q.Int(o.n).Blob(optional(p.Tenant)).Blob(optional(p.Role)).Blob(u[:]).Int(n).Exec(); err != nil {
			return err
		}
	}
	return nil
}

// lose notes that a tenant or a role was deleted.
func (tx *transaction) lose(o owner, t id.Tenant, r id.Role) error {
	q := tx.Query("INSERT INTO lost_grants (project, tenant, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
	return q.Int(o.n).Blob(optional(t)).Blob(optional(r)).Exec()
}

// regain forgets that a tenant or a role was deleted: it is there again, and so is what
// grants by it.
func (tx *transaction) regain(o owner, t id.Tenant, r id.Role) error {
	q := tx.Query("DELETE FROM lost_grants WHERE project = ? AND tenant = ? AND role = ?")
	return q.Int(o.n).Blob(optional(t)).Blob(optional(r)).Exec()
}

const (
	firstLost     = "SELECT project, tenant, role FROM lost_grants ORDER BY project, tenant, role LIMIT 1"
	holdersOfLost = "SELECT g.user_id, g.user, u.grants FROM user_grants g CROSS JOIN users u ON u.n = g.user " +
		"WHERE g.project = ? AND g.tenant = ? AND g.role = ? ORDER BY g.user_id LIMIT ?"
)

// losing is one user who is to lose something.
type losing struct {
	n      int64
	user   id.User
	grants directory.Grants
}

// reclaim takes the first deleted role or tenant out of the grants of at most n users.
// Roles come first, as their keys are smaller.
func (tx *transaction) reclaim(n int) (removed int, more bool, err error) {
	q := tx.Query(firstLost)
	if !q.Next() {
		return 0, false, q.Close()
	}
	o := owner{n: q.ReadInt()}
	tenant, role := q.ReadBlob(), q.ReadBlob()
	if err := q.Close(); err != nil {
		return 0, false, err
	}
	var all []losing
	for q = tx.Query(holdersOfLost).Int(o.n).Blob(tenant).Blob(role).Int(int64(n)); q.Next(); {
		var one losing
		q.ReadInto(one.user[:])
		one.n, one.grants = q.ReadInt(), readGrants(q)
		all = append(all, one)
	}
	if err := q.Close(); err != nil {
		return 0, false, err
	}
	var t id.Tenant
	var r id.Role
	copy(t[:], tenant)
	copy(r[:], role)
	for _, one := range all {
		rest := one.grants.Without(t, r)
		q := putGrants(tx.Query("UPDATE users SET grants = ? WHERE n = ?"), rest)
		if err := q.Int(one.n).Exec(); err != nil {
			return 0, false, err
		}
		if err := tx.regrant(o, one.n, one.user, one.grants, rest); err != nil {
			return 0, false, err
		}
	}
	if len(all) == n {
		return len(all), true, nil
	}
	return len(all), true, tx.regain(o, t, r)
}
