package memory

import (
	"context"
	"maps"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (s bulk) Terms(ctx context.Context, q session.TermQuery) ([]session.Term, id.Session, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, id.Session{}, err
	}
	defer tx.end()
	p, ok := tx.projects[q.Project]
	if !ok {
		return nil, id.Session{}, nil
	}
	page, next := ascending(maps.Keys(p.sessions), q.After, q.Limit+1), id.Session{}
	if len(page) > q.Limit {
		page = page[:q.Limit]
		next = page[q.Limit-1]
	}
	var terms []session.Term
	for _, sid := range page {
		row := p.sessions[sid]
		if !p.matches(row, session.Filter{Status: session.Active}, tx.now) {
			continue
		}
		var tenants []id.Tenant
		if q.Tenants {
			for _, m := range p.users[row.User].Memberships {
				tenants = append(tenants, m.Tenant)
			}
		}
		terms = append(terms, row.Term(tenants))
	}
	return terms, next, nil
}
