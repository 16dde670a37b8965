package native

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

type deliveryQuery struct {
	wire.Page
	latchkey.DeliveryFilter
}

func (f *Face) webhookRoutes() []Route {
	scope := directory.ScopeEvents
	path := "/v1/projects/{project}/webhooks"
	one := path + "/{webhook}"
	return []Route{
		{
			Method: "POST", Pattern: path, ID: "createWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Add a webhook; its secret is shown this once", Body: latchkey.WebhookRequest{}, Answer: latchkey.NewWebhook{},
			Status: http.StatusCreated, Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.createWebhook),
		},
		{
			Method: "GET", Pattern: path, ID: "listWebhooks", Tag: tagWebhooks, Scope: scope,
			Summary: "List webhooks", Query: wire.Page{}, Answer: latchkey.WebhookList{}, serve: f.managed(scope, f.listWebhooks),
		},
		{
			Method: "GET", Pattern: one, ID: "getWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Get a webhook", Answer: latchkey.Webhook{}, serve: f.managed(scope, f.getWebhook),
		},
		{
			Method: "PATCH", Pattern: one, ID: "changeWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Change a webhook, turn it off or on", Body: latchkey.WebhookRequest{}, Answer: latchkey.Webhook{}, serve: f.managed(scope, f.changeWebhook),
		},
		{
			Method: "DELETE", Pattern: one, ID: "deleteWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Delete a webhook with what it had still to deliver", Answer: nothing{}, serve: f.managed(scope, deleting(pathWebhook, f.d.Webhooks.Delete)),
		},
		{
			Method: "POST", Pattern: one + "/rotate", ID: "rotateWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Give a webhook a new secret; the old one signs as well for 24 hours", Body: nothing{}, Answer: latchkey.NewWebhook{}, serve: f.managed(scope, f.rotateWebhook),
		},
		{
			Method: "POST", Pattern: one + "/test", ID: "testWebhook", Tag: tagWebhooks, Scope: scope,
			Summary: "Send a message of the type webhook.test and tell what came of it", Body: nothing{}, Answer: latchkey.WebhookTest{}, serve: f.managed(scope, f.testWebhook),
		},
		{
			Method: "GET", Pattern: one + "/deliveries", ID: "listWebhookDeliveries", Tag: tagWebhooks, Scope: scope,
			Summary: "List the events that couldn't be delivered until now", Query: deliveryQuery{}, Answer: latchkey.WebhookDeliveryList{},
			serve: f.managed(scope, f.listDeliveries),
		},
		{
			Method: "POST", Pattern: one + "/deliveries/{event}/retry", ID: "retryWebhookDelivery", Tag: tagWebhooks, Scope: scope,
			Summary: "Send an event again soon, be it dead or pending", Body: nothing{}, Answer: latchkey.WebhookDelivery{}, serve: f.managed(scope, f.retryDelivery),
		},
	}
}

func renderWebhook(h webhook.Hook) latchkey.Webhook {
	return latchkey.Webhook{
		ID: h.ID.String(), URL: h.URL, Types: list(h.Types), Description: h.Description, Enabled: h.Enabled, DisabledReason: string(h.Why),
		Pending: h.Pending, DeliveredAt: optional(h.DeliveredAt), FailingSince: optional(h.FailingSince), CreatedAt: h.CreatedAt.UTC(), UpdatedAt: h.UpdatedAt.UTC(),
	}
}

func renderDelivery(d webhook.Delivery) latchkey.WebhookDelivery {
	return latchkey.WebhookDelivery{
		Event: d.Entry.Public(), State: string(d.State), Attempts: d.Attempts, NextAttemptAt: optional(d.NextAt), LastAttemptAt: optional(d.LastAt),
		Status: d.Status, Error: d.Error,
	}
}

func pathWebhook(r *http.Request) (id.Webhook, error) {
	w, err := id.ParseWebhook(r.PathValue("webhook"))
	if err != nil {
		return w, fault.New(fault.NotFound, "This project has no such webhook.")
	}
	return w, nil
}

func webhookChange(b latchkey.WebhookRequest, unknown wire.Unknown) webhook.Change {
	return webhook.Change{URL: b.URL, Types: b.Types, Description: b.Description, Enabled: b.Enabled, Unreadable: unknown}
}

