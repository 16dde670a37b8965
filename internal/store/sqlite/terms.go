package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

const termsOfProject = "SELECT " + headColumns + ", s.rotated_at, s.replayed_at, s.idle_limit, u.grants" +
	ofProject + "AND s.id > ? ORDER BY s.id LIMIT ?"

func (s bulk) Terms(ctx context.Context, t session.TermQuery) ([]session.Term, id.Session, error) {
	var terms []session.Term
	var next id.Session
	err := s.readLong(ctx, func(c *engine.Conn) error {
		now := s.clock()
		known := memberships{}
		q := c.Query(termsOfProject).Blob(t.Project[:]).Blob(t.After[:]).Int(int64(t.Limit) + 1)
		var last id.Session
		for seen := 0; q.Next(); seen++ {
			if seen == t.Limit {
				next = last
				break
			}
			found := readHead(q, t.Project)
			last = found.row.ID
			if !found.lives(now) {
				continue
			}
			r := &found.row
			r.RotatedAt, r.ReplayedAt, r.IdleLimit = readTime(q), readTime(q), time.Duration(q.ReadInt())*time.Millisecond
			var tenants []id.Tenant
			if t.Tenants {
				tenants = known.read(q)
			}
			terms = append(terms, r.Term(tenants))
		}
		return q.Close()
	})
	return terms, next, err
}

// memberships are the tenants in grants, by the text of the grants: those who share a
// tenant often have the same roles there, and reading the text is what costs.
type memberships map[string][]id.Tenant

func (m memberships) read(q *engine.Stmt) []id.Tenant {
	if q.IsNull() {
		q.Skip()
		return nil
	}
	var tenants []id.Tenant
	q.ReadWith(func(text []byte) error {
		if known, ok := m[string(text)]; ok {
			tenants = known
			return nil
		}
		var g directory.Grants
		if err := json.Unmarshal(text, &g); err != nil {
			return err
		}
		for _, place := range g.Memberships {
			tenants = append(tenants, place.Tenant)
		}
		m[string(text)] = tenants
		return nil
	})
	return tenants
}
