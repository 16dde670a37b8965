package token

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// What a template adds, and then what is granted in tenants, is left out of tokens that
// would be too long. Claims that a client chooses must not be the reason: it would choose
// what its token says of it, by asking for so many that a claim that is in its way has no
// room. So they are refused when there is no room for them, and when it is needed later,
// they are the first that is left out.

// ClientFits is Fits for a change that the client itself asks for.
func (s *Service) ClientFits(ctx context.Context, p id.Project) (func(session.Row) error, error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return nil, err
	}
	fits, err := s.Fits(ctx, p)
	if err != nil {
		return nil, err
	}
	return func(row session.Row) error {
		if err := fits(row); err != nil || row.NSec == nil {
			return err
		}
		b, err := s.bearer(ctx, current, row, true)
		if fault.KindOf(err) == fault.SessionRevoked {
			return nil // whose user is gone: the store says so
		}
		if err != nil {
			return err
		}
		return current.roomBeside(b, session.Instant(s.d.Now()))
	}, nil
}

// roomBeside refuses a session's nsec that leaves no room for what its token says
// otherwise.
func (p *project) roomBeside(b bearer, now time.Time) error {
	m := moment{rule: session.Rotate, at: now, held: b.row.Newest}
	whole, bare := p.shape(b, now), b
	bare.row.NSec = nil
	whole.nsec = nil
	wanted := p.fitting(bare, m, whole)
	wanted.nsec = b.row.NSec
	if size, limit := p.size(b, m, wanted); size > limit {
		return claim.Fit("session token", size, limit, b.row.NSec)
	}
	return nil
}

// roomBesideKey is roomBeside for the token of a machine.
func (p *project) roomBesideKey(m machine) error {
	if m.nsec == nil {
		return nil
	}
	bare := m
	bare.nsec = nil
	wanted := p.fittingKey(bare, p.shapeOf(bare))
	wanted.nsec = m.nsec
	return claim.Fit("session token", p.sizeOf(p.machineClaims(m, wanted)), claim.MaxToken, m.nsec)
}
