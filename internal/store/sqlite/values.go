package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// putTime sets the next parameter to a time; zero is NULL.
func putTime(q *engine.Stmt, t time.Time) *engine.Stmt {
	if t.IsZero() {
		return q.Null()
	}
	return q.Int(t.UnixMilli())
}

// readTime returns the next column as a time; NULL is zero.
func readTime(q *engine.Stmt) time.Time {
	if q.IsNull() {
		q.Skip()
		return time.Time{}
	}
	return time.UnixMilli(q.ReadInt()).UTC()
}

// ceiling returns the first whole millisecond that isn't before t: stored times are
// whole, so one is before t exactly when it is before the ceiling.
func ceiling(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// putID sets the next parameter to an identifier; none is NULL.
func putID[T ~[16]byte](q *engine.Stmt, v T) *engine.Stmt {
	if v == (T{}) {
		return q.Null()
	}
	return q.Blob(v[:])
}

func putRefresh(q *engine.Stmt, v id.Refresh) *engine.Stmt {
	if v.IsZero() {
		return q.Null()
	}
	return q.Blob(v[:])
}

// putJSON sets the next parameter to v as JSON.
func putJSON(q *engine.Stmt, v any) *engine.Stmt {
	b, err := json.Marshal(v)
	if err != nil {
		return q.Fail(err)
	}
	return q.Text(string(b))
}

// readJSON fills v from the next column.
func readJSON(q *engine.Stmt, v any) {
	q.ReadWith(func(b []byte) error { return json.Unmarshal(b, v) })
}

// putStrings sets the next parameter to a list, each string after its length; an empty
// list is NULL. It isn't JSON, which would change bytes that aren't UTF-8.
func putStrings(q *engine.Stmt, list []string) *engine.Stmt {
	if len(list) == 0 {
		return q.Null()
	}
	var b []byte
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return q.Blob(b)
}

func readStrings(q *engine.Stmt) []string {
	var list []string
	q.ReadWith(func(b []byte) error {
		for len(b) > 0 {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)-size) {
				return errList
			}
			list = append(list, string(b[size:size+int(n)]))
			b = b[size+int(n):]
		}
		return nil
	})
	return list
}

var errList = errors.New("a stored list is damaged")

// putRaw sets the next parameter to JSON as it was given; nil is NULL.
func putRaw(q *engine.Stmt, b json.RawMessage) *engine.Stmt {
	if b == nil {
		return q.Null()
	}
	return q.Text(string(b))
}
