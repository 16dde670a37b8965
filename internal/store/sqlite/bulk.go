package sqlite

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type bulk struct{ *Store }

// One query for each index that sessions are walked along, in either direction. What a
// walk passes is selected by matches, and not in SQL: who is alive is the domain's rule.
const (
	ofProject = fromSessions + "WHERE s.project = (SELECT n FROM projects WHERE id = ?) "
	ofUser    = fromSessions + "WHERE s.user = (SELECT n FROM users WHERE project = (SELECT n FROM projects WHERE id = ?) AND id = ?) "

	// The plus keeps SQLite from walking along the project.
	ofTenant = fromSessions + "WHERE +s.project = (SELECT n FROM projects WHERE id = ?) AND s.tenant = ? "

	allColumns = "SELECT " + headColumns + ", " + bodyColumns

	listOfProject = allColumns + ofProject + "AND s.id >= ? AND s.id < ? ORDER BY s.id DESC"
	listOfUser    = allColumns + ofUser + "AND s.id >= ? AND s.id < ? ORDER BY s.id DESC"
	listOfTenant  = allColumns + ofTenant + "AND s.id >= ? AND s.id < ? ORDER BY s.id DESC"

	countOfProject = "SELECT " + headColumns + ofProject
	countOfUser    = "SELECT " + headColumns + ofUser

	countOfTenant = "SELECT " + headColumns + ofTenant

	walkOfProject = allColumns + ofProject + "AND s.id > ? ORDER BY s.id LIMIT ?"
	walkOfUser    = allColumns + ofUser + "AND s.id > ? ORDER BY s.id LIMIT ?"
	walkOfTenant  = allColumns + ofTenant + "AND s.id > ? ORDER BY s.id LIMIT ?"
)

// queryFor starts the query for the index that fits f.
func queryFor(c *engine.Conn, f session.Filter, project, user, tenant string) *engine.Stmt {
	switch {
	case !f.User.IsZero():
		return c.Query(user).Blob(f.Project[:]).Blob(f.User[:])
	case !f.Tenant.IsZero():
		return c.Query(tenant).Blob(f.Project[:]).Blob(f.Tenant[:])
	}
	return c.Query(project).Blob(f.Project[:])
}

// matches looks at everything in f but its After and Limit. It needs no more of the
// session than headColumns.
func (s *stored) matches(f session.Filter, now time.Time) bool {
	status, _ := s.row.Status(s.subject, now)
	return (f.User.IsZero() || s.row.User == f.User) &&
		(f.Tenant.IsZero() || s.row.Tenant == f.Tenant) &&
		(f.Status == "" || status == f.Status) &&
		(f.CreatedFrom.IsZero() || !s.row.CreatedAt.Before(f.CreatedFrom)) &&
		(f.CreatedTo.IsZero() || s.row.CreatedAt.Before(f.CreatedTo)) &&
		(f.SigningKey.IsZero() || s.row.SigningKey == f.SigningKey) &&
		(!f.IP.IsValid() || within(f.IP, s.row.Device.IP))
}

func within(network netip.Prefix, address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && network.Contains(ip.WithZone("").Unmap())
}

// clock returns the time of one read.
func (s *Store) clock() time.Time { return session.Instant(s.queue.now()) }

// A list that has found a few makes room for as many as the largest page shows.
const few, many = 16, 200

func (s bulk) List(ctx context.Context, f session.Filter) (rows []session.Row, subjects []session.Subject, next id.Session, err error) {
	err = s.readLong(ctx, func(c *engine.Conn) error {
		now := s.clock()
		first, end := f.Bounds()
		q := queryFor(c, f, listOfProject, listOfUser, listOfTenant).Blob(first[:]).Blob(end[:])
		var last id.Session
		for seen := 0; q.Next(); seen++ {
			if f.Reach > 0 && seen == f.Reach {
				next = last
				break
			}
			found := readHead(q, f.Project)
			last = found.row.ID
			if !found.matches(f, now) {
				continue
			}
			if len(rows) == f.Limit {
				next = rows[len(rows)-1].ID
				break
			}
			if len(rows) == few { // growing step by step would copy each row several times
				rows, subjects = slices.Grow(rows, min(f.Limit, many)-few), slices.Grow(subjects, min(f.Limit, many)-few)
			}
			found.readBody(q)
			rows, subjects = append(rows, found.row), append(subjects, found.subject)
		}
		return q.Close()
	})
	return rows, subjects, next, err
}

func (s bulk) Count(ctx context.Context, f session.Filter) (int, error) {
	count := 0
	err := s.readLong(ctx, func(c *engine.Conn) error {
		now := s.clock()
		q := queryFor(c, f, countOfProject, countOfUser, countOfTenant)
		for q.Next() {
			if found := readHead(q, f.Project); found.matches(f, now) {
				count++
			}
		}
		return q.Close()
	})
	return count, err
}

