package sqlite

import "github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"

// walkBound is how many rows a list looks at before it says where to go on: as many as
// take some milliseconds.
const walkBound = 1000

// walk looks at rows for a page.
type walk[T any] struct {
	limit int
	read  func(*engine.Stmt) (row T, selected bool)

	page []T
	last T // that it has looked at
	seen int
	more bool // there is another one behind it
}

// along looks at the rows of a query, and reports whether it may go on with another one.
func (w *walk[T]) along(q *engine.Stmt) (bool, error) {
	for q.Next() {
		if len(w.page) >= w.limit || w.seen == walkBound {
			w.more = true
			break
		}
		var selected bool
		if w.last, selected = w.read(q); selected {
			w.page = append(w.page, w.last)
		}
		w.seen++
	}
	return !w.more, q.Close()
}

// found looks at the rows of an index that may have a text: rows selects those of a
// project between two ids.
func (w *walk[T]) found(c *engine.Conn, x textIndex, rows string, project int64, text string, after []byte) error {
	return x.documents(c, project, text, after, func(doc int64) (bool, error) {
		first, last := idsOf(doc)
		return w.along(c.Query(rows).Int(project).Blob(after).Blob(first[:]).Blob(last[:]))
	})
}
