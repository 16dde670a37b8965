package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Sender sends messages. It reaches no address that Networks.Check refuses.
type Sender interface {
	// Send makes one attempt and returns what came of it. It ends when ctx does.
	Send(ctx context.Context, m Message) Outcome
}

// Message is what is sent to an address. Signature grants nothing, but URL may hold what
// does.
type Message struct {
	URL       string
	ID        string
	At        time.Time
	Signature string
	Body      []byte
}

// Outcome is what came of an attempt.
type Outcome struct {
	Status     int           // of the answer; 0 when there was none
	Error      string        // why there was none; it holds neither the address nor a secret
	RetryAfter time.Duration // as the answer asked for
	Took       time.Duration
}

// Delivered reports whether the message has arrived.
func (o Outcome) Delivered() bool { return o.Error == "" && o.Status >= 200 && o.Status <= 299 }

// Deps is what a Service stands on.
type Deps struct {
	Store    Store
	Master   *secret.Ring
	Networks Networks
	Sender   Sender // nil where nothing is sent, as in the command line
	Now      func() time.Time
}

// Service is what applications do with their webhooks. It is safe for concurrent use.
type Service struct {
	d     Deps
	tests chan struct{} // one element for each test that is under way
}

// testsAtOnce bounds the tests, each of which holds a request open for as long as the
// receiver takes.
const testsAtOnce = 8

// New returns a Service. All members of d but Networks and Sender are needed.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Master == nil || d.Now == nil {
		return nil, errors.New("webhook: a dependency is missing")
	}
	return &Service{d: d, tests: make(chan struct{}, testsAtOnce)}, nil
}

// Change is what is to be set of a webhook; nil members stay as they are.
type Change struct {
	URL         *string
	Types       *[]string
	Description *string
	Enabled     *bool

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// apply returns the webhook with the changes. Everything that is wrong is told.
func (c Change) apply(h Hook, networks Networks) (Hook, error) {
	bad := slices.Clone(c.Unreadable)
	if c.URL != nil {
		bad = append(bad, networks.checkURL(*c.URL)...)
		h.URL = *c.URL
	}
	if c.Description != nil {
		if n := utf8.RuneCountInString(*c.Description); n > maxDescription || !utf8.ValidString(*c.Description) || strings.ContainsFunc(*c.Description, unicode.IsControl) {
			bad = append(bad, fault.Field{Pointer: "/description", Code: "format", Detail: fmt.Sprintf("At most %d characters on one line are wanted.", maxDescription)})
		}
		h.Description = *c.Description
	}
	if c.Types != nil {
		bad = append(bad, checkTypes(*c.Types)...)
		h.Types = slices.Clone(*c.Types)
	}
	if c.Enabled != nil {
		h.Enabled = *c.Enabled
	}
	if len(bad) > 0 {
		return Hook{}, fault.New(fault.Invalid, "The webhook can't be like this.").WithFields(bad...)
	}
	return h, nil
}

func checkTypes(types []string) []fault.Field {
	if len(types) > maxTypes {
		return []fault.Field{{Pointer: "/types", Code: "size", Detail: fmt.Sprintf("At most %d types are allowed.", maxTypes)}}
	}
	var bad []fault.Field
	for i, t := range types {
		if _, err := audit.Match(t); err != nil {
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/types/%d", i), Code: "range",
				Detail: "A type of event is wanted, such as user.created, or a kind of them, such as user.*."})
		}
	}
	return bad
}

// Create adds a webhook and returns it with its secret, which isn't shown again. It gets
// what happens from now on.
func (s *Service) Create(ctx context.Context, p id.Project, c Change, o audit.Origin) (Hook, secret.Text, error) {
	if c.URL == nil {
		c.Unreadable = append(slices.Clip(c.Unreadable), fault.Field{Pointer: "/url", Code: "required", Detail: "The member is required."})
	}
	now := s.d.Now()
	h, err := c.apply(Hook{ID: id.NewWebhook(now), Project: p, Enabled: true, CreatedAt: now, UpdatedAt: now}, s.d.Networks)
	if err != nil {
		return Hook{}, secret.Text{}, err
	}
	key := newSecret()
	defer clear(key)
	h.Sealed = s.d.Master.Seal(key, SecretContext(p, h.ID))
	h, err = s.d.Store.Insert(ctx, h, MaxPerProject, audit.New(p, now, audit.WebhookCreated, o).With("webhook", h.ID.String()))
	return h, shown(key), err
}

// Find returns a webhook.
func (s *Service) Find(ctx context.Context, p id.Project, w id.Webhook) (Hook, error) {
	return s.d.Store.Find(ctx, p, w)
}

// List returns webhooks, ascending.
func (s *Service) List(ctx context.Context, p id.Project, after id.Webhook, limit int) ([]Hook, error) {
	return s.d.Store.List(ctx, p, after, limit)
}

// Change changes a webhook. One that is enabled again gets what happens from then on, not
// what happened meanwhile.
func (s *Service) Change(ctx context.Context, p id.Project, w id.Webhook, c Change, o audit.Origin) (Hook, error) {
	if len(c.Unreadable) > 0 {
		h, err := s.d.Store.Find(ctx, p, w)
		if err == nil {
			_, err = c.apply(h, s.d.Networks)
		}
		return Hook{}, err
	}
	return s.d.Store.Change(ctx, p, w, func(h Hook) (Hook, []audit.Event, error) {
		changed, err := c.apply(h, s.d.Networks)
		if err != nil {
			return Hook{}, nil, err
		}
		names := differences(h, changed)
		if len(names) == 0 {
			return h, nil, nil
		}
		// The address isn't told, since events are for more eyes than webhooks.
		e := audit.New(p, s.d.Now(), audit.WebhookUpdated, o).With("webhook", w.String()).With("changed", names)
		return changed, []audit.Event{e}, nil
	})
}

