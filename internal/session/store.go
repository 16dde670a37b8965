package session

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// ErrVersion is returned by a store when the project has changed since the caller read
// it. The caller reads it again and repeats the call.
var ErrVersion = errors.New("the project's settings or keys have changed")

// Admission is what a new session does to the others of its user. Sessions with an Actor
// aren't counted, and neither is a new one.
type Admission struct {
	EndOthers bool // end all others of the user, atomically with the insert
	Max       int  // live sessions the user may have, the new one included; 0: no limit
	Deny      bool // over Max: fault.Conflict, instead of ending the oldest (reason OverLimit)

	// Policy is that of the user's sessions now. What has run out under it, though nobody
	// has tried to refresh it since it became stricter, doesn't count: else a user could be
	// kept out by sessions that are good for nothing. With the zero one all count that
	// haven't run out as they were made.
	Policy policy.Policy
}

// Counts reports whether a session that is active is one of those that Max is about.
func (a Admission) Counts(r Row, now time.Time) bool {
	return r.Actor == "" && (a.Policy.AbsoluteTimeout == 0 || now.Before(r.RunsOut(a.Policy)))
}

// Ending says why sessions end and who wanted it.
type Ending struct {
	Reason Reason
	Origin audit.Origin
}

// Store keeps single sessions. The store's clock is the only one: one reading per
// transaction, Instant of it, for everything decided in it. A verb that returns nil has
// made its change durable.
type Store interface {
	// Insert adds a session whose user must exist, be enabled and belong to the
	// project, which must be enabled, too; otherwise fault.NotFound or fault.Conflict
	// ("disabled") and nothing is added. A row.Tenant must be enabled and have the user as
	// member, else NoTenant. UserEpoch, ProjectEpoch and TenantEpoch of the row are set by the store from the
	// rows it reads in the transaction; with EndOthers the user's epoch grows first.
	// A project version other than version is ErrVersion.
	Insert(ctx context.Context, row Row, version int64, a Admission, events ...audit.Event) (Row, error)

	// Find returns the session and its subject, without Standing; fault.NotFound when
	// the project has no such session. It sees every change that a verb has acknowledged.
	Find(ctx context.Context, p id.Project, s id.Session) (Row, Subject, error)

	// Rotate runs Apply on the session in one transaction and writes what it
	// returns, row and events. An unknown session is fault.NotFound. Several calls
	// for one session are decided one after the other. The verdict may be a
	// refusal: that is no error of Rotate. An error of Apply is, and nothing is written
	// then. Of a verdict that has Moved, verifiers are told what Row.Moved says, and
	// the session token of this refresh isn't concerned by that.
	Rotate(ctx context.Context, f Refresh) (Row, Verdict, error)

	// Confirm runs Arrived on the session, in one transaction with its trace entry
	// (rule Confirm). It reports whether N is confirmed afterwards; a session that
	// isn't live is left alone. Unknown session: fault.NotFound.
	Confirm(ctx context.Context, p id.Project, s id.Session, token id.Refresh, window time.Duration) (bool, error)

	// SetClaims makes of an active session what Row.Given says, which adds one to
	// ClaimsEpoch, if that is still the given one; otherwise fault.Conflict and
	// nothing happens. Unknown session: fault.NotFound; one that isn't active:
	// fault.SessionRevoked or fault.SessionExpired.
	SetClaims(ctx context.Context, p id.Project, s id.Session, epoch int64, claims, nsec json.RawMessage, events ...audit.Event) (Row, error)

	// StepUp replaces StepUpUntil and StepUpAMR of an active session by what
	// Row.SteppedUpBy says, with its event, and tells verifiers that tokens from before
	// are outdated. Refusals as of SetClaims, and its own.
	StepUp(ctx context.Context, p id.Project, s id.Session, by StepUp) (Row, error)

	// End ends one session, with event audit.SessionEnded and a trace entry (rule
	// End). It reports whether the session was active until now; ending an ended or
	// expired one changes nothing. Unknown session: fault.NotFound.
	End(ctx context.Context, p id.Project, s id.Session, e Ending) (bool, error)
}

