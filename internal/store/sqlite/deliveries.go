package sqlite

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

const (
	deliverySelect = `SELECT d.next_at, d.attempts, d.last_at, d.status, d.error, e.n, e.project, e.id, e.at, e.type, e.actor, e.ip, e.request_id, e.session, e.user, e.data
FROM webhook_deliveries d `
	deliveryOrder = " ORDER BY d.event LIMIT ?4"

	deliveriesOfWebhook = deliverySelect + `CROSS JOIN events e ON e.n = d.event WHERE d.webhook = ?1 AND d.event > ?2
AND (?3 = '' OR (d.next_at IS NULL) = (?3 = 'dead'))` + deliveryOrder
	dueDeliveries = deliverySelect + `INDEXED BY webhook_deliveries_due CROSS JOIN events e ON e.n = d.event
WHERE d.webhook = ?1 AND d.next_at IS NOT NULL AND d.next_at <= ?2 ORDER BY d.next_at LIMIT ?3`
	deliveryOfEvent = deliverySelect + "CROSS JOIN events e ON e.n = d.event WHERE d.webhook = ?1 AND d.event = ?2"

	eventNumber   = "SELECT n FROM events WHERE project = ? AND id = ?"
	oldDeliveries = "DELETE FROM webhook_deliveries WHERE (webhook, event) IN (SELECT webhook, event FROM webhook_deliveries WHERE at < ? ORDER BY at LIMIT ?)"
)

func readDelivery(q *engine.Stmt, w id.Webhook) webhook.Delivery {
	d := webhook.Delivery{Hook: w, State: webhook.Pending}
	if d.NextAt = readTime(q); d.NextAt.IsZero() {
		d.State = webhook.Dead
	}
	d.Attempts, d.LastAt, d.Status, d.Error = int(q.ReadInt()), readTime(q), int(q.ReadInt()), q.ReadText()
	d.Entry = readEntry(q)
	return d
}

// deliveries reads the deliveries of a webhook that a query selects, if it is there.
func (s webhooks) deliveries(ctx context.Context, p id.Project, w id.Webhook, query func(c *engine.Conn, n int64) *engine.Stmt) ([]webhook.Delivery, error) {
	var list []webhook.Delivery
	err := s.read(ctx, func(c *engine.Conn) error {
		n, _, err := findWebhook(c, p, w)
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		q := query(c, n)
		for q.Next() {
			list = append(list, readDelivery(q, w))
		}
		return q.Close()
	})
	return list, err
}

func (s webhooks) Deliveries(ctx context.Context, f webhook.DeliveryQuery) ([]webhook.Delivery, error) {
	return s.deliveries(ctx, f.Project, f.Hook, func(c *engine.Conn, n int64) *engine.Stmt {
		return c.Query(deliveriesOfWebhook).Int(n).Int(f.After).Text(string(f.State)).Int(most(f.Limit))
	})
}

// Due asks the clock outside of a transaction: whoever is a little early comes again.
func (s webhooks) Due(ctx context.Context, h webhook.Hook, limit int) ([]webhook.Delivery, error) {
	now := s.queue.now().UnixMilli()
	return s.deliveries(ctx, h.Project, h.ID, func(c *engine.Conn, n int64) *engine.Stmt {
		return c.Query(dueDeliveries).Int(n).Int(now).Int(most(limit))
	})
}

func (s webhooks) Retry(ctx context.Context, p id.Project, w id.Webhook, event id.Event) (webhook.Delivery, error) {
	var found webhook.Delivery
	err := s.write(ctx, func(tx *transaction) error {
		n, _, err := findWebhook(tx.Conn, p, w)
		if err != nil {
			return err
		}
		q := tx.Query(eventNumber).Blob(p[:]).Blob(event[:])
		seq := int64(0)
		if q.Next() {
			seq = q.ReadInt()
		}
		if err := q.Close(); err != nil {
			return err
		}
		err = tx.Query("UPDATE webhook_deliveries SET next_at = ?, attempts = 0 WHERE webhook = ? AND event = ?").Int(tx.now.UnixMilli()).Int(n).Int(seq).Exec()
		if err != nil {
			return err
		}
		q = tx.Query(deliveryOfEvent).Int(n).Int(seq)
		if !q.Next() {
			return missing(q, "This webhook has no delivery of that event to be tried again.")
		}
		found = readDelivery(q, w)
		return q.Close()
	})
	if err != nil {
		return webhook.Delivery{}, err
	}
	return found, nil
}

