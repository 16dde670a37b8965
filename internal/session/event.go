package session

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Event returns an event of the session. Whoever acts as its user is named in each, so
// that nothing that they do is taken for the user's doing.
func (r Row) Event(t audit.Type, o audit.Origin, now time.Time) audit.Event {
	e := audit.New(r.Project, now, t, o).Of(r.ID, r.User)
	if r.Actor != "" {
		e = e.With("impersonator", r.Actor)
	}
	return e
}

// EndedBy is the event of the session's end at now.
func (r Row) EndedBy(e Ending, now time.Time) audit.Event {
	return r.Event(audit.SessionEnded, e.Origin, now).With("reason", string(e.Reason))
}

// EndedIn is the event of the end of all sessions in which a tenant is the current one.
func EndedIn(p id.Project, t id.Tenant, e Ending, now time.Time) audit.Event {
	return audit.New(p, now, audit.SessionsEnded, e.Origin).With("reason", string(e.Reason)).With("tenant", t.String())
}

// changedTenant is the event of a change of the current tenant. Nobody asked for one that
// followed from a change of memberships.
func (r Row) changedTenant(from id.Tenant, asked bool, o audit.Origin, now time.Time) audit.Event {
	e := r.Event(audit.TenantChanged, o, now).With("asked", asked)
	if !from.IsZero() {
		e = e.With("from", from.String())
	}
	if !r.Tenant.IsZero() {
		e = e.With("tenant", r.Tenant.String())
	}
	return e
}

// StepUp is a proof, stronger or fresher than that of the sign-in, that the user is there.
type StepUp struct {
	AMR    []string      // of sign-in and proof together, with mfa if they are that
	TTL    time.Duration // from the store's now
	Origin audit.Origin
}

// SteppedUpBy returns the row of an active session once it is stepped up at now, and the
// event; fault.Forbidden when somebody else acts as its user.
func (r Row) SteppedUpBy(s StepUp, now time.Time) (Row, audit.Event, error) {
	if r.Actor != "" {
		return r, audit.Event{}, fault.New(fault.Forbidden, "The user isn't there to prove anything: somebody else acts as them.")
	}
	r.StepUpAMR, r.StepUpAt, r.StepUpUntil = s.AMR, Instant(now), Instant(now.Add(s.TTL))
	if r.AbsoluteAt.Before(r.StepUpUntil) {
		r.StepUpUntil = r.AbsoluteAt
	}
	methods := make([]any, len(s.AMR))
	for i, m := range s.AMR {
		methods[i] = m
	}
	return r, r.Event(audit.SessionSteppedUp, s.Origin, now).
		With("amr", methods).With("until", r.StepUpUntil.Format(time.RFC3339)), nil
}
