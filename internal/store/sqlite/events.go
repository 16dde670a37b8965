package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
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
// text so that no list ever becomes a walk through the whole log. What follows the range
// of identifiers is looked at row by row.
const (
	eventsFrom  = " FROM events INDEXED BY "
	eventsRange = " WHERE project = ?1 AND id < ?2 AND id >= ?3"
	eventsWhere = eventsRange + ` AND at >= ?4 AND at < ?5
AND (?6 IS NULL OR type IN (SELECT value FROM json_each(?6))) AND (?7 IS NULL OR session = ?7) AND (?8 IS NULL OR user = ?8)
AND (?9 IS NULL OR actor = ?9) AND (?10 IS NULL OR ip = ?10) AND (?11 IS NULL OR request_id = ?11)
AND (?12 IS NULL OR data ->> '$.tenant' = ?12)`
	eventsOrder = " ORDER BY id DESC LIMIT "

	eventsSelect    = "SELECT " + eventColumns + eventsFrom
	eventsOfProject = eventsSelect + "sqlite_autoindex_events_1" + eventsWhere + eventsOrder + "?13"
	eventsOfSession = eventsSelect + "events_session" + eventsWhere + " AND session = ?7" + eventsOrder + "?13"
	eventsOfUser    = eventsSelect + "events_user" + eventsWhere + " AND user = ?8" + eventsOrder + "?13"

	// How far a walk comes that looks at so many rows; only the index is read.
	eventsFloor          = "SELECT id" + eventsFrom
	eventsFloorOfProject = eventsFloor + "sqlite_autoindex_events_1" + eventsRange + eventsOrder + "1 OFFSET ?4"
	eventsFloorOfSession = eventsFloor + "events_session" + eventsRange + " AND session = ?5" + eventsOrder + "1 OFFSET ?4"
	eventsFloorOfUser    = eventsFloor + "events_user" + eventsRange + " AND user = ?5" + eventsOrder + "1 OFFSET ?4"
)

func (s events) List(ctx context.Context, f audit.Query) ([]audit.Event, error) {
	page, _, err := s.walk(ctx, f, math.MaxInt32)
	return page, err
}

func (s events) Walk(ctx context.Context, f audit.Query) ([]audit.Event, id.Event, error) {
	return s.walk(ctx, f, audit.Look)
}

func (s events) walk(ctx context.Context, f audit.Query, look int64) (page []audit.Event, next id.Event, err error) {
	err = s.readLong(ctx, func(c *engine.Conn) error {
		least := earliest(f.From)
		floor, err := eventFloor(c, f, least, look)
		if err != nil {
			return err
		}
		if !floor.IsZero() {
			least = floor[:]
		}
		page, err = eventPage(c, f, least)
		switch limit := most(f.Limit); {
		case err != nil:
			return err
		case int64(len(page)) > limit:
			page = page[:limit]
			if limit > 0 {
				next = page[limit-1].ID
			}
		case !floor.IsZero():
			next = floor
		}
		return nil
	})
	return page, next, err
}

// eventFloor returns the last event that a walk looks at, none when it gets to its end.
func eventFloor(c *engine.Conn, f audit.Query, least []byte, look int64) (floor id.Event, err error) {
	if look == math.MaxInt32 {
		return floor, nil
	}
	sql, of := eventsFloorOfProject, [16]byte{}
	switch {
	case !f.Session.IsZero():
		sql, of = eventsFloorOfSession, f.Session
	case !f.User.IsZero():
		sql, of = eventsFloorOfUser, f.User
	}
	q := c.Query(sql).Blob(f.Project[:]).Blob(eventCeiling(f)).Blob(least).Int(look - 1)
	if of != ([16]byte{}) {
		q.Blob(of[:])
	}
	if q.Next() {
		q.ReadInto(floor[:])
	}
	return floor, q.Close()
}

// eventPage reads one event more than the page has, if there is one.
func eventPage(c *engine.Conn, f audit.Query, least []byte) ([]audit.Event, error) {
	sql := eventsOfProject
	switch {
	case !f.Session.IsZero():
		sql = eventsOfSession
	case !f.User.IsZero():
		sql = eventsOfUser
	}
	q := c.Query(sql).Blob(f.Project[:]).Blob(eventCeiling(f)).Blob(least)
	putSpan(q, f.From, f.To)
	if len(f.Types) == 0 {
		q.Null()
	} else {
		putJSON(q, f.Types)
	}
	putID(putID(q, f.Session), f.User)
	for _, text := range []string{string(f.Actor), f.IP, f.RequestID, f.Tenant.String()} {
		if text == "" {
			q.Null()
		} else {
			q.Text(text)
		}
	}
	var page []audit.Event
	for q.Int(most(f.Limit) + 1); q.Next(); {
		page = append(page, readEvent(q))
	}
	return page, q.Close()
}

