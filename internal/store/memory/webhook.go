package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

type webhooks struct{ *Store }

// hooked is a webhook with what couldn't be delivered to it, by the Seq of the event.
type hooked struct {
	webhook.Hook
	deliveries map[int64]webhook.Delivery
}

// lease is who delivers, and until when.
type lease struct {
	holder string
	until  time.Time
}

// shown returns the webhook as it is given away.
func (h *hooked) shown() webhook.Hook {
	out := copyHook(h.Hook)
	out.Pending, out.NextAt = 0, time.Time{}
	for _, d := range h.deliveries {
		if d.State != webhook.Pending {
			continue
		}
		out.Pending++
		if out.NextAt.IsZero() || d.NextAt.Before(out.NextAt) {
			out.NextAt = d.NextAt
		}
	}
	return out
}

func copyHook(h webhook.Hook) webhook.Hook {
	h.Types, h.Sealed, h.Previous = slices.Clone(h.Types), bytes.Clone(h.Sealed), bytes.Clone(h.Previous)
	if len(h.Types) == 0 {
		h.Types = nil
	}
	h.PreviousUntil, h.CreatedAt, h.UpdatedAt = session.Instant(h.PreviousUntil), session.Instant(h.CreatedAt), session.Instant(h.UpdatedAt)
	return h
}

// webhook returns a webhook of a project that is there.
func (tx transaction) webhook(p id.Project, w id.Webhook) (*hooked, error) {
	h, ok := tx.webhooks[w]
	if _, there := tx.projects[p]; !ok || !there || h.Project != p {
		return nil, fault.New(fault.NotFound, "This project has no such webhook.")
	}
	return h, nil
}

func (s webhooks) Insert(ctx context.Context, h webhook.Hook, most int, e audit.Event) (webhook.Hook, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return webhook.Hook{}, err
	}
	defer tx.end()
	if _, err := tx.find(h.Project); err != nil {
		return webhook.Hook{}, err
	}
	count := 0
	for _, other := range tx.webhooks {
		if other.Project == h.Project {
			count++
		}
	}
	if count >= most {
		return webhook.Hook{}, fault.New(fault.Conflict, "The project has as many webhooks as it may have, %d.", most)
	}
	if _, taken := tx.webhooks[h.ID]; taken {
		return webhook.Hook{}, fault.New(fault.Conflict, "There is such a webhook already.")
	}
	tx.log(e)
	kept := &hooked{copyHook(h), map[int64]webhook.Delivery{}}
	kept.Place, kept.DeliveredAt = tx.logged, time.Time{}
	tx.webhooks[h.ID] = kept
	return kept.shown(), nil
}

func (s webhooks) Find(ctx context.Context, p id.Project, w id.Webhook) (webhook.Hook, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return webhook.Hook{}, err
	}
	defer tx.end()
	h, err := tx.webhook(p, w)
	if err != nil {
		return webhook.Hook{}, err
	}
	return h.shown(), nil
}

func (s webhooks) List(ctx context.Context, p id.Project, after id.Webhook, limit int) ([]webhook.Hook, error) {
	return s.list(ctx, after, limit, func(h *hooked) bool { return h.Project == p })
}

func (s webhooks) Active(ctx context.Context, after id.Webhook, limit int) ([]webhook.Hook, error) {
	return s.list(ctx, after, limit, func(h *hooked) bool { return h.Enabled })
}

func (s webhooks) list(ctx context.Context, after id.Webhook, limit int, wanted func(*hooked) bool) ([]webhook.Hook, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	all := maps.Clone(tx.webhooks)
	maps.DeleteFunc(all, func(_ id.Webhook, h *hooked) bool {
		_, there := tx.projects[h.Project]
		return !there || !wanted(h)
	})
	var page []webhook.Hook
	for _, w := range ascending(maps.Keys(all), after, limit) {
		page = append(page, all[w].shown())
	}
	return page, nil
}

func (s webhooks) Change(ctx context.Context, p id.Project, w id.Webhook, change func(webhook.Hook) (webhook.Hook, []audit.Event, error)) (webhook.Hook, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return webhook.Hook{}, err
	}
	defer tx.end()
	h, err := tx.webhook(p, w)
	if err != nil {
		return webhook.Hook{}, err
	}
	next, events, err := change(h.shown())
	if err != nil {
		return webhook.Hook{}, err
	}
	if len(events) == 0 {
		return h.shown(), nil
	}
	tx.log(events...)
	old := h.Hook
	h.Hook = copyHook(next)
	h.ID, h.Project, h.Place, h.CreatedAt, h.DeliveredAt, h.UpdatedAt = old.ID, old.Project, old.Place, old.CreatedAt, old.DeliveredAt, tx.now
	if h.Enabled && !old.Enabled {
		h.Place, h.Why, h.FailingSince = tx.logged, "", time.Time{}
	}
	return h.shown(), nil
}

