// Package session owns the session: one refresh-token family, everything that follows
// from one sign-in on one device. It decides what a presented refresh token means
// (Decide), ends sessions, lists them and keeps their trace. It doesn't know how tokens
// look (package token) nor how rows are stored (packages below store).
//
// The state is O(1) however often a session is refreshed: the id of the last confirmed
// refresh token, P, and of its newest child, N. Lineage travels inside the tokens.
//
//	Insert ──▶ live ──Rotate──▶ live (P, N move on, or stay: replay)
//	            │ └──── End, theft, epoch bump, user gone ──▶ ended
//	            └────── absolute or idle time is over ──────▶ expired
//	ended, expired ──Sweep──▶ (gone)
package session

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// Reason is why a session ended.
type Reason string

// The reasons.
const (
	Logout       Reason = "logout"
	Ended        Reason = "revoked" // by the management API or the command line
	Reused       Reason = "token_reuse"
	UserDisabled Reason = "user_disabled"
	UserDeleted  Reason = "user_deleted"
	OverLimit    Reason = "session_limit"
	Superseded   Reason = "superseded" // its user, tenant or project ended all sessions at once
	KeyRevoked   Reason = "key_revoked"

	TenantDisabled  Reason = "tenant_disabled"
	TenantDeleted   Reason = "tenant_deleted"
	ProjectDisabled Reason = "project_disabled"
)

// Context is where a request came from, coarse enough to be stable for one holder.
// Zero members are unknown and never count as different.
type Context struct {
	Network netip.Prefix // a /24 or a /48
	Agent   string       // browser and system family
}

// foreign reports whether two contexts can't be of one holder at one place.
func (c Context) foreign(to Context) bool {
	return c.Network.IsValid() && to.Network.IsValid() && c.Network != to.Network ||
		c.Agent != "" && to.Agent != "" && c.Agent != to.Agent
}

// State is what decides. It is comparable, and all its times are UTC in whole
// milliseconds without a monotonic reading, so that equal states are == after any
// store. Zero times mean "never".
type State struct {
	Parent    id.Refresh // P: the last confirmed token; zero before the first rotation
	Newest    id.Refresh // N: the newest child of P
	RotatedAt time.Time  // when N was made; the reuse window is anchored here
	// ReplayedAt is when N was last handed out again; zero: never. N isn't replaced
	// before that answer has reached its holder or was given up.
	ReplayedAt time.Time
	Confirmed  bool // N is known to have reached its holder

	CreatedAt  time.Time
	AbsoluteAt time.Time // ends then, whatever happens
	IdleAt     time.Time // ends then unless refreshed; zero: no idle timeout
	EndedAt    time.Time // zero: not ended
	EndReason  Reason

	// The epochs of user and project when the session was made. A greater one there
	// means that all older sessions were ended at once.
	UserEpoch    int64
	ProjectEpoch int64

	// Tenant is the current one, zero: none. TenantEpoch is its epoch when it became
	// that, and means the same as the two above.
	Tenant      id.Tenant
	TenantEpoch int64

	// IdleLimit is an idle timeout of this session alone; 0: none. The shorter of it and
	// the policy's counts.
	IdleLimit time.Duration

	LimitFrom  time.Time // start of the current policy.LimitWindow
	LimitCount int       // rotations in it, and refreshes outside the reuse window without rotation

	Recoveries     int
	ForeignReplays int
	Context        Context // of the request that made N
}

// LastSeen is when a refresh token was last handed out. A session whose tokens aren't
// rotated is alive too.
func (s State) LastSeen() time.Time {
	if s.ReplayedAt.After(s.RotatedAt) {
		return s.ReplayedAt
	}
	return s.RotatedAt
}

// ExpiresAt is when the session runs out if it isn't refreshed.
func (s State) ExpiresAt() time.Time {
	if !s.IdleAt.IsZero() && s.IdleAt.Before(s.AbsoluteAt) {
		return s.IdleAt
	}
	return s.AbsoluteAt
}

// RunsOut is when the session runs out under a policy if it isn't refreshed: a policy that
// has become stricter bites sessions that live already.
func (s State) RunsOut(p policy.Policy) time.Time {
	out := s.ExpiresAt()
	if t := s.CreatedAt.Add(p.AbsoluteTimeout); t.Before(out) {
		out = t
	}
	if idle := s.idle(p); idle > 0 {
		if t := s.LastSeen().Add(idle); t.Before(out) {
			out = t
		}
	}
	return out
}

// idle is the idle timeout of the session under a policy; 0: none.
func (s State) idle(p policy.Policy) time.Duration {
	if p.IdleTimeout == 0 || s.IdleLimit > 0 && s.IdleLimit < p.IdleTimeout {
		return s.IdleLimit
	}
	return p.IdleTimeout
}

