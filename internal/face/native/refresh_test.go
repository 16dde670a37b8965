package native_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const window = 20 * time.Second // reuseWindow's default

// refresh trades a token of the world's project.
func (w *world) refresh(t testing.TB, token string) latchkey.TokenSet {
	t.Helper()
	var set latchkey.TokenSet
	w.ok(t, w.end("POST", "/session/refresh", token), &set)
	return set
}

// rotated returns a session whose refresh token has been replaced, and the one before.
func (w *world) rotated(t testing.TB) (set latchkey.TokenSet, before string) {
	t.Helper()
	first := w.signIn(t, w.site)
	w.clock.Move(window)
	set = w.refresh(t, first.RefreshToken)
	if set.RefreshToken == first.RefreshToken {
		t.Fatal("the refresh token wasn't replaced")
	}
	return set, first.RefreshToken
}

// settings changes the settings of the world's project.
func (w *world) settings(t testing.TB, patch string) {
	t.Helper()
	w.ok(t, w.manage("PATCH", "/settings", patch), nil)
}

func withBody(c call, body string) call {
	c.body = body
	return c
}

func tokenBody(token string) string { return fmt.Sprintf(`{"refreshToken":%q}`, token) }

func TestRefreshTakesTheTokenFromHeaderOrBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.clock.Move(window)
	next := w.refresh(t, set.RefreshToken).RefreshToken
	for name, c := range map[string]call{
		"body":                  withBody(w.end("POST", "/session/refresh", ""), tokenBody(set.RefreshToken)),
		"header and body alike": withBody(w.end("POST", "/session/refresh", set.RefreshToken), tokenBody(set.RefreshToken)),
		"key and body":          withBody(w.end("POST", "/session/refresh", w.key), tokenBody(set.RefreshToken)),
		"null in the body":      withBody(w.end("POST", "/session/refresh", set.RefreshToken), `{"refreshToken":null}`),
	} {
		var again latchkey.TokenSet
		if w.ok(t, c, &again); again.RefreshToken != next {
			t.Errorf("%s: another refresh token", name)
		}
	}
	other := w.signIn(t, w.site)
	a := w.refused(t, withBody(w.end("POST", "/session/refresh", set.RefreshToken), tokenBody(other.RefreshToken)), latchkey.CodeContradiction)
	golden(t, "problems/two-tokens", a.body)
	w.refused(t, w.end("POST", "/session/refresh", set.SessionToken), latchkey.CodeUnauthenticated)
}

func TestEveryRouteWithATokenInTheBodyRefusesTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.signIn(t, w.site), w.signIn(t, w.site)
	for _, r := range w.face.Routes() {
		if strings.HasPrefix(r.Pattern, "/{project}/session") && r.Body != nil {
			c := call{method: r.Method, path: strings.Replace(r.Pattern, "{project}", w.project.String(), 1), bearer: one.RefreshToken}
			c.body = strings.Replace(w.body(r), "{", `{"refreshToken":"`+other.RefreshToken+`",`, 1)
			c.body = strings.Replace(c.body, ",}", "}", 1)
			w.refused(t, c, latchkey.CodeContradiction)
		}
	}
}

func TestRefreshRepeatsAndRotates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.signIn(t, w.site)
	if again := w.refresh(t, first.RefreshToken); again.RefreshToken != first.RefreshToken || again.SessionToken == first.SessionToken {
		t.Error("inside the window after the sign-in: want the same refresh token and a new session token")
	}
	w.clock.Move(2 * window)
	second := w.refresh(t, first.RefreshToken)
	w.clock.Move(window - time.Millisecond)
	if again := w.refresh(t, first.RefreshToken); again.RefreshToken != second.RefreshToken {
		t.Error("at the end of the window: want the token of the rotation")
	}
	if n := w.counter.of("refreshed rotate"); n != 1 {
		t.Errorf("%d rotations were counted, want 1", n)
	}
	if n := w.counter.of("refreshed replay"); n != 2 {
		t.Errorf("%d repetitions were counted, want 2", n)
	}
}

