package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// accessPrefix begins access keys.
const accessPrefix = "lk_ak_"

// AccessKeys yields the access keys that match, oldest first. Scope users. It asks for the
// next page when the one before is used up, and ends after the first error.
func (c *Client) AccessKeys(ctx context.Context, filter AccessKeyFilter) iter.Seq2[AccessKey, error] {
	return each(func(p PageRequest) ([]AccessKey, string, error) {
		page, err := c.AccessKeysPage(ctx, filter, p)
		return page.Keys, page.NextPageToken, err
	})
}

// AccessKeysPage returns one page of AccessKeys.
func (c *Client) AccessKeysPage(ctx context.Context, filter AccessKeyFilter, p PageRequest) (AccessKeyList, error) {
	return manageList[AccessKeyList](ctx, c, p, filter, "access-keys")
}

// AccessKey returns one access key. Scope users.
func (c *Client) AccessKey(ctx context.Context, keyID string) (AccessKey, error) {
	return manageCall[AccessKey](ctx, c, http.MethodGet, nil, "access-keys", keyID)
}

// CreateAccessKey makes an access key; its secret is in this answer and nowhere else.
// Scope users. It is repeated only when nothing of it had been sent: an error without a
// Code may mean that the key exists, with a secret that nobody holds.
func (c *Client) CreateAccessKey(ctx context.Context, r AccessKeyRequest) (NewAccessKey, error) {
	return manageCall[NewAccessKey](ctx, c, http.MethodPost, r, "access-keys")
}

// ChangeAccessKey changes an access key. Tokens that were got with it are refused, or got
// anew, within a moment; disabled, it is refused until it is enabled again. Scope users.
func (c *Client) ChangeAccessKey(ctx context.Context, keyID string, r AccessKeyRequest) (AccessKey, error) {
	return manageCall[AccessKey](ctx, c, http.MethodPatch, r, "access-keys", keyID)
}

// RotateAccessKey gives an access key a new secret. The old one, and the tokens that were
// got with it, end at once: to replace a secret without an interruption make a second key.
// Scope users. When the answer gets lost, rotate again.
func (c *Client) RotateAccessKey(ctx context.Context, keyID string) (NewAccessKey, error) {
	return manageCall[NewAccessKey](ctx, c, http.MethodPost, nil, "access-keys", keyID, "rotate")
}

// DeleteAccessKey deletes an access key. It, and the tokens that were got with it, end at
// once. Scope users.
func (c *Client) DeleteAccessKey(ctx context.Context, keyID string) error {
	return manageGone(ctx, c, "access-keys", keyID)
}

// AccessKeyExchange is an access key to be exchanged for a session token.
type AccessKeyExchange struct {
	Key    string          `json:"-"` // lk_ak_…; never in a log, as JSON neither
	Tenant string          // id of the tenant that is to be the current one; empty: none, or its only one
	Claims json.RawMessage // claims that the machine chooses itself: an object, or nil; ClientClaim finds them
}

// Format writes the exchange without its key, for every verb.
func (r AccessKeyExchange) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.AccessKeyExchange{Key:%s Tenant:%q}", presence(r.Key), r.Tenant)
}

// LogValue returns the exchange without its key.
func (r AccessKeyExchange) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// ExchangeAccessKey exchanges an access key for a session token. It needs no other key:
// the client's own isn't sent. CodeUnauthenticated when the key is unknown, disabled or
// over, CodeForbidden when it may not be used from here. An AccessKeySource does this
// again and again.
func (c *Client) ExchangeAccessKey(ctx context.Context, r AccessKeyExchange) (MachineToken, error) {
	if !isAccessKey(r.Key) {
		return MachineToken{}, errAccessKey
	}
	op := operation{
		method: http.MethodPost, url: c.issuer + "/access-keys/exchange", body: ExchangeBody{Claims: r.Claims, Tenant: r.Tenant},
		bearer: r.Key, repeat: always,
	}
	var out MachineToken
	if err := c.call(ctx, op, &out); err != nil {
		return MachineToken{}, err
	}
	if !isBearer(out.SessionToken) || !out.SessionExpiresAt.After(out.ServerTime) {
		return MachineToken{}, errors.New("latchkey: the answer isn't a token of an access key")
	}
	return out, nil
}

// isAccessKey reports whether s looks like an access key and fits into a header.
func isAccessKey(s string) bool {
	rest, ok := strings.CutPrefix(s, accessPrefix)
	return ok && isBearer(rest)
}

var errAccessKey = errors.New("latchkey: the access key is empty or no access key (lk_ak_…)")

// Format writes what the token is about without it, for every verb.
func (t MachineToken) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.MachineToken{AccessKey:%q SessionToken:%s SessionExpiresAt:%s}", t.AccessKey, presence(t.SessionToken), t.SessionExpiresAt.Format(time.RFC3339))
}

// LogValue returns what the token is about without it.
func (t MachineToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// Format writes the key without its secret, for every verb.
func (k NewAccessKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.NewAccessKey{Key:%q Secret:%s}", k.Key.ID, presence(k.Secret))
}

// LogValue returns the key without its secret.
func (k NewAccessKey) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }
