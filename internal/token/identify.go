package token

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Identity is the live session that a token stands for.
type Identity struct {
	Credential
	Row session.Row
}

// Identify returns the live session of a session or refresh token, for what its holder
// may see and do. A refresh token is judged like in a refresh that leaves the lineage
// alone, so that a stolen one is found out here too. A session token that belongs to
// the newest refresh token confirms that one (rule g).
func (s *Service) Identify(ctx context.Context, in Presentation) (Identity, error) {
	p, c, err := s.authentic(ctx, in, SessionToken, RefreshToken)
	if err != nil {
		return Identity{}, err
	}
	if c.Kind == RefreshToken {
		d, err := s.rotate(ctx, in, p, c, terms{readOnly: true})
		if err == nil {
			err = d.Err(d.row.State)
		}
		return Identity{c, d.row}, err
	}
	row, err := s.live(ctx, p, c)
	if err != nil {
		return Identity{}, err
	}
	if _, arrived := session.Arrived(row.State, c.Token, p.policy.ReuseWindow, s.d.Now()); arrived {
		if _, err := s.d.Sessions.Confirm(ctx, p.ID, c.Session, c.Token, p.policy.ReuseWindow); err != nil {
			return Identity{}, err
		}
	}
	return Identity{c, row}, nil
}

// Read returns the credential in an authentic token, whether its session lives or not.
func (s *Service) Read(ctx context.Context, in Presentation) (Credential, error) {
	_, c, err := s.authentic(ctx, in, SessionToken, RefreshToken)
	return c, err
}

// authentic is read, against the project as it is now.
func (s *Service) authentic(ctx context.Context, in Presentation, kinds ...Kind) (*project, Credential, error) {
	p, c, err := s.read(ctx, in, kinds...)
	if err != nil {
		return nil, c, err
	}
	now, err := s.current(ctx, in.Project)
	if err != nil || now.Version == p.Version {
		return now, c, err
	}
	c, err = now.read(in.Token, kinds...)
	return now, c, err
}

// live finds the session of a session token that hasn't expired.
func (s *Service) live(ctx context.Context, p *project, c Credential) (session.Row, error) {
	now := s.d.Now()
	row, subject, err := s.d.Sessions.Find(ctx, p.ID, c.Session)
	if fault.KindOf(err) == fault.NotFound {
		return session.Row{}, s.gone(c)
	}
	if err != nil {
		return session.Row{}, err
	}
	switch status, reason := row.Status(subject, now); {
	case status == session.Over && reason == session.Reused:
		return row, fault.New(fault.TokenReuse, "The session was ended because one of its refresh tokens was used by two holders; sign in again.")
	case status == session.Over:
		return row, fault.New(fault.SessionRevoked, "The session was ended; sign in again.")
	case status == session.Expired:
		return row, fault.New(fault.SessionExpired, "The session has run out; sign in again.")
	case !now.Before(c.ExpiresAt):
		return row, fault.New(fault.Unauthenticated, "The session token has expired; refresh the session.")
	}
	return row, nil
}

// Acknowledge records that the newest refresh token was kept by its holder (rule g). It
// reports false inside the reuse window, when nothing can be said for sure yet, and for
// a token that isn't the newest; and from when on an acknowledgement counts.
func (s *Service) Acknowledge(ctx context.Context, in Presentation) (confirmed bool, from time.Time, err error) {
	who, err := s.Identify(ctx, in)
	if err != nil {
		return false, time.Time{}, err
	}
	p, err := s.current(ctx, in.Project)
	if err != nil {
		return false, time.Time{}, err
	}
	from = who.Row.RotatedAt.Add(p.policy.ReuseWindow)
	if who.Token == who.Row.Newest {
		confirmed, err = s.d.Sessions.Confirm(ctx, p.ID, who.Session, who.Token, p.policy.ReuseWindow)
	}
	return confirmed, from, err
}
