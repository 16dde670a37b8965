package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// TestExpired waits until tokens have run out. What a client must do then differs: a
// session token is refreshed, and only a session that is over is terminal.
func TestExpired(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	p.set(i.in, map[string]any{"sessionTokenTTL": "1m"})
	set := p.signIn(i.in, "alice@example.com")
	own := call{method: "GET", path: i.in.user("/session"), bearer: set.SessionToken}
	p.ask(own).must(t, nil)
	i.awaitLong(set.SessionExpiresAt)
	p.ask(own).refused(t, http.StatusUnauthorized, latchkey.CodeUnauthenticated, false)
	own.method, own.path = "POST", i.in.user("/session/logout")
	p.ask(own).refused(t, http.StatusUnauthorized, latchkey.CodeUnauthenticated, false)
	p.ask(refresh(i.in, set.RefreshToken)).must(t, &set)
	p.ask(call{method: "GET", path: i.in.user("/session"), bearer: set.SessionToken}).must(t, nil)
	if !long() {
		return
	}
	p.set(i.in, map[string]any{"absoluteTimeout": "3m"})
	i.awaitLong(set.Session.CreatedAt.Add(3 * time.Minute))
	p.ask(refresh(i.in, set.RefreshToken)).refused(t, http.StatusUnauthorized, latchkey.CodeSessionExpired, true)
	p.ask(refresh(i.in, set.RefreshToken)).refused(t, http.StatusUnauthorized, latchkey.CodeSessionExpired, true)
}

// awaitLong is awaitTime for times that are minutes away: the shortest lives that a
// project can choose.
func (w *world) awaitLong(at time.Time) {
	<-time.After(time.Until(at))
	w.awaitTime(at)
}

// TestNetworkLimit sends more from one network than is allowed. Junk is counted apart, so
// that it uses up nobody's share; applications, which speak for many users from one
// address, aren't limited, and neither is logging out.
func TestNetworkLimit(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--network-limit", "5")
	set := p.signIn(i.in, "alice@example.com")
	for range 5 {
		p.ask(refresh(i.in, "junk")).refused(t, http.StatusUnauthorized, latchkey.CodeUnauthenticated, false)
	}
	for range 5 {
		p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
	}
	for _, c := range []call{
		refresh(i.in, "junk"),
		refresh(i.in, set.RefreshToken),
		{method: "GET", path: i.in.user("/session"), bearer: set.SessionToken},
	} {
		a := p.ask(c)
		a.refused(t, http.StatusTooManyRequests, latchkey.CodeRateLimited, false)
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
			t.Errorf("it may be tried again after %q", a.header.Get("Retry-After"))
		}
	}
	if got := p.trace(i.in, set.Session.ID); len(got) != 6 {
		t.Errorf("the trace says %v, want the sign-in and the five refreshes that were let in", got)
	}
	byApplication := refresh(i.in, "")
	byApplication.bearer, byApplication.body = i.in.ManagementKey, map[string]string{"refreshToken": set.RefreshToken}
	p.ask(byApplication).must(t, nil)
	p.ask(call{method: "GET", path: i.in.user("/.well-known/jwks.json")}).must(t, nil)
	p.ask(call{method: "POST", path: i.in.user("/session/logout"), bearer: set.SessionToken}).must(t, nil)
	p.signIn(i.in, "bob@example.com")
}
