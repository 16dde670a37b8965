package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// TestStrippingLetsRefreshesPass takes a permission from very many roles while somebody
// refreshes.
func TestStrippingLetsRefreshesPass(t *testing.T) {
	n := howMany(20_000)
	var now tick
	now.ms.Store(epoch.Add(time.Hour).UnixMilli())
	s, _ := fresh(t, Options{Now: now.Now})
	c := employ(t, s, 100)
	var users []id.User
	for _, u := range c.people {
		users = append(users, u.ID)
	}
	_, err := s.Load(t.Context(), typical(c.project.ID, users, epoch))
	must(t, err)
	e := audit.New(c.project.ID, epoch, audit.PermissionDeleted, audit.Origin{})
	must(t, s.Permissions().Insert(t.Context(), directory.Permission{Project: c.project.ID, Name: "doc.read"}, e))
	must(t, s.write(t.Context(), func(tx *transaction) error { return tx.manyRoles(c.project.ID, n) }))
	before := s.naming(t, "doc.read")

	must(t, s.Permissions().Delete(t.Context(), c.project.ID, "doc.read", e))
	start, steps := time.Now(), []time.Duration(nil)
	waits := s.besideRefreshes(t, c, func() {
		for looked := 100; looked == 100; {
			step := cpu()
			var err error
			looked, err = s.Permissions().Strip(t.Context(), 100)
			must(t, err)
			steps = append(steps, cpu()-step)
		}
	})
	t.Logf("taken from %d roles in %v, a step and what refreshes meanwhile: median %v, p99 %v of CPU; %d refreshes: median %v, p99 %v, worst %v",
		before, time.Since(start), percentile(steps, 50), percentile(steps, 99), len(waits), percentile(waits, 50), percentile(waits, 99), percentile(waits, 100))
	if after := s.naming(t, "doc.read"); before != n || after != 0 {
		t.Errorf("%d roles had it, and %d have it still", before, after)
	}
	if median := percentile(steps, 50); long() && median > 25*time.Millisecond {
		t.Errorf("half of the steps needed more than %v of CPU", median)
	}
	if median := percentile(waits, 50); long() && median > 50*time.Millisecond {
		t.Errorf("half of the refreshes took longer than %v", median)
	}
}

// manyRoles adds roles with a permission, a hundred to a tenant.
func (tx *transaction) manyRoles(p id.Project, n int) error {
	o, err := findOwner(tx.Conn, p)
	if err != nil {
		return err
	}
	var tenant id.Tenant
	for i := range n {
		if i%directory.MaxTenantRoles == 0 {
			tenant = id.NewTenant(epoch)
		}
		r := directory.Role{ID: id.NewRole(epoch.Add(time.Duration(i))), Project: p, Tenant: tenant, Name: fmt.Sprint("role ", i), Permissions: []string{"doc.read", "doc.write"}}
		q := tx.Query("INSERT INTO roles (project, " + roleColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
		if err := putRole(q.Int(o.n), r).Exec(); err != nil {
			return err
		}
	}
	return nil
}

// naming returns how many roles name a permission.
func (s *Store) naming(t testing.TB, name string) (n int) {
	t.Helper()
	must(t, s.write(t.Context(), func(tx *transaction) error {
		q := tx.Query("SELECT count(*) FROM roles WHERE instr(permissions, ?) > 0").Blob([]byte(name))
		if q.Next() {
			n = int(q.ReadInt())
		}
		return q.Close()
	}))
	return n
}

// besideRefreshes does some work while somebody refreshes, and returns how long each
// refresh took.
func (s *Store) besideRefreshes(t *testing.T, c *company, work func()) []time.Duration {
	t.Helper()
	rows, _, _, err := s.Bulk().List(t.Context(), session.Filter{Project: c.project.ID, Limit: 100})
	must(t, err)
	var waits []time.Duration
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			start := time.Now()
			row, _, err := s.Sessions().Rotate(t.Context(), refresh(rows[i%len(rows)], 1, policy.Policy{}))
			if err != nil {
				t.Error(err)
				return
			}
			waits, rows[i%len(rows)] = append(waits, time.Since(start)), row
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	work()
	close(stop)
	<-done
	return waits
}