// OverAt is when the session ended or will run out: the key of Sweep.
func (s State) OverAt() time.Time {
	if !s.EndedAt.IsZero() && s.EndedAt.Before(s.ExpiresAt()) {
		return s.EndedAt
	}
	return s.ExpiresAt()
}

// Subject is what the rows of the session's user and project say. A store reads it in
// the transaction of the decision, so that no refresh overtakes a revocation.
type Subject struct {
	UserKnown       bool // false: the user was deleted
	UserEnabled     bool
	UserEpoch       int64
	ProjectEpoch    int64
	ProjectDisabled bool

	// Of State.Tenant; all zero when there is none.
	TenantGone     bool
	TenantDisabled bool
	TenantEpoch    int64

	// Granted says that roles or memberships stand in the user's row.
	Granted bool

	Standing
}

// Standing is what a refresh has to know of its user's tenants. A store looks it up in
// Rotate alone: it says nothing about whether the session lives.
type Standing struct {
	Member bool // the user is a member of State.Tenant

	// Sole is the only enabled tenant that the user is a member of. It is looked up for
	// Refresh.AutoTenant, when the session has no tenant or the user left it.
	Sole      id.Tenant
	SoleEpoch int64

	// Tenants are all that the user is a member of. They are looked up when there are
	// Refresh.Overrides.
	Tenants []id.Tenant

	// Open says that the user is a member of Move.Tenant and that it is enabled.
	Open      bool
	OpenEpoch int64
}

// dead returns why all sessions of the subject that are as old as s are over, or "".
func (u Subject) dead(s State) Reason {
	switch {
	case !u.UserKnown:
		return UserDeleted
	case !u.UserEnabled:
		return UserDisabled
	case u.ProjectDisabled:
		return ProjectDisabled
	case u.UserEpoch > s.UserEpoch, u.ProjectEpoch > s.ProjectEpoch:
		return Superseded
	case s.Tenant.IsZero():
		return ""
	case u.TenantGone:
		return TenantDeleted
	case u.TenantDisabled:
		return TenantDisabled
	case u.TenantEpoch > s.TenantEpoch:
		return Superseded
	}
	return ""
}

// Row is a session as it is stored. Its ID was made at CreatedAt.
type Row struct {
	ID      id.Session
	Project id.Project
	User    id.User
	State
	Profile
	Trace Trace
}

// Profile is what is known of a session and decides nothing about refreshes.
type Profile struct {
	AuthTime    time.Time // of the sign-in; survives rotation
	AMR         []string
	Audience    []string        // added to aud for this session
	Claims      json.RawMessage // secure custom claims: a JSON object, or nil
	NSec        json.RawMessage // claims that an untrusted client asked for: a JSON object, or nil
	ClaimsEpoch int64           // grows when the claims change while the session lives
	// Acted is what the project's sign-in actions have added to Claims and Audience. A
	// change of tenant takes it away before they run again.
	Acted Acted
	// StepUpUntil is how long tokens say that the session is stepped up, with
	// StepUpAMR instead of AMR; zero: it never was.
	StepUpUntil time.Time
	StepUpAt    time.Time // when it was; a stepUpTTL that has become shorter counts from there
	StepUpAMR   []string
	Actor       string // who acts as the user (impersonation); "": the user
	SigningKey  id.Key // signed N, so that a replay signs it again with the same key
	Device      Device
}

// StepUpEnds is when tokens stop saying that the session is stepped up, by a stepUpTTL.
func (p Profile) StepUpEnds(ttl time.Duration) time.Time {
	if end := p.StepUpAt.Add(ttl); end.Before(p.StepUpUntil) {
		return end
	}
	return p.StepUpUntil
}

// SteppedUp reports whether tokens that are minted at now say that the session is stepped
// up. Whole seconds, as their exp has them: so none is minted that has ended.
func (p Profile) SteppedUp(now time.Time, ttl time.Duration) bool {
	return now.Before(p.StepUpEnds(ttl).Truncate(time.Second))
}

// Device is where the session lives, for people to recognise it.
type Device struct {
	Name      string // at most 100 bytes
	IP        string // at most 45 bytes
	UserAgent string // at most 256 bytes
}

// Status is how a session looks from outside at a time.
type Status string

// The statuses.
const (
	Active  Status = "active"
	Over    Status = "ended"
	Expired Status = "expired"
)

// Status returns the status at now and, for an ended session, why.
func (r Row) Status(u Subject, now time.Time) (Status, Reason) {
	if !r.EndedAt.IsZero() {
		return Over, r.EndReason
	}
	if why := u.dead(r.State); why != "" {
		return Over, why
	}
	if !now.Before(r.ExpiresAt()) {
		return Expired, ""
	}
	return Active, ""
}

// Instant returns t as State keeps times: UTC, whole milliseconds, no monotonic
// reading.
func Instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}
