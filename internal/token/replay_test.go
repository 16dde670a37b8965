package token_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// forms are all ways in which a refresh token can be made.
var forms = map[string]string{
	"ES256":  `{"signingAlgorithm":"ES256"}`,
	"EdDSA":  `{"signingAlgorithm":"EdDSA"}`,
	"RS256":  `{"signingAlgorithm":"RS256"}`,
	"opaque": `{"refreshTokenFormat":"opaque"}`,
}

// eachForm runs a test with every form of refresh token.
func eachForm(t *testing.T, test func(t *testing.T, w *world)) {
	for name, settings := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, settings))
		})
	}
}

func same(t *testing.T, what string, got, want secret.Text) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("%s: got another refresh token", what)
	}
}

// Inside the reuse window every answer holds the same refresh token, byte for byte:
// whichever of them arrives, the client holds what the others of its tabs hold.
func TestReplayIsByteIdentical(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		first := w.signIn(t, everything)
		w.clock.Move(5 * time.Second)
		same(t, "after the sign-in", w.refresh(t, w.Service, first.Refresh).Refresh, first.Refresh)
		w.clock.Move(2 * window)
		second := w.refresh(t, w.Service, first.Refresh)
		if second.Refresh.Equal(first.Refresh) || second.Rule != session.Rotate {
			t.Fatalf("%v instead of a rotation", second.Rule)
		}
		w.clock.Move(time.Second)
		same(t, "the old token", w.refresh(t, w.Service, first.Refresh).Refresh, second.Refresh)
		same(t, "the new token", w.refresh(t, w.Service, second.Refresh).Refresh, second.Refresh)
		same(t, "after a restart", w.refresh(t, w.restart(t), first.Refresh).Refresh, second.Refresh)

		_, err := w.keys.RotateNow(w.ctx, w.project, audit.Origin{Actor: audit.CLI})
		must(t, err)
		w.clock.Move(window - 2*time.Second)
		again := w.refresh(t, w.Service, first.Refresh)
		same(t, "after a change of the signing key", again.Refresh, second.Refresh)
		same(t, "that and a restart", w.refresh(t, w.restart(t), second.Refresh).Refresh, second.Refresh)
		if string(segment(t, again.Session, 0)) == string(segment(t, second.Session, 0)) {
			t.Error("the session token isn't signed by the new key")
		}
		w.clock.Move(2 * window)
		third := w.refresh(t, w.Service, second.Refresh)
		if third.Refresh.Equal(second.Refresh) || third.Rule != session.Rotate {
			t.Errorf("after the window: %v", third.Rule)
		}
	})
}

// A format that was changed inside the window shows at once; it is the same token all
// the same: both forms are good.
func TestReplayAfterAChangeOfFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	first := w.signIn(t)
	w.clock.Move(window)
	jwt := w.refresh(t, w.Service, first.Refresh).Refresh
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	opaque := w.refresh(t, w.Service, first.Refresh).Refresh
	if !strings.HasPrefix(opaque.Reveal(), "rt_") {
		t.Error("the setting isn't obeyed")
	}
	for _, token := range []secret.Text{jwt, opaque} {
		same(t, "either form", w.refresh(t, w.Service, token).Refresh, opaque)
	}
}

// However many ask at once, one rotation is made and all get its token.
func TestConcurrentRefreshes(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		first := w.signIn(t)
		w.clock.Move(window)
		other := w.restart(t)
		var group sync.WaitGroup
		got := make([]secret.Text, 64)
		rules := make([]session.Rule, len(got))
		for i := range got {
			service := w.Service
			if i%2 == 1 {
				service = other
			}
			group.Go(func() {
				set, _, err := service.Refresh(w.ctx, w.present(first.Refresh), false)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				got[i], rules[i] = set.Refresh, set.Rule
			})
		}
		group.Wait()
		rotations := 0
		for i := range got {
			same(t, fmt.Sprintf("request %d", i), got[i], got[0])
			if rules[i] == session.Rotate {
				rotations++
			}
		}
		if rotations != 1 {
			t.Errorf("%d rotations, want 1", rotations)
		}
	})
}

// RefreshToken makes what a replay would hand out.
func TestRefreshTokenOfARow(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		set := w.signIn(t)
		got, err := w.RefreshToken(w.ctx, set.Row)
		must(t, err)
		same(t, "minted again", got, set.Refresh)
	})
}

// A request that leaves the lineage alone gets a session token and nothing else.
func TestReadOnlyRefresh(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		first := w.signIn(t)
		w.clock.Move(time.Hour)
		for range 3 {
			set, _, err := w.Refresh(w.ctx, w.present(first.Refresh), true)
			must(t, err)
			if !set.Refresh.IsZero() || set.Session.IsZero() || set.Rule != session.Read {
				t.Errorf("got %v", set.Rule)
			}
		}
		if set := w.refresh(t, w.Service, first.Refresh); set.Rule != session.Rotate {
			t.Errorf("the lineage moved: %v", set.Rule)
		}
	})
}
