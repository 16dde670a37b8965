package token

import (
	"context"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// bearer is a session with what is known of its user at the moment at which tokens are
// minted for it.
type bearer struct {
	row    session.Row
	holder directory.Holder         // zero: nothing is granted to the user, and nothing else of them asked for
	policy policy.Policy            // of the project and the user's tenants
	may    *directory.Authorization // instead of what the holder's grants lead to; nil: those
}

// bearer returns a session with its user, who is looked up only if tokens show them.
func (s *Service) bearer(ctx context.Context, p *project, row session.Row, granted bool) (bearer, error) {
	if !granted && !p.describes() {
		return bearer{row: row, policy: p.policy}, nil
	}
	holder, err := s.d.Holders.Holder(ctx, p.ID, row.User)
	if fault.KindOf(err) == fault.NotFound {
		return bearer{}, fault.New(fault.SessionRevoked, "The session was ended; sign in again.")
	}
	return p.bearer(row, holder), err
}

func (p *project) bearer(row session.Row, h directory.Holder) bearer {
	return bearer{row: row, holder: h, policy: p.rules.For(h.User.Tenants())}
}

// authorization is what the user may do.
func (b bearer) authorization() directory.Authorization {
	if b.may != nil {
		return *b.may
	}
	return b.holder.Authorize(b.holder.User.Grants)
}
