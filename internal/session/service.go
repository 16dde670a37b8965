package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Deps is what a Service stands on.
type Deps struct {
	Store Store
	Bulk  BulkStore
	Now   func() time.Time
}

// Service is what is done to sessions besides signing in and refreshing, which mint
// tokens and are in package token. It is safe for concurrent use.
type Service struct {
	store Store
	bulk  BulkStore
	now   func() time.Time
	turn  chan struct{} // full while somebody looks at very many sessions; see Foresee
}

// New returns a Service. All members of d are needed.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Bulk == nil || d.Now == nil {
		return nil, errors.New("session: a dependency is missing")
	}
	return &Service{store: d.Store, bulk: d.Bulk, now: d.Now, turn: make(chan struct{}, 1)}, nil
}

// chunk is how many rows one transaction of EndMatching looks at. Refreshes wait behind
// it for a few milliseconds at most.
const chunk = 500

// Found is a session as callers see it.
type Found struct {
	Row
	Status Status
	Reason Reason // for Over
	// Flagged is what a change of claims set that looks like personal data or a secret.
	Flagged []claim.Finding
}

func (s *Service) found(r Row, u Subject) Found { return r.found(u, s.now()) }

func (r *Row) found(u Subject, now time.Time) Found {
	status, reason := r.Status(u, now)
	return Found{Row: *r, Status: status, Reason: reason}
}

// Get returns a session; fault.NotFound when the project has none such.
func (s *Service) Get(ctx context.Context, p id.Project, sid id.Session) (Found, error) {
	row, subject, err := s.store.Find(ctx, p, sid)
	if err != nil {
		return Found{}, err
	}
	return s.found(row, subject), nil
}

// reach is how many sessions one call of List looks at. A filter that selects hardly any
// would otherwise keep its caller, and a reader of the store, busy for seconds.
const reach = 250

// List returns at most f.Limit sessions, newest first, and where to go on, zero when
// there are no more. There may be fewer, even none, although there are more.
func (s *Service) List(ctx context.Context, f Filter) ([]Found, id.Session, error) {
	f.Reach = reach
	rows, subjects, next, err := s.bulk.List(ctx, f)
	if err != nil {
		return nil, id.Session{}, err
	}
	now := s.now()
	out := make([]Found, len(rows))
	for i := range rows {
		out[i] = rows[i].found(subjects[i], now)
	}
	return out, next, nil
}

// End ends one session. Ending it again changes nothing and is no error; fault.NotFound
// when the project has none such.
func (s *Service) End(ctx context.Context, p id.Project, sid id.Session, e Ending) (bool, error) {
	return s.store.End(ctx, p, sid, e)
}

// EndOwn ends a session of a user and reports, like End, whether it was active;
// fault.NotFound when it is somebody else's, so that nobody learns which sessions exist.
func (s *Service) EndOwn(ctx context.Context, p id.Project, user id.User, sid id.Session, e Ending) (bool, error) {
	row, _, err := s.store.Find(ctx, p, sid)
	if fault.KindOf(err) == fault.NotFound || err == nil && row.User != user {
		// The same words in both cases: a difference would tell them apart.
		return false, fault.New(fault.NotFound, "You have no such session.")
	}
	if err != nil {
		return false, err
	}
	return s.store.End(ctx, p, sid, e)
}

// EndUser ends all sessions of a user but keep, and returns how many were active.
func (s *Service) EndUser(ctx context.Context, p id.Project, user id.User, keep id.Session, e Ending) (int, error) {
	return s.bulk.EndAll(ctx, p, user, keep, e)
}

// EndProject ends all sessions of a project at once and returns how many active ones
// were counted just before.
func (s *Service) EndProject(ctx context.Context, p id.Project, e Ending) (int, error) {
	n, err := s.Count(ctx, Filter{Project: p})
	if err != nil {
		return 0, err
	}
	_, err = s.bulk.EndAll(ctx, p, id.User{}, id.Session{}, e)
	return n, err
}

// EndTenant ends all sessions in which a tenant is the current one, at once, and returns
// how many active ones were counted just before.
func (s *Service) EndTenant(ctx context.Context, p id.Project, t id.Tenant, e Ending) (int, error) {
	n, err := s.Count(ctx, Filter{Project: p, Tenant: t})
	if err != nil {
		return 0, err
	}
	return n, s.bulk.EndTenant(ctx, p, t, e)
}

// Count returns how many active sessions match f.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	f.Status = Active
	return s.bulk.Count(ctx, f)
}