func (s webhooks) Record(ctx context.Context, h webhook.Hook, place int64, results []webhook.Result) (webhook.Hook, error) {
	var recorded webhook.Hook
	err := s.write(ctx, func(tx *transaction) error {
		n, now, err := findWebhook(tx.Conn, h.Project, h.ID)
		if err != nil {
			return err
		}
		delivered := false
		for _, r := range results {
			delivered = delivered || r.Delivered
			if err := tx.result(n, r); err != nil {
				return err
			}
		}
		switch {
		case delivered:
			now.FailingSince, now.DeliveredAt = time.Time{}, tx.now
		case len(results) > 0 && now.FailingSince.IsZero():
			now.FailingSince = tx.now
		}
		q := tx.Query("UPDATE webhooks SET place = max(place, ?), failing_since = ?, delivered_at = ? WHERE n = ?")
		if err := putTime(putTime(q.Int(place), now.FailingSince), now.DeliveredAt).Int(n).Exec(); err != nil {
			return err
		}
		_, recorded, err = findWebhook(tx.Conn, h.Project, h.ID)
		return err
	})
	if err != nil {
		return webhook.Hook{}, err
	}
	return recorded, nil
}

// result keeps what came of one attempt.
func (tx *transaction) result(webhookRow int64, r webhook.Result) error {
	if r.Delivered {
		return tx.Query("DELETE FROM webhook_deliveries WHERE webhook = ? AND event = ?").Int(webhookRow).Int(r.Entry.Seq).Exec()
	}
	q := tx.Query(`INSERT OR REPLACE INTO webhook_deliveries (project, webhook, event, at, next_at, attempts, last_at, status, error)
VALUES ((SELECT project FROM webhooks WHERE n = ?1), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`)
	q.Int(webhookRow).Int(r.Entry.Seq).Int(r.Entry.At.UnixMilli())
	if r.State == webhook.Dead {
		q.Null()
	} else {
		q.Int(tx.now.Add(r.Delay).UnixMilli())
	}
	return putTime(q.Int(int64(r.Attempts)), tx.now).Int(int64(r.Status)).Text(r.Error).Exec()
}

const webhookLease = "webhooks"

func (s webhooks) Lease(ctx context.Context, holder string, d time.Duration) (bool, error) {
	ours := false
	err := s.write(ctx, func(tx *transaction) error {
		if d <= 0 {
			return tx.Query("DELETE FROM leases WHERE name = ? AND holder = ?").Text(webhookLease).Text(holder).Exec()
		}
		q := tx.Query(`INSERT INTO leases (name, holder, until) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE holder = ?2 OR until <= ?4 OR until > ?5`)
		q.Text(webhookLease).Text(holder).Int(tx.now.Add(d).UnixMilli()).Int(tx.now.UnixMilli())
		// One that ends later than any lease that is given now is of a clock that was ahead.
		err := q.Int(tx.now.Add(2 * d).UnixMilli()).Exec()
		ours = tx.Changed() == 1
		return err
	})
	return ours && err == nil, err
}

func (s webhooks) Sweep(ctx context.Context, cutoff time.Time, limit int) (int, error) {
	return inSteps(ctx, limit, func(n int) (removed int, more bool, err error) {
		err = s.write(ctx, func(tx *transaction) error {
			err := tx.Query(oldDeliveries).Int(ceiling(cutoff)).Int(int64(n)).Exec()
			removed = int(tx.Changed())
			return err
		})
		return removed, removed == n, err
	})
}
