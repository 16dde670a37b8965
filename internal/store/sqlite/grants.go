package sqlite

import (
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// putGrants sets the next parameter to grants; none are NULL, which is how a refresh sees
// without another read that there is nothing to be looked up.
func putGrants(q *engine.Stmt, g directory.Grants) *engine.Stmt {
	if g.None() {
		return q.Null()
	}
	return putJSON(q, g)
}

func readGrants(q *engine.Stmt) directory.Grants {
	var g directory.Grants
	if q.IsNull() {
		q.Skip()
		return g
	}
	readJSON(q, &g)
	return g
}
