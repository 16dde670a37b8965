package sqlite

import (
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// through writes grants into a statement and reads them out of it.
func through(c *engine.Conn, put func(*engine.Stmt) *engine.Stmt) (directory.Grants, error) {
	q := put(c.Query("SELECT ?"))
	var g directory.Grants
	if q.Next() {
		g = readGrants(q)
	}
	return g, q.Close()
}

func TestGrantsComeBack(t *testing.T) {
	s, _ := fresh(t, Options{})
	roles := []id.Role{id.NewRole(epoch), id.NewRole(epoch)}
	many := slices.Repeat(roles, 100) // a length of two bytes
	for _, want := range []directory.Grants{
		{},
		{Roles: roles},
		{Memberships: []directory.Membership{{Tenant: id.NewTenant(epoch)}}},
		{Roles: many, Memberships: []directory.Membership{{Tenant: id.NewTenant(epoch), Roles: many}, {Tenant: id.NewTenant(epoch)}, {Tenant: id.NewTenant(epoch), Roles: roles}}},
	} {
		got, err := through(s.queue.conn, func(q *engine.Stmt) *engine.Stmt { return putGrants(q, want) })
		if err != nil || !got.Equal(want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
}

// FuzzReadGrants fails when damaged grants aren't noticed, or do damage: what is read is
// what would be written.
func FuzzReadGrants(f *testing.F) {
	role, tenant := id.NewRole(epoch), id.NewTenant(epoch)
	whole := append(append([]byte{1}, role[:]...), append(tenant[:], append([]byte{1}, role[:]...)...)...)
	for _, b := range [][]byte{nil, {0}, {1}, {0x80}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, whole, whole[:len(whole)-1], whole[:20], append(slices.Clone(whole), 0)} {
		f.Add(b)
	}
	s, _ := fresh(f, Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := through(s.queue.conn, func(q *engine.Stmt) *engine.Stmt { return q.Blob(b) })
		if err != nil {
			return
		}
		again, err := through(s.queue.conn, func(q *engine.Stmt) *engine.Stmt { return putGrants(q, got) })
		if err != nil || !again.Equal(got) {
			t.Errorf("%x was read as %+v, and that as %+v, %v", b, got, again, err)
		}
	})
}
