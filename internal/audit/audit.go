// Package audit owns the vocabulary of events and their shape. An event is written in
// the transaction of the change that it reports, by the store verb that makes the
// change, so there is no change without its event and no event without its change.
// The package doesn't decide what happens; it says how it is called.
package audit

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Type names what happened.
type Type string

// The vocabulary. Ordinary refreshes are not events: each session's trace has them.
const (
	ProjectCreated       Type = "project.created"
	ProjectRenamed       Type = "project.renamed"
	ProjectDisabled      Type = "project.disabled"
	ProjectEnabled       Type = "project.enabled"
	ProjectDeleted       Type = "project.deleted"
	ProjectImported      Type = "project.imported" // data says how many of what
	SettingsChanged      Type = "settings.changed"
	UserCreated          Type = "user.created"
	UserUpdated          Type = "user.updated"
	UserDisabled         Type = "user.disabled"
	UserEnabled          Type = "user.enabled"
	UserDeleted          Type = "user.deleted"
	UserGranted          Type = "user.grants_changed" // roles or memberships
	TenantCreated        Type = "tenant.created"
	TenantUpdated        Type = "tenant.updated"
	TenantSettings       Type = "tenant.settings_changed"
	TenantDisabled       Type = "tenant.disabled"
	TenantEnabled        Type = "tenant.enabled"
	TenantDeleted        Type = "tenant.deleted"
	PermissionCreated    Type = "permission.created"
	PermissionUpdated    Type = "permission.updated"
	PermissionDeleted    Type = "permission.deleted"
	RoleCreated          Type = "role.created"
	RoleUpdated          Type = "role.updated"
	RoleDeleted          Type = "role.deleted"
	SessionCreated       Type = "session.created"
	SessionEnded         Type = "session.ended"
	SessionClaims        Type = "session.claims_changed"
	SessionImpersonated  Type = "session.impersonated" // somebody else acts as the user
	SessionSteppedUp     Type = "session.stepped_up"
	TenantChanged        Type = "session.tenant_changed" // the current tenant
	ClaimsFlagged        Type = "claims.flagged"         // they look like personal data or secrets
	SessionsEnded        Type = "sessions.ended"         // many at once: of a user, or by filter
	RefreshRecovered     Type = "session.refresh_recovered"
	TokenReuse           Type = "session.token_reuse"
	ReplayForeign        Type = "session.replay_foreign"
	KeyCreated           Type = "key.created"
	KeyActivated         Type = "key.activated"
	KeyRetired           Type = "key.retired"
	KeyRemoved           Type = "key.removed"
	KeyRevoked           Type = "key.revoked"
	ManagementKeyCreated Type = "management_key.created"
	ManagementKeyRotated Type = "management_key.rotated"
	ManagementKeyDeleted Type = "management_key.deleted"
	AccessKeyCreated     Type = "access_key.created"
	AccessKeyChanged     Type = "access_key.changed"
	AccessKeyDisabled    Type = "access_key.disabled"
	AccessKeyEnabled     Type = "access_key.enabled"
	AccessKeyRotated     Type = "access_key.rotated"
	AccessKeyDeleted     Type = "access_key.deleted"
	TemplateSaved        Type = "template.saved" // templates and sign-in actions, told apart by kind
	TemplateRolledOut    Type = "template.rolled_out"
	TemplateRolledBack   Type = "template.rolled_back"
	TemplateDeleted      Type = "template.deleted"
	SignInDenied         Type = "sign_in.denied"          // sign-in actions let a user not in, or not into a tenant
	GrantsLeftOut        Type = "session.grants_left_out" // a token would have been too long with them
	TemplateFailed       Type = "template.failed"         // a part of it; what it would have made is left out
	WebhookCreated       Type = "webhook.created"
	WebhookUpdated       Type = "webhook.updated"
	WebhookRotated       Type = "webhook.secret_rotated"
	WebhookDisabled      Type = "webhook.disabled" // by the server, since nothing could be delivered
	WebhookDeleted       Type = "webhook.deleted"
	MasterKeyResealed    Type = "master_key.resealed" // what a project has is sealed by the first master key now
)

