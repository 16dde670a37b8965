package sqlite

import (
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

const (
	grantsOfUser = "SELECT grants FROM users WHERE n = ?"
	tenantState  = "SELECT status, epoch FROM tenants WHERE project = ? AND id = ?"
)

// standing looks up what a refresh has to know of the tenants of its user. Most have
// nothing to do with tenants and cost nothing here.
func (s *stored) standing(c *engine.Conn, f session.Refresh) (session.Standing, error) {
	var found session.Standing
	if !s.subject.Granted || s.row.Tenant.IsZero() && !f.AutoTenant && f.Move == nil && len(f.Overrides) == 0 {
		return found, nil
	}
	q := c.Query(grantsOfUser).Int(s.user)
	var grants directory.Grants
	if q.Next() {
		grants = readGrants(q)
	}
	if err := q.Close(); err != nil {
		return found, err
	}
	_, found.Member = grants.In(s.row.Tenant)
	if len(f.Overrides) > 0 {
		found.Tenants = grants.Tenants()
	}
	var err error
	switch {
	case f.Move != nil:
		if _, ok := grants.In(f.Move.Tenant); ok {
			found.OpenEpoch, found.Open, err = enabled(c, s.project, f.Move.Tenant)
		}
	case f.AutoTenant && !found.Member:
		found.Sole, found.SoleEpoch, err = sole(c, s.project, grants)
	}
	return found, err
}

// enabled returns the epoch of an enabled tenant; 0 and false for any other.
func enabled(c *engine.Conn, project int64, t id.Tenant) (epoch int64, ok bool, err error) {
	q := c.Query(tenantState).Int(project).Blob(t[:])
	if q.Next() {
		ok, epoch = directory.Status(q.ReadText()) == directory.Enabled, q.ReadInt()
	}
	if !ok {
		epoch = 0
	}
	return epoch, ok, q.Close()
}

// sole returns the only enabled tenant of grants, zero when there are none or several.
func sole(c *engine.Conn, project int64, grants directory.Grants) (only id.Tenant, epoch int64, err error) {
	for _, m := range grants.Memberships {
		e, ok, err := enabled(c, project, m.Tenant)
		switch {
		case err != nil:
			return id.Tenant{}, 0, err
		case !ok:
		case !only.IsZero():
			return id.Tenant{}, 0, nil
		default:
			only, epoch = m.Tenant, e
		}
	}
	return only, epoch, nil
}

// enter returns the epoch of a tenant in which a session begins; session.NoTenant when
// that can't be.
func (tx *transaction) enter(project int64, grants directory.Grants, t id.Tenant) (int64, error) {
	if _, ok := grants.In(t); !ok {
		return 0, session.NoTenant()
	}
	epoch, ok, err := enabled(tx.Conn, project, t)
	if err == nil && !ok {
		err = session.NoTenant()
	}
	return epoch, err
}

func (s sessions) StepUp(ctx context.Context, p id.Project, sid id.Session, by session.StepUp) (session.Row, error) {
	var row session.Row
	err := s.write(ctx, func(tx *transaction) error {
		found, err := findSession(tx.Conn, p, sid)
		if err != nil {
			return err
		}
		if err := found.active(tx.now); err != nil {
			return err
		}
		var event audit.Event
		if row, event, err = found.row.SteppedUpBy(by, tx.now); err != nil {
			return err
		}
		row.StepUpAMR = slices.Clone(row.StepUpAMR)
		if err := putStepUp(tx.Query("UPDATE sessions SET step_up = ? WHERE n = ?"), row.Profile).Int(found.n).Exec(); err != nil {
			return err
		}
		if err := tx.revoke(p, row.Outdated); err != nil {
			return err
		}
		return tx.log(event)
	})
	if err != nil {
		return session.Row{}, err
	}
	return row, nil
}

func (s bulk) EndTenant(ctx context.Context, p id.Project, t id.Tenant, e session.Ending) error {
	return s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, p)
		if err != nil {
			return err
		}
		if err := tx.Query("UPDATE tenants SET epoch = epoch + 1 WHERE project = ? AND id = ?").Int(o.n).Blob(t[:]).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return fault.New(fault.NotFound, "This project has no such tenant.")
		}
		feed, err := tx.feed(p)
		if err != nil {
			return err
		}
		if err := feed.add(session.SupersededIn(p, t, feed.life, tx.now)); err != nil {
			return err
		}
		return tx.log(session.EndedIn(p, t, e, tx.now))
	})
}
