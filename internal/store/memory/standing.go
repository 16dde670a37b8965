package memory

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// open returns the epoch of an enabled tenant that grants lead to; 0 and false for any
// other.
func (p *project) open(g directory.Grants, t id.Tenant) (int64, bool) {
	_, member := g.In(t)
	found, known := p.tenants[t]
	if !member || !known || found.Status != directory.Enabled {
		return 0, false
	}
	return found.Epoch, true
}

// standing is what a refresh has to know of the tenants of its user.
func (p *project) standing(row session.Row, f session.Refresh) session.Standing {
	var s session.Standing
	grants := p.users[row.User].Grants
	_, s.Member = grants.In(row.Tenant)
	if len(f.Overrides) > 0 {
		s.Tenants = grants.Tenants()
	}
	if f.Move != nil {
		s.OpenEpoch, s.Open = p.open(grants, f.Move.Tenant)
		return s
	}
	if !f.AutoTenant || s.Member {
		return s
	}
	for _, m := range grants.Memberships {
		epoch, ok := p.open(grants, m.Tenant)
		switch {
		case !ok:
		case !s.Sole.IsZero():
			s.Sole, s.SoleEpoch = id.Tenant{}, 0
			return s
		default:
			s.Sole, s.SoleEpoch = m.Tenant, epoch
		}
	}
	return s
}

// active returns the refusal of a session that isn't.
func (p *project) active(row session.Row, now time.Time) error {
	switch status, _ := row.Status(p.subject(row), now); status {
	case session.Over:
		return fault.New(fault.SessionRevoked, "The session was ended.")
	case session.Expired:
		return fault.New(fault.SessionExpired, "The session has run out.")
	}
	return nil
}

func (s sessions) StepUp(ctx context.Context, p id.Project, sid id.Session, by session.StepUp) (session.Row, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return session.Row{}, err
	}
	defer tx.end()
	owner, row, err := tx.session(p, sid)
	if err != nil {
		return session.Row{}, err
	}
	if err := owner.active(row, tx.now); err != nil {
		return session.Row{}, err
	}
	row, event, err := row.SteppedUpBy(by, tx.now)
	if err != nil {
		return session.Row{}, err
	}
	owner.sessions[sid] = copyRow(row)
	tx.revoke(row.Outdated(owner.life(), tx.now))
	tx.log(event)
	return copyRow(row), nil
}

func (s bulk) EndTenant(ctx context.Context, p id.Project, t id.Tenant, e session.Ending) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	found, ok := owner.tenants[t]
	if !ok {
		return fault.New(fault.NotFound, "This project has no such tenant.")
	}
	found.Epoch++
	owner.tenants[t] = found
	tx.revoke(session.SupersededIn(p, t, owner.life(), tx.now))
	tx.log(session.EndedIn(p, t, e, tx.now))
	return nil
}
