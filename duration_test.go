package latchkey

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]struct {
		d         time.Duration
		canonical string
	}{
		"off": {0, "off"}, "0": {0, "off"}, "0s": {0, "off"},
		"90s": {90 * time.Second, "1m30s"}, "10m": {10 * time.Minute, "10m"}, "1h30m": {90 * time.Minute, "1h30m"},
		"28d": {28 * day, "28d"}, "4w": {28 * day, "28d"}, "1w1d1h1m1s1ms": {8*day + time.Hour + time.Minute + time.Second + time.Millisecond, "8d1h1m1s1ms"},
		"1500ms": {1500 * time.Millisecond, "1s500ms"}, "24h": {day, "1d"}, "1m1m": {2 * time.Minute, "2m"},
	} {
		d, err := ParseDuration(text)
		if err != nil || d.Std() != want.d || d.String() != want.canonical {
			t.Errorf("%q is %v (%q), %v; want %v (%q)", text, d.Std(), d, err, want.d, want.canonical)
		}
	}
	for _, text := range []string{"", "10", "m", "10 m", "-10m", "+1m", "1.5h", "10M", "1y", "1µs", "10m!", "99999999999999999999s", "200000d", "106751d24h", "１m", strings.Repeat("1s", 10) + "x"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
	if s := Duration(-time.Second).String(); s != "off" {
		t.Errorf("a negative duration prints as %q", s)
	}
	if s := Duration(time.Microsecond).String(); s != "0s" {
		t.Errorf("less than a millisecond prints as %q", s)
	}
}

func TestDurationInJSON(t *testing.T) {
	var v struct{ D Duration }
	if err := json.Unmarshal([]byte(`{"D":"2h"}`), &v); err != nil || v.D.Std() != 2*time.Hour {
		t.Errorf("%v, %v", v.D, err)
	}
	if b, err := json.Marshal(v); err != nil || string(b) != `{"D":"2h"}` {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"D":"soon"}`), &v); err == nil || v.D.Std() != 2*time.Hour {
		t.Errorf("nonsense was taken for %v", v.D)
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"off", "10m", "1h30m", "106751d", "1ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if again, err := ParseDuration(d.String()); d < 0 || err != nil || again != d {
			t.Errorf("%q is %q, which is %v, %v", s, d, again, err)
		}
	})
}

func TestRateLimit(t *testing.T) {
	for text, want := range map[string]RateLimit{`"auto"`: 0, `1`: 1, `100000`: 100_000} {
		var r RateLimit
		if err := json.Unmarshal([]byte(text), &r); err != nil || r != want {
			t.Errorf("%s is %d, %v", text, r, err)
		}
		if b, err := json.Marshal(r); err != nil || string(b) != text {
			t.Errorf("%d prints as %s, %v", r, b, err)
		}
	}
	for _, text := range []string{`0`, `-1`, `1.5`, `"5"`, `"Auto"`, `true`, `[]`, `1e99`} {
		r := RateLimit(7)
		if err := json.Unmarshal([]byte(text), &r); err == nil {
			t.Errorf("%s is taken for %d", text, r)
		}
	}
}

// Names on the wire are stable, and empty tokens are left out.
func TestWireNames(t *testing.T) {
	b, err := json.Marshal(TokenSet{Session: Session{AMR: []string{"pwd"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"sessionExpiresAt":"0001-01-01T00:00:00Z","refreshExpiresAt":"0001-01-01T00:00:00Z","session":{"id":"","user":"","state":"","createdAt":"0001-01-01T00:00:00Z","authTime":"0001-01-01T00:00:00Z","lastSeenAt":"0001-01-01T00:00:00Z","expiresAt":"0001-01-01T00:00:00Z","amr":["pwd"],"device":{}},"serverTime":"0001-01-01T00:00:00Z"}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
}