func (s bulk) EndAll(ctx context.Context, p id.Project, user id.User, keep id.Session, e session.Ending) (int, error) {
	count := 0
	err := s.write(ctx, func(tx *transaction) error {
		count = 0
		spared := id.Session{}
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		if user.IsZero() {
			spared, err = tx.endAll(o, p, keep)
		} else {
			count, spared, err = tx.endAllOf(o, p, user, keep)
		}
		if err == nil {
			err = tx.superseded(p, user, spared)
		}
		if err != nil {
			return err
		}
		return tx.log(tx.endedMany(p, user, count, e))
	})
	return count, err
}

// endAll grows the project's epoch, and that of the session that is kept with it. It
// returns that session, zero when it isn't kept.
func (tx *transaction) endAll(o owner, p id.Project, keep id.Session) (spared id.Session, err error) {
	kept, err := findSession(tx.Conn, p, keep)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return id.Session{}, err
	}
	if err == nil && kept.lives(tx.now) {
		spared = keep
		if err := tx.setEpochs(kept.n, kept.row.UserEpoch, o.epoch+1); err != nil {
			return id.Session{}, err
		}
	}
	return spared, tx.Query("UPDATE projects SET epoch = ? WHERE n = ?").Int(o.epoch + 1).Int(o.n).Exec()
}

// endAllOf does so with one user, and counts.
func (tx *transaction) endAllOf(o owner, p id.Project, user id.User, keep id.Session) (count int, spared id.Session, err error) {
	n, u, err := findUser(tx.Conn, o, p, user)
	if err != nil {
		return 0, id.Session{}, err
	}
	kept := stored{}
	q := queryFor(tx.Conn, session.Filter{Project: p, User: user}, countOfProject, countOfUser, countOfTenant)
	for q.Next() {
		switch found := readHead(q, p); {
		case !found.lives(tx.now):
		case found.row.ID == keep:
			kept = found
		default:
			count++
		}
	}
	if err := q.Close(); err != nil {
		return 0, id.Session{}, err
	}
	if kept.n != 0 {
		if err := tx.setEpochs(kept.n, u.Epoch+1, kept.row.ProjectEpoch); err != nil {
			return 0, id.Session{}, err
		}
	}
	return count, kept.row.ID, tx.setUserEpoch(n, u.Epoch+1)
}

func (tx *transaction) setEpochs(n, user, project int64) error {
	return tx.Query("UPDATE sessions SET user_epoch = ?, project_epoch = ? WHERE n = ?").Int(user).Int(project).Int(n).Exec()
}

func (tx *transaction) endedMany(p id.Project, user id.User, count int, e session.Ending) audit.Event {
	return audit.New(p, tx.now, audit.SessionsEnded, e.Origin).Of(id.Session{}, user).
		With("reason", string(e.Reason)).With("count", float64(count))
}

func (s bulk) EndMatching(ctx context.Context, f session.Filter, e session.Ending) (int, id.Session, error) {
	if f.Limit < 1 {
		return 0, id.Session{}, fault.New(fault.Internal, "A limit of at least 1 is wanted.")
	}
	f.Status = session.Active
	var matching []stored
	var next id.Session
	err := s.write(ctx, func(tx *transaction) (err error) {
		if matching, next, err = tx.walk(f); err != nil || len(matching) == 0 {
			return err
		}
		feed, err := tx.feed(f.Project)
		if err != nil {
			return err
		}
		for _, found := range matching {
			if err := tx.save(found.ended(e.Reason, tx.now)); err != nil {
				return err
			}
			if err := feed.add(found.row.Revocation(feed.life, tx.now)); err != nil {
				return err
			}
		}
		return tx.log(tx.endedMany(f.Project, f.User, len(matching), e))
	})
	if err != nil {
		return 0, id.Session{}, err
	}
	return len(matching), next, nil
}

// walk looks at f.Limit sessions and returns those that match, and the last one that
// it has looked at if there are more.
func (tx *transaction) walk(f session.Filter) (matching []stored, next id.Session, err error) {
	q := queryFor(tx.Conn, f, walkOfProject, walkOfUser, walkOfTenant).Blob(f.After[:]).Int(int64(f.Limit) + 1)
	var last id.Session
	for seen := 0; q.Next(); seen++ {
		if seen == f.Limit {
			next = last
			break
		}
		found := readHead(q, f.Project)
		last = found.row.ID
		if found.matches(f, tx.now) {
			found.readBody(q)
			matching = append(matching, found)
		}
	}
	return matching, next, q.Close()
}