// eventCeiling returns what identifiers of a query have to be less than. An event's
// identifier was made when it happened, so that the end of a span bounds it, too.
func eventCeiling(f audit.Query) []byte {
	end := older(f.Before)
	if to := earliest(f.To); !f.To.IsZero() && bytes.Compare(to, end) < 0 {
		end = to
	}
	return end
}

// earliest returns the least identifier of those that are made at t or later.
func earliest(t time.Time) []byte {
	b := make([]byte, 16)
	if !t.IsZero() && ceiling(t) > 0 {
		binary.BigEndian.PutUint64(b, uint64(ceiling(t))<<16)
	}
	return b
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

const (
	entryOfEvent = "SELECT n, " + eventColumns + " FROM events WHERE "

	// The log in the order of commit: one transaction writes at a time, so those that
	// commit later have greater numbers.
	eventsBehind     = "SELECT max(n) FROM (SELECT n FROM events WHERE n > ? ORDER BY n LIMIT ?)"
	eventsAfter      = entryOfEvent + "n > ?1 AND n <= ?2 AND (?3 IS NULL OR project = ?3) AND project <> x'' ORDER BY n LIMIT ?4"
	eventAt          = entryOfEvent + "n = ? AND project <> x''"
	lastEvent        = "SELECT max(n) FROM events"
	oldEvents        = "DELETE FROM events WHERE n IN (SELECT n FROM events WHERE at < ? ORDER BY at LIMIT ?)"
	timeOfLastEvent  = "SELECT at FROM events WHERE n = (SELECT max(n) FROM events)"
	placeOfLastEvent = "INSERT OR REPLACE INTO events (" + eventColumns + ") VALUES (x'', x'', ?, '', '', '', '', NULL, NULL, NULL)"
)

func readEntry(q *engine.Stmt) audit.Entry { return audit.Entry{Seq: q.ReadInt(), Event: readEvent(q)} }

func (s events) After(ctx context.Context, p id.Project, seq int64, limit int) (list []audit.Entry, reached int64, err error) {
	reached = seq
	err = s.readLong(ctx, func(c *engine.Conn) error {
		q := c.Query(eventsBehind).Int(seq).Int(audit.Look)
		if q.Next() && !q.IsNull() {
			reached = q.ReadInt()
		}
		if err := q.Close(); err != nil || reached == seq {
			return err
		}
		q = putID(c.Query(eventsAfter).Int(seq).Int(reached), p)
		for q.Int(most(limit)); q.Next(); {
			list = append(list, readEntry(q))
		}
		if n := len(list); int64(n) == most(limit) {
			reached = seq
			if n > 0 {
				reached = list[n-1].Seq
			}
		}
		return q.Close()
	})
	return list, reached, err
}

func (s events) At(ctx context.Context, seq int64) (audit.Entry, error) {
	var e audit.Entry
	err := s.read(ctx, func(c *engine.Conn) error {
		q := c.Query(eventAt).Int(seq)
		if !q.Next() {
			return missing(q, "There is no such event.")
		}
		e = readEntry(q)
		return q.Close()
	})
	return e, err
}

func (s events) Last(ctx context.Context) (int64, error) {
	var last int64
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		last, err = number(c, lastEvent)
		return err
	})
	return last, err
}

func (s events) Append(ctx context.Context, list ...audit.Event) error {
	return s.write(ctx, func(tx *transaction) error { return tx.log(list...) })
}

func (s events) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			if err := tx.keepPlace(ceiling(cutoff)); err != nil {
				return err
			}
			err := tx.Query(oldEvents).Int(ceiling(cutoff)).Int(int64(n)).Exec()
			removed = int(tx.Changed())
			return err
		})
		return removed, removed == n, err
	})
}

// keepPlace sees to it that the number of the newest event isn't given again when those
// before a time are about to be removed: SQLite goes on behind the greatest number that is
// there. A row that is nobody's takes its place, and that of the one before it.
func (tx *transaction) keepPlace(before int64) error {
	q := tx.Query(timeOfLastEvent)
	due := q.Next() && q.ReadInt() < before
	if err := q.Close(); err != nil || !due {
		return err
	}
	return tx.Query(placeOfLastEvent).Int(math.MaxInt64).Exec()
}
