// Package webhook owns webhooks: addresses of applications to which what happens in a
// project is sent. The audit log is the queue: each webhook has a place in it, in the
// order of commit, and goes along it; what couldn't be delivered is noted as a delivery
// of its own and tried again, so that one event that fails keeps no other waiting.
//
//	event in the log ──> sent ──> delivered: nothing is kept
//	                      └────> pending ──> sent again, later and later ──> delivered
//	                                └────> dead, until somebody asks for it again
//
// Messages on their way are few; the places for them go to projects in turn, and receivers
// that are slow have others than those that are quick.
//
// Delivery is at least once: the place moves after the sending, so a crash in between
// repeats. The package decides what is sent, when, and to which addresses never; how it
// is sent, HTTP, is a Sender's.
package webhook

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Why is why a webhook was disabled by the server.
type Why string

// The reasons; none for a webhook that is enabled, or was disabled by who owns it.
const (
	Gone    Why = "gone"    // its address answered 410 Gone
	Failing Why = "failing" // nothing could be delivered for FailingTime
)

// Limits.
const (
	MaxPerProject  = 50
	maxURL         = 2000
	maxTypes       = 50
	maxDescription = 200

	// MaxPending is how many deliveries of one webhook may wait for another try. Then
	// its place in the log stays until there are fewer: the log holds the rest.
	MaxPending = 1000

	// FailingTime is how long nothing may be delivered before a webhook is disabled.
	FailingTime = 5 * 24 * time.Hour

	// OldSecretTime is how long a secret that was replaced signs as well.
	OldSecretTime = 24 * time.Hour
)

// Hook is a webhook. Its address may hold a credential of the receiver's in its query:
// only the management API shows it.
type Hook struct {
	ID          id.Webhook
	Project     id.Project
	URL         string
	Description string
	Types       []string // of events, or groups, as audit.Match takes them; none: all
	Enabled     bool
	Why         Why

	// The secrets that sign, sealed by the master key under SecretContext. Previous also
	// signs until PreviousUntil, when there is one.
	Sealed, Previous []byte
	PreviousUntil    time.Time

	Place        int64     // the log up to this Seq needs no look any more
	FailingSince time.Time // the first failure after which nothing was delivered; zero: none
	DeliveredAt  time.Time // last
	CreatedAt    time.Time
	UpdatedAt    time.Time

	// What the store counts.
	Pending int       // deliveries that wait for another try
	NextAt  time.Time // when the first of them is due; zero when there is none
}

// SecretContext is what the secrets of a webhook are sealed with.
func SecretContext(p id.Project, w id.Webhook) string {
	return "webhook secret\x00" + p.String() + "\x00" + w.String()
}

// State is that of a delivery that didn't succeed yet.
type State string

// The states.
const (
	Pending State = "pending" // it will be tried again
	Dead    State = "dead"    // it won't, unless somebody asks for it
)

// Delivery is an event that couldn't be delivered until now.
type Delivery struct {
	Hook     id.Webhook
	Entry    audit.Entry
	State    State
	Attempts int
	NextAt   time.Time // of a pending one
	LastAt   time.Time // last attempt
	Status   int       // of the last answer; 0 when there was none
	Error    string    // why there was none, or why it didn't count
}

// Result is what became of one attempt to deliver.
type Result struct {
	Entry     audit.Entry
	Delivered bool
	Attempts  int // with this one
	State     State
	Delay     time.Duration // until the next attempt of a pending one
	Status    int
	Error     string
}

// DeliveryQuery selects deliveries of a webhook, in the order of commit of their events.
type DeliveryQuery struct {
	Project id.Project
	Hook    id.Webhook
	State   State // "": all
	After   int64 // Seq of the last of the page before
	Limit   int
}

// Store keeps webhooks. All verbs are fault.NotFound for an unknown project or webhook,
// unless they list.
type Store interface {
	// Insert adds a webhook whose place is behind the last event, which is e. A
	// project that has most already is fault.Conflict, as is an id that is taken.
	Insert(ctx context.Context, h Hook, most int, e audit.Event) (Hook, error)

	Find(ctx context.Context, p id.Project, w id.Webhook) (Hook, error)

	// List returns at most limit webhooks with a greater id, ascending.
	List(ctx context.Context, p id.Project, after id.Webhook, limit int) ([]Hook, error)

	// Change gives a webhook to change, and keeps what that returns, with its events,
	// in one transaction. The id, the project, Place, DeliveredAt and what is counted
	// can't be changed; UpdatedAt is now. One that becomes enabled starts behind the
	// last event, with neither Why nor FailingSince. change may run more than once;
	// its error is returned and nothing kept.
	Change(ctx context.Context, p id.Project, w id.Webhook, change func(Hook) (Hook, []audit.Event, error)) (Hook, error)

	// Delete removes a webhook with its deliveries.
	Delete(ctx context.Context, p id.Project, w id.Webhook, e audit.Event) error

	// Deliveries returns at most q.Limit deliveries whose event is still in the log.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)

	// Retry makes a delivery due now, as if it had never been tried. fault.NotFound when
	// there is none of that event.
	Retry(ctx context.Context, p id.Project, w id.Webhook, event id.Event) (Delivery, error)
}

// Outbox is what a Dispatcher needs of a store.
type Outbox interface {
	// Lease gives the work to holder for d, unless somebody else has it: then it is
	// false. Whoever has it gets it again. With d of 0 it is given back.
	Lease(ctx context.Context, holder string, d time.Duration) (bool, error)

	// Active returns at most limit enabled webhooks of all projects with a greater id,
	// ascending.
	Active(ctx context.Context, after id.Webhook, limit int) ([]Hook, error)

	// Due returns at most limit pending deliveries that are due, those due first
	// before all others.
	Due(ctx context.Context, h Hook, limit int) ([]Delivery, error)

	// Record keeps what became of attempts: it forgets what was delivered, notes what
	// wasn't, moves the place to a greater one, and keeps FailingSince and
	// DeliveredAt. It returns the webhook as it is then; fault.NotFound when there is
	// none any more.
	Record(ctx context.Context, h Hook, place int64, results []Result) (Hook, error)

	// Sweep removes at most limit deliveries of events that happened before cutoff,
	// and returns how many. Fewer than limit: none is left.
	Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error)
}

// message is the body of what is sent. Its members and their order are those of the
// Standard Webhooks specification.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Body returns what is sent of an event: the same bytes at each attempt.
func Body(e audit.Event) ([]byte, error) {
	return json.Marshal(message{string(e.Type), e.At.UTC(), e.Public()})
}
