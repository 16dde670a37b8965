package directory

import (
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Whole is said of an access key; grants and the secret are left alone. One that has
// expired is taken, too: it is described, not made. Claims aren't linted, since whoever
// made the key has been told.
func (c AccessKeyChange) Whole(old AccessKey) (AccessKey, []fault.Field) {
	if c.Attributes != nil {
		old.Attributes = nil
	}
	if c.Claims != nil {
		old.Claims = nil
	}
	expires := c.ExpiresAt
	c.ExpiresAt = nil
	next, _, err := keyChange{AccessKeyChange: c}.apply(old)
	var bad problems
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		bad = refusal.Fields
	}
	if expires != nil {
		next.ExpiresAt = *expires
		if !expires.IsZero() {
			next.ExpiresAt = millis(*expires)
			if year := next.ExpiresAt.Year(); year < 1970 || year > 9999 {
				bad.add("/expiresAt", "range", "A time between the years 1970 and 9999 is wanted.")
			}
		}
	}
	return next, bad
}

// Created is the event of a new access key.
func (k AccessKey) Created(now time.Time, o audit.Origin) audit.Event {
	return grantEvent(k.event(audit.AccessKeyCreated, now, o).With("name", k.Name), Grants{}, k.Grants)
}

// Turned is said of an access key. Another secret ends what was got with the one before.
func (k AccessKey) Turned(old AccessKey, now time.Time, o audit.Origin) (AccessKey, []audit.Event) {
	next := old.Clone()
	next.Name, next.Description, next.Status, next.Grants = k.Name, k.Description, k.Status, k.Grants
	next.Claims, next.Attributes, next.Networks = k.Claims, k.Attributes, k.Networks
	next.Digest, next.ExpiresAt = k.Digest, k.ExpiresAt
	var events []audit.Event
	if !next.same(old) {
		events = append(events, next.turned(old, now, o))
	}
	if !next.Digest.Equal(old.Digest) {
		events = append(events, next.event(audit.AccessKeyRotated, now, o))
	}
	if len(events) > 0 {
		next.UpdatedAt = millis(now)
	}
	return next, events
}
