package webhook

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Whole returns what a webhook becomes that a file describes, and everything that is wrong
// with that. old is the stored one, the zero one for a new webhook. Enabled isn't taken
// from the file: a new webhook is disabled, and so is one that gets another address, until
// somebody says that what happens here is for that address. Networks that only a server
// knows are no reason to refuse: whether an address may be reached is asked again when it
// is.
func (c Change) Whole(old Hook) (Hook, []fault.Field) {
	c.Enabled = nil
	if c.URL == nil && old.URL == "" {
		c.URL = new("")
	}
	next, err := c.apply(old, Networks{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)})
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return old, refusal.Fields
	}
	if next.URL != old.URL {
		next.Enabled = false
	}
	return next, nil
}

// Differs reports whether a change from old to h is one.
func (h Hook) Differs(old Hook) bool { return len(differences(old, h)) > 0 }

// Adopt adds a webhook that a file describes, or makes a stored one like that: see
// Change.Whole. The secret of one that is added is returned and isn't shown again; that
// of a stored one stays, and the returned one is zero.
func (s *Service) Adopt(ctx context.Context, p id.Project, w id.Webhook, c Change, made time.Time, o audit.Origin) (secret.Text, error) {
	now := s.d.Now()
	_, err := s.d.Store.Find(ctx, p, w)
	if fault.KindOf(err) == fault.NotFound {
		return s.add(ctx, Hook{ID: w, Project: p, CreatedAt: made, UpdatedAt: now}, c, now, o)
	}
	if err != nil {
		return secret.Text{}, err
	}
	_, err = s.d.Store.Change(ctx, p, w, func(old Hook) (Hook, []audit.Event, error) {
		next, bad := c.Whole(old)
		names := differences(old, next)
		if len(bad) > 0 || len(names) == 0 {
			return old, nil, refusedWhole(bad)
		}
		e := audit.New(p, now, audit.WebhookUpdated, o).With("webhook", w.String()).With("changed", names)
		return next, []audit.Event{e}, nil
	})
	return secret.Text{}, err
}

func refusedWhole(bad []fault.Field) error {
	if len(bad) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "The webhook can't be like this.").WithFields(bad...)
}

func (s *Service) add(ctx context.Context, h Hook, c Change, now time.Time, o audit.Origin) (secret.Text, error) {
	next, bad := c.Whole(h)
	if err := refusedWhole(bad); err != nil {
		return secret.Text{}, err
	}
	key := newSecret()
	defer clear(key)
	next.Sealed = s.d.Master.Seal(key, SecretContext(h.Project, h.ID))
	text := shown(key)
	_, err := s.d.Store.Insert(ctx, next, MaxPerProject, audit.New(h.Project, now, audit.WebhookCreated, o).With("webhook", h.ID.String()))
	if err != nil {
		return secret.Text{}, err
	}
	return text, nil
}
