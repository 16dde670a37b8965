package latchkey

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that reads and writes as "90s", "10m", "1h30m", "28d"
// or "off" (zero). Units are w, d, h, m, s, ms; a day is 24 hours. Negative durations
// are refused.
type Duration time.Duration

var units = []struct {
	name string
	unit time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// ParseDuration parses the text form.
func ParseDuration(s string) (Duration, error) {
	if s == "off" || s == "0" {
		return 0, nil
	}
	bad := fmt.Errorf(`%.40q is not a duration such as "90s", "10m", "1h30m" or "28d"`, s)
	if s == "" {
		return 0, bad
	}
	var total time.Duration
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "wdhms"))
		unit := time.Duration(0)
		for _, u := range units {
			if u.name == rest[:letters] {
				unit = u.unit
			}
		}
		if unit == 0 || n > int64((math.MaxInt64-total)/unit) {
			return 0, bad
		}
		total += time.Duration(n) * unit
		rest = rest[letters:]
	}
	return Duration(total), nil
}

// String returns the shortest exact text form without weeks: "28d", "1h30m", "off".
func (d Duration) String() string {
	if d <= 0 {
		return "off"
	}
	var b strings.Builder
	rest := time.Duration(d)
	for _, u := range units[1:] {
		if n := rest / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText returns the text form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the text form.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
