package native_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// Attack 31, pain P21: leftovers and cookies that another host of the site has planted
// don't keep the user out, aren't taken for a theft, and are gone after a refresh.
func TestAttack31DuplicateCookies(t *testing.T) {
	t.Parallel()
	const name = "__Secure-DSR"
	settings := `{"cookies":{"domain":"example.com","previousDomains":["auth.example.com"]},"approvedOrigins":["` + approved + `"]}`
	for kind, format := range map[string]string{"jwt": `{}`, "opaque": `{"refreshTokenFormat":"opaque"}`} {
		for what, planted := range map[string]func(w *world, b *browser, old []string) []string{
			"older tokens of the session": func(w *world, b *browser, old []string) []string { return old },
			"junk":                        func(w *world, b *browser, old []string) []string { return []string{"junk", "rt_junk", "eyJ.eyJ.x"} },
			"an empty value":              func(w *world, b *browser, old []string) []string { return []string{""} },
			"a token of an ended session": func(w *world, b *browser, old []string) []string {
				ended := w.browser(t)
				token := ended.cookies[name]
				w.ok(t, w.end("POST", "/session/logout", token), nil)
				return []string{token}
			},
			"another project's token": func(w *world, b *browser, old []string) []string {
				return []string{w.signIn(t, w.another(t)).RefreshToken}
			},
		} {
			for _, first := range []bool{true, false} {
				w, _ := byCookie(t, settings)
				w.settings(t, format)
				b := w.browser(t)
				old := []string{b.cookies[name]}
				for range 3 {
					w.clock.Move(window)
					b.ok(t, "POST", "/session/refresh")
					old = append(old, b.cookies[name])
				}
				sid := w.own(t, b)
				w.clock.Move(window)
				var pairs []string
				for _, value := range planted(w, b, old[:len(old)-1]) {
					pairs = append(pairs, name+"="+value)
				}
				c := b.call("POST", "/session/refresh")
				good := c.header.Get("Cookie")
				c.header.Set("Cookie", good+"; "+strings.Join(pairs, "; "))
				if first {
					c.header.Set("Cookie", strings.Join(pairs, "; ")+"; "+good)
				}
				a := w.ok(t, c, nil)
				b.keepAll(t, a)
				if b.cookies[name] == old[len(old)-1] || w.own(t, b) != sid {
					t.Errorf("%s, %s: not refreshed", kind, what)
				}
				b.gone(t, a, name)
				w.clock.Move(window)
				b.ok(t, "POST", "/session/refresh")
			}
		}
	}
}

// keepAll is keep for cookies with a domain: the browser holds the last value of each.
func (b *browser) keepAll(t testing.TB, a reply) {
	t.Helper()
	for _, line := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		if c.MaxAge >= 0 {
			b.cookies[c.Name] = c.Value
		}
	}
}

// gone fails unless an answer removes a cookie from wherever it may be left.
func (b *browser) gone(t testing.TB, a reply, name string) {
	t.Helper()
	removed := map[string]bool{}
	for _, line := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		if c.Name == name && c.MaxAge < 0 {
			removed[c.Domain+c.Path] = true
		}
	}
	for _, place := range []string{"/", "auth.example.com/"} {
		if !removed[place] {
			t.Errorf("%s isn't removed from %s: %v", name, place, a.header["Set-Cookie"])
		}
	}
	if removed["example.com/"] {
		t.Error("the good one is removed, too")
	}
}

// Attack 31: what only looks like the name is no cookie of ours.
func TestAttack31LookAlikes(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	token := b.cookies[refreshCookie]
	for _, cookie := range []string{
		"DSR=" + token, "__Secure-DSR=" + token, "__Host-DSR=" + token, "__host-http-dsr=" + token, " \u00a0__Host-Http-DSR=" + token,
		"__Host-Http-DSR\u2000=" + token, "\u2028__Host-Http-DSR=" + token, "__Host-Http-DSR =" + token, "\t__Host-Http-DSR=" + token,
		"=__Host-Http-DSR=" + token, "__Host-Http-DSR", `$Version=1; x="__Host-Http-DSR=` + token + `"`, `x="a; b=__Host-Http-DSR=` + token,
		`__Host-Http-DSR="` + token + `"`, "__Host-Http-DSR=" + token + " x", "__Host%2dHttp-DSR=" + token,
	} {
		c := w.end("POST", "/session/refresh", "")
		c.header = ownPage()
		c.header.Set("Cookie", cookie)
		if a := w.refused(t, c, latchkey.CodeUnauthenticated); len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%.40q: %v", cookie, a.header["Set-Cookie"])
		}
	}
	b.ok(t, "POST", "/session/refresh")
}

