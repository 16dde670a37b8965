package latchkey

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// managing is a call with the management key.
func (c *Client) managing(method string, body any, path ...string) (operation, error) {
	if c.key == nil {
		return operation{}, errors.New("latchkey: this call needs a management key (ClientConfig.Key)")
	}
	address, err := join(c.manage, path)
	op := operation{method: method, url: address, body: body, bearer: *c.key}
	if method == http.MethodGet {
		op.repeat = always
	}
	return op, err
}

// manageCall makes a call with the management key and reads its answer.
func manageCall[T any](ctx context.Context, c *Client, method string, body any, path ...string) (T, error) {
	return managed[T](ctx, c, method, body, nil, path)
}

// manageRepeated is manageCall for what may be done twice.
func manageRepeated[T any](ctx context.Context, c *Client, method string, body any, path ...string) (T, error) {
	return managed[T](ctx, c, method, body, func(op *operation) { op.repeat = always }, path)
}

// manageGone is manageCall for a deletion: what isn't there when it is repeated was
// deleted by the attempt whose answer got lost.
func manageGone(ctx context.Context, c *Client, path ...string) error {
	_, err := managed[struct{}](ctx, c, http.MethodDelete, nil, func(op *operation) { op.repeat, op.gone = always, true }, path)
	return err
}

// manageList asks for one page of a list.
func manageList[T any](ctx context.Context, c *Client, p PageRequest, filter any, path ...string) (T, error) {
	query, err := queryOf(p, filter)
	if err != nil {
		var none T
		return none, err
	}
	return managed[T](ctx, c, http.MethodGet, nil, func(op *operation) { op.query = query }, path)
}

func managed[T any](ctx context.Context, c *Client, method string, body any, change func(*operation), path []string) (T, error) {
	var out T
	op, err := c.managing(method, body, path...)
	if err != nil {
		return out, err
	}
	if change != nil {
		change(&op)
	}
	err = c.call(ctx, op, &out)
	return out, err
}

// SettingsPatch changes settings. Members have their JSON names ("idleTimeout"); those
// left out stay as they are, nil puts the default back. Values are what Settings has, or
// its texts ("7d").
type SettingsPatch map[string]any

// Settings returns the project's settings. Scope settings.
func (c *Client) Settings(ctx context.Context) (SettingsAnswer, error) {
	return manageCall[SettingsAnswer](ctx, c, http.MethodGet, nil, "settings")
}

// ChangeSettings changes settings, all of the patch or nothing. Scope settings.
// CodeOutOfRange and CodeContradiction say in Error.Errors what doesn't fit.
func (c *Client) ChangeSettings(ctx context.Context, patch SettingsPatch) (SettingsAnswer, error) {
	return manageCall[SettingsAnswer](ctx, c, http.MethodPatch, patch.body(), "settings")
}

// SigningKeys returns the signing keys, oldest first. Scope keys.
func (c *Client) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	list, err := manageCall[SigningKeyList](ctx, c, http.MethodGet, nil, "keys")
	return list.Keys, err
}

// RotateSigningKey replaces the active signing key and returns the new one. Scope keys.
func (c *Client) RotateSigningKey(ctx context.Context, r RotateKeyRequest) (SigningKey, error) {
	return manageCall[SigningKey](ctx, c, http.MethodPost, r, "keys", "rotate")
}

// RevokeSigningKey takes a signing key out at once and ends every session whose refresh
// token it signed. Scope keys. Repeating it is no error.
func (c *Client) RevokeSigningKey(ctx context.Context, kid string) (RevokedKey, error) {
	return manageRepeated[RevokedKey](ctx, c, http.MethodPost, nil, "keys", kid, "revoke")
}

// Events yields the audit log, newest first. Scope events. It asks for the next page when
// the one before is used up, and ends after the first error.
func (c *Client) Events(ctx context.Context, filter EventFilter) iter.Seq2[Event, error] {
	return each(func(p PageRequest) ([]Event, string, error) {
		page, err := c.EventsPage(ctx, filter, p)
		return page.Events, page.NextPageToken, err
	})
}

// EventsPage returns one page of Events.
func (c *Client) EventsPage(ctx context.Context, filter EventFilter, p PageRequest) (EventList, error) {
	return manageList[EventList](ctx, c, p, filter, "events")
}

// ManagementKeys yields the management keys, oldest first. Scope keys. It asks for the
// next page when the one before is used up, and ends after the first error.
func (c *Client) ManagementKeys(ctx context.Context) iter.Seq2[ManagementKey, error] {
	return each(func(p PageRequest) ([]ManagementKey, string, error) {
		page, err := c.ManagementKeysPage(ctx, p)
		return page.Keys, page.NextPageToken, err
	})
}

// ManagementKeysPage returns one page of ManagementKeys.
func (c *Client) ManagementKeysPage(ctx context.Context, p PageRequest) (ManagementKeyList, error) {
	return manageList[ManagementKeyList](ctx, c, p, nil, "management-keys")
}

// CreateManagementKey makes a key; its secret is in this answer and nowhere else. Scope
// keys.
func (c *Client) CreateManagementKey(ctx context.Context, r ManagementKeyRequest) (NewManagementKey, error) {
	return manageCall[NewManagementKey](ctx, c, http.MethodPost, r, "management-keys")
}

// RotateManagementKey gives a key a new secret; the old one ends at once. Scope keys. When
// the answer gets lost, rotate again with another key.
func (c *Client) RotateManagementKey(ctx context.Context, keyID string) (NewManagementKey, error) {
	return manageCall[NewManagementKey](ctx, c, http.MethodPost, nil, "management-keys", keyID, "rotate")
}

// DeleteManagementKey deletes a key, which is refused from then on. Scope keys.
func (c *Client) DeleteManagementKey(ctx context.Context, keyID string) error {
	return manageGone(ctx, c, "management-keys", keyID)
}
