package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

type sessions struct{ *Store }

func (s sessions) Insert(ctx context.Context, row session.Row, version int64, a session.Admission, events ...audit.Event) (session.Row, error) {
	var added session.Row
	err := s.write(ctx, func(tx *transaction) (err error) {
		added, err = tx.admit(row, version, a, events)
		return err
	})
	if err != nil {
		return session.Row{}, err
	}
	return added, nil
}

// admit adds a session if its project, user and Admission let it. It writes nothing
// before it can't refuse any more.
func (tx *transaction) admit(row session.Row, version int64, a session.Admission, events []audit.Event) (session.Row, error) {
	o, err := findOwner(tx.Conn, row.Project)
	if err != nil {
		return row, err
	}
	if o.version != version {
		return row, session.ErrVersion
	}
	if !o.enabled {
		return row, fault.New(fault.Conflict, "The project is disabled.")
	}
	n, u, err := findUser(tx.Conn, o, row.Project, row.User)
	if err != nil {
		return row, err
	}
	if u.Status != directory.Enabled {
		return row, fault.New(fault.Conflict, "The user is disabled.")
	}
	row.UserEpoch, row.ProjectEpoch, row.TenantEpoch = u.Epoch, o.epoch, 0
	if !row.Tenant.IsZero() {
		if row.TenantEpoch, err = tx.enter(o.n, u.Grants, row.Tenant); err != nil {
			return row, err
		}
	}
	var excess []stored
	if a.EndOthers {
		row.UserEpoch++ // so there are no others
	} else if excess, err = tx.excess(row, n, a); err != nil {
		return row, err
	}
	if a.Deny && len(excess) > 0 {
		return row, fault.New(fault.Conflict, "The user has %d sessions already, which is as many as are allowed.", a.Max)
	}
	free, err := tx.insert(o, n, row)
	if err != nil {
		return row, err
	}
	if !free {
		return row, fault.New(fault.Conflict, "There is a session with this id already.")
	}
	if a.EndOthers {
		if err := tx.setUserEpoch(n, row.UserEpoch); err != nil {
			return row, err
		}
	}
	if err := tx.log(events...); err != nil {
		return row, err
	}
	if a.EndOthers {
		if err := tx.superseded(row.Project, row.User, row.ID); err != nil {
			return row, err
		}
	}
	return rounded(row), tx.makeRoom(excess, events)
}

func (tx *transaction) setUserEpoch(n, epoch int64) error {
	return tx.Query("UPDATE users SET epoch = ? WHERE n = ?").Int(epoch).Int(n).Exec()
}

// rounded returns the row as it comes out of the store again.
func rounded(r session.Row) session.Row {
	for _, t := range []*time.Time{&r.RotatedAt, &r.ReplayedAt, &r.CreatedAt, &r.AbsoluteAt, &r.IdleAt, &r.EndedAt, &r.LimitFrom, &r.AuthTime, &r.StepUpAt, &r.StepUpUntil} {
		*t = session.Instant(*t)
	}
	r.IdleLimit = r.IdleLimit.Truncate(time.Millisecond)
	return r
}

const sessionsOfUserRow = "SELECT " + headColumns + ", " + bodyColumns + fromSessions + "WHERE s.user = ? ORDER BY s.id"

// excess returns the oldest live sessions of the user in row n that have to end before
// one more is within limit.
func (tx *transaction) excess(row session.Row, n int64, a session.Admission) ([]stored, error) {
	if a.Max == 0 || row.Actor != "" {
		return nil, nil
	}
	var live []stored
	q := tx.Query(sessionsOfUserRow)
	for q.Int(n); q.Next(); {
		s := readHead(q, row.Project)
		if !s.lives(tx.now) {
			continue
		}
		if s.readBody(q); a.Counts(s.row, tx.now) {
			live = append(live, s)
		}
	}
	slices.SortStableFunc(live, func(a, b stored) int {
		return cmp.Or(a.row.CreatedAt.Compare(b.row.CreatedAt), a.row.ID.Compare(b.row.ID))
	})
	return live[:max(0, len(live)+1-a.Max)], q.Close()
}

// makeRoom ends the sessions that a new one is too many with, in the name of whoever
// signed in.
func (tx *transaction) makeRoom(excess []stored, events []audit.Event) error {
	e := session.Ending{Reason: session.OverLimit, Origin: audit.Origin{Actor: audit.System}}
	if len(events) > 0 {
		e.Origin = events[0].Origin
	}
	for _, s := range excess {
		if err := tx.end(s, e); err != nil {
			return err
		}
	}
	return nil
}

// superseded tells verifiers that all sessions of a user or project but one have ended.
func (tx *transaction) superseded(p id.Project, user id.User, spared id.Session) error {
	return tx.revoke(p, func(l revocation.Life, now time.Time) revocation.Entry {
		return session.SupersededAt(p, user, spared, l, now)
	})
}

// end ends one session, with its event.
func (tx *transaction) end(s stored, e session.Ending) error {
	if err := tx.save(s.ended(e.Reason, tx.now)); err != nil {
		return err
	}
	if err := tx.revoke(s.row.Project, s.row.Revocation); err != nil {
		return err
	}
	return tx.log(s.row.EndedBy(e, tx.now))
}