// Types returns the whole vocabulary, in the order above.
func Types() []Type {
	return []Type{ProjectCreated, ProjectRenamed, ProjectDisabled, ProjectEnabled, ProjectDeleted, ProjectImported, SettingsChanged, UserCreated, UserUpdated, UserDisabled, UserEnabled, UserDeleted,
		UserGranted, TenantCreated, TenantUpdated, TenantSettings, TenantDisabled, TenantEnabled, TenantDeleted,
		PermissionCreated, PermissionUpdated, PermissionDeleted, RoleCreated, RoleUpdated, RoleDeleted,
		SessionCreated, SessionEnded, SessionClaims, SessionImpersonated, SessionSteppedUp, TenantChanged,
		ClaimsFlagged, SessionsEnded, RefreshRecovered, TokenReuse, ReplayForeign,
		KeyCreated, KeyActivated, KeyRetired, KeyRemoved, KeyRevoked,
		ManagementKeyCreated, ManagementKeyRotated, ManagementKeyDeleted,
		AccessKeyCreated, AccessKeyChanged, AccessKeyDisabled, AccessKeyEnabled, AccessKeyRotated, AccessKeyDeleted,
		TemplateSaved, TemplateRolledOut, TemplateRolledBack, TemplateDeleted, SignInDenied, GrantsLeftOut, TemplateFailed,
		WebhookCreated, WebhookUpdated, WebhookRotated, WebhookDisabled, WebhookDeleted, MasterKeyResealed}
}

// Actor says who caused a change: "system", "cli", "user:usr_…" or "key:mk_…".
type Actor string

// The actors without an identifier.
const (
	System Actor = "system"
	CLI    Actor = "cli"
)

// UserActor is a user who acts with a token of their own.
func UserActor(u id.User) Actor { return Actor("user:" + u.String()) }

// KeyActor is an application that acts with a management key.
func KeyActor(k id.ManagementKey) Actor { return Actor("key:" + k.String()) }

// Origin is who asked for a change and from where; it goes into every event of it.
type Origin struct {
	Actor     Actor
	IP        string // as text; "" when there is none
	RequestID string
}

// Event is one entry of the audit log. Data holds plain values only and never a
// secret.
type Event struct {
	ID      id.Event // made at At: the order of identifiers is that of times
	Project id.Project
	At      time.Time
	Type    Type
	Origin
	Session id.Session     // zero when none is concerned
	User    id.User        // zero when none is concerned
	Data    map[string]any // values that encoding/json keeps: strings, float64, bool, nil, lists and maps of these
}

// New returns an event made at now, with an identifier of its own.
func New(project id.Project, now time.Time, t Type, o Origin) Event {
	return Event{ID: id.NewEvent(now), Project: project, At: now, Type: t, Origin: o}
}

// Of says which session and user the event concerns.
func (e Event) Of(s id.Session, u id.User) Event {
	e.Session, e.User = s, u
	return e
}

// With adds a value to Data.
func (e Event) With(name string, value any) Event {
	data := make(map[string]any, len(e.Data)+1)
	for k, v := range e.Data {
		data[k] = v
	}
	data[name] = value
	e.Data = data
	return e
}

// Public returns the event as the API shows it and as webhooks send it.
func (e Event) Public() latchkey.Event {
	return latchkey.Event{
		ID: e.ID.String(), At: e.At.UTC(), Type: string(e.Type), Actor: string(e.Actor), Session: e.Session.String(), User: e.User.String(),
		IP: e.IP, RequestID: e.RequestID, Data: e.Data,
	}
}

// Entry is an event with its place in the log: the order of commit, over all projects of
// a store, from 1, with gaps. No place is given twice.
type Entry struct {
	Seq int64
	Event
}

// Look is how many events a store looks at for one page, so that no query takes long,
// however few events it selects.
const Look = 5_000

// Store reads the log and forgets old entries. Writing is part of other stores' verbs.
type Store interface {
	// List returns at most q.Limit events, newest first (descending ID). It looks at as
	// many as it takes: for logs that are known to be small.
	List(ctx context.Context, q Query) ([]Event, error)

	// Walk returns a page of List: it looks at no more than Look events. next is
	// where the next page begins, for Query.Before, and zero when there is none; a page
	// with a next one may have few events or none.
	Walk(ctx context.Context, q Query) (page []Event, next id.Event, err error)

	// After returns at most limit entries of a project, of all projects for none, with
	// a greater Seq, ascending, and how far it has come: no entry up to there is
	// missing, and none with a smaller Seq appears later. It looks at no more than
	// Look entries, so there may be more even when it returns none: it has seen all when
	// reached is seq, or what Last returned before the call.
	After(ctx context.Context, p id.Project, seq int64, limit int) (list []Entry, reached int64, err error)

	// At returns the entry with this Seq; fault.NotFound when there is none, or it was
	// swept.
	At(ctx context.Context, seq int64) (Entry, error)

	// Last returns the greatest Seq that was ever given, 0 for none.
	Last(ctx context.Context) (int64, error)

	// Append writes events that no change brings with it.
	Append(ctx context.Context, events ...Event) error

	// Sweep removes at most limit events of all projects that happened before
	// cutoff, and returns how many it removed. Fewer than limit means none is left.
	Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error)
}