func (f *Face) createWebhook(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.WebhookRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	h, text, err := f.d.Webhooks.Create(r.Context(), c.project, webhookChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, latchkey.NewWebhook{Webhook: renderWebhook(h), Secret: text.Reveal()})
}

func (f *Face) listWebhooks(w http.ResponseWriter, r *http.Request, c caller) error {
	var page wire.Page
	if err := wire.Query(r, &page); err != nil {
		return err
	}
	var after id.Webhook
	if err := cursor(page, after[:]); err != nil {
		return err
	}
	hooks, err := f.d.Webhooks.List(r.Context(), c.project, after, page.Size+1)
	if err != nil {
		return err
	}
	out := latchkey.WebhookList{Webhooks: []latchkey.Webhook{}}
	for i, h := range hooks {
		if i == page.Size {
			last := hooks[i-1].ID
			out.NextPageToken = wire.EncodePage(last[:])
			break
		}
		out.Webhooks = append(out.Webhooks, renderWebhook(h))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) getWebhook(w http.ResponseWriter, r *http.Request, c caller) error {
	wh, err := pathWebhook(r)
	if err != nil {
		return err
	}
	h, err := f.d.Webhooks.Find(r.Context(), c.project, wh)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderWebhook(h))
}

func (f *Face) changeWebhook(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.WebhookRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	wh, err := pathWebhook(r)
	if err != nil {
		return unknown.With(err)
	}
	h, err := f.d.Webhooks.Change(r.Context(), c.project, wh, webhookChange(body, unknown), c.origin)
	if err = unknown.With(err); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderWebhook(h))
}

// bare reads a request without members that names a webhook.
func bare(r *http.Request) (id.Webhook, error) {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return id.Webhook{}, err
	}
	return pathWebhook(r)
}

func (f *Face) rotateWebhook(w http.ResponseWriter, r *http.Request, c caller) error {
	wh, err := bare(r)
	if err != nil {
		return err
	}
	h, text, err := f.d.Webhooks.Rotate(r.Context(), c.project, wh, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.NewWebhook{Webhook: renderWebhook(h), Secret: text.Reveal(), OldSecretEndsAt: optional(h.PreviousUntil)})
}

func (f *Face) testWebhook(w http.ResponseWriter, r *http.Request, c caller) error {
	wh, err := bare(r)
	if err != nil {
		return err
	}
	o, err := f.d.Webhooks.Test(r.Context(), c.project, wh)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.WebhookTest{
		Delivered: o.Delivered(), Status: o.Status, Error: o.Error, Took: latchkey.Duration(max(o.Took.Truncate(time.Millisecond), time.Millisecond)),
	})
}

func (f *Face) listDeliveries(w http.ResponseWriter, r *http.Request, c caller) error {
	var q deliveryQuery
	if err := wire.Query(r, &q); err != nil {
		return err
	}
	var place [16]byte
	if err := cursor(q.Page, place[:]); err != nil {
		return err
	}
	wh, err := pathWebhook(r)
	if err != nil {
		return err
	}
	deliveries, err := f.d.Webhooks.Deliveries(r.Context(), webhook.DeliveryQuery{
		Project: c.project, Hook: wh, State: webhook.State(q.State), After: int64(binary.BigEndian.Uint64(place[8:]) >> 1), Limit: q.Size + 1,
	})
	if err != nil {
		return err
	}
	out := latchkey.WebhookDeliveryList{Deliveries: []latchkey.WebhookDelivery{}}
	for i, d := range deliveries {
		if i == q.Size {
			// Shifted, so that no token is a number that a place can't be.
			binary.BigEndian.PutUint64(place[8:], uint64(deliveries[i-1].Entry.Seq)<<1)
			out.NextPageToken = wire.EncodePage(place[:])
			break
		}
		out.Deliveries = append(out.Deliveries, renderDelivery(d))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) retryDelivery(w http.ResponseWriter, r *http.Request, c caller) error {
	wh, err := bare(r)
	if err != nil {
		return err
	}
	e, err := id.ParseEvent(r.PathValue("event"))
	if err != nil {
		return fault.New(fault.NotFound, "This webhook has no delivery of that event to be tried again.")
	}
	d, err := f.d.Webhooks.Retry(r.Context(), c.project, wh, e)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderDelivery(d))
}
