package token

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// SwitchTenant refreshes a session and makes t its current tenant: the refusals are those
// of Refresh, and NotFound for a tenant that the user isn't in, Denied and Insufficient by
// the project's sign-in actions, ClaimsTooLarge, and Conflict while others change the
// session's claims. With those the session stays as it is, and the presented token good.
func (s *Service) SwitchTenant(ctx context.Context, in Presentation, t id.Tenant) (set Set, decided bool, err error) {
	if _, _, err := s.read(ctx, in, RefreshToken); err != nil {
		return Set{}, false, err
	}
	in.Admit = nil // asked once
	for range attempts {
		p, c, err := s.authentic(ctx, in, RefreshToken)
		if err != nil {
			return Set{}, false, err
		}
		move, err := s.move(ctx, p, c, in, t)
		if err != nil {
			return Set{}, false, err
		}
		d, err := s.rotate(ctx, in, p, c, terms{move: move})
		if fault.KindOf(err) == fault.Conflict {
			continue
		}
		if err != nil {
			return Set{}, false, err
		}
		set, err = s.outcome(ctx, d)
		return set, true, err
	}
	return Set{}, false, fault.New(fault.Conflict, "The session is being changed by others; try again.")
}

// move works out what becomes of a session that changes to a tenant, before anything is
// written. Whoever presents a token that isn't good for a refresh learns nothing of that:
// the refresh alone is their judge.
func (s *Service) move(ctx context.Context, p *project, c Credential, in Presentation, t id.Tenant) (*session.Move, error) {
	row, subject, err := s.d.Sessions.Find(ctx, p.ID, c.Session)
	if fault.KindOf(err) == fault.NotFound {
		return nil, s.gone(c)
	}
	if err != nil {
		return nil, err
	}
	now := session.Instant(s.d.Now())
	move := &session.Move{Tenant: t, ClaimsEpoch: row.ClaimsEpoch, Claims: row.Claims, Audience: row.Audience, Acted: row.Acted}
	state, v := session.Decide(row.State, subject, p.refresh(c, in, terms{}).Request, now)
	if !v.Issues() {
		return move, nil
	}
	b, err := s.bearer(ctx, p, row, true)
	if err != nil {
		return nil, err
	}
	if _, open := b.authorization().In(t); !open {
		return move, nil // which the store refuses
	}
	b.row.State = state
	b.row.Tenant = t
	var failures []failed
	b.row, failures, err = p.act(b, now)
	s.tell(ctx, p.ID, row.ID, row.User, failures)
	if err != nil {
		return nil, err
	}
	if !now.Before(b.row.ExpiresAt()) {
		return nil, fault.New(fault.Insufficient, "The session is too old for this tenant.").
			WithFields(fault.Field{Code: "signIn", Detail: "The user has to sign in again to get there."})
	}
	// The tokens that the refresh will make are as long as these.
	if _, err = p.mint(b, moment{rule: v.Rule, at: now, held: b.row.Newest}); err != nil {
		return nil, err
	}
	move.Claims, move.Audience, move.Acted = b.row.Claims, b.row.Audience, b.row.Acted
	move.AbsoluteAt, move.IdleLimit = b.row.AbsoluteAt, b.row.IdleLimit
	return move, nil
}
