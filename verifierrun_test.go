package latchkey

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

// A newcomer forgets Run, or writes a slash behind the issuer: what is said must say so.
func TestVerifierNotRun(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "key_1")
	for name, c := range map[string]struct {
		after, silent time.Duration
		running, want bool
	}{
		"forgotten":           {after: unrunAfter, silent: math.MaxInt64, want: true},
		"just made":           {after: unrunAfter - 1, silent: math.MaxInt64},
		"run":                 {after: unrunAfter, silent: math.MaxInt64, running: true},
		"the feed run alone":  {after: unrunAfter, silent: defaultMaxSilence},
		"stopped a while ago": {after: time.Hour, silent: defaultMaxSilence + 1, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			now := testNoon
			config := staticConfig(t, s.keySet(t))
			config.Logger, config.Now = slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }
			f := &testFeed{}
			f.silent.Store(int64(c.silent))
			v := withFeed(t, config, f)
			v.running.Store(c.running)
			now = now.Add(c.after)
			for range 2 {
				v.noticeUnrun(v.now())
			}
			want := 0
			if c.want {
				want = 1
			}
			if got := strings.Count(log.String(), "go verifier.Run(ctx)"); got != want {
				t.Errorf("said %d times, want %d: %s", got, want, &log)
			}
		})
	}
	var log bytes.Buffer
	now := testNoon
	config := staticConfig(t, s.keySet(t))
	config.Logger, config.Now = slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }
	f := &testFeed{}
	f.silent.Store(math.MaxInt64)
	v := withFeed(t, config, f)
	now = now.Add(unrunAfter)
	if _, err := v.Verify(t.Context(), s.mint(t, nil)); err != nil || !strings.Contains(log.String(), "go verifier.Run(ctx)") {
		t.Errorf("Verify: %v, it says %q", err, &log)
	}
	_, err := NewVerifier(VerifierConfig{Issuer: ourIssuer + "/"})
	if err == nil || !strings.Contains(err.Error(), "nothing behind it") {
		t.Errorf("a slash: %v", err)
	}
	_, err = NewClient(ClientConfig{Issuer: ourIssuer + "/"})
	if err == nil || !strings.Contains(err.Error(), "nothing behind it") {
		t.Errorf("a slash for the client: %v", err)
	}
}
