package sqlite

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type events struct{ *Store }

const eventColumns = "project, id, at, type, actor, ip, request_id, session, user, data"

// log writes events in the transaction of the change that they report.
func (tx *transaction) log(events ...audit.Event) error {
	for _, e := range events {
		// OR REPLACE: a caller may repeat an event with its change.
		q := tx.Query("INSERT OR REPLACE INTO events (" + eventColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
		q.Blob(e.Project[:]).Blob(e.ID[:]).Int(e.At.UnixMilli()).Text(string(e.Type))
		q.Text(string(e.Actor)).Text(e.IP).Text(e.RequestID)
		putID(putID(q, e.Session), e.User)
		if e.Data == nil {
			q.Null()
		} else {
			putJSON(q, e.Data)
		}
		if err := q.Exec(); err != nil {
			return err
		}
	}
	return nil
}

func readEvent(q *engine.Stmt) audit.Event {
	var e audit.Event
	q.ReadInto(e.Project[:])
	q.ReadInto(e.ID[:])
	e.At, e.Type = readTime(q), audit.Type(q.ReadText())
	e.Actor, e.IP, e.RequestID = audit.Actor(q.ReadText()), q.ReadText(), q.ReadText()
	q.ReadInto(e.Session[:])
	q.ReadInto(e.User[:])
	if !q.IsNull() {
		readJSON(q, &e.Data)
	}
	return e
}

// One query for each index that a list can go along. The names of indexes are in the
// text so that no list ever becomes a walk through the whole log.
const (
	eventsSelect = "SELECT " + eventColumns + " FROM events INDEXED BY "
	eventsWhere  = ` WHERE project = ?1 AND id < ?2 AND at >= ?3 AND at < ?4
AND (?5 IS NULL OR type IN (SELECT value FROM json_each(?5)))
AND (?6 IS NULL OR session = ?6) AND (?7 IS NULL OR user = ?7)`
	eventsOrder = " ORDER BY id DESC LIMIT ?8"

	eventsOfProject = eventsSelect + "sqlite_autoindex_events_1" + eventsWhere + eventsOrder
	eventsOfSession = eventsSelect + "events_session" + eventsWhere + " AND session = ?6" + eventsOrder
	eventsOfUser    = eventsSelect + "events_user" + eventsWhere + " AND user = ?7" + eventsOrder
)

func (s events) List(ctx context.Context, f audit.Query) ([]audit.Event, error) {
	sql := eventsOfProject
	switch {
	case !f.Session.IsZero():
		sql = eventsOfSession
	case !f.User.IsZero():
		sql = eventsOfUser
	}
	var page []audit.Event
	err := s.readLong(ctx, func(c *engine.Conn) error {
		q := c.Query(sql).Blob(f.Project[:]).Blob(older(f.Before))
		putSpan(q, f.From, f.To)
		if len(f.Types) == 0 {
			q.Null()
		} else {
			putJSON(q, f.Types)
		}
		for putID(putID(q, f.Session), f.User).Int(most(f.Limit)); q.Next(); {
			page = append(page, readEvent(q))
		}
		return q.Close()
	})
	return page, err
}

// older returns what identifiers have to be less than to be older than v: none in
// particular when v is zero.
func older[T ~[16]byte](v T) []byte {
	if v == (T{}) {
		return bytes.Repeat([]byte{0xff}, len(v)+1)
	}
	return v[:]
}

// putSpan sets the next two parameters to the first millisecond that is meant and the
// first one that isn't any more.
func putSpan(q *engine.Stmt, from, to time.Time) {
	first, end := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		first = ceiling(from)
	}
	if !to.IsZero() {
		end = ceiling(to)
	}
	q.Int(first).Int(end)
}

const oldEvents = "DELETE FROM events WHERE n IN (SELECT n FROM events WHERE at < ? ORDER BY at LIMIT ?)"

func (s events) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	return inSteps(limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			err := tx.Query(oldEvents).Int(ceiling(cutoff)).Int(int64(n)).Exec()
			removed = int(tx.Changed())
			return err
		})
		return removed, removed == n, err
	})
}

// sweepStep is how many rows one transaction of a sweep looks at, so that others get
// their turn.
const sweepStep = 500

// inSteps removes at most limit rows with several calls of remove, which is told how
// many rows to look at and returns whether there may be more.
func inSteps(limit int, remove func(n int) (removed int, more bool, err error)) (int, error) {
	total := 0
	for total < limit {
		n, more, err := remove(min(limit-total, sweepStep))
		total += n
		if err != nil || !more {
			return total, err
		}
	}
	return total, nil
}
