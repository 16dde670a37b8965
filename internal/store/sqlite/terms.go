package sqlite

import (
	"context"
	"time"

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
				for _, m := range readGrants(q).Memberships {
					tenants = append(tenants, m.Tenant)
				}
			}
			terms = append(terms, r.Term(tenants))
		}
		return q.Close()
	})
	return terms, next, err
}
