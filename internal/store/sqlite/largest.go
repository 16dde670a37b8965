package sqlite

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// claimBytes is the expression of the index sessions_claims: it has to stand here as it
// stands there.
const claimBytes = "(ifnull(octet_length(s.claims), 0) + ifnull(octet_length(s.nsec), 0))"

const (
	withClaims = allColumns + ofProject + "AND (s.claims IS NOT NULL OR s.nsec IS NOT NULL) ORDER BY " + claimBytes + " DESC, s.id DESC"

	withoutClaims = allColumns + ofProject + "AND s.claims IS NULL AND s.nsec IS NULL ORDER BY s.id DESC"
)

// Largest goes along an index in which only sessions with claims stand, and then along
// the newest ones of the others.
func (s bulk) Largest(ctx context.Context, p id.Project, limit int) ([]session.Row, []session.Subject, error) {
	var rows []session.Row
	var subjects []session.Subject
	err := s.readLong(ctx, func(c *engine.Conn) error {
		rows, subjects = nil, nil
		now := s.clock()
		for _, sql := range []string{withClaims, withoutClaims} {
			q := c.Query(sql).Blob(p[:])
			for len(rows) < limit && q.Next() {
				if found := readHead(q, p); found.lives(now) {
					found.readBody(q)
					rows, subjects = append(rows, found.row), append(subjects, found.subject)
				}
			}
			if err := q.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, subjects, err
}