// After a repetition late in the window the token stays for a while: that answer may
// still be under way. Who refreshes meanwhile gets a session token and keeps the token.
func TestRefreshWhileAnAnswerMayBeUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, before := w.rotated(t)
	w.clock.Move(window - time.Second)
	w.refresh(t, before)
	w.clock.Move(2 * time.Second)
	quiet := w.refresh(t, set.RefreshToken)
	if quiet.RefreshToken != "" || quiet.SessionToken == "" {
		t.Errorf("got a refresh token: %v, a session token: %v", quiet.RefreshToken != "", quiet.SessionToken != "")
	}
	w.clock.Move(window)
	if next := w.refresh(t, set.RefreshToken); next.RefreshToken == "" || next.RefreshToken == set.RefreshToken {
		t.Error("the token wasn't replaced afterwards")
	}
}

// Many requests at once are one rotation, and all get the same token.
func TestRefreshConcurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.clock.Move(window)
	var group sync.WaitGroup
	tokens := make([]string, 16)
	for i := range tokens {
		group.Go(func() { tokens[i] = w.refresh(t, set.RefreshToken).RefreshToken })
	}
	group.Wait()
	for _, got := range tokens {
		if got != tokens[0] || got == set.RefreshToken {
			t.Fatal("the tokens differ, or weren't replaced")
		}
	}
	if n := w.counter.of("refreshed rotate"); n != 1 {
		t.Errorf("%d rotations, want 1", n)
	}
}

func TestRefreshFindsTheft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, stolen := w.rotated(t)
	w.clock.Move(window)
	w.ok(t, w.end("POST", "/session/ack", set.RefreshToken), nil)
	a := w.refused(t, w.end("POST", "/session/refresh", stolen), latchkey.CodeTokenReuse)
	golden(t, "problems/token-reuse", a.body)
	if !strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
	}
	// Both holders are told, whatever they come with.
	for _, c := range []call{
		w.end("POST", "/session/refresh", set.RefreshToken), w.end("GET", "/session", set.SessionToken),
		w.end("GET", "/sessions", set.RefreshToken), w.end("POST", "/session/ack", set.RefreshToken),
		w.end("POST", "/session/logout-others", set.RefreshToken), w.end("POST", "/session/logout-all", set.RefreshToken),
		w.end("DELETE", "/sessions/"+set.Session.ID, set.SessionToken),
	} {
		w.refused(t, c, latchkey.CodeTokenReuse)
	}
	if w.counter.of("refreshed theft") != 1 {
		t.Errorf("counted %v", w.counter.n)
	}
	var trace latchkey.Trace
	w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID+"/trace", ""), &trace)
	if last := trace.Entries; trace.Session.EndReason != "token_reuse" || len(last) < 4 {
		t.Errorf("the trace: %+v", trace)
	}
}

func TestRefreshLeavingTheTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	verify := w.newKey(t, w.project, directory.NewKey{Name: "verifier", Kind: secret.Verify})
	never := fmt.Sprintf(`{"refreshToken":%q,"rotate":"never"}`, set.RefreshToken)
	w.clock.Move(time.Hour)
	a := w.refused(t, withBody(w.end("POST", "/session/refresh", ""), never), latchkey.CodeForbidden)
	golden(t, "problems/rotate-never", a.body)
	w.refused(t, withBody(w.end("POST", "/session/refresh", set.RefreshToken), `{"rotate":"never"}`), latchkey.CodeForbidden)
	var alone latchkey.TokenSet
	w.ok(t, withBody(w.end("POST", "/session/refresh", verify), never), &alone)
	if alone.RefreshToken != "" || alone.SessionToken == "" || alone.SessionToken == set.SessionToken {
		t.Errorf("rotate never: %+v", alone)
	}
	if w.refresh(t, set.RefreshToken).RefreshToken == set.RefreshToken {
		t.Error("the lineage wasn't left alone: the token is being repeated")
	}
	w.refused(t, withBody(w.end("POST", "/session/refresh", verify), strings.Replace(never, "never", "always", 1)), latchkey.CodeInvalidRequest)
}

func TestRefreshComposedLongAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.clock.Move(time.Hour)
	composed := func(ago time.Duration) call {
		return withBody(w.end("POST", "/session/refresh", set.RefreshToken), fmt.Sprintf(`{"composedAt":%q}`, w.clock.Now().Add(-ago).Format(time.RFC3339Nano)))
	}
	a := w.refused(t, composed(window+time.Second), latchkey.CodeRequestExpired)
	golden(t, "problems/request-expired", a.body)
	w.ok(t, composed(time.Second), nil)
	w.ok(t, composed(-time.Minute), nil)
	w.refused(t, withBody(composed(0), `{"composedAt":"yesterday"}`), latchkey.CodeInvalidRequest)
}

func TestRefreshIsLimitedForEachSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"refreshRateLimit":1}`)
	set, _ := w.rotated(t)
	w.clock.Move(window)
	a := w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeRateLimited)
	golden(t, "problems/session-limit", a.body)
	if a.header.Get("Retry-After") != "880" || w.counter.of("limited session") != 1 {
		t.Errorf("Retry-After %q, counted %v", a.header.Get("Retry-After"), w.counter.n)
	}
	w.clock.Move(880 * time.Second)
	w.refresh(t, set.RefreshToken)
}

// Authentic requests and junk are limited apart; whoever logs out, and applications that
// act for a user, aren't limited.
func TestEndUserRoutesAreLimitedForEachNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range w.face.Routes() {
		good := w.good(t, r)
		w.limiter.refuse(2500 * time.Millisecond)
		if r.Scope != "" || r.ID == "logout" || strings.Contains(r.Pattern, ".well-known") {
			w.ok(t, w.goodAt(t, w.another(t), r), nil)
			w.limiter.refuse(0)
			continue
		}
		good.from, good.header = "10.1.2.3", http.Header{"X-Forwarded-For": {"203.0.113.5, 198.51.100.77"}}
		w.tap.drain()
		a := w.refused(t, good, latchkey.CodeRateLimited)
		calls := w.tap.drain()
		if r.ID == "exchangeAccessKey" { // whether a key is authentic only the store knows
			calls = slices.DeleteFunc(calls, func(verb string) bool { return verb == "accessKeys.FindByDigest" })
		}
		if a.header.Get("Retry-After") != "3" || len(calls) > 0 {
			t.Errorf("%s: Retry-After %q, or the store was asked", r.ID, a.header.Get("Retry-After"))
		}
		if got := w.limiter.seen.String(); got != "198.51.100.0/24" {
			t.Errorf("%s: counted for %s", r.ID, got)
		}
		w.limiter.refuse(0)
		w.ok(t, good, nil)
	}
	if w.counter.of("limited network") == 0 {
		t.Error("not counted")
	}
}

func TestJunkIsLimitedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.junk.refuse(time.Second)
	w.refused(t, w.end("POST", "/session/refresh", "junk"), latchkey.CodeRateLimited)
	w.refused(t, w.end("GET", "/session", set.SessionToken[:100]), latchkey.CodeRateLimited)
	w.refused(t, w.end("POST", "/session/logout", "junk"), latchkey.CodeRateLimited)
	w.refresh(t, set.RefreshToken)

	// An application's key isn't limited, and isn't a token either when it is cut.
	w.limiter.refuse(time.Second)
	w.ok(t, withBody(w.end("POST", "/session/refresh", w.key), tokenBody(set.RefreshToken)), nil)
	w.junk.refuse(0)
	w.refused(t, withBody(w.end("POST", "/session/refresh", w.key[:20]), tokenBody(set.RefreshToken)), latchkey.CodeUnauthenticated)
}

// A verify key changes nothing.
func TestVerifyKeyActsForNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verify := w.newKey(t, w.project, directory.NewKey{Name: "verifier", Kind: secret.Verify})
	set := w.signIn(t, w.site)
	for _, path := range []string{"/session/refresh", "/session/ack", "/session/logout", "/session/logout-others", "/session/logout-all"} {
		w.refused(t, withBody(w.end("POST", path, verify), tokenBody(set.RefreshToken)), latchkey.CodeForbidden)
	}
	body := strings.Replace(tokenBody(set.RefreshToken), "}", `,"rotate":"never"}`, 1)
	w.ok(t, withBody(w.end("POST", "/session/refresh", verify), body), nil)
}

// A parameter that no route reads isn't passed over in silence.
func TestQueryParametersAreRefusedWhereThereAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	attempt := w.manage("POST", "/sessions/revoke?dryRun=true", `{"all":true}`)
	w.refused(t, attempt, latchkey.CodeInvalidRequest)
	w.refused(t, withBody(w.end("POST", "/session/refresh?rotate=never", ""), tokenBody(set.RefreshToken)), latchkey.CodeInvalidRequest)
	w.refresh(t, set.RefreshToken)
}

func TestRefreshAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, w *world, sid string)
		code latchkey.Code
	}{
		"time": {func(_ *testing.T, w *world, _ string) { w.clock.Move(28 * 24 * time.Hour) }, latchkey.CodeSessionExpired},
		"revocation": {func(t *testing.T, w *world, sid string) {
			w.ok(t, w.manage("POST", "/sessions/"+sid+"/revoke", ""), nil)
		}, latchkey.CodeSessionRevoked},
		"disabled user": {func(t *testing.T, w *world, _ string) {
			w.ok(t, w.manage("PATCH", "/users/"+w.user.String(), `{"status":"disabled"}`), nil)
		}, latchkey.CodeSessionRevoked},
		"deleted user": {func(t *testing.T, w *world, _ string) {
			w.ok(t, w.manage("DELETE", "/users/"+w.site.user.String(), ""), nil)
		}, latchkey.CodeSessionRevoked},
		"all of the project": {func(t *testing.T, w *world, _ string) {
			w.ok(t, w.manage("POST", "/sessions/revoke", `{"all":true}`), nil)
		}, latchkey.CodeSessionRevoked},
		"shorter absolute timeout": {func(t *testing.T, w *world, _ string) {
			w.settings(t, `{"absoluteTimeout":"1h"}`)
			w.clock.Move(time.Hour)
		}, latchkey.CodeSessionExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			set := w.signIn(t, w.site)
			c.end(t, w, set.Session.ID)
			for _, path := range []string{"/session/refresh", "/session/ack", "/session/logout-others"} {
				w.refused(t, w.end("POST", path, set.RefreshToken), c.code)
			}
			w.refused(t, w.end("GET", "/session", set.RefreshToken), c.code)
			w.refused(t, w.end("GET", "/sessions", set.RefreshToken), c.code)
			w.refused(t, w.end("DELETE", "/sessions/"+set.Session.ID, set.RefreshToken), c.code)
			// To be logged out is what was asked for.
			w.ok(t, w.end("POST", "/session/logout", set.RefreshToken), nil)
		})
	}
}

func TestRefreshFollowsTheSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.settings(t, `{"refreshTokenFormat":"opaque","sessionTokenTTL":"2m","idleTimeout":"1h"}`)
	w.clock.Move(window)
	opaque := w.refresh(t, set.RefreshToken)
	if !strings.HasPrefix(opaque.RefreshToken, "rt_") {
		t.Error("the new token isn't opaque")
	}
	now := w.clock.Now()
	if !opaque.SessionExpiresAt.Equal(now.Add(2*time.Minute)) || !opaque.RefreshExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("expiries %v and %v", opaque.SessionExpiresAt, opaque.RefreshExpiresAt)
	}
	w.settings(t, `{"rotation":"never"}`)
	w.clock.Move(window)
	if w.refresh(t, opaque.RefreshToken).RefreshToken != opaque.RefreshToken {
		t.Error("the token was replaced")
	}
	w.clock.Move(time.Hour)
	w.refused(t, w.end("POST", "/session/refresh", opaque.RefreshToken), latchkey.CodeSessionExpired)
}
