package sqlite

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// keyWeight is the expression of the index access_keys_weight: it has to stand here as it
// stands there. A list of grants takes as many bytes as directory.AccessKey.Weight says.
const keyWeight = "(ifnull(octet_length(claims), 0) + ifnull(octet_length(attributes), 0) + 4 * ifnull(octet_length(grants), 0))"

const heaviestKeys = "SELECT n, " + accessKeyColumns + " FROM access_keys WHERE project = ? AND status = 'enabled' ORDER BY " + keyWeight + " DESC, id DESC"

// Largest goes along an index of the keys that are enabled.
func (s accessKeys) Largest(ctx context.Context, p id.Project, limit int) ([]directory.AccessKey, error) {
	var keys []directory.AccessKey
	err := s.readLong(ctx, func(c *engine.Conn) error {
		keys = nil
		o, err := findOwner(c, p)
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		now := s.clock()
		q := c.Query(heaviestKeys).Int(o.n)
		for len(keys) < limit && q.Next() {
			if _, k := readAccessKey(q, p); k.Usable(now) {
				keys = append(keys, k)
			}
		}
		return q.Close()
	})
	return keys, err
}
