package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
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
	return q.Blob(appendStrings(nil, list))
}

func appendStrings(b []byte, list []string) []byte {
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func readStrings(q *engine.Stmt) []string {
	var list []string
	q.ReadWith(func(b []byte) (err error) {
		list, err = cutStrings(b)
		return err
	})
	return list
}

func cutStrings(b []byte) ([]string, error) {
	var list []string
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, errList
		}
		list = append(list, string(b[size:size+int(n)]))
		b = b[size+int(n):]
	}
	return list, nil
}

// putStepUp sets the next parameter to what a profile says of a step-up: its two times in
// milliseconds and the methods. Most sessions have none, and then three columns would take
// two bytes more of each.
func putStepUp(q *engine.Stmt, p session.Profile) *engine.Stmt {
	if p.StepUpUntil.IsZero() {
		return q.Null()
	}
	b := binary.AppendVarint(nil, p.StepUpAt.UnixMilli())
	b = binary.AppendVarint(b, p.StepUpUntil.UnixMilli())
	return q.Blob(appendStrings(b, p.StepUpAMR))
}

func readStepUp(q *engine.Stmt, p *session.Profile) {
	q.ReadWith(func(b []byte) (err error) {
		if len(b) == 0 {
			return nil
		}
		for _, t := range []*time.Time{&p.StepUpAt, &p.StepUpUntil} {
			at, size := binary.Varint(b)
			if size <= 0 {
				return errList
			}
			*t, b = time.UnixMilli(at).UTC(), b[size:]
		}
		p.StepUpAMR, err = cutStrings(b)
		return err
	})
}

var errList = errors.New("a stored list is damaged")

// putRaw sets the next parameter to JSON as it was given; nil is NULL.
func putRaw(q *engine.Stmt, b json.RawMessage) *engine.Stmt {
	if b == nil {
		return q.Null()
	}
	return q.Text(string(b))
}
