package native_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

type ownSession struct {
	Session    latchkey.Session `json:"session"`
	TokenKind  string           `json:"tokenKind"`
	Claims     map[string]any   `json:"claims"`
	ExpiresAt  time.Time        `json:"expiresAt"`
	ServerTime time.Time        `json:"serverTime"`
}

func TestOwnSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	for kind, token := range map[string]string{"session": set.SessionToken, "refresh": set.RefreshToken} {
		var own ownSession
		a := w.ok(t, w.end("GET", "/session", token), &own)
		golden(t, "answers/getOwnSession-"+kind, a.body)
		if own.TokenKind != kind || own.Session.ID != set.Session.ID || !own.Session.Current || own.Claims["sid"] != set.Session.ID {
			t.Errorf("%s: %+v", kind, own)
		}
	}
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	w.clock.Move(window)
	opaque := w.refresh(t, set.RefreshToken)
	var own ownSession
	w.ok(t, w.end("GET", "/session", opaque.RefreshToken), &own)
	if own.TokenKind != "refresh" || own.Claims != nil || !own.ExpiresAt.Equal(opaque.RefreshExpiresAt) {
		t.Errorf("opaque: %+v", own)
	}
}

// An expired session token isn't the end of its session.
func TestOwnSessionWithAnExpiredToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.clock.Move(10*time.Minute - time.Millisecond)
	w.ok(t, w.end("GET", "/session", set.SessionToken), nil)
	w.clock.Move(time.Millisecond)
	a := w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeUnauthenticated)
	golden(t, "problems/expired-session-token", a.body)
	w.refresh(t, set.RefreshToken)
	w.ok(t, w.manage("POST", "/sessions/"+set.Session.ID+"/revoke", ""), nil)
	w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeSessionRevoked)
}

func TestOwnSessionsAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newUser(t, w.project, "mallory@example.com")
	foreign := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, stranger))
	var mine []string
	for range 5 {
		w.clock.Move(time.Second)
		mine = append(mine, w.signIn(t, w.site).Session.ID)
	}
	ended := w.signIn(t, w.site)
	w.ok(t, w.end("POST", "/session/logout", ended.RefreshToken), nil)
	w.clock.Move(time.Second)
	last := w.signIn(t, w.site)
	mine = append(mine, last.Session.ID)

	var got []string
	for page := "/sessions?pageSize=2"; page != ""; {
		var list struct {
			Sessions      []latchkey.Session `json:"sessions"`
			NextPageToken string             `json:"nextPageToken"`
		}
		w.ok(t, w.end("GET", page, last.SessionToken), &list)
		for _, s := range list.Sessions {
			got = append([]string{s.ID}, got...)
			if s.Current != (s.ID == last.Session.ID) {
				t.Errorf("%s: current is %v", s.ID, s.Current)
			}
		}
		page = ""
		if list.NextPageToken != "" {
			page = "/sessions?pageSize=2&pageToken=" + list.NextPageToken
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(mine) {
		t.Errorf("got %v, want %v", got, mine)
	}

	for _, sid := range []string{foreign.Session.ID, id.NewSession(w.clock.Now()).String(), "nonsense", w.user.String()} {
		w.refused(t, w.end("DELETE", "/sessions/"+sid, last.RefreshToken), latchkey.CodeNotFound)
	}
	w.refresh(t, foreign.RefreshToken)
	for range 2 {
		w.ok(t, w.end("DELETE", "/sessions/"+mine[0], last.SessionToken), nil)
	}
	w.ok(t, w.end("DELETE", "/sessions/"+last.Session.ID, last.RefreshToken), nil)
	w.refused(t, w.end("GET", "/session", last.SessionToken), latchkey.CodeSessionRevoked)
	// Ending what had ended is no error, but isn't counted either: once with logout,
	// twice with DELETE.
	if n := w.counter.of("ended logout"); n != 3 {
		t.Errorf("%d ended sessions were counted, want 3", n)
	}
}
