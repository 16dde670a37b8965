package token

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// SignIn is a session to be made: the application has authenticated the user.
type SignIn struct {
	Project   id.Project
	User      id.User
	Tenant    id.Tenant // the current one; zero: the only one of the user, if the project says so
	Actor     string    // who acts as the user, whoever that is: impersonation; "" for the user
	AMR       []string  // at least one; mfa is never taken from a caller
	Claims    json.RawMessage
	NSec      json.RawMessage
	Audience  []string
	Device    session.Device
	Context   session.Context
	Lifetime  time.Duration // 0: the absolute timeout, an hour with an Actor; only ever shorter than the former
	EndOthers bool
	Origin    audit.Origin
}

// errAgain means that a sign-in has to be worked out again: what it stood on is no more.
var errAgain = errors.New("the user's tenants have changed")

// SignIn makes a session and returns its first tokens. Errors: fault.Invalid,
// OutOfRange, Contradiction, ReservedClaim, ClaimsTooLarge with every field that is wrong;
// NotFound for an unknown project or user, and a tenant that the user isn't in; Conflict
// for a disabled user or project, and a user over maxSessionsPerUser; Denied and
// Insufficient by the project's sign-in actions. With an error nothing is stored.
func (s *Service) SignIn(ctx context.Context, in SignIn) (Set, error) {
	p, err := s.cached(ctx, in.Project)
	if err != nil {
		return Set{}, err
	}
	for range attempts {
		set, err := s.signIn(ctx, p, in)
		switch {
		case errors.Is(err, session.ErrVersion):
			if p, err = s.load(ctx, in.Project); err != nil {
				return Set{}, err
			}
		case !errors.Is(err, errAgain):
			return set, err
		}
	}
	return Set{}, fault.New(fault.Unavailable, "The project is being changed; try again.")
}

func (s *Service) signIn(ctx context.Context, p *project, in SignIn) (Set, error) {
	now := s.d.Now() // before the user is read: tokens say that they are as new as that
	holder, err := s.d.Holders.Holder(ctx, p.ID, in.User)
	if err != nil {
		return Set{}, err
	}
	b, flagged, err := p.admitted(in, holder, now)
	if err != nil {
		return Set{}, err
	}
	var failures []failed
	b.row, failures, err = p.act(b, b.row.CreatedAt)
	s.tell(ctx, p.ID, id.Session{}, in.User, failures)
	if err != nil {
		return Set{}, err
	}
	// Minted before the insert, so that a session whose tokens don't fit is never stored.
	// The store sets nothing that tokens show.
	set, err := p.mint(b, moment{rule: session.Create, at: b.row.CreatedAt, held: b.row.Newest})
	if err != nil {
		return Set{}, err
	}
	set.Flagged = flagged
	row, err := s.d.Sessions.Insert(ctx, b.row, p.Version, in.admission(b.policy), in.events(b.row, flagged)...)
	if errors.Is(err, session.ErrNoTenant) && in.Tenant.IsZero() {
		return Set{}, errAgain
	}
	if err != nil {
		return Set{}, err
	}
	set.Row = row
	s.tell(ctx, p.ID, row.ID, row.User, set.failed)
	if in.overtaken(p, holder, row) {
		return s.anew(ctx, set), nil
	}
	return s.shownAgain(ctx, p, set, holder), nil
}

// shownAgain returns the set of a session that was just stored, with a token that shows its
// user as they are now if they have changed since was was read. A change whose transaction
// had read the clock before the sign-in did, and was only done after the user was read, is
// told to verifiers as older than the first token. None of the changes that are still to
// come is: the insert had to wait for those that had begun.
func (s *Service) shownAgain(ctx context.Context, p *project, set Set, was directory.Holder) Set {
	now, err := s.d.Holders.Holder(ctx, p.ID, set.Row.User)
	if err != nil {
		return set // they are gone, or the next refresh will show them
	}
	was.User.Epoch = now.User.Epoch // which EndOthers has grown, and no token shows
	if reflect.DeepEqual(was, now) {
		return set
	}
	fresh, err := p.mint(p.bearer(set.Row, now), moment{rule: session.Create, at: set.At, held: set.Row.Newest})
	if err != nil {
		return set
	}
	fresh.Flagged = set.Flagged
	return fresh
}

func (in SignIn) admission(p policy.Policy) session.Admission {
	if in.Actor != "" {
		return session.Admission{}
	}
	return session.Admission{EndOthers: in.EndOthers, Max: p.MaxSessions, Deny: p.DenyOverLimit, Policy: p}
}

// overtaken reports whether all sessions of the user, the tenant or the project were ended
// between the moment at which p and h were read and the insert of a session. The session
// is younger than that and lives, but its first token says that it is older.
func (in SignIn) overtaken(p *project, h directory.Holder, row session.Row) bool {
	user := h.User.Epoch
	if in.EndOthers {
		user++
	}
	tenant := slices.ContainsFunc(h.Tenants, func(t directory.Tenant) bool { return t.ID == row.Tenant && t.Epoch != row.TenantEpoch })
	return row.UserEpoch != user || row.ProjectEpoch != p.Epoch || tenant
}

// anew returns the set of a session that was stored a moment ago, with tokens as of now.
// Should that fail, the ones that it has are good for a refresh.
func (s *Service) anew(ctx context.Context, set Set) Set {
	p, err := s.load(ctx, set.Row.Project)
	if err != nil {
		return set
	}
	at := session.Instant(s.d.Now())
	b, err := s.bearer(ctx, p, set.Row, true)
	if err != nil {
		return set
	}
	fresh, err := p.mint(b, moment{rule: session.Create, at: at, held: set.Row.Newest})
	if err != nil {
		return set
	}
	fresh.Flagged = set.Flagged
	return fresh
}

// CheckSignIn returns what SignIn would refuse of everything but the user, who needn't
// exist yet.
func (s *Service) CheckSignIn(ctx context.Context, in SignIn) error {
	p, err := s.current(ctx, in.Project)
	if err != nil {
		return err
	}
	if p.Status != directory.Enabled {
		return fault.New(fault.Conflict, "The project is disabled.")
	}
	row, _, err := p.newRow(in, p.policy, s.d.Now())
	if err != nil {
		return err
	}
	_, err = p.mint(bearer{row: row, policy: p.policy}, moment{rule: session.Create, at: row.CreatedAt, held: row.Newest})
	return err
}

// admitted returns the first row of a session in the tenant where it begins.
func (p *project) admitted(in SignIn, h directory.Holder, now time.Time) (bearer, []claim.Finding, error) {
	row, flagged, err := p.newRow(in, p.rules.For(h.User.Tenants()), now)
	if err != nil {
		return bearer{}, nil, err
	}
	b := p.bearer(row, h)
	may := b.authorization()
	switch _, open := may.In(in.Tenant); {
	case in.Tenant.IsZero() && p.Settings.AutoTenant:
		b.row.Tenant = may.Sole()
	case in.Tenant.IsZero():
	case !open:
		return bearer{}, nil, fault.New(fault.NotFound, "The user is not in such a tenant.").
			WithFields(fault.Field{Pointer: "/tenant", Code: "unknown", Detail: "An enabled tenant is wanted of which the user is a member."})
	default:
		b.row.Tenant = in.Tenant
	}
	return b, flagged, nil
}

func (in SignIn) events(row session.Row, flagged []claim.Finding) []audit.Event {
	created := row.Event(audit.SessionCreated, in.Origin, row.CreatedAt)
	if !row.Tenant.IsZero() {
		created = created.With("tenant", row.Tenant.String())
	}
	events := []audit.Event{created}
	if row.Actor != "" {
		events = append(events, row.Event(audit.SessionImpersonated, in.Origin, row.CreatedAt).With("until", row.AbsoluteAt.Format(time.RFC3339)))
	}
	if len(flagged) > 0 {
		events = append(events, row.Event(audit.ClaimsFlagged, in.Origin, row.CreatedAt).With("findings", claim.Flagged(flagged)))
	}
	if in.EndOthers {
		events = append(events, audit.New(row.Project, row.CreatedAt, audit.SessionsEnded, in.Origin).Of(id.Session{}, row.User).
			With("reason", string(session.Superseded)).With("except", row.ID.String()))
	}
	return events
}
