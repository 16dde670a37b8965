package memory

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
	"github.com/latchkey-dev/latchkey/internal/session"
)

type sessions struct{ *Store }

// subject is what the rows of project, user and tenant say now.
func (p *project) subject(row session.Row) session.Subject {
	found, known := p.users[row.User]
	u := session.Subject{
		UserKnown:       known,
		UserEnabled:     found.Status == directory.Enabled,
		UserEpoch:       found.Epoch,
		ProjectEpoch:    p.Epoch,
		ProjectDisabled: p.Status != directory.Enabled,
		Granted:         !found.Grants.None(),
	}
	if row.Tenant.IsZero() {
		return u
	}
	t, known := p.tenants[row.Tenant]
	u.TenantGone, u.TenantDisabled, u.TenantEpoch = !known, known && t.Status != directory.Enabled, t.Epoch
	return u
}

// session returns a project and one of its sessions.
func (tx transaction) session(p id.Project, s id.Session) (*project, session.Row, error) {
	if owner, ok := tx.projects[p]; ok {
		if row, ok := owner.sessions[s]; ok {
			return owner, row, nil
		}
	}
	return nil, session.Row{}, fault.New(fault.NotFound, "This project has no such session.")
}

func (s sessions) Insert(ctx context.Context, row session.Row, version int64, a session.Admission, events ...audit.Event) (session.Row, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return session.Row{}, err
	}
	defer tx.end()
	p, err := tx.find(row.Project)
	if err != nil {
		return session.Row{}, err
	}
	if p.Version != version {
		return session.Row{}, session.ErrVersion
	}
	if p.Status != directory.Enabled {
		return session.Row{}, fault.New(fault.Conflict, "The project is disabled.")
	}
	u, err := p.user(row.User)
	if err != nil {
		return session.Row{}, err
	}
	if u.Status != directory.Enabled {
		return session.Row{}, fault.New(fault.Conflict, "The user is disabled.")
	}
	if _, taken := p.sessions[row.ID]; taken {
		return session.Row{}, fault.New(fault.Conflict, "There is a session with this id already.")
	}
	if a.EndOthers {
		u.Epoch++
	}
	epoch, open := p.open(u.Grants, row.Tenant)
	if !row.Tenant.IsZero() && !open {
		return session.Row{}, session.NoTenant()
	}
	var excess []session.Row
	if row.Actor == "" {
		excess = p.excess(u, a, tx.now)
	}
	if a.Deny && len(excess) > 0 {
		return session.Row{}, fault.New(fault.Conflict, "The user has as many sessions as are allowed.")
	}
	// Nothing can fail from here on.
	p.users[u.ID] = u
	row = copyRow(row)
	row.UserEpoch, row.ProjectEpoch, row.TenantEpoch = u.Epoch, p.Epoch, epoch
	p.sessions[row.ID] = row
	tx.log(events...)
	if a.EndOthers {
		tx.revoke(session.SupersededAt(row.Project, row.User, row.ID, p.life(), tx.now))
	}
	for _, old := range excess {
		tx.revoke(old.Revocation(p.life(), tx.now))
		e := session.Ending{Reason: session.OverLimit, Origin: origin(events)}
		p.sessions[old.ID] = ended(old, e.Reason, tx.now)
		tx.log(old.EndedBy(e, tx.now))
	}
	return copyRow(row), nil
}

// excess returns the oldest live sessions of u that have to end before one more is
// within limit; u is the row as it will be written.
func (p *project) excess(u directory.User, a session.Admission, now time.Time) []session.Row {
	if a.Max == 0 {
		return nil
	}
	var live []session.Row
	for _, row := range p.sessions {
		subject := p.subject(row)
		subject.UserEpoch = u.Epoch
		if status, _ := row.Status(subject, now); row.User == u.ID && status == session.Active && a.Counts(row, now) {
			live = append(live, row)
		}
	}
	slices.SortFunc(live, func(a, b session.Row) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), a.ID.Compare(b.ID))
	})
	return live[:max(0, len(live)+1-a.Max)]
}

// origin is who signed in: the one that makes older sessions end.
func origin(events []audit.Event) audit.Origin {
	if len(events) == 0 {
		return audit.Origin{Actor: audit.System}
	}
	return events[0].Origin
}

// ended returns the row of a session that ends now.
func ended(row session.Row, why session.Reason, now time.Time) session.Row {
	row.EndedAt, row.EndReason = now, why
	row.Trace = row.Trace.Add(session.Entry{At: now, Rule: session.End})
	return row
}

func (s sessions) Find(ctx context.Context, p id.Project, sid id.Session) (session.Row, session.Subject, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return session.Row{}, session.Subject{}, err
	}
	defer tx.end()
	owner, row, err := tx.session(p, sid)
	if err != nil {
		return session.Row{}, session.Subject{}, err
	}
	return copyRow(row), owner.subject(row), nil
}

func (s sessions) Rotate(ctx context.Context, f session.Refresh) (session.Row, session.Verdict, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return session.Row{}, session.Verdict{}, err
	}
	defer tx.end()
	p, row, err := tx.session(f.Project, f.Session)
	if err != nil {
		return session.Row{}, session.Verdict{}, err
	}
	if p.Version != f.Version {
		return session.Row{}, session.Verdict{}, session.ErrVersion
	}
	subject := p.subject(row)
	subject.Standing = p.standing(row, f)
	row, verdict, events, err := session.Apply(row, subject, f, tx.now)
	if err != nil {
		return session.Row{}, session.Verdict{}, err
	}
	p.sessions[row.ID] = copyRow(row)
	switch {
	case verdict.Ends():
		tx.revoke(row.Revocation(p.life(), tx.now))
	case verdict.Moved:
		tx.revoke(row.Moved(p.life(), tx.now))
	}
	// Last: what was told may have moved the latest instant on.
	verdict.Behind = tx.latest.Sub(tx.now)
	tx.log(events...)
	return copyRow(row), verdict, nil
}

func (s sessions) Confirm(ctx context.Context, p id.Project, sid id.Session, token id.Refresh, window time.Duration) (bool, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.end()
	owner, row, err := tx.session(p, sid)
	if err != nil {
		return false, err
	}
	if status, _ := row.Status(owner.subject(row), tx.now); status != session.Active {
		return row.Confirmed, nil
	}
	state, changed := session.Arrived(row.State, token, window, tx.now)
	if changed {
		row.State = state
		row.Trace = row.Trace.Add(session.Entry{At: tx.now, Rule: session.Confirm, Token: token})
		owner.sessions[sid] = row
	}
	return row.Confirmed, nil
}

func (s sessions) SetClaims(ctx context.Context, p id.Project, sid id.Session, epoch int64, claims, nsec json.RawMessage, events ...audit.Event) (session.Row, error) {
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
	if row.ClaimsEpoch != epoch {
		return session.Row{}, fault.New(fault.Conflict, "The claims have changed in the meantime.")
	}
	row = row.Given(claims, nsec)
	owner.sessions[sid] = copyRow(row)
	tx.revoke(row.Outdated(owner.life(), tx.now))
	tx.log(events...)
	return copyRow(row), nil
}

func (s sessions) End(ctx context.Context, p id.Project, sid id.Session, e session.Ending) (bool, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.end()
	owner, row, err := tx.session(p, sid)
	if err != nil {
		return false, err
	}
	if status, _ := row.Status(owner.subject(row), tx.now); status != session.Active {
		return false, nil
	}
	owner.sessions[sid] = ended(row, e.Reason, tx.now)
	tx.revoke(row.Revocation(owner.life(), tx.now))
	tx.log(row.EndedBy(e, tx.now))
	return true, nil
}