// ended returns the session as it is when it ends now.
func (s stored) ended(why session.Reason, now time.Time) stored {
	s.row.EndedAt, s.row.EndReason = now, why
	s.row.Trace = s.row.Trace.Add(session.Entry{At: now, Rule: session.End})
	return s
}

func (s sessions) Find(ctx context.Context, p id.Project, sid id.Session) (session.Row, session.Subject, error) {
	var found stored
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		found, err = findSession(c, p, sid)
		return err
	})
	return found.row, found.subject, err
}

func (s sessions) Rotate(ctx context.Context, f session.Refresh) (session.Row, session.Verdict, error) {
	var row session.Row
	var verdict session.Verdict
	err := s.write(ctx, func(tx *transaction) error {
		found, err := findSession(tx.Conn, f.Project, f.Session)
		if err != nil {
			return err
		}
		if found.version != f.Version {
			return session.ErrVersion
		}
		if found.subject.Standing, err = found.standing(tx.Conn, f); err != nil {
			return err
		}
		tenant := found.row.Tenant
		var events []audit.Event
		if found.row, verdict, events, err = session.Apply(found.row, found.subject, f, tx.now); err != nil {
			return err
		}
		row = found.row
		if err := tx.save(found); err != nil {
			return err
		}
		if verdict.Moved || row.Tenant != tenant {
			if err := tx.place(found); err != nil {
				return err
			}
		}
		if err := tx.announce(row, verdict); err != nil {
			return err
		}
		// Last: what was told may have moved the latest instant on.
		verdict.Behind = tx.latest.Sub(tx.now)
		return tx.log(events...)
	})
	if err != nil {
		return session.Row{}, session.Verdict{}, err
	}
	return row, verdict, nil
}

// announce tells verifiers what a refresh has changed for tokens from before.
func (tx *transaction) announce(row session.Row, v session.Verdict) error {
	switch {
	case v.Ends():
		return tx.revoke(row.Project, row.Revocation)
	case v.Moved:
		return tx.revoke(row.Project, row.Moved)
	}
	return nil
}

func (s sessions) Confirm(ctx context.Context, p id.Project, sid id.Session, token id.Refresh, window time.Duration) (bool, error) {
	// Most confirmations confirm nothing new, and then there is no reason to wait for
	// a transaction. What is read here is as good as what one would have read.
	row, _, err := s.Find(ctx, p, sid)
	if err != nil || row.Confirmed || row.Newest != token {
		return row.Confirmed, err
	}
	confirmed := false
	err = s.write(ctx, func(tx *transaction) error {
		found, err := findSession(tx.Conn, p, sid)
		if err != nil {
			return err
		}
		confirmed = found.row.Confirmed
		if !found.lives(tx.now) {
			return nil
		}
		state, changed := session.Arrived(found.row.State, token, window, tx.now)
		if !changed {
			return nil
		}
		confirmed = state.Confirmed
		found.row.State = state
		found.row.Trace = found.row.Trace.Add(session.Entry{At: tx.now, Rule: session.Confirm, Token: token})
		return tx.save(found)
	})
	return confirmed && err == nil, err
}

func (s sessions) SetClaims(ctx context.Context, p id.Project, sid id.Session, epoch int64, claims, nsec json.RawMessage, events ...audit.Event) (session.Row, error) {
	var row session.Row
	err := s.write(ctx, func(tx *transaction) error {
		found, err := findSession(tx.Conn, p, sid)
		if err != nil {
			return err
		}
		row = found.row
		if err := found.active(tx.now); err != nil {
			return err
		}
		if row.ClaimsEpoch != epoch {
			return fault.New(fault.Conflict, "The claims have changed in the meantime.")
		}
		row = row.Given(claims, nsec)
		q := putRaw(putRaw(tx.Query("UPDATE sessions SET claims = ?, nsec = ?, claims_epoch = ?, acted_claims = ? WHERE n = ?"), row.Claims), row.NSec)
		if err := putStrings(q.Int(row.ClaimsEpoch), row.Acted.Claims).Int(found.n).Exec(); err != nil {
			return err
		}
		if err := tx.revoke(p, row.Outdated); err != nil {
			return err
		}
		return tx.log(events...)
	})
	if err != nil {
		return session.Row{}, err
	}
	return row, nil
}

// active returns the refusal of a session that isn't.
func (s *stored) active(now time.Time) error {
	switch status, _ := s.row.Status(s.subject, now); status {
	case session.Over:
		return fault.New(fault.SessionRevoked, "The session was ended.")
	case session.Expired:
		return fault.New(fault.SessionExpired, "The session has run out.")
	}
	return nil
}

func (s sessions) End(ctx context.Context, p id.Project, sid id.Session, e session.Ending) (bool, error) {
	active := false
	err := s.write(ctx, func(tx *transaction) error {
		found, err := findSession(tx.Conn, p, sid)
		if err != nil {
			return err
		}
		if active = found.lives(tx.now); !active {
			return nil
		}
		return tx.end(found, e)
	})
	return active && err == nil, err
}
