package latchkey

import "time"

// WebhookRequest adds or changes a webhook. Members that are nil stay as they are; a new one
// needs a URL.
type WebhookRequest struct {
	URL         *string   `json:"url,omitempty" description:"Where to send events: a public address with https. Whoever may read webhooks sees it."`
	Types       *[]string `json:"types,omitempty" maxItems:"50" description:"Types of events, or kinds of them such as user.*; none: all."`
	Description *string   `json:"description,omitempty" description:"For people."`
	Enabled     *bool     `json:"enabled,omitempty" description:"Whether events are sent; a new one is enabled. One that is enabled again gets what happens from then on."`
}

// Webhook is an address to which events are sent.
type Webhook struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Types          []string   `json:"types" description:"Types of events, or kinds of them; none: all."`
	Description    string     `json:"description,omitempty"`
	Enabled        bool       `json:"enabled"`
	DisabledReason string     `json:"disabledReason,omitempty" enum:"gone,failing" description:"Why the server disabled it: its address answered 410 Gone, or nothing could be delivered for 5 days."`
	Pending        int        `json:"pending" description:"Events that couldn't be delivered until now and are tried again."`
	DeliveredAt    *time.Time `json:"deliveredAt,omitempty" description:"When an event was last delivered."`
	FailingSince   *time.Time `json:"failingSince,omitempty" description:"When the first attempt failed after which nothing was delivered."`
	CreatedAt      time.Time  `json:"createdAt"`
	UpdatedAt      time.Time  `json:"updatedAt"`
}

// NewWebhook is a webhook with its secret, which is shown this once.
type NewWebhook struct {
	Webhook         Webhook    `json:"webhook"`
	Secret          string     `json:"secret" description:"whsec_ and 32 bytes in base64: the key of HMAC-SHA256 by which the receiver knows that messages are ours."`
	OldSecretEndsAt *time.Time `json:"oldSecretEndsAt,omitempty" description:"Until when the secret that was replaced signs as well."`
}

// WebhookList is a page of webhooks.
type WebhookList struct {
	Webhooks      []Webhook `json:"webhooks" description:"Oldest first."`
	NextPageToken string    `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}

// WebhookTest is what came of a message that was sent to see whether it arrives.
type WebhookTest struct {
	Delivered bool     `json:"delivered" description:"Whether it was answered with a status from 200 to 299."`
	Status    int      `json:"status,omitempty" description:"Status of the answer, if there was one."`
	Error     string   `json:"error,omitempty" description:"What went wrong, in a sentence for people."`
	Took      Duration `json:"took" description:"How long the answer took, in whole milliseconds; at least one."`
}

// DeliveryFilter says which deliveries to list.
type DeliveryFilter struct {
	State string `query:"state" enum:"pending,dead" description:"pending ones are tried again, dead ones only when somebody asks for it."`
}

// WebhookDelivery is an event that couldn't be delivered until now.
type WebhookDelivery struct {
	Event         Event      `json:"event"`
	State         string     `json:"state" enum:"pending,dead"`
	Attempts      int        `json:"attempts" description:"How often it was tried since it happened, or since it was last asked for."`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty"`
	LastAttemptAt *time.Time `json:"lastAttemptAt,omitempty"`
	Status        int        `json:"status,omitempty" description:"Status of the last answer, if there was one."`
	Error         string     `json:"error,omitempty" description:"What went wrong, in a sentence for people."`
}

// WebhookDeliveryList is a page of deliveries. What was delivered isn't kept.
type WebhookDeliveryList struct {
	Deliveries    []WebhookDelivery `json:"deliveries" description:"In the order in which the events were written."`
	NextPageToken string            `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}