// differences returns the names of what differs.
func differences(a, b Hook) []any {
	var names []any
	for _, d := range []struct {
		name   string
		differ bool
	}{
		{"url", a.URL != b.URL}, {"description", a.Description != b.Description},
		{"types", !slices.Equal(a.Types, b.Types)}, {"enabled", a.Enabled != b.Enabled},
	} {
		if d.differ {
			names = append(names, d.name)
		}
	}
	return names
}

// Rotate gives a webhook a new secret and returns it. The old one signs as well for
// OldSecretTime, so that the receiver has time to take the new one.
func (s *Service) Rotate(ctx context.Context, p id.Project, w id.Webhook, o audit.Origin) (Hook, secret.Text, error) {
	key := newSecret()
	defer clear(key)
	text := shown(key)
	h, err := s.d.Store.Change(ctx, p, w, func(h Hook) (Hook, []audit.Event, error) {
		now := s.d.Now()
		h.Previous, h.PreviousUntil = h.Sealed, now.Add(OldSecretTime)
		h.Sealed = s.d.Master.Seal(key, SecretContext(p, w))
		e := audit.New(p, now, audit.WebhookRotated, o).With("webhook", w.String())
		return h, []audit.Event{e}, nil
	})
	return h, text, err
}

// Delete removes a webhook and what it had still to deliver.
func (s *Service) Delete(ctx context.Context, p id.Project, w id.Webhook, o audit.Origin) error {
	return s.d.Store.Delete(ctx, p, w, audit.New(p, s.d.Now(), audit.WebhookDeleted, o).With("webhook", w.String()))
}

// Deliveries returns deliveries that didn't succeed yet; fault.NotFound for an unknown
// webhook.
func (s *Service) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	if _, err := s.d.Store.Find(ctx, q.Project, q.Hook); err != nil {
		return nil, err
	}
	return s.d.Store.Deliveries(ctx, q)
}

// Retry makes a delivery due now, be it dead or pending.
func (s *Service) Retry(ctx context.Context, p id.Project, w id.Webhook, e id.Event) (Delivery, error) {
	return s.d.Store.Retry(ctx, p, w, e)
}

// TestType is the type of the message of a test, which is no event of the log.
const TestType = "webhook.test"

// Test sends a message of the type TestType now, once, whether the webhook is enabled or
// not, and returns what came of it.
func (s *Service) Test(ctx context.Context, p id.Project, w id.Webhook) (Outcome, error) {
	h, err := s.d.Store.Find(ctx, p, w)
	if err != nil {
		return Outcome{}, err
	}
	select {
	case s.tests <- struct{}{}:
		defer func() { <-s.tests }()
	default:
		return Outcome{}, fault.New(fault.Unavailable, "Many webhooks are being tested now.").After(time.Second)
	}
	now := s.d.Now()
	body, err := json.Marshal(message{TestType, now.UTC(), map[string]any{"webhook": w.String()}})
	if err != nil {
		return Outcome{}, err
	}
	m, err := signed(s.d.Master, h, id.NewEvent(now).String(), now, body)
	if err != nil {
		return Outcome{}, err
	}
	return s.d.Sender.Send(ctx, m), nil
}

// signed makes a message to a webhook.
func signed(master *secret.Ring, h Hook, messageID string, now time.Time, body []byte) (Message, error) {
	var keys [][]byte
	defer func() {
		for _, k := range keys {
			clear(k)
		}
	}()
	sealed := [][]byte{h.Sealed}
	if now.Before(h.PreviousUntil) {
		sealed = append(sealed, h.Previous)
	}
	for _, s := range sealed {
		key, err := master.Open(s, SecretContext(h.Project, h.ID))
		if err != nil {
			return Message{}, fmt.Errorf("webhook %s: its secret: %w", h.ID, err)
		}
		keys = append(keys, key)
	}
	return Message{URL: h.URL, ID: messageID, At: now, Signature: sign(keys, messageID, now, body), Body: body}, nil
}

// Reseal seals the secrets of a project's webhooks under the first master key, and
// returns how many webhooks there are and how many were to be resealed.
func (s *Service) Reseal(ctx context.Context, p id.Project, o audit.Origin) (hooks, resealed int, err error) {
	for after := (id.Webhook{}); ; {
		page, err := s.d.Store.List(ctx, p, after, MaxPerProject)
		if err != nil {
			return hooks, resealed, err
		}
		for _, h := range page {
			after = h.ID
			hooks++
			if s.current(h.Sealed) && s.current(h.Previous) {
				continue
			}
			_, err := s.d.Store.Change(ctx, p, h.ID, func(h Hook) (Hook, []audit.Event, error) { return s.reseal(h, o) })
			if err != nil {
				return hooks, resealed, err
			}
			resealed++
		}
		if len(page) < MaxPerProject {
			return hooks, resealed, nil
		}
	}
}

func (s *Service) current(sealed []byte) bool { return len(sealed) == 0 || s.d.Master.Current(sealed) }

func (s *Service) reseal(h Hook, o audit.Origin) (Hook, []audit.Event, error) {
	for _, sealed := range []*[]byte{&h.Sealed, &h.Previous} {
		if s.current(*sealed) {
			continue
		}
		again, err := s.d.Master.Reseal(bytes.Clone(*sealed), SecretContext(h.Project, h.ID))
		if err != nil {
			return Hook{}, nil, fmt.Errorf("webhook %s: %w", h.ID, err)
		}
		*sealed = again
	}
	return h, []audit.Event{audit.New(h.Project, s.d.Now(), audit.MasterKeyResealed, o).With("webhook", h.ID.String())}, nil
}
