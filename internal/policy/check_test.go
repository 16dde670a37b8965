package policy

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// refusal returns the refusal of s, or nil; warnings must come with success only.
func refusal(t *testing.T, s latchkey.Settings) *fault.Error {
	t.Helper()
	warnings, err := Check(s, "")
	if err == nil {
		if warnings == nil {
			t.Error("the list of warnings is nil")
		}
		return nil
	}
	var refused *fault.Error
	if !errors.As(err, &refused) || warnings != nil || len(refused.Fields) == 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	return refused
}

// found returns the code and detail of the only problem at pointer.
func found(t *testing.T, refused *fault.Error, pointer string) (code, detail string) {
	t.Helper()
	for _, f := range refused.Fields {
		if f.Pointer == pointer {
			if code != "" {
				t.Errorf("%s stands twice: %v", pointer, refused.Fields)
			}
			code, detail = f.Code, f.Detail
		}
	}
	return code, detail
}

func TestRanges(t *testing.T) {
	type settings = latchkey.Settings
	set := func(field func(*settings) *latchkey.Duration) func(*settings, int64) {
		return func(s *settings, v int64) { *field(s) = latchkey.Duration(v) * latchkey.Duration(time.Millisecond) }
	}
	const second, minute, hour, day = 1000, 60 * 1000, 3600 * 1000, 24 * 3600 * 1000
	for _, c := range []struct {
		pointer   string
		set       func(*settings, int64) // durations in milliseconds
		low, high int64
		zero      bool // zero is allowed
		text      string
	}{
		{"/sessionTokenTTL", set(func(s *settings) *latchkey.Duration { return &s.SessionTokenTTL }), minute, 24 * hour, false, "1m to 24h"},
		{"/absoluteTimeout", set(func(s *settings) *latchkey.Duration { return &s.AbsoluteTimeout }), 3 * minute, 730 * day, false, "3m to 730d"},
		{"/idleTimeout", set(func(s *settings) *latchkey.Duration { return &s.IdleTimeout }), 5 * minute, 730 * day, true, "off, or 5m to absoluteTimeout"},
		{"/stepUpTTL", set(func(s *settings) *latchkey.Duration { return &s.StepUpTTL }), minute, 24 * hour, false, "1m to 24h"},
		{"/accessKeyTokenTTL", set(func(s *settings) *latchkey.Duration { return &s.AccessKeyTokenTTL }), 3 * minute, 28 * day, false, "3m to 28d"},
		{"/reuseWindow", set(func(s *settings) *latchkey.Duration { return &s.ReuseWindow }), 0, 120 * second, true, "0 to 120s"},
		{"/keyRotation", set(func(s *settings) *latchkey.Duration { return &s.KeyRotation }), 2 * day, 730 * day, true, "off, or 2d to 730d"},
		{"/clockSkew", set(func(s *settings) *latchkey.Duration { return &s.ClockSkew }), 0, 5 * minute, true, "0 to 5m"},
		{"/maxSessionsPerUser", func(s *settings, v int64) { s.MaxSessions = int(v) }, 0, 100_000, true, "0 (no limit) to 100000"},
		{"/refreshRateLimit", func(s *settings, v int64) { s.RefreshRateLimit = latchkey.RateLimit(v) }, 1, 100_000, true, `"auto", or 1 to 100000`},
	} {
		values := map[int64]bool{c.low - 1: false, c.low: true, c.high: true, c.high + 1: false, -1: false}
		values[0] = c.zero
		for v, allowed := range values {
			t.Run(fmt.Sprint(c.pointer, "=", v), func(t *testing.T) {
				// The widest neighbours, so that only the range under test decides.
				s := Defaults()
				s.SessionTokenTTL, s.AbsoluteTimeout = duration(t, "1m"), duration(t, "730d")
				c.set(&s, v)
				refused := refusal(t, s)
				if (refused == nil) != allowed {
					t.Fatal(refused)
				}
				if allowed {
					return
				}
				if f := refused.Fields[0]; refused.Kind != fault.OutOfRange || f.Pointer != c.pointer || f.Code != "range" || !strings.Contains(f.Detail, c.text) {
					t.Error(refused)
				}
			})
		}
	}
}

