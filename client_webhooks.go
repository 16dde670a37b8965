package latchkey

import (
	"context"
	"iter"
	"net/http"
)

// Webhooks yields the webhooks, oldest first. Scope events. It asks for the next page when
// the one before is used up, and ends after the first error.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	return each(func(p PageRequest) ([]Webhook, string, error) {
		page, err := c.WebhooksPage(ctx, p)
		return page.Webhooks, page.NextPageToken, err
	})
}

// WebhooksPage returns one page of Webhooks.
func (c *Client) WebhooksPage(ctx context.Context, p PageRequest) (WebhookList, error) {
	return manageList[WebhookList](ctx, c, p, nil, "webhooks")
}

// Webhook returns one webhook. Scope events.
func (c *Client) Webhook(ctx context.Context, webhookID string) (Webhook, error) {
	return manageCall[Webhook](ctx, c, http.MethodGet, nil, "webhooks", webhookID)
}

// CreateWebhook adds a webhook, which gets what happens from then on; its secret is in this
// answer and nowhere else. Scope events.
func (c *Client) CreateWebhook(ctx context.Context, r WebhookRequest) (NewWebhook, error) {
	return manageCall[NewWebhook](ctx, c, http.MethodPost, r, "webhooks")
}

// ChangeWebhook changes a webhook. Scope events.
func (c *Client) ChangeWebhook(ctx context.Context, webhookID string, r WebhookRequest) (Webhook, error) {
	return manageCall[Webhook](ctx, c, http.MethodPatch, r, "webhooks", webhookID)
}

// DeleteWebhook removes a webhook with what it had still to deliver. Scope events.
func (c *Client) DeleteWebhook(ctx context.Context, webhookID string) error {
	return manageGone(ctx, c, "webhooks", webhookID)
}

// RotateWebhook gives a webhook a new secret; the old one signs as well for a day. Scope
// events. When the answer gets lost, rotate again.
func (c *Client) RotateWebhook(ctx context.Context, webhookID string) (NewWebhook, error) {
	return manageCall[NewWebhook](ctx, c, http.MethodPost, nil, "webhooks", webhookID, "rotate")
}

// TestWebhook sends a message of the type webhook.test now, and returns what came of it.
// Scope events.
func (c *Client) TestWebhook(ctx context.Context, webhookID string) (WebhookTest, error) {
	return manageCall[WebhookTest](ctx, c, http.MethodPost, nil, "webhooks", webhookID, "test")
}

// WebhookDeliveries yields the events that couldn't be delivered until now, in the order in
// which they were written. Scope events. It asks for the next page when the one before is
// used up, and ends after the first error.
func (c *Client) WebhookDeliveries(ctx context.Context, webhookID string, filter DeliveryFilter) iter.Seq2[WebhookDelivery, error] {
	return each(func(p PageRequest) ([]WebhookDelivery, string, error) {
		page, err := c.WebhookDeliveriesPage(ctx, webhookID, filter, p)
		return page.Deliveries, page.NextPageToken, err
	})
}

// WebhookDeliveriesPage returns one page of WebhookDeliveries.
func (c *Client) WebhookDeliveriesPage(ctx context.Context, webhookID string, filter DeliveryFilter, p PageRequest) (WebhookDeliveryList, error) {
	return manageList[WebhookDeliveryList](ctx, c, p, filter, "webhooks", webhookID, "deliveries")
}

// RetryWebhookDelivery sends an event again soon, be it dead or pending. Scope events.
func (c *Client) RetryWebhookDelivery(ctx context.Context, webhookID, eventID string) (WebhookDelivery, error) {
	return manageRepeated[WebhookDelivery](ctx, c, http.MethodPost, nil, "webhooks", webhookID, "deliveries", eventID, "retry")
}
