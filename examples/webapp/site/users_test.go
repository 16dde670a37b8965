package site

import (
	"context"
	"errors"
	"testing"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	users := NewUsers(10)
	alice := User{ID: "1", Email: "Alice@example.com", Name: "Alice"}
	if err := users.Add(alice, "secret"); err != nil {
		t.Fatal(err)
	}
	if got, err := users.Authenticate(t.Context(), "alice@EXAMPLE.com", "secret"); err != nil || got != alice {
		t.Errorf("the right password gives %+v, %v", got, err)
	}
	for name, c := range map[string]struct{ email, password string }{
		"wrong password":           {"alice@example.com", "Secret"},
		"no password":              {"alice@example.com", ""},
		"nobody":                   {"bob@example.com", "secret"},
		"nobody, with no password": {"", ""},
	} {
		if got, err := users.Authenticate(t.Context(), c.email, c.password); !errors.Is(err, errWrongPassword) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, taken := range []User{{ID: "1", Email: "other@example.com"}, {Email: "other@example.com"}, {ID: "2", Email: "ALICE@example.com"}} {
		if err := users.Add(taken, "x"); err == nil {
			t.Errorf("%+v was added", taken)
		}
	}
	if got, ok := users.Find("1"); !ok || got != alice {
		t.Errorf("1 is %+v, %v", got, ok)
	}
	if _, ok := users.Find("2"); ok {
		t.Error("there is a user 2")
	}
}

// However many try passwords, only a few are hashed at a time, and who gives up waiting
// gets away.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	users := NewUsers(10)
	for range cap(users.hashing) {
		users.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := users.Authenticate(ctx, "a", "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("while others are hashed: %v", err)
	}
}
