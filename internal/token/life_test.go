package token_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// No token outlives its session, and what a token says of its end is what it is told.
func TestTokensEndWithTheirSession(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	for name, c := range map[string]struct {
		settings         string
		lifetime, at     time.Duration // the session's, and when it is refreshed
		session, refresh time.Duration // from the sign-in
	}{
		"defaults":                 {`{}`, 0, hour, hour + 10*time.Minute, 28 * day},
		"near the end":             {`{}`, hour, 55 * time.Minute, hour, hour},
		"a short session":          {`{"sessionTokenTTL":"24h"}`, 3 * time.Minute, time.Minute, 3 * time.Minute, 3 * time.Minute},
		"idle":                     {`{"idleTimeout":"1h"}`, 0, 30 * time.Minute, 40 * time.Minute, 90 * time.Minute},
		"idle past the end":        {`{"idleTimeout":"1h"}`, 2 * hour, 50 * time.Minute, hour, 110 * time.Minute},
		"idle shorter than tokens": {`{"idleTimeout":"5m","sessionTokenTTL":"5m"}`, 0, 4 * time.Minute, 9 * time.Minute, 9 * time.Minute},
		"without rotation":         {`{"rotation":"never","idleTimeout":"1h"}`, 0, 30 * time.Minute, 40 * time.Minute, 28 * day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.settings)
			w.clock.Move(999 * time.Millisecond) // claims are in whole seconds
			start := w.clock.Now()
			first := w.signIn(t, func(in *token.SignIn) { in.Lifetime = c.lifetime })
			w.clock.Move(c.at)
			set := w.refresh(t, w.Service, first.Refresh)
			var session, refresh struct {
				Expires int64 `json:"exp"`
			}
			claimsInto(t, set.Session, &session)
			claimsInto(t, set.Refresh, &refresh)
			ends := func(what string, told time.Time, exp int64, want time.Duration) {
				t.Helper()
				early := start.Add(want).Sub(told)
				if early < 0 || early >= time.Second || told.Unix() != exp || told.After(set.Row.ExpiresAt()) && what == "session token" {
					t.Errorf("the %s ends after %v (exp %d), want %v", what, told.Sub(start), exp, want)
				}
			}
			ends("session token", set.SessionExpiresAt, session.Expires, c.session)
			ends("refresh token", set.RefreshExpiresAt, refresh.Expires, c.refresh)
			if refresh.Expires > set.Row.AbsoluteAt.Unix() {
				t.Error("the refresh token outlives the session")
			}
		})
	}
}

func TestRefreshAtTheEnd(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		set := w.signIn(t, func(in *token.SignIn) { in.Lifetime = time.Hour })
		w.clock.Move(time.Hour - time.Millisecond)
		set = w.refresh(t, w.Service, set.Refresh)
		w.clock.Move(time.Millisecond)
		w.refused(t, set.Refresh, fault.SessionExpired)
	})
}

// What was removed from the store is over; which kind of over, the token itself says as
// far as it can.
func TestRefreshAfterTheSessionWasRemoved(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		set := w.signIn(t, func(in *token.SignIn) { in.Lifetime = time.Hour })
		w.clock.Move(2 * time.Hour)
		n, err := w.store.Bulk().Sweep(w.ctx, w.clock.Now(), 10)
		must(t, err)
		if n != 1 {
			t.Fatalf("%d removed", n)
		}
		want := fault.SessionExpired
		if name := set.Refresh.Reveal(); name[:3] == "rt_" {
			want = fault.SessionRevoked // it doesn't hold its end
		}
		w.refused(t, set.Refresh, want)
		if _, err := w.Identify(w.ctx, w.present(set.Session)); fault.KindOf(err) != fault.SessionExpired {
			t.Errorf("the session token: %v", err)
		}
	})
}
