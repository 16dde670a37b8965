package token

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// leave returns the terms of a refresh with what becomes of a session whose user has left
// its tenant, where the project has sign-in actions.
func (s *Service) leave(ctx context.Context, p *project, c Credential, in Presentation, t terms) (terms, error) {
	row, subject, err := s.d.Sessions.Find(ctx, p.ID, c.Session)
	if fault.KindOf(err) == fault.NotFound {
		return t, s.gone(c)
	}
	if err != nil {
		return t, err
	}
	b, err := s.bearer(ctx, p, row, true)
	if err != nil {
		return t, err
	}
	now := session.Instant(s.d.Now())
	if state, v := session.Decide(row.State, subject, p.refresh(c, in, t).Request, now); v.Issues() {
		b.row.State = state
	}
	left, failures := p.left(b, now)
	s.tell(ctx, p.ID, row.ID, row.User, failures)
	t.leaves, t.move = true, &session.Move{
		ClaimsEpoch: row.ClaimsEpoch, Claims: left.Claims, Audience: left.Audience, Acted: left.Acted,
		AbsoluteAt: left.AbsoluteAt, IdleLimit: left.IdleLimit,
	}
	return t, nil
}

// left returns the row of a session whose user has left its tenant: in none, and as the
// sign-in actions want it there. The user can't go back, and nobody is kept from refreshing:
// a session that they wouldn't let begin like this, or whose tokens don't fit, lives without
// all that they have given it.
func (p *project) left(b bearer, now time.Time) (session.Row, []failed) {
	b.row.Tenant, b.row.TenantEpoch = id.Tenant{}, 0
	bare := b.row
	bare.Claims, bare.Audience = b.row.Acted.Without(b.row.Claims, b.row.Audience)
	bare.Acted = session.Acted{}
	row, failures, err := p.act(b, now)
	if err != nil || !now.Before(row.ExpiresAt()) {
		return bare, failures
	}
	b.row = row
	if _, err := p.mint(b, moment{rule: session.Rotate, at: now, held: row.Newest}); err != nil {
		return bare, failures
	}
	return row, failures
}
