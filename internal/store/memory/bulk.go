package memory

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

type bulk struct{ *Store }

// matches looks at everything in f but its After and Limit.
func (p *project) matches(row session.Row, f session.Filter, now time.Time) bool {
	status, _ := row.Status(p.subject(row), now)
	return (f.User.IsZero() || row.User == f.User) &&
		(f.Tenant.IsZero() || row.Tenant == f.Tenant) &&
		(f.Status == "" || status == f.Status) &&
		(f.CreatedFrom.IsZero() || !row.CreatedAt.Before(f.CreatedFrom)) &&
		(f.CreatedTo.IsZero() || row.CreatedAt.Before(f.CreatedTo)) &&
		(!f.IP.IsValid() || within(f.IP, row.Device.IP)) &&
		(f.SigningKey.IsZero() || row.SigningKey == f.SigningKey)
}

func within(network netip.Prefix, address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && network.Contains(ip.WithZone("").Unmap())
}

func (s bulk) List(ctx context.Context, f session.Filter) (rows []session.Row, subjects []session.Subject, next id.Session, err error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, nil, id.Session{}, err
	}
	defer tx.end()
	p, ok := tx.projects[f.Project]
	if !ok {
		return nil, nil, id.Session{}, nil
	}
	seen, last := 0, id.Session{}
	for _, sid := range p.newestFirst(f) {
		if f.Reach > 0 && seen == f.Reach {
			return rows, subjects, last, nil
		}
		seen, last = seen+1, sid
		row := p.sessions[sid]
		if !p.matches(row, f, tx.now) {
			continue
		}
		if len(rows) == f.Limit {
			return rows, subjects, rows[len(rows)-1].ID, nil
		}
		rows, subjects = append(rows, copyRow(row)), append(subjects, p.subject(row))
	}
	return rows, subjects, id.Session{}, nil
}

// newestFirst returns the sessions that List looks at.
func (p *project) newestFirst(f session.Filter) []id.Session {
	first, end := f.Bounds()
	var list []id.Session
	for sid, row := range p.sessions {
		if sid.Compare(first) >= 0 && sid.Compare(end) < 0 && (f.User.IsZero() || row.User == f.User) &&
			(!f.User.IsZero() || f.Tenant.IsZero() || row.Tenant == f.Tenant) {
			list = append(list, sid)
		}
	}
	slices.SortFunc(list, func(a, b id.Session) int { return b.Compare(a) })
	return list
}

func (s bulk) Count(ctx context.Context, f session.Filter) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	p, ok := tx.projects[f.Project]
	if !ok {
		return 0, nil
	}
	count := 0
	for _, row := range p.sessions {
		if p.matches(row, f, tx.now) {
			count++
		}
	}
	return count, nil
}

func (s bulk) EndAll(ctx context.Context, p id.Project, user id.User, keep id.Session, e session.Ending) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return 0, err
	}
	count, spared := 0, id.Session{}
	if user.IsZero() {
		spared = owner.endAll(keep, tx.now)
	} else if count, spared, err = owner.endAllOf(user, keep, tx.now); err != nil {
		return 0, err
	}
	tx.revoke(session.SupersededAt(p, user, spared, owner.life(), tx.now))
	tx.log(endedMany(p, user, count, e, tx.now))
	return count, nil
}

// endAll grows the project's epoch, and that of the session that is kept with it.
// It returns that session, zero when it isn't kept.
func (p *project) endAll(keep id.Session, now time.Time) (spared id.Session) {
	row, ok := p.sessions[keep]
	ok = ok && p.matches(row, session.Filter{Status: session.Active}, now)
	p.Epoch++
	if !ok {
		return id.Session{}
	}
	row.ProjectEpoch = p.Epoch
	p.sessions[keep] = row
	return keep
}

// endAllOf does so with one user, and counts.
func (p *project) endAllOf(user id.User, keep id.Session, now time.Time) (count int, spared id.Session, err error) {
	u, err := p.user(user)
	if err != nil {
		return 0, id.Session{}, err
	}
	for _, row := range p.sessions {
		if !p.matches(row, session.Filter{User: user, Status: session.Active}, now) {
			continue
		}
		if row.ID == keep {
			row.UserEpoch = u.Epoch + 1
			p.sessions[keep], spared = row, keep
			continue
		}
		count++
	}
	u.Epoch++
	p.users[user] = u
	return count, spared, nil
}

func endedMany(p id.Project, user id.User, count int, e session.Ending, now time.Time) audit.Event {
	return audit.New(p, now, audit.SessionsEnded, e.Origin).Of(id.Session{}, user).
		With("reason", string(e.Reason)).With("count", float64(count))
}

func (s bulk) EndMatching(ctx context.Context, f session.Filter, e session.Ending) (int, id.Session, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, id.Session{}, err
	}
	defer tx.end()
	if f.Limit < 1 {
		return 0, id.Session{}, fault.New(fault.Internal, "A limit of at least 1 is wanted.")
	}
	p, ok := tx.projects[f.Project]
	if !ok {
		return 0, id.Session{}, nil
	}
	page := ascending(maps.Keys(p.sessions), f.After, f.Limit+1)
	next := id.Session{}
	if len(page) > f.Limit {
		page = page[:f.Limit]
		next = page[f.Limit-1]
	}
	f.Status = session.Active
	count := 0
	for _, sid := range page {
		if row := p.sessions[sid]; p.matches(row, f, tx.now) {
			p.sessions[sid] = ended(row, e.Reason, tx.now)
			tx.revoke(row.Revocation(p.life(), tx.now))
			count++
		}
	}
	if count > 0 {
		tx.log(endedMany(f.Project, f.User, count, e, tx.now))
	}
	return count, next, nil
}

// Sweep never looks past now, whatever the cutoff: a session that has yet to run out
// isn't over.
func (s bulk) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	if cutoff.After(tx.now) {
		cutoff = tx.now
	}
	removed := 0
	for _, p := range tx.projects {
		for sid, row := range p.sessions {
			if removed < limit && row.OverAt().Before(cutoff) {
				delete(p.sessions, sid)
				removed++
			}
		}
	}
	return removed, nil
}
