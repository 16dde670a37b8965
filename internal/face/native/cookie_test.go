package native_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestSignInDeliversByCookie(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings string
		inBody   string // which tokens
		cookies  []string
	}{
		"both": {`{"delivery":{"session":"cookie","refresh":"cookie"}}`, "", []string{
			"__Host-Http-DS=<jwt 1>; Path=/; HttpOnly; Secure; SameSite=Strict",
			"__Host-Http-DSR=<jwt 2>; Path=/; HttpOnly; Secure; SameSite=Strict",
		}},
		"refresh": {`{"delivery":{"refresh":"cookie"}}`, "session", []string{
			"__Host-Http-DSR=<jwt 1>; Path=/; HttpOnly; Secure; SameSite=Strict",
		}},
		"persistent": {`{"delivery":{"refresh":"cookie"},"cookies":{"persistent":true,"sameSite":"lax","refreshName":"r"}}`, "session", []string{
			"__Host-Http-r=<jwt 1>; Path=/; Max-Age=2419200; Expires=<date>; HttpOnly; Secure; SameSite=Lax",
		}},
		"at a domain": {`{"delivery":{"refresh":"cookie"},"cookies":{"domain":"example.com"},"approvedOrigins":["https://app.example.com"]}`, "session", []string{
			"__Secure-DSR=<jwt 1>; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict",
		}},
		"without prefix": {`{"delivery":{"refresh":"cookie"},"cookies":{"prefix":"none"}}`, "session", []string{
			"DSR=<jwt 1>; Path=/; HttpOnly; Secure; SameSite=Strict",
		}},
		"in frames": {`{"delivery":{"refresh":"cookie"},"cookies":{"sameSite":"none","partitioned":true}}`, "session", []string{
			"__Host-Http-DSR=<jwt 1>; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
		}},
		"in the body": {`{}`, "session refresh", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings(t, c.settings)
			set := w.signIn(t, w.site)
			got := normalised(strings.Join(set.SetCookie, "\n"))
			if at := strings.Index(got, "Expires="); at >= 0 {
				end := at + strings.Index(got[at:], ";")
				when, err := time.Parse(http.TimeFormat, got[at+len("Expires="):end])
				if err != nil || !when.Equal(set.RefreshExpiresAt) {
					t.Errorf("%v, %v", when, err)
				}
				got = got[:at] + "Expires=<date>" + got[end:]
			}
			if got != strings.Join(c.cookies, "\n") {
				t.Errorf("%s", got)
			}
			if (set.SessionToken != "") != strings.Contains(c.inBody, "session") || (set.RefreshToken != "") != strings.Contains(c.inBody, "refresh") {
				t.Errorf("in the body: %v", set)
			}
		})
	}
}

// A page refreshes with fetch(issuer + "/session/refresh", {method: "POST"}): no body,
// no headers of its own.
func TestRefreshByCookie(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	before := b.cookies[refreshCookie]
	w.clock.Move(window)
	a := b.ok(t, "POST", "/session/refresh")
	golden(t, "answers/refreshSession-cookie", a.body)
	want := `Cache-Control: no-store
Vary: Origin
Vary: Cookie
Set-Cookie: __Host-Http-DS=<jwt 1>; Path=/; HttpOnly; Secure; SameSite=Strict
Set-Cookie: __Host-Http-DSR=<jwt 2>; Path=/; HttpOnly; Secure; SameSite=Strict
`
	if got := normalised(a.shown("Cache-Control", "Vary", "Set-Cookie")); got != want {
		t.Errorf("got\n%s", got)
	}
	if b.cookies[refreshCookie] == before {
		t.Error("the refresh token wasn't replaced")
	}
	after := b.cookies[refreshCookie]
	// A tab that was late gets the very same token.
	b.cookies[refreshCookie] = before
	if b.ok(t, "POST", "/session/refresh"); b.cookies[refreshCookie] != after {
		t.Error("the tabs don't converge")
	}
	w.clock.Move(window)
	b.ok(t, "POST", "/session/refresh")
	b.ok(t, "GET", "/session")
}

func TestRefreshTokenByCookieAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"delivery":{"refresh":"cookie"}}`)
	b := w.browser(t)
	w.clock.Move(window)
	var set latchkey.TokenSet
	must(t, json.Unmarshal(b.ok(t, "POST", "/session/refresh").body, &set))
	if set.SessionToken == "" || set.RefreshToken != "" || len(b.cookies) != 1 || set.SetCookie != nil {
		t.Errorf("%d cookies, %v", len(b.cookies), set)
	}
	// A session cookie isn't one here.
	b.cookies = map[string]string{sessionCookie: set.SessionToken}
	if b.refused(t, "GET", "/session", latchkey.CodeUnauthenticated) {
		t.Error("it was removed")
	}
}

// Every end-user endpoint takes the token from cookies.
func TestEveryEndUserRouteTakesCookies(t *testing.T) {
	t.Parallel()
	for _, r := range newWorld(t).face.Routes() {
		if r.Scope != "" || !strings.HasPrefix(r.Pattern, "/{project}/session") {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			w, b := byCookie(t, "")
			path := strings.TrimPrefix(strings.Replace(r.Pattern, "{sid}", w.own(t, b), 1), "/{project}")
			if a := b.okWith(t, r.Method, path, w.body(r)); a.route != r.ID || credential.Match(a.body) {
				t.Errorf("%s: %s", a.route, a.body)
			}
			// The refresh token alone is enough.
			w, b = byCookie(t, "")
			sid := w.own(t, b)
			delete(b.cookies, sessionCookie)
			b.okWith(t, r.Method, strings.TrimPrefix(strings.Replace(r.Pattern, "{sid}", sid, 1), "/{project}"), w.body(r))

			// And cookies mean nothing where tokens are delivered in the body.
			w.settings(t, `{"delivery":null}`)
			c := b.call(r.Method, path)
			if r.Body != nil {
				c.body = w.body(r)
			}
			w.refused(t, c, latchkey.CodeUnauthenticated)
		})
	}
}

// own returns the id of the browser's session.
func (w *world) own(t testing.TB, b *browser) string {
	t.Helper()
	var own latchkey.OwnSession
	must(t, json.Unmarshal(b.ok(t, "GET", "/session").body, &own))
	return own.Session.ID
}

func TestLogoutClearsCookies(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"POST /session/logout", "POST /session/logout-all", "DELETE /sessions/{sid}"} {
		t.Run(path, func(t *testing.T) {
			w, b := byCookie(t, "")
			method, path, _ := strings.Cut(path, " ")
			token := b.cookies[refreshCookie]
			a := b.ok(t, method, strings.Replace(path, "{sid}", w.own(t, b), 1))
			if len(b.cookies) != 0 {
				t.Errorf("left: %v", len(b.cookies))
			}
			want := `Set-Cookie: __Host-Http-DS=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict
