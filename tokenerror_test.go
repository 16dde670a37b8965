package latchkey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Every reason has a sentence of its own: people search for it.
func TestReasonSentences(t *testing.T) {
	seen := map[string]Reason{Reason("else").sentence(): "else"}
	for _, r := range allReasons() {
		s := (&TokenError{Reason: r}).Error()
		if other, ok := seen[s]; ok {
			t.Errorf("%s and %s both say %q", r, other, s)
		}
		seen[s] = r
	}
}

func TestRefreshable(t *testing.T) {
	want := map[Reason]bool{ReasonExpired: true, ReasonOutdated: true, ReasonRevoked: true, ReasonUnknownKey: true}
	for _, r := range append(allReasons(), "", "else") {
		if r.Refreshable() != want[r] {
			t.Errorf("%q: %v", r, r.Refreshable())
		}
	}
}

func TestReasonOf(t *testing.T) {
	cause := fmt.Errorf("get: %w", context.Canceled)
	err := fmt.Errorf("verify: %w", &TokenError{Reason: ReasonKeysUnavailable, cause: cause})
	if ReasonOf(err) != ReasonKeysUnavailable || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "get: ") {
		t.Errorf("%v", err)
	}
	if ReasonOf(nil) != "" || ReasonOf(cause) != "" {
		t.Error("an error of another kind has a reason")
	}
	if s := refuseToken(ReasonMalformed, "the header is empty").Error(); !strings.HasSuffix(s, ": the header is empty") {
		t.Error(s)
	}
}