// EndMatching ends the active sessions that match f and were made before the call, in
// steps that let refreshes pass. When ctx ends it stops between two steps, and returns
// how many ended until then with the error.
func (s *Service) EndMatching(ctx context.Context, f Filter, e Ending) (int, error) {
	if now := s.now(); f.CreatedTo.IsZero() || f.CreatedTo.After(now) {
		// Without a bound, sign-ins during the call could keep it going for ever. A
		// millisecond more, because rows keep whole ones.
		f.CreatedTo = Instant(now).Add(time.Millisecond)
	}
	f.Limit = chunk
	total := 0
	for {
		n, next, err := s.bulk.EndMatching(ctx, f, e)
		total += n
		if err != nil || next.IsZero() {
			return total, err
		}
		f.After = next
		if err := ctx.Err(); err != nil {
			return total, err
		}
	}
}

// ClaimsChange is a change of custom claims: JSON merge patches (RFC 7396), nil for none.
type ClaimsChange struct {
	Claims json.RawMessage
	NSec   json.RawMessage
	Lint   claim.LintPolicy // what is done about personal data and secrets in what is set

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// refusal returns one error for what is unreadable and what errs refuse, of the kind of the
// first; nil when there is nothing.
func (c ClaimsChange) refusal(errs ...error) error {
	var all *fault.Error
	if len(c.Unreadable) > 0 {
		all = fault.New(fault.Invalid, "The claims can't be changed like this.").WithFields(c.Unreadable...)
	}
	for _, err := range errs {
		var refusal *fault.Error
		switch {
		case err == nil:
		case !errors.As(err, &refusal):
			return err
		case all == nil:
			all = refusal
		default:
			all = all.WithFields(refusal.Fields...)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// ChangeClaims merges changes into the custom claims of a session. The next refresh
// carries them. fit is asked whether the result fits into the tokens.
func (s *Service) ChangeClaims(ctx context.Context, p id.Project, sid id.Session, c ClaimsChange, fit func(Row) error, o audit.Origin) (Found, error) {
	for range attempts {
		had, subject, err := s.store.Find(ctx, p, sid)
		if err != nil {
			return Found{}, err
		}
		row, flagged, news, err := c.merge(had)
		if err != nil {
			return Found{}, err
		}
		if err := fit(row); err != nil {
			return Found{}, err
		}
		if found := s.found(had, subject); found.Status == Active && bytes.Equal(row.Claims, had.Claims) && bytes.Equal(row.NSec, had.NSec) {
			// Each change is told to every verifier. Nobody tells them nothing, as often as
			// they like.
			found.Flagged = flagged
			return found, nil
		}
		now := s.now()
		events := []audit.Event{row.Event(audit.SessionClaims, o, now)}
		if news {
			events = append(events, row.Event(audit.ClaimsFlagged, o, now).With("findings", claim.Flagged(flagged)))
		}
		row, err = s.store.SetClaims(ctx, p, sid, row.ClaimsEpoch, row.Claims, row.NSec, events...)
		if fault.KindOf(err) == fault.Conflict {
			continue
		}
		if err != nil {
			return Found{}, err
		}
		return Found{Row: row, Status: Active, Flagged: flagged}, nil
	}
	return Found{}, fault.New(fault.Conflict, "The claims are being changed by others; try again.")
}

// merge returns the row with the change, what the change flags, and whether any of that
// is new to the session: nobody needs to be told twice.
func (c ClaimsChange) merge(had Row) (row Row, flagged []claim.Finding, news bool, err error) {
	row = had
	var claimsErr, nsecErr error
	row.Claims, claimsErr = claim.Merge(had.Claims, c.Claims, "/claims", true)
	row.NSec, nsecErr = claim.Merge(had.NSec, c.NSec, "/nsec", false)
	if err := c.refusal(claimsErr, nsecErr); err != nil {
		return row, nil, false, err
	}
	// Merged into nothing, a patch is what it sets. Only that is looked at: what the
	// session has had before must not refuse a change of something else.
	claims, err := claim.Merge(nil, c.Claims, "/claims", true)
	if err != nil {
		return row, nil, false, err
	}
	nsec, err := claim.Merge(nil, c.NSec, "/nsec", false)
	if err != nil {
		return row, nil, false, err
	}
	if flagged, err = c.Lint.Apply(claims, nsec); err != nil || len(flagged) == 0 {
		return row, nil, false, err
	}
	before, err := c.Lint.Apply(had.Claims, had.NSec)
	return row, flagged, claim.News(flagged, before), err
}

// attempts is how often a change is repeated that lost against a concurrent one.
const attempts = 5
