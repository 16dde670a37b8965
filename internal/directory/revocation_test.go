package directory_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
)

func TestWhatEndsTheSessionsOfAUser(t *testing.T) {
	on, off := directory.User{Status: directory.Enabled, Epoch: 3}, directory.User{Status: directory.Disabled, Epoch: 3}
	grown := func(u directory.User) directory.User {
		u.Epoch++
		return u
	}
	for name, c := range map[string]struct {
		old, new directory.User
		want     bool
	}{
		"nothing":            {on, on, false},
		"still disabled":     {off, off, false},
		"disabled":           {on, off, true},
		"disabled and ended": {on, grown(off), true},
		"enabled":            {off, on, false},
		"enabled and ended":  {off, grown(on), true},
		"ended":              {on, grown(on), true},
		"an older epoch":     {grown(on), on, false},
	} {
		if got := c.new.Ends(c.old); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
