package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

func TestOfDefaults(t *testing.T) {
	want := Policy{
		SessionTokenTTL: 10 * time.Minute,
		AbsoluteTimeout: 28 * 24 * time.Hour,
		ReuseWindow:     20 * time.Second,
		StepUpTTL:       10 * time.Minute,
		RotationLimit:   5,
		AutoLimit:       true,
		ForeignReplay:   AlertForeign,
		Rotate:          true,
	}
	if got := Of(Defaults()); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*latchkey.Settings)
		want   func(*Policy)
	}{
		{"idle", func(s *latchkey.Settings) { s.IdleTimeout = latchkey.Duration(time.Hour) }, func(p *Policy) { p.IdleTimeout = time.Hour }},
		{"step-up", func(s *latchkey.Settings) { s.StepUpTTL = latchkey.Duration(time.Hour) }, func(p *Policy) { p.StepUpTTL = time.Hour }},
		{"window", func(s *latchkey.Settings) { s.ReuseWindow = 0 }, func(p *Policy) { p.ReuseWindow = 0 }},
		{"never", func(s *latchkey.Settings) { s.Rotation = "never" }, func(p *Policy) { p.Rotate = false }},
		{"allow", func(s *latchkey.Settings) { s.ForeignReplay = "allow" }, func(p *Policy) { p.ForeignReplay = AllowForeign }},
		{"end", func(s *latchkey.Settings) { s.ForeignReplay = "end" }, func(p *Policy) { p.ForeignReplay = EndForeign }},
		{"sessions", func(s *latchkey.Settings) { s.MaxSessions, s.OnLimit = 3, "deny" }, func(p *Policy) { p.MaxSessions, p.DenyOverLimit = 3, true }},
		{"limit", func(s *latchkey.Settings) { s.RefreshRateLimit = 7 }, func(p *Policy) { p.RotationLimit, p.AutoLimit = 7, false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, want := Defaults(), Of(Defaults())
			c.change(&s)
			c.want(&want)
			if got := Of(s); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// The automatic limit is max(5, 3 x 15m / sessionTokenTTL), rounded down.
func TestAutomaticLimit(t *testing.T) {
	for ttl, want := range map[string]int{
		"1m": 45, "90s": 30, "5m": 9, "7m": 6, "7m30s": 6, "8m": 5, "10m": 5, "24h": 5,
	} {
		s := Defaults()
		s.SessionTokenTTL = duration(t, ttl)
		if got := Of(s).RotationLimit; got != want {
			t.Errorf("%s: %d, want %d", ttl, got, want)
		}
	}
}

// The defaults are part of the contract: this is what a client reads of a new project.
const defaults = `{
	"sessionTokenTTL": "10m", "absoluteTimeout": "28d", "idleTimeout": "off", "stepUpTTL": "10m",
	"maxSessionsPerUser": 0, "onLimit": "endOldest", "accessKeyTokenTTL": "10m",
	"rotation": "always", "reuseWindow": "20s", "refreshRateLimit": "auto", "foreignReplay": "alert",
	"delivery": {"session": "body", "refresh": "body"},
	"cookies": {"sessionName": "DS", "refreshName": "DSR", "prefix": "auto", "domain": "", "path": "/",
		"sameSite": "strict", "partitioned": false, "persistent": false, "previousDomains": []},
	"refreshTokenFormat": "jwt", "signingAlgorithm": "ES256", "keyRotation": "30d",
	"audience": [], "autoTenant": true, "claimsInRefreshToken": true, "claimLint": "warn", "clockSkew": "1m",
	"approvedOrigins": [], "approvedRedirects": [], "customDomain": ""
}`

func TestDefaults(t *testing.T) {
	got, err := json.Marshal(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.NewReplacer("\n", "", "\t", "", " ", "").Replace(defaults); string(got) != want {
		t.Errorf("defaults\n%s, want\n%s", got, want)
	}
	warnings, err := Check(Defaults(), "")
	if err != nil || warnings == nil || len(warnings) != 0 {
		t.Errorf("the defaults must be beyond doubt: %v, %v", warnings, err)
	}
}

func TestDefaultsAreNotShared(t *testing.T) {
	a := Defaults()
	_ = append(a.Audience, "changed")
	if b := Defaults(); len(b.Audience[:cap(b.Audience)]) != 0 {
		t.Error("two projects share a list")
	}
}

func duration(t *testing.T, text string) latchkey.Duration {
	t.Helper()
	d, err := latchkey.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