func (s webhooks) Delete(ctx context.Context, p id.Project, w id.Webhook, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	if _, err := tx.webhook(p, w); err != nil {
		return err
	}
	delete(tx.webhooks, w)
	tx.log(e)
	return nil
}

// undelivered returns the wanted deliveries whose event is there, in the order of commit.
func (tx transaction) undelivered(p id.Project, w id.Webhook, wanted func(webhook.Delivery) bool) []webhook.Delivery {
	h, err := tx.webhook(p, w)
	if err != nil {
		return nil
	}
	var list []webhook.Delivery
	for _, d := range h.deliveries {
		if e, kept := tx.events[d.Entry.ID]; kept && wanted(d) {
			d.Entry = audit.Entry{Seq: e.Seq, Event: copyEvent(e.Event)}
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b webhook.Delivery) int { return cmp.Compare(a.Entry.Seq, b.Entry.Seq) })
	return list
}

func (s webhooks) Deliveries(ctx context.Context, q webhook.DeliveryQuery) ([]webhook.Delivery, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	list := tx.undelivered(q.Project, q.Hook, func(d webhook.Delivery) bool {
		return d.Entry.Seq > q.After && (q.State == "" || d.State == q.State)
	})
	return list[:min(max(q.Limit, 0), len(list))], nil
}

func (s webhooks) Due(ctx context.Context, h webhook.Hook, limit int) ([]webhook.Delivery, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	list := tx.undelivered(h.Project, h.ID, func(d webhook.Delivery) bool {
		return d.State == webhook.Pending && !d.NextAt.After(tx.now)
	})
	slices.SortStableFunc(list, func(a, b webhook.Delivery) int { return a.NextAt.Compare(b.NextAt) })
	return list[:min(max(limit, 0), len(list))], nil
}

func (s webhooks) Retry(ctx context.Context, p id.Project, w id.Webhook, event id.Event) (webhook.Delivery, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return webhook.Delivery{}, err
	}
	defer tx.end()
	h, err := tx.webhook(p, w)
	if err != nil {
		return webhook.Delivery{}, err
	}
	found := tx.undelivered(p, w, func(d webhook.Delivery) bool { return d.Entry.ID == event })
	if len(found) == 0 {
		return webhook.Delivery{}, fault.New(fault.NotFound, "This webhook has no delivery of that event to be tried again.")
	}
	d := found[0]
	d.State, d.Attempts, d.NextAt = webhook.Pending, 0, tx.now
	h.deliveries[d.Entry.Seq] = d
	return d, nil
}

func (s webhooks) Record(ctx context.Context, h webhook.Hook, place int64, results []webhook.Result) (webhook.Hook, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return webhook.Hook{}, err
	}
	defer tx.end()
	kept, err := tx.webhook(h.Project, h.ID)
	if err != nil {
		return webhook.Hook{}, err
	}
	delivered := false
	for _, r := range results {
		if delivered = delivered || r.Delivered; r.Delivered {
			delete(kept.deliveries, r.Entry.Seq)
			continue
		}
		d := webhook.Delivery{Hook: h.ID, Entry: r.Entry, State: r.State, Attempts: r.Attempts, LastAt: tx.now, Status: r.Status, Error: r.Error}
		if r.State == webhook.Pending {
			d.NextAt = session.Instant(tx.now.Add(r.Delay))
		}
		kept.deliveries[r.Entry.Seq] = d
	}
	switch {
	case delivered:
		kept.FailingSince, kept.DeliveredAt = time.Time{}, tx.now
	case len(results) > 0 && kept.FailingSince.IsZero():
		kept.FailingSince = tx.now
	}
	kept.Place = max(kept.Place, place)
	return kept.shown(), nil
}

func (s webhooks) Lease(ctx context.Context, holder string, d time.Duration) (bool, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.end()
	l := &tx.Store.lease
	switch {
	case d <= 0 && l.holder == holder:
		*l = lease{}
		return false, nil
	case d <= 0, l.holder != holder && l.until.After(tx.now) && !l.until.After(tx.now.Add(2*d)):
		return false, nil
	}
	*l = lease{holder, tx.now.Add(d)}
	return true, nil
}

func (s webhooks) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	removed := 0
	for _, h := range tx.webhooks {
		for seq, d := range h.deliveries {
			if removed < limit && d.Entry.At.Before(cutoff) {
				delete(h.deliveries, seq)
				removed++
			}
		}
	}
	return removed, nil
}
