package latchkey

import (
	"bytes"
	"encoding/json"
	"errors"
)

// RateLimit is a number of rotations in 15 minutes, or zero for "auto": three times
// what the life of the session token needs, and at least five.
type RateLimit int

// MarshalJSON writes "auto" or a number.
func (r RateLimit) MarshalJSON() ([]byte, error) {
	if r == 0 {
		return []byte(`"auto"`), nil
	}
	return json.Marshal(int(r))
}

// UnmarshalJSON reads "auto" or a number.
func (r *RateLimit) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte(`"auto"`)) {
		*r = 0
		return nil
	}
	var n int
	if err := json.Unmarshal(b, &n); err != nil || n <= 0 {
		return errors.New(`"auto" or a whole number from 1 is wanted`)
	}
	*r = RateLimit(n)
	return nil
}
