package fault

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestKindOf(t *testing.T) {
	cause := errors.New("disk full")
	err := fmt.Errorf("while saving: %w", Wrap(Unavailable, cause, "try later").After(time.Second))
	if KindOf(err) != Unavailable || !errors.Is(err, cause) || !errors.Is(err, New(Unavailable, "")) || errors.Is(err, New(Conflict, "")) {
		t.Error("kind or cause is lost on the way")
	}
	if KindOf(cause) != Internal || KindOf(nil) != Internal {
		t.Error("an unclassified error must be internal")
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d has no name of its own", k)
		}
		seen[k.String()] = true
	}
	if Kind(250).String() != "unknown" {
		t.Error("an unknown kind must say so")
	}
}

func TestErrorText(t *testing.T) {
	err := Wrap(Invalid, errors.New("why"), "bad %s", "body").WithFields(Field{"/a", "type", "a number is wanted"})
	if got, want := err.Error(), "invalid: bad body; /a: a number is wanted: why"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