// Filter selects sessions of a project. Zero members don't restrict.
type Filter struct {
	Project     id.Project
	User        id.User
	Status      Status
	CreatedFrom time.Time // inclusive
	CreatedTo   time.Time // exclusive
	IP          netip.Prefix
	SigningKey  id.Key     // signed the newest refresh token
	Tenant      id.Tenant  // is the current one
	After       id.Session // List: older than this one; EndMatching: greater than this one
	Limit       int        // at least 1
	Reach       int        // List: how many sessions it looks at, at most; 0 for any number
}

// Bounds returns what the time of creation and After say of the identifiers that List
// has to look at: first inclusive, end exclusive.
func (f Filter) Bounds() (first, end id.Session) {
	for i := range end {
		end[i] = 0xff
	}
	if !f.CreatedFrom.IsZero() {
		first = id.FirstSession(f.CreatedFrom)
	}
	if !f.CreatedTo.IsZero() {
		end = id.FirstSession(f.CreatedTo)
	}
	if !f.After.IsZero() && f.After.Compare(end) < 0 {
		end = f.After
	}
	return first, end
}

// BulkStore is for many sessions at once.
type BulkStore interface {
	// List returns at most f.Limit sessions, newest first (descending ID), with the
	// subject of each at the same index, and where to go on, zero when none is left.
	//
	// It looks at the sessions of f.User, or else of f.Tenant, or else of the project,
	// that were created in the span, and stops when it has looked at f.Reach of them: then there may be fewer
	// than f.Limit, even none, although there are more, and next is the last one that
	// it has looked at. Otherwise next is the last one that it returns.
	List(ctx context.Context, f Filter) (rows []Row, subjects []Subject, next id.Session, err error)

	// Count returns how many sessions match f; After and Limit are ignored.
	Count(ctx context.Context, f Filter) (int, error)

	// EndAll ends all sessions of a user, or of the project when user is zero, by
	// growing an epoch: one write, however many sessions. The session keep, if not
	// zero, is spared when it is active. It returns how many active sessions of the
	// user ended (for a whole project 0: they aren't counted) and writes one event
	// audit.SessionsEnded with data reason and count. Unknown user or project:
	// fault.NotFound.
	EndAll(ctx context.Context, p id.Project, user id.User, keep id.Session, e Ending) (int, error)

	// EndTenant ends all sessions in which a tenant is the current one, by growing its
	// epoch: one write, however many sessions. They aren't counted; one event
	// audit.SessionsEnded with data reason and tenant. Unknown tenant: fault.NotFound.
	EndTenant(ctx context.Context, p id.Project, t id.Tenant, e Ending) error

	// EndMatching ends active sessions that match f, in ascending order of ID from
	// f.After, looking at no more than f.Limit rows in one transaction, so that
	// refreshes pass between two calls. It returns how many ended and where to go
	// on, zero when it has seen all. f.Status is ignored. One event
	// audit.SessionsEnded with data reason and count, when any ended.
	EndMatching(ctx context.Context, f Filter, e Ending) (ended int, next id.Session, err error)

	// Terms looks at q.Limit sessions in ascending order of ID from q.After, and returns
	// the terms of those that are active, and where to go on, zero when it has seen all.
	Terms(ctx context.Context, q TermQuery) ([]Term, id.Session, error)

	// Largest returns at most limit active sessions of a project, those whose custom
	// claims take the most bytes first, and of equal ones the newest.
	Largest(ctx context.Context, p id.Project, limit int) ([]Row, []Subject, error)

	// Sweep removes at most limit sessions of all projects that were over before
	// cutoff (State.OverAt), and returns how many. Fewer than limit: none is left.
	Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error)
}
