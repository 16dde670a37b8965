package latchkey

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Format writes what a token set is about, without its tokens, for every verb: so that
// one in a log by mistake gives nothing away.
func (s TokenSet) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.TokenSet{Session:%q SessionToken:%s RefreshToken:%s SessionExpiresAt:%s RefreshExpiresAt:%s}",
		s.Session.ID, presence(s.SessionToken), presence(s.RefreshToken), s.SessionExpiresAt.Format(time.RFC3339), s.RefreshExpiresAt.Format(time.RFC3339))
}

// LogValue returns the token set without its tokens.
func (s TokenSet) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// complete returns the set after checking that the server's answer is a token set at all: JSON of anything else
// may be read as one without tokens.
func (s TokenSet) complete() (TokenSet, error) {
	if s.Session.ID == "" {
		return TokenSet{}, errors.New("latchkey: the answer isn't a token set")
	}
	return s, nil
}

// Format writes the key without its secret, for every verb.
func (k NewManagementKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.NewManagementKey{Key:%q Secret:%s}", k.Key.ID, presence(k.Secret))
}

// LogValue returns the key without its secret.
func (k NewManagementKey) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

func presence(s string) string {
	if s == "" {
		return "none"
	}
	return redacted
}
