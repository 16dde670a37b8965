package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

type webhooks struct{ *Store }

const (
	webhookSelect = `SELECT w.n, p.id, w.id, w.enabled, w.why, w.place, w.created_at, w.updated_at, w.failing_since, w.delivered_at,
w.url, w.description, w.types, w.sealed, w.previous, w.previous_until,
(SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.n AND d.next_at IS NOT NULL),
(SELECT min(d.next_at) FROM webhook_deliveries d WHERE d.webhook = w.n AND d.next_at IS NOT NULL) `

	webhooksOfProject = webhookSelect + "FROM projects p CROSS JOIN webhooks w ON w.project = p.n WHERE p.id = ? AND w.id > ? ORDER BY w.id LIMIT ?"
	webhookByID       = webhookSelect + "FROM projects p CROSS JOIN webhooks w ON w.project = p.n WHERE p.id = ? AND w.id = ?"
	activeWebhooks    = webhookSelect + "FROM webhooks w INDEXED BY webhooks_enabled CROSS JOIN projects p ON p.n = w.project WHERE w.enabled AND w.id > ? ORDER BY w.id LIMIT ?"
)

func readWebhook(q *engine.Stmt) (int64, webhook.Hook) {
	var h webhook.Hook
	n := q.ReadInt()
	q.ReadInto(h.Project[:])
	q.ReadInto(h.ID[:])
	h.Enabled, h.Why, h.Place = q.ReadInt() != 0, webhook.Why(q.ReadText()), q.ReadInt()
	h.CreatedAt, h.UpdatedAt, h.FailingSince, h.DeliveredAt = readTime(q), readTime(q), readTime(q), readTime(q)
	h.URL, h.Description, h.Types = q.ReadText(), q.ReadText(), readStrings(q)
	h.Sealed, h.Previous, h.PreviousUntil = q.ReadBlob(), q.ReadBlob(), readTime(q)
	h.Pending, h.NextAt = int(q.ReadInt()), readTime(q)
	return n, h
}

// findWebhook returns a webhook and its row's number.
func findWebhook(c *engine.Conn, p id.Project, w id.Webhook) (int64, webhook.Hook, error) {
	q := c.Query(webhookByID).Blob(p[:]).Blob(w[:])
	if !q.Next() {
		return 0, webhook.Hook{}, missing(q, "This project has no such webhook.")
	}
	n, h := readWebhook(q)
	return n, h, q.Close()
}

func (s webhooks) list(ctx context.Context, query func(*engine.Conn) *engine.Stmt) ([]webhook.Hook, error) {
	var list []webhook.Hook
	err := s.read(ctx, func(c *engine.Conn) error {
		q := query(c)
		for q.Next() {
			_, h := readWebhook(q)
			list = append(list, h)
		}
		return q.Close()
	})
	return list, err
}

func (s webhooks) Insert(ctx context.Context, h webhook.Hook, most int, e audit.Event) (webhook.Hook, error) {
	err := s.write(ctx, func(tx *transaction) error {
		o, err := findOwner(tx.Conn, h.Project)
		if err != nil {
			return err
		}
		if err := tx.roomForWebhook(o, most); err != nil {
			return err
		}
		if err := tx.log(e); err != nil {
			return err
		}
		place, err := number(tx.Conn, lastEvent)
		if err != nil {
			return err
		}
		q := tx.Query(`INSERT INTO webhooks (place, created_at, project, id, enabled, why, updated_at, failing_since, url, description, types, sealed, previous, previous_until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
		putTime(q.Int(place), h.CreatedAt).Int(o.n).Blob(h.ID[:])
		if err := putWebhook(q, h).Exec(); err != nil {
			return err
		}
		if tx.Changed() == 0 {
			return errWebhookTaken()
		}
		_, h, err = findWebhook(tx.Conn, h.Project, h.ID)
		return err
	})
	if err != nil {
		return webhook.Hook{}, err
	}
	return h, nil
}

func errWebhookTaken() error { return fault.New(fault.Conflict, "There is such a webhook already.") }

func (tx *transaction) roomForWebhook(o owner, most int) error {
	q := tx.Query("SELECT count(*) FROM webhooks WHERE project = ?").Int(o.n)
	full := q.Next() && q.ReadInt() >= int64(most)
	if err := q.Close(); err != nil || !full {
		return err
	}
	return fault.New(fault.Conflict, "The project has as many webhooks as it may have, %d.", most)
}

// putWebhook sets what may change of a webhook.
func putWebhook(q *engine.Stmt, h webhook.Hook) *engine.Stmt {
	putTime(putTime(q.Int(flag(h.Enabled)).Text(string(h.Why)), h.UpdatedAt), h.FailingSince)
	putStrings(q.Text(h.URL).Text(h.Description), h.Types).Blob(h.Sealed)
	if len(h.Previous) == 0 {
		q.Null()
	} else {
		q.Blob(h.Previous)
	}
	return putTime(q, h.PreviousUntil)
}

func (s webhooks) Find(ctx context.Context, p id.Project, w id.Webhook) (webhook.Hook, error) {
	var found webhook.Hook
	err := s.read(ctx, func(c *engine.Conn) (err error) {
		_, found, err = findWebhook(c, p, w)
		return err
	})
	return found, err
}

func (s webhooks) List(ctx context.Context, p id.Project, after id.Webhook, limit int) ([]webhook.Hook, error) {
	return s.list(ctx, func(c *engine.Conn) *engine.Stmt {
		return c.Query(webhooksOfProject).Blob(p[:]).Blob(after[:]).Int(most(limit))
	})
}

func (s webhooks) Active(ctx context.Context, after id.Webhook, limit int) ([]webhook.Hook, error) {
	return s.list(ctx, func(c *engine.Conn) *engine.Stmt { return c.Query(activeWebhooks).Blob(after[:]).Int(most(limit)) })
}

func (s webhooks) Change(ctx context.Context, p id.Project, w id.Webhook, change func(webhook.Hook) (webhook.Hook, []audit.Event, error)) (webhook.Hook, error) {
	var changed webhook.Hook
	err := s.write(ctx, func(tx *transaction) error {
		n, old, err := findWebhook(tx.Conn, p, w)
		if err != nil {
			return err
		}
		given := old
		given.Types = slices.Clone(old.Types)
		next, events, err := change(given)
		if err != nil {
			return err
		}
		changed = old
		if len(events) == 0 {
			return nil
		}
		if err := tx.log(events...); err != nil {
			return err
		}
		next.UpdatedAt = tx.now
		if next.Enabled && !old.Enabled {
			next.Why, next.FailingSince = "", time.Time{}
			if err := tx.Query("UPDATE webhooks SET place = (" + lastEvent + ") WHERE n = ?").Int(n).Exec(); err != nil {
				return err
			}
		}
		q := tx.Query(`UPDATE webhooks SET enabled = ?, why = ?, updated_at = ?, failing_since = ?, url = ?, description = ?, types = ?, sealed = ?,
previous = ?, previous_until = ? WHERE n = ?`)
		if err := putWebhook(q, next).Int(n).Exec(); err != nil {
			return err
		}
		_, changed, err = findWebhook(tx.Conn, p, w)
		return err
	})
	if err != nil {
		return webhook.Hook{}, err
	}
	return changed, nil
}

func (s webhooks) Delete(ctx context.Context, p id.Project, w id.Webhook, e audit.Event) error {
	return s.write(ctx, func(tx *transaction) error {
		n, _, err := findWebhook(tx.Conn, p, w)
		if err != nil {
			return err
		}
		for _, sql := range []string{"DELETE FROM webhook_deliveries WHERE webhook = ?", "DELETE FROM webhooks WHERE n = ?"} {
			if err := tx.Query(sql).Int(n).Exec(); err != nil {
				return err
			}
		}
		return tx.log(e)
	})
}
