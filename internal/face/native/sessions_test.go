package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

func TestSignInFindsOrMakesTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.signInAs(t, w.site, `{"user":{"loginIds":["bob@example.com"],"name":"Bob"},"amr":["email"]}`).Session.User
	for _, user := range []string{
		`"` + made + `"`, `"bob@example.com"`,
		`{"loginIds":["bob@example.com"],"name":"Bob"}`, `{"loginIds":["bob@example.com","bob"],"name":"Robert"}`,
		`"bob"`, `{"loginIds":["bob"]}`,
	} {
		if got := w.signInAs(t, w.site, `{"user":`+user+`,"amr":["email"]}`).Session.User; got != made {
			t.Errorf("%s: %s, want %s", user, got, made)
		}
	}
	var bob latchkey.User
	w.ok(t, w.manage("GET", "/users/"+made, ""), &bob)
	if bob.Name != "Robert" {
		t.Errorf("the object didn't update the user: %+v", bob)
	}
}

func TestSignInSaysWhatTheApplicationKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.signIn(t, w.site)
	set := w.signInAs(t, w.site, `{"user":"alice@example.com","amr":["pwd","totp"],"lifetime":"1h","revokeOthers":true,"audience":["api"],
		"claims":{"plan":"pro"},"nsec":{"theme":"dark"},"device":{"ip":"2001:db8::7","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}}`)
	s := set.Session
	if fmt.Sprint(s.AMR) != "[pwd totp mfa]" || string(s.Claims) != `{"plan":"pro"}` || string(s.NSec) != `{"theme":"dark"}` ||
		s.Device.Name != "Firefox on Linux" || s.Device.IP != "2001:db8::7" || !s.ExpiresAt.Equal(w.clock.Now().Add(time.Hour)) {
		t.Errorf("got %+v", s)
	}
	w.refused(t, w.end("GET", "/session", before.SessionToken), latchkey.CodeSessionRevoked)
	var own ownSession
	w.ok(t, w.end("GET", "/session", set.SessionToken), &own)
	if fmt.Sprint(own.Claims["aud"]) != "["+w.project.String()+" api]" || own.Claims["plan"] != "pro" {
		t.Errorf("claims %v", own.Claims)
	}
	if w.counter.of("created") != 2 {
		t.Errorf("%d sessions were counted, want 2", w.counter.of("created"))
	}
}

func TestSignInRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(t, w.manage("POST", "/users", `{"loginIds":["carol@example.com"],"status":"disabled"}`), nil)
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"no body":            {"", latchkey.CodeInvalidRequest},
		"mfa":                {`{"user":"alice@example.com","amr":["pwd","mfa"]}`, latchkey.CodeInvalidRequest},
		"a list for a user":  {`{"user":["alice@example.com"],"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"a number":           {`{"user":7,"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"null":               {`{"user":null,"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"a wrong user":       {`{"user":{"loginIds":[],"nickname":"al"},"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"a user without ids": {`{"user":{"name":"Al"},"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"a wrong phone":      {`{"user":{"loginIds":["x"],"phone":"12"},"amr":["pwd"]}`, latchkey.CodeInvalidRequest},
		"claims as a list":   {`{"user":"alice@example.com","amr":["pwd"],"claims":[1]}`, latchkey.CodeInvalidRequest},
		"an address":         {`{"user":"alice@example.com","amr":["pwd"],"device":{"ip":"fe80::1%eth0"}}`, latchkey.CodeInvalidRequest},
		"nobody":             {`{"user":"nobody@example.com","amr":["pwd"]}`, latchkey.CodeNotFound},
		"no user of this":    {`{"user":"usr_01kkaj7vc8fz4ge1p7s2w6vbnj","amr":["pwd"]}`, latchkey.CodeNotFound},
		"disabled":           {`{"user":"carol@example.com","amr":["pwd"]}`, latchkey.CodeConflict},
		"too long":           {`{"user":"alice@example.com","amr":["pwd"],"lifetime":"29d"}`, latchkey.CodeOutOfRange},
		"reserved":           {`{"user":"alice@example.com","amr":["pwd"],"claims":{"sub":"x","iss":"y"}}`, latchkey.CodeReservedClaim},
		"too large":          {`{"user":"alice@example.com","amr":["pwd"],"claims":{"a":"` + strings.Repeat("x", 600) + `"}}`, latchkey.CodeClaimsTooLarge},
	} {
		a := w.refused(t, w.manage("POST", "/sessions", c.body), c.code)
		golden(t, "problems/sign-in-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	if n := w.active(t); n != 0 {
		t.Errorf("%d sessions were made", n)
	}
}

func TestSignInOverTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"maxSessionsPerUser":1,"onLimit":"deny"}`)
	w.signIn(t, w.site)
	w.refused(t, w.manage("POST", "/sessions", bodies["createSession"]), latchkey.CodeConflict)
	w.settings(t, `{"onLimit":"endOldest"}`)
	w.signIn(t, w.site)
	if n := w.active(t); n != 1 {
		t.Errorf("%d sessions live, want 1", n)
	}
}

func TestGetAndTraceASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, _ := w.rotated(t)
	w.ok(t, w.manage("POST", "/sessions/"+set.Session.ID+"/revoke", ""), nil)
	a := w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID, ""), nil)
	golden(t, "answers/getSession-ended", a.body)
	a = w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID+"/trace", ""), nil)
	golden(t, "answers/traceSession-ended", a.body)
	foreign := w.signIn(t, w.another(t)).Session.ID
	for _, sid := range []string{foreign, "nonsense", w.user.String()} {
		for _, c := range []call{
			w.manage("GET", "/sessions/"+sid, ""), w.manage("GET", "/sessions/"+sid+"/trace", ""),
			w.manage("PATCH", "/sessions/"+sid, `{"claims":{"a":1}}`), w.manage("POST", "/sessions/"+sid+"/revoke", ""),
		} {
			w.refused(t, c, latchkey.CodeNotFound)
		}
	}
}

func TestChangeClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signInAs(t, w.site, `{"user":"alice@example.com","amr":["pwd"],"claims":{"plan":"pro","trial":true}}`)
	path := "/sessions/" + set.Session.ID
	var changed latchkey.Session
	w.ok(t, w.manage("PATCH", path, `{"claims":{"trial":null,"seats":5},"nsec":{"theme":"dark"}}`), &changed)
	if string(changed.Claims) != `{"plan":"pro","seats":5}` || string(changed.NSec) != `{"theme":"dark"}` {
		t.Errorf("got %s and %s", changed.Claims, changed.NSec)
	}
	w.clock.Move(window)
	next := w.refresh(t, set.RefreshToken)
	var own ownSession
	w.ok(t, w.end("GET", "/session", next.SessionToken), &own)
	if own.Claims["seats"] != 5.0 || own.Claims["trial"] != nil {
		t.Errorf("the next session token says %v", own.Claims)
	}
	w.refused(t, w.manage("PATCH", path, `{"claims":{"sub":"me"}}`), latchkey.CodeReservedClaim)
	w.refused(t, w.manage("PATCH", path, `{"claims":{"a":"`+strings.Repeat("x", 600)+`"}}`), latchkey.CodeClaimsTooLarge)
	w.refused(t, w.manage("PATCH", path, `{"claims":"none"}`), latchkey.CodeInvalidRequest)
	w.ok(t, w.manage("POST", path+"/revoke", ""), nil)
	w.refused(t, w.manage("PATCH", path, `{"claims":{"a":1}}`), latchkey.CodeSessionRevoked)
	old := w.signIn(t, w.site)
	w.clock.Move(28 * 24 * time.Hour)
	w.refused(t, w.manage("PATCH", "/sessions/"+old.Session.ID, `{"claims":{"a":1}}`), latchkey.CodeSessionExpired)
}

// A user object is for keys that may write users, decides nothing about who may sign in,
// and changes nobody when the sign-in is refused.
func TestSignInWithAUserObjectIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	narrow := w.newKey(t, w.project, directory.NewKey{Name: "sessions", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions}})
	object := `{"user":{"loginIds":["alice@example.com"],"name":"Mallory"},"amr":["pwd"]}`
	attempt := w.manage("POST", "/sessions", object)
	attempt.bearer = narrow
	w.refused(t, attempt, latchkey.CodeForbidden)
	attempt.body = fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, w.user)
	w.ok(t, attempt, nil)
	w.refused(t, w.manage("POST", "/sessions", strings.Replace(object, `"name":"Mallory"`, `"status":"enabled"`, 1)), latchkey.CodeInvalidRequest)
	w.refused(t, w.manage("POST", "/sessions", strings.Replace(object, `"pwd"`, `"mfa"`, 1)), latchkey.CodeInvalidRequest)
	if u, err := w.directory.User(t.Context(), w.project, w.user); err != nil || u.Name != "" {
		t.Errorf("a refused sign-in changed the user to %+v, %v", u, err)
	}
}

// A login id can't pass for another user's id.
func TestLoginIDIsNoUserID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.refused(t, w.manage("POST", "/users", fmt.Sprintf(`{"loginIds":[%q]}`, w.user)), latchkey.CodeInvalidRequest)
	if a.problem.Errors[0].Pointer != "/loginIds/0" {
		t.Errorf("%+v", a.problem)
	}
}

// What an application says of a device may come from a stranger.
func TestDeviceAndAudienceArePlain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":{"name":"\u001b[31mred\u001b]0;title\u0007\u202e"}}`, w.user)
	if set := w.signInAs(t, w.site, body); set.Session.Device.Name != "[31mred]0;title" {
		t.Errorf("the device is called %q", set.Session.Device.Name)
	}
	w.refused(t, w.manage("POST", "/sessions", fmt.Sprintf(`{"user":%q,"amr":["pwd"],"audience":["a\u0007"]}`, w.user)), latchkey.CodeInvalidRequest)
}
