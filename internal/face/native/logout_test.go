package native_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, before := w.rotated(t)
	ack := func(token string) (answer struct {
		Confirmed     bool      `json:"confirmed"`
		ConfirmableAt time.Time `json:"confirmableAt"`
	}) {
		t.Helper()
		w.ok(t, w.end("POST", "/session/ack", token), &answer)
		return answer
	}
	end := w.clock.Now().Add(window)
	if a := ack(set.RefreshToken); a.Confirmed || !a.ConfirmableAt.Equal(end) {
		t.Errorf("inside the window: %+v, want nothing before %v", a, end)
	}
	w.clock.Move(window)
	if a := ack(before); a.Confirmed {
		t.Error("the token before the newest confirms")
	}
	if a := ack(set.RefreshToken); !a.Confirmed || !a.ConfirmableAt.Equal(end) {
		t.Errorf("after the window: %+v", a)
	}
	if a := ack(set.RefreshToken); !a.Confirmed {
		t.Error("repeating it takes it back")
	}
	w.refused(t, w.end("POST", "/session/ack", before), latchkey.CodeTokenReuse)
}

// A session token that was minted with the newest refresh token proves that this one
// arrived, too.
func TestUseOfTheSessionTokenAcknowledges(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/session", "/sessions"} {
		w := newWorld(t)
		set, before := w.rotated(t)
		w.ok(t, w.end("GET", path, set.SessionToken), nil)
		w.ok(t, w.end("GET", path, before), nil)
		w.clock.Move(window)
		w.ok(t, w.end("GET", path, set.SessionToken), nil)
		w.refused(t, w.end("GET", path, before), latchkey.CodeTokenReuse)
	}
}

// active returns how many sessions of the user live.
func (w *world) active(t testing.TB) int {
	t.Helper()
	var list struct {
		Sessions []latchkey.Session `json:"sessions"`
	}
	w.ok(t, w.manage("GET", "/sessions?state=active", ""), &list)
	return len(list.Sessions)
}

func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.signIn(t, w.site), w.signIn(t, w.site)
	for range 2 {
		a := w.ok(t, w.end("POST", "/session/logout", one.RefreshToken), nil)
		if strings.TrimSpace(string(a.body)) != "{}" {
			t.Errorf("answered %s", a.body)
		}
	}
	a := w.refused(t, w.end("POST", "/session/refresh", one.RefreshToken), latchkey.CodeSessionRevoked)
	golden(t, "problems/session-revoked", a.body)
	if n := w.active(t); n != 1 {
		t.Errorf("%d sessions live, want the other", n)
	}
	w.ok(t, w.end("POST", "/session/logout", two.SessionToken), nil)
	if n := w.counter.of("ended logout"); n != 2 {
		t.Errorf("%d ended sessions were counted, want 2", n)
	}
	three := w.signIn(t, w.site)
	w.clock.Move(10 * time.Minute)
	w.refused(t, w.end("POST", "/session/logout", three.SessionToken), latchkey.CodeUnauthenticated)
	w.ok(t, w.end("POST", "/session/logout", three.RefreshToken), nil)
}

// An old refresh token is enough: who wants out is let out.
func TestLogoutWithAnOldToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, before := w.rotated(t)
	w.clock.Move(window)
	w.ok(t, w.end("POST", "/session/ack", set.RefreshToken), nil)
	w.ok(t, w.end("POST", "/session/logout", before), nil)
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked)
}

func TestLogoutOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newUser(t, w.project, "mallory@example.com")
	foreign := w.signInAs(t, w.site, `{"user":"`+stranger.String()+`","amr":["pwd"]}`)
	one, two, three := w.signIn(t, w.site), w.signIn(t, w.site), w.signIn(t, w.site)
	for range 2 {
		w.ok(t, w.end("POST", "/session/logout-others", two.RefreshToken), nil)
	}
	w.refused(t, w.end("POST", "/session/refresh", one.RefreshToken), latchkey.CodeSessionRevoked)
	w.refused(t, w.end("GET", "/session", three.SessionToken), latchkey.CodeSessionRevoked)
	w.refresh(t, two.RefreshToken)
	w.refresh(t, foreign.RefreshToken)
	if n := w.counter.of("ended logout"); n != 2 {
		t.Errorf("%d ended sessions were counted, want 2", n)
	}
}

func TestLogoutAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.signIn(t, w.site), w.signIn(t, w.site)
	w.ok(t, w.end("POST", "/session/logout-all", one.RefreshToken), nil)
	w.refused(t, w.end("POST", "/session/refresh", two.RefreshToken), latchkey.CodeSessionRevoked)
	later := w.signIn(t, w.site)
	// A repetition is no error, and does nothing to sessions made since.
	for _, token := range []string{one.RefreshToken, one.SessionToken, two.RefreshToken} {
		w.ok(t, w.end("POST", "/session/logout-all", token), nil)
	}
	w.refresh(t, later.RefreshToken)
	if n := w.counter.of("ended logout"); n != 2 {
		t.Errorf("%d ended sessions were counted, want 2", n)
	}
	// A session that was ended alone can't speak for the others.
	w.ok(t, w.end("POST", "/session/logout", later.RefreshToken), nil)
	other := w.signIn(t, w.site)
	w.refused(t, w.end("POST", "/session/logout-all", later.RefreshToken), latchkey.CodeSessionRevoked)
	w.refresh(t, other.RefreshToken)
	w.clock.Move(28 * 24 * time.Hour)
	w.refused(t, w.end("POST", "/session/logout-all", other.RefreshToken), latchkey.CodeSessionExpired)
}

// The audit log says who asked: the user, or the application that acts for the user.
func TestLogoutNamesTheActor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		actor, bearer string
	}{{"user:" + w.user.String(), ""}, {"key:mk_", w.key}} {
		w.clock.Move(time.Second)
		w.signIn(t, w.site)
		token := w.signIn(t, w.site).RefreshToken
		attempt := w.end("POST", "/session/logout-others", token)
		if c.bearer != "" {
			attempt = withBody(w.end("POST", "/session/logout-others", c.bearer), tokenBody(token))
		}
		w.ok(t, attempt, nil)
		var log struct {
			Events []latchkey.Event `json:"events"`
		}
		w.ok(t, w.manage("GET", "/events?type=sessions.ended", ""), &log)
		if e := log.Events[0]; !strings.HasPrefix(e.Actor, c.actor) || e.IP != "192.0.2.1" || e.RequestID != requestID {
			t.Errorf("got %+v, want the actor %s…", e, c.actor)
		}
	}
}

// Each end of all other sessions is an entry that every verifier is told: a user who has
// no other one doesn't write any, however often they ask.
func TestLogoutOthersWithoutOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.signIn(t, w.site)
	for i, want := range []bool{true, false, false} {
		w.tap.drain()
		w.ok(t, w.end("POST", "/session/logout-others", set.RefreshToken), nil)
		if got := slices.Contains(w.tap.drain(), "bulk.EndAll"); got != want {
			t.Errorf("time %d: sessions were ended: %v", i, got)
		}
	}
	other := w.signIn(t, w.site)
	w.ok(t, w.end("POST", "/session/logout-others", set.RefreshToken), nil)
	w.refused(t, w.end("POST", "/session/refresh", other.RefreshToken), latchkey.CodeSessionRevoked)
}