func TestListLimits(t *testing.T) {
	for pointer, c := range map[string]struct {
		entry string
		limit int
		list  func(*latchkey.Settings) *[]string
	}{
		"/audience":          {"api", 20, func(s *latchkey.Settings) *[]string { return &s.Audience }},
		"/approvedOrigins":   {"https://app.example.com", 100, func(s *latchkey.Settings) *[]string { return &s.ApprovedOrigins }},
		"/approvedRedirects": {"https://app.example.com", 100, func(s *latchkey.Settings) *[]string { return &s.ApprovedRedirects }},
	} {
		s := Defaults()
		*c.list(&s) = slices.Repeat([]string{c.entry}, c.limit)
		if refused := refusal(t, s); refused != nil {
			t.Error(refused)
		}
		*c.list(&s) = append(*c.list(&s), c.entry)
		refused := refusal(t, s)
		if refused == nil || refused.Kind != fault.OutOfRange {
			t.Errorf("%s: %v", pointer, refused)
			continue
		}
		if code, detail := found(t, refused, pointer); code != "range" || !strings.Contains(detail, fmt.Sprint("0 to ", c.limit)) {
			t.Errorf("%s: %v", pointer, refused)
		}
	}
}

// The members with a fixed set of values are those that the wire type says, and the
// values are the same.
func TestEnumerations(t *testing.T) {
	tested := 0
	var walk func(at string, v func(*latchkey.Settings) reflect.Value)
	walk = func(at string, v func(*latchkey.Settings) reflect.Value) {
		s := Defaults()
		for i := range v(&s).NumField() {
			field := v(&s).Type().Field(i)
			pointer := at + "/" + field.Tag.Get("json")
			if field.Type.Kind() == reflect.Struct {
				walk(pointer, func(s *latchkey.Settings) reflect.Value { return v(s).Field(i) })
			}
			enum, ok := field.Tag.Lookup("enum")
			if !ok {
				continue
			}
			tested++
			values := strings.Split(enum, ",")
			for _, bad := range []string{"", "other", strings.ToUpper(values[0]) + "X", values[0] + " ", enum} {
				changed := Defaults()
				v(&changed).Field(i).SetString(bad)
				refused := refusal(t, changed)
				if refused == nil {
					t.Errorf("%s: %q is accepted", pointer, bad)
					continue
				}
				code, detail := found(t, refused, pointer)
				if refused.Kind != fault.OutOfRange || code != "range" || !strings.Contains(detail, strings.Join(values, ", ")) {
					t.Errorf("%s: %v", pointer, refused)
				}
			}
			for _, good := range values {
				changed := Defaults()
				changed.Delivery.Refresh, changed.ApprovedOrigins = "cookie", []string{"https://app.example.com"}
				v(&changed).Field(i).SetString(good)
				if refused := refusal(t, changed); refused != nil {
					t.Errorf("%s: %q: %v", pointer, good, refused)
				}
			}
		}
	}
	walk("", func(s *latchkey.Settings) reflect.Value { return reflect.ValueOf(s).Elem() })
	if tested != 10 {
		t.Errorf("%d enumerations, want 10", tested)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*latchkey.Settings)
		want   map[string]string // pointer -> part of the detail
	}{
		{"token of 60m", func(s *latchkey.Settings) { s.SessionTokenTTL = duration(t, "60m") }, nil},
		{"token over 60m", func(s *latchkey.Settings) { s.SessionTokenTTL = duration(t, "60m1s") }, map[string]string{"/sessionTokenTTL": "60m"}},
		{"window of 10s", func(s *latchkey.Settings) { s.ReuseWindow = duration(t, "10s") }, nil},
		{"window under 10s", func(s *latchkey.Settings) { s.ReuseWindow = duration(t, "9s") }, map[string]string{"/reuseWindow": "half of the window"}},
		{"no rotation and no moving", func(s *latchkey.Settings) { s.Rotation, s.ForeignReplay = "never", "end" }, map[string]string{"/foreignReplay": "logged out"}},
		{"no window", func(s *latchkey.Settings) { s.ReuseWindow = 0 }, map[string]string{"/reuseWindow": "lost answer"}},
		{"own domain", domains("auth.example.com", "auth.example.com"), nil},
		{"domain of an app", domains("", "example.com"), nil},
		{"wide domain", domains("auth.example.com", "example.com"), map[string]string{"/cookies/domain": "auth.example.com is enough"}},
		{"refresh cookie", func(s *latchkey.Settings) { s.Delivery.Refresh = "cookie" }, nil},
		{"cookies", func(s *latchkey.Settings) { s.Delivery = latchkey.Delivery{Session: "cookie", Refresh: "cookie"} }, nil},
		{"opaque", func(s *latchkey.Settings) { s.RefreshTokenFormat = "opaque" }, nil},
		{"all", func(s *latchkey.Settings) {
			domains("auth.example.com", "example.com")(s)
			s.SessionTokenTTL, s.ReuseWindow, s.Delivery.Refresh, s.Cookies.Path = duration(t, "2h"), duration(t, "1s"), "cookie", "/a"
		}, map[string]string{"/sessionTokenTTL": "", "/reuseWindow": "", "/cookies/domain": "", "/cookies/path": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			c.change(&s)
			warnings, err := Check(s, "")
			if err != nil || len(warnings) != len(c.want) {
				t.Fatalf("%v, %v", warnings, err)
			}
			for _, w := range warnings {
				if part, ok := c.want[w.Pointer]; !ok || !strings.Contains(w.Detail, part) {
					t.Errorf("%v", w)
				}
			}
		})
	}
}