// A good session isn't given up because the first cookie of several is of one that has
// ended; but a transient refusal ends the search, and nothing is removed.
func TestSeveralSessionsInCookies(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	ended := w.browser(t)
	token := ended.cookies[refreshCookie]
	w.ok(t, w.end("POST", "/session/logout", token), nil)
	b.more = refreshCookie + "=" + token + "; " + sessionCookie + "=" + ended.cookies[sessionCookie]
	sid := w.own(t, b)
	w.clock.Move(window)
	if a := b.ok(t, "POST", "/session/refresh"); len(a.header["Set-Cookie"]) < 2 || w.own(t, b) != sid {
		t.Errorf("%v", a.header)
	}
	w.limiter.refuse(1)
	if b.refused(t, "POST", "/session/refresh", latchkey.CodeRateLimited) {
		t.Error("a limit removes cookies")
	}
	w.limiter.refuse(0)
	// Once the last of them is over, all go.
	w.ok(t, w.end("POST", "/session/logout", b.cookies[refreshCookie]), nil)
	if !b.refused(t, "POST", "/session/refresh", latchkey.CodeSessionRevoked) || len(b.cookies) != 0 {
		t.Error("dead cookies stay")
	}
}

// However many cookies it carries, a request counts once against the network's limit.
func TestCookiesCountOnce(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	other := w.browser(t)
	w.ok(t, w.end("POST", "/session/logout", other.cookies[refreshCookie]), nil)
	b.more = refreshCookie + "=" + other.cookies[refreshCookie]
	w.limiter.count()
	b.ok(t, "POST", "/session/refresh")
	b.ok(t, "GET", "/session")
	if n := w.limiter.count(); n != 2 {
		t.Errorf("two requests count as %d", n)
	}
}

// Attack 27: nobody logs a user out who doesn't hold their token: neither a page of
// another site nor a cookie that was altered or made up.
func TestAttack27LogoutCSRFAndForgedCookies(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, `{"approvedOrigins":["`+approved+`"],"cookies":{"sameSite":"none","partitioned":true}}`)
	session, refresh := b.cookies[sessionCookie], b.cookies[refreshCookie]
	own := w.own(t, b)
	for _, path := range []string{"POST /session/logout", "POST /session/logout-others", "POST /session/logout-all", "DELETE /sessions/" + own} {
		method, path, _ := strings.Cut(path, " ")
		for _, origin := range foreignOrigins {
			b.page = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {origin}}
			if b.refused(t, method, path, latchkey.CodeForbidden) {
				t.Errorf("%s from %q removes cookies", path, origin)
			}
		}
		forger := &browser{w: w, page: ownPage()}
		for _, i := range []int{10, len(refresh) / 2, len(refresh) - 40, len(refresh) - 2} {
			other := "A"
			if refresh[i] == 'A' {
				other = "B"
			}
			forger.cookies = map[string]string{
				refreshCookie: refresh[:i] + other + refresh[i+1:], sessionCookie: strings.ToUpper(session),
			}
			forger.do(t, forger.call(method, path))
		}
	}
	b.page = ownPage()
	if w.own(t, b) != own {
		t.Error("the session is gone")
	}
	b.ok(t, "POST", "/session/refresh")
}

// Attack 33: every answer that sets a cookie, also one that removes it, also a refusal,
// forbids caches to keep it. Every test looks (checkCookies); here is that they see some.
func TestAttack33AnswersWithCookiesAreNotCached(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	w.clock.Move(window)
	refresh := b.call("POST", "/session/refresh")
	logout := b.call("POST", "/session/logout")
	for i, c := range []call{refresh, logout, refresh} {
		a := w.do(t, c)
		if len(a.header["Set-Cookie"]) != 2 || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(a.header["Vary"], ", "), "Cookie") {
			t.Errorf("%d: %d %v", i, a.status, a.header)
		}
	}
}

// A terminal verdict about the token that was named clears that one's cookies, not the
// ones of a session that nobody has looked at.
func TestExplicitTokenOfOneOfSeveralSessions(t *testing.T) {
	t.Parallel()
	w, b := byCookie(t, "")
	ended := w.browser(t)
	token := ended.cookies[refreshCookie]
	w.ok(t, w.end("POST", "/session/logout", token), nil)
	b.more = refreshCookie + "=" + token
	named := b.call("POST", "/session/refresh")
	named.bearer = token
	a := b.do(t, named)
	if a.problem.Code != latchkey.CodeSessionRevoked || len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("%d %v", a.status, a.header["Set-Cookie"])
	}
	b.more = ""
	b.ok(t, "POST", "/session/refresh")
}
