package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// verifier runs an application's verifier until stop is called.
func (w *world) verifier(c latchkey.VerifierConfig) (v *latchkey.Verifier, stop func()) {
	w.t.Helper()
	v, err := latchkey.NewVerifier(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := v.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return v, stop
}

// eventually polls for something that happens in another process.
func (w *world) eventually(what string, done func() bool) time.Duration {
	w.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		if <-tick.C; time.Since(begin) > patience {
			w.t.Fatalf("it isn't true after %v that %s", patience, what)
		}
	}
	return time.Since(begin)
}

// TestOutage takes the server away from an application. Tokens that were good stay good,
// what was revoked stays revoked, also for an application that starts while there is no
// server, and what is revoked right after the outage is heard of by all.
func TestOutage(t *testing.T) {
	t.Parallel()
	outage := 3 * time.Second
	if long() {
		outage = 30 * time.Second
	}
	i := newWorld(t).install()
	server := i.serve()
	good, bad := server.signIn(i.in, "alice@example.com"), server.signIn(i.in, "bob@example.com")
	config := latchkey.VerifierConfig{
		Issuer: server.url + "/" + i.in.ID, Key: i.in.VerifyKey, StateFile: i.path("verifier.state"), MaxSilence: time.Second,
	}
	refused := func(v *latchkey.Verifier, token string, need ...latchkey.Requirement) latchkey.Reason {
		_, err := v.Verify(t.Context(), token, need...)
		return latchkey.ReasonOf(err)
	}
	first, stop := i.verifier(config)
	i.eventually("the verifier hears the feed", func() bool { return first.Status().Feed.Complete })
	if why := refused(first, bad.SessionToken); why != "" {
		t.Fatalf("before anything happens a token is refused: %s", why)
	}
	ended := call{method: "POST", path: i.in.api("/sessions/" + bad.Session.ID + "/revoke"), bearer: i.in.ManagementKey}
	server.ask(ended).must(t, nil)
	took := i.eventually("the revoked session is refused", func() bool {
		return refused(first, bad.SessionToken) == latchkey.ReasonRevoked
	})
	t.Logf("refused %v after the revocation was acknowledged", took)
	if took > time.Second {
		t.Errorf("that took longer than a second")
	}

	server.kill()
	begin, checks := time.Now(), 0
	check := func(v *latchkey.Verifier, who string) {
		checks++
		if why := refused(v, good.SessionToken); why != "" {
			t.Fatalf("%v into the outage %s refuses a good token: %s", time.Since(begin), who, why)
		}
		if why := refused(v, bad.SessionToken); why != latchkey.ReasonRevoked {
			t.Fatalf("%v into the outage %s says %q of a revoked session", time.Since(begin), who, why)
		}
	}
	i.eventually("the first half of the outage is over", func() bool {
		check(first, "the verifier")
		return time.Since(begin) > outage/2
	})
	// A route that asks for it doesn't trust a verifier that hears nothing.
	if why := refused(first, good.SessionToken, latchkey.Requirement{Strict: true}); why != latchkey.ReasonFeedSilent {
		t.Errorf("a strict check while the feed is silent says %q", why)
	}
	stop()
	second, _ := i.verifier(config)
	i.eventually("the outage is over", func() bool {
		check(second, "a verifier that was started in it")
		return time.Since(begin) > outage
	})
	t.Logf("%d pairs of checks in %v without a server", checks, time.Since(begin))

	server = i.serve("--addr", strings.TrimPrefix(server.url, "http://"))
	check(second, "after the server's return, a verifier")
	i.eventually("the feed is heard again", func() bool {
		return refused(second, good.SessionToken, latchkey.Requirement{Strict: true}) == ""
	})
	ended.path = i.in.api("/sessions/" + good.Session.ID + "/revoke")
	server.ask(ended).must(t, nil)
	took = i.eventually("a session that is revoked after the outage is refused", func() bool {
		return refused(second, good.SessionToken) == latchkey.ReasonRevoked
	})
	t.Logf("refused %v after the revocation was acknowledged", took)
}