func TestAllAtOnce(t *testing.T) {
	s := latchkey.Settings{
		SessionTokenTTL:   duration(t, "25h"),
		AbsoluteTimeout:   duration(t, "1h"),
		IdleTimeout:       duration(t, "2h"),
		ReuseWindow:       duration(t, "3m"),
		MaxSessions:       -1,
		Delivery:          latchkey.Delivery{Session: "cookie", Refresh: "body"},
		Cookies:           latchkey.Cookies{SessionName: "a b", RefreshName: "__Host-r", Domain: "com", Path: "auth", PreviousDomains: []string{"example.com", "co.uk"}},
		Audience:          []string{"fine", "", "line\nbreak"},
		ApprovedOrigins:   []string{"https://fine.example", "*"},
		ApprovedRedirects: []string{"javascript:alert(1)"},
		CustomDomain:      "127.0.0.1",
	}
	want := map[string]string{
		"/sessionTokenTTL": "range contradiction contradiction", "/absoluteTimeout": "contradiction contradiction",
		"/idleTimeout": "contradiction contradiction", "/stepUpTTL": "range", "/accessKeyTokenTTL": "range",
		"/reuseWindow": "range", "/maxSessionsPerUser": "range", "/onLimit": "range", "/rotation": "range",
		"/foreignReplay": "range", "/delivery/session": "contradiction", "/delivery/refresh": "contradiction",
		"/cookies/sessionName": "format", "/cookies/refreshName": "contradiction contradiction",
		"/cookies/domain": "format contradiction", "/cookies/path": "format contradiction", "/cookies/sameSite": "range",
		"/cookies/prefix": "range", "/cookies/previousDomains/1": "format",
		"/refreshTokenFormat": "range", "/signingAlgorithm": "range", "/claimLint": "range",
		"/audience/1": "format", "/audience/2": "format", "/approvedOrigins/1": "format",
		"/approvedRedirects/0": "format", "/customDomain": "format",
	}
	refused := refusal(t, s)
	if refused == nil || refused.Kind != fault.OutOfRange {
		t.Fatal(refused)
	}
	got := map[string]string{}
	for _, f := range refused.Fields {
		got[f.Pointer] = strings.TrimSpace(got[f.Pointer] + " " + f.Code)
		if f.Detail == "" {
			t.Errorf("%s has no detail", f.Pointer)
		}
	}
	if !maps.Equal(got, want) {
		for pointer, code := range want {
			if got[pointer] != code {
				t.Errorf("%s: %q, want %q", pointer, got[pointer], code)
			}
		}
		t.Errorf("%v", got)
	}
}

func TestKindOfRefusal(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*latchkey.Settings)
		want   fault.Kind
	}{
		{"format", func(s *latchkey.Settings) { s.CustomDomain = "com" }, fault.Invalid},
		{"format and contradiction", func(s *latchkey.Settings) { s.CustomDomain, s.Cookies.RefreshName = "com", "DS" }, fault.Contradiction},
		{"all three", func(s *latchkey.Settings) {
			s.CustomDomain, s.Cookies.RefreshName, s.ClockSkew = "com", "DS", duration(t, "1h")
		}, fault.OutOfRange},
	} {
		s := Defaults()
		c.change(&s)
		if refused := refusal(t, s); refused == nil || refused.Kind != c.want {
			t.Errorf("%s: %v, want %v", c.name, refused, c.want)
		}
	}
}

// However long the lists, the refusal stays short.
func TestRefusalIsBounded(t *testing.T) {
	s := Defaults()
	s.Audience = slices.Repeat([]string{""}, 50_000)
	s.ApprovedOrigins, s.ApprovedRedirects = s.Audience, s.Audience
	refused := refusal(t, s)
	if refused == nil || len(refused.Fields) != 3+20+100+100 {
		t.Fatal("fields are lost or the refusal is unbounded")
	}
}

func TestAudience(t *testing.T) {
	for entry, allowed := range map[string]bool{
		"api": true, "https://api.example.com/v1": true, "größe": true, strings.Repeat("ü", 200): true, "two words": true,
		"": false, strings.Repeat("ü", 201): false, "tab\t": false, "nul\x00": false, "\u200b": false, "\xff": false, "\ufffd": false,
	} {
		s := Defaults()
		s.Audience = []string{entry}
		refused := refusal(t, s)
		if (refused == nil) != allowed {
			t.Errorf("%q: %v", entry, refused)
		}
	}
}
