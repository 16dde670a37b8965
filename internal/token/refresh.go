package token

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Presentation is a token as it came in.
type Presentation struct {
	Project    id.Project
	Token      secret.Text
	ComposedAt time.Time // when the client says that it composed the request; zero: not said
	Context    session.Context
	Origin     audit.Origin

	// Admit, if set, is asked once the token is known to be authentic, before the store
	// is. Its error is the refusal: a limit, say, which junk must not use up.
	Admit func() error
}

func (in Presentation) admit() error {
	if in.Admit == nil {
		return nil
	}
	return in.Admit()
}

// Refresh trades a refresh token for a new token set (package session has the rules).
// readOnly leaves the lineage alone and hands out a session token only; the caller has
// been authenticated for that. Errors: fault.Unauthenticated, SessionRevoked,
// SessionExpired, TokenReuse, RequestExpired, RateLimited, NotFound for an unknown
// project, Unavailable.
//
// The rule is returned with a refusal too, for metrics; it is meaningless when decided
// is false.
func (s *Service) Refresh(ctx context.Context, in Presentation, readOnly bool) (set Set, decided bool, err error) {
	p, c, err := s.read(ctx, in, RefreshToken)
	if err != nil {
		return Set{}, false, err
	}
	d, err := s.rotate(ctx, in, p, c, terms{readOnly: readOnly})
	if err != nil {
		return Set{}, false, err
	}
	set, err = s.outcome(ctx, d)
	return set, true, err
}

// outcome makes the tokens that a decision hands out. What they show of the user is read
// after the decision: so it is at least as new as they say it is.
func (s *Service) outcome(ctx context.Context, d decision) (Set, error) {
	if err := d.Err(d.row.State); err != nil {
		return Set{Rule: d.Rule}, err
	}
	b, err := s.bearer(ctx, d.project, d.row, d.Granted)
	if err != nil {
		return Set{Rule: d.Rule}, err
	}
	m := moment{rule: d.Rule, at: d.At, behind: d.Behind, held: d.row.Newest}
	if d.Rule == session.Read {
		m.held = d.presented
	}
	set, err := d.project.mint(b, m)
	set.Rule = d.Rule
	s.tell(ctx, d.project.ID, d.row.ID, d.row.User, set.failed)
	return set, err
}

// terms are what a refresh is asked for besides tokens.
type terms struct {
	readOnly bool
	move     *session.Move
	leaves   bool // the move wasn't asked for: the user has left the tenant
}

// stay returns the terms without a move that wasn't asked for.
func (t terms) stay() terms {
	if t.leaves {
		t.move, t.leaves = nil, false
	}
	return t
}

// decision is what came of a presented refresh token.
type decision struct {
	session.Verdict
	project   *project // as it was in the transaction
	row       session.Row
	presented id.Refresh
}

// rotate runs the decision on the session of a refresh token that p has read, with the
// project as it is in the transaction of the decision.
func (s *Service) rotate(ctx context.Context, in Presentation, p *project, c Credential, t terms) (decision, error) {
	for range attempts {
		row, v, err := s.d.Sessions.Rotate(ctx, p.refresh(c, in, t))
		switch {
		case errors.Is(err, session.ErrLeft):
			if t, err = s.leave(ctx, p, c, in, t); err != nil {
				return decision{}, err
			}
			continue
		case t.leaves && fault.KindOf(err) == fault.Conflict:
			t = t.stay()
			continue
		case errors.Is(err, session.ErrVersion):
			if p, err = s.load(ctx, in.Project); err != nil {
				return decision{}, err
			}
			// A move was worked out with the documents and settings from before.
			if t = t.stay(); t.move != nil {
				return decision{}, fault.New(fault.Conflict, "The project has changed in the meantime.")
			}
			// What was authentic may be no longer: its key may be revoked.
			if c, err = p.read(in.Token, RefreshToken); err != nil {
				return decision{}, err
			}
			continue
		case fault.KindOf(err) == fault.NotFound && !errors.Is(err, session.ErrNoTenant):
			return decision{}, s.gone(c)
		case err != nil:
			return decision{}, err
		}
		p.current.Store(v.At.UnixMilli())
		return decision{v, p, row, c.Token}, nil
	}
	return decision{}, fault.New(fault.Unavailable, "The project is being changed; try again.")
}

// entersAlone reports whether a refresh makes the only tenant of its user the current one.
// Where sign-in actions are to be asked about that, only a change of tenant does: they may
// deny it, or require what the session hasn't shown.
func (p *project) entersAlone(acts bool) bool { return p.Settings.AutoTenant && !acts }

func (p *project) refresh(c Credential, in Presentation, t terms) session.Refresh {
	acts := p.documents.acts(c.Session)
	return session.Refresh{
		Project: p.ID, Session: c.Session, Version: p.Version, SigningKey: p.ring.Active(), Origin: in.Origin,
		Request: session.Request{
			Token: c.Token, Parent: c.Parent, Next: id.NewRefresh(), ComposedAt: in.ComposedAt,
			Context: in.Context, ReadOnly: t.readOnly, Policy: p.policy,
		},
		AutoTenant: p.entersAlone(acts), Move: t.move, Acts: acts, Overrides: p.rules.Tenants,
	}
}

// gone is the refusal of an authentic token whose session isn't stored any more: it was
// over long enough to be removed.
func (s *Service) gone(c Credential) error {
	if !c.ExpiresAt.IsZero() && !s.d.Now().Before(c.ExpiresAt) {
		return fault.New(fault.SessionExpired, "The session has run out; sign in again.")
	}
	return fault.New(fault.SessionRevoked, "The session was ended; sign in again.")
}