Set-Cookie: __Host-Http-DSR=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict
`
			if got := a.shown("Set-Cookie"); got != want {
				t.Errorf("got\n%s", got)
			}
			w.refused(t, w.end("POST", "/session/refresh", token), latchkey.CodeSessionRevoked)
		})
	}
	w, b := byCookie(t, "")
	other := w.browser(t)
	b.ok(t, "POST", "/session/logout-others")
	b.ok(t, "GET", "/session")
	if !other.refused(t, "GET", "/session", latchkey.CodeSessionRevoked) {
		t.Error("the other browser keeps cookies of an ended session")
	}
	w.settings(t, `{}`)
}

// Logging out is possible with cookies that are good for nothing else.
func TestLogoutWithDeadCookies(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	dead := b.cookies[refreshCookie]
	w.ok(t, w.end("POST", "/session/logout", dead), nil)
	if b.ok(t, "POST", "/session/logout"); len(b.cookies) != 0 {
		t.Error("cookies of an ended session stay")
	}
	b.cookies[refreshCookie] = "junk"
	if b.ok(t, "POST", "/session/logout"); len(b.cookies) != 0 {
		t.Error("cookies that can't be read stay")
	}
	b.refused(t, "POST", "/session/logout", latchkey.CodeUnauthenticated)
	// All sessions of all cookies end.
	one, two := w.browser(t), w.browser(t)
	one.more = refreshCookie + "=" + two.cookies[refreshCookie]
	one.ok(t, "POST", "/session/logout")
	for _, cookie := range []string{one.more, refreshCookie + "=" + two.cookies[refreshCookie]} {
		_, token, _ := strings.Cut(cookie, "=")
		w.refused(t, w.end("POST", "/session/refresh", token), latchkey.CodeSessionRevoked)
	}
}

// Pain P2: only a terminal verdict about the very token that the request carries removes
// cookies.
func TestOnlyATerminalVerdictClearsCookies(t *testing.T) {
	t.Parallel()
	type step func(t *testing.T, w *world, b *browser)
	for name, c := range map[string]struct {
		before step
		code   latchkey.Code
		clears bool
	}{
		"revoked": {func(t *testing.T, w *world, b *browser) {
			w.ok(t, w.manage("POST", "/users/"+w.user.String()+"/sessions/revoke", ""), nil)
		}, latchkey.CodeSessionRevoked, true},
		"expired": {func(t *testing.T, w *world, b *browser) { w.clock.Move(28 * 24 * time.Hour) }, latchkey.CodeSessionExpired, true},
		"stolen": {func(t *testing.T, w *world, b *browser) {
			old := b.cookies[refreshCookie]
			for range 3 {
				w.clock.Move(window)
				b.ok(t, "POST", "/session/refresh")
			}
			w.clock.Move(window)
			b.cookies[refreshCookie] = old
		}, latchkey.CodeTokenReuse, true},
		"network limit": {func(t *testing.T, w *world, b *browser) { w.limiter.refuse(time.Second) }, latchkey.CodeRateLimited, false},
		"junk limit": {func(t *testing.T, w *world, b *browser) {
			b.cookies[refreshCookie], b.cookies[sessionCookie] = "junk", "junk"
			w.junk.refuse(time.Second)
		}, latchkey.CodeRateLimited, false},
		"store down": {func(t *testing.T, w *world, b *browser) {
			w.tap.failOn("sessions.Rotate", fault.New(fault.Unavailable, "The store is down."))
		}, latchkey.CodeUnavailable, false},
		"altered": {func(t *testing.T, w *world, b *browser) {
			b.cookies[refreshCookie] = b.cookies[refreshCookie][:100]
		}, latchkey.CodeUnauthenticated, false},
		"another project's": {func(t *testing.T, w *world, b *browser) {
			other := w.another(t)
			w.ok(t, call{method: "PATCH", path: "/v1/projects/" + other.project.String() + "/settings", bearer: other.key, body: `{"delivery":{"refresh":"cookie"}}`}, nil)
			set := w.signIn(t, other)
			b.keep(t, set.SetCookie)
		}, latchkey.CodeUnauthenticated, false},
		"no cookie": {func(t *testing.T, w *world, b *browser) { b.cookies = map[string]string{"other": "x"} }, latchkey.CodeUnauthenticated, false},
		"another site": {func(t *testing.T, w *world, b *browser) {
			b.page = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
			w.ok(t, w.manage("POST", "/users/"+w.user.String()+"/sessions/revoke", ""), nil)
		}, latchkey.CodeForbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := byCookie(t, "")
			c.before(t, w, b)
			held := len(b.cookies)
			if cleared := b.refused(t, "POST", "/session/refresh", c.code); cleared != c.clears {
				t.Errorf("cleared: %v", cleared)
			}
			if c.clears != (len(b.cookies) == 0) && held > 0 {
				t.Errorf("%d cookies are left", len(b.cookies))
			}
		})
	}
}

// A request that names its token elsewhere is answered in the body, and whatever comes of
// it, the cookies of another session stay as they are.
func TestExplicitTokenLeavesCookiesAlone(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	other := w.browser(t)
	ended := w.browser(t)
	w.ok(t, w.end("POST", "/session/logout", ended.cookies[refreshCookie]), nil)
	w.clock.Move(window)
	for name, explicit := range map[string]func(c call, token string) call{
		"header": func(c call, token string) call { c.bearer = token; return c },
		"body":   func(c call, token string) call { c.body = tokenBody(token); return c },
		"key":    func(c call, token string) call { c.bearer, c.body = w.key, tokenBody(token); return c },
	} {
		t.Run(name, func(t *testing.T) {
			var set latchkey.TokenSet
			a := w.ok(t, explicit(b.call("POST", "/session/refresh"), other.cookies[refreshCookie]), &set)
			if set.SessionToken == "" || set.RefreshToken == "" || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%s %v", a.body, a.header)
			}
			a = w.refused(t, explicit(b.call("POST", "/session/refresh"), ended.cookies[refreshCookie]), latchkey.CodeSessionRevoked)
			if len(a.header["Set-Cookie"]) > 0 {
				t.Error("a verdict about another token clears cookies")
			}
			// Not even a page of another site is refused: nothing that the browser adds
			// by itself is of any use.
			c := explicit(b.call("POST", "/session/refresh"), other.cookies[refreshCookie])
			c.header.Set("Sec-Fetch-Site", "cross-site")
			c.header.Set("Origin", "https://evil.example")
			if a := w.ok(t, c, nil); len(a.header["Set-Cookie"]) > 0 {
				t.Error("a page of another site sets cookies")
			}
			w.ok(t, explicit(b.call("POST", "/session/logout-others"), w.browser(t).cookies[refreshCookie]), nil)
			b, other = w.browser(t), w.browser(t)
			w.clock.Move(window)
		})
	}
	// An application in front that reads the cookie out and passes both on.
	same := b.call("POST", "/session/refresh")
	same.bearer = b.cookies[refreshCookie]
	if a := w.ok(t, same, nil); len(a.header["Set-Cookie"]) != 2 || credential.Match(a.body) {
		t.Errorf("%s %v", a.body, a.header)
	}
}

// Once the session token has expired, the refresh token answers for the session.
func TestExpiredSessionCookie(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	w.clock.Move(time.Hour)
	var own latchkey.OwnSession
	must(t, json.Unmarshal(b.ok(t, "GET", "/session").body, &own))
	if own.TokenKind != "refresh" {
		t.Errorf("%+v", own)
	}
	b.ok(t, "GET", "/sessions")
	delete(b.cookies, refreshCookie)
	if b.refused(t, "GET", "/session", latchkey.CodeUnauthenticated) {
		t.Error("cleared")
	}
}

// Without rotation there is no new refresh token, and the cookie stays.
func TestCookiesWithoutRotation(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, `{"rotation":"never"}`)
	before := b.cookies[refreshCookie]
	for range 3 {
		w.clock.Move(time.Hour)
		b.ok(t, "POST", "/session/refresh")
		b.ok(t, "GET", "/session")
	}
	if b.cookies[refreshCookie] != before {
		t.Error("the refresh token was replaced")
	}
}
