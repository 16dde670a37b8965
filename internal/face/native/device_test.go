package native_test

import (
	"fmt"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const (
	firefoxAtHome    = `{"ip":"198.51.100.7","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}`
	firefoxNextDoor  = `{"ip":"198.51.100.9","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:129.0) Gecko/20100101 Firefox/129.0"}`
	safariFarAway    = `{"ip":"2001:db8::7","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"}`
	applicationAgent = "latchkey-go"
)

// refreshFor is a refresh by the application for a device.
func (w *world) refreshFor(key, token, device string) call {
	c := w.end("POST", "/session/refresh", key)
	c.from, c.agent = "203.0.113.1", applicationAgent
	return withBody(c, fmt.Sprintf(`{"refreshToken":%q,"device":%s}`, token, device))
}

func TestApplicationRefreshesForADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"foreignReplay":"end"}`)
	set := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":%s}`, w.user, firefoxAtHome))
	w.clock.Move(window)
	var next latchkey.TokenSet
	w.ok(t, w.refreshFor(w.key, set.RefreshToken, firefoxAtHome), &next)
	if s := next.Session; s.Network != "198.51.100.0/24" || s.Agent != "Firefox on Linux" {
		t.Errorf("seen in %q with %q, want where the device is", s.Network, s.Agent)
	}
	// The same holder at the same place, as often as it likes; then one far away, with
	// the application between them as before.
	for _, device := range []string{firefoxAtHome, firefoxNextDoor, firefoxAtHome, safariFarAway} {
		w.ok(t, w.refreshFor(w.key, set.RefreshToken, device), nil)
	}
	w.refused(t, w.refreshFor(w.key, set.RefreshToken, safariFarAway), latchkey.CodeTokenReuse)
	w.refused(t, w.refreshFor(w.key, next.RefreshToken, firefoxAtHome), latchkey.CodeTokenReuse)
	var trace latchkey.Trace
	w.ok(t, w.manage("GET", "/sessions/"+set.Session.ID+"/trace", ""), &trace)
	foreign := 0
	for _, e := range trace.Entries {
		if e.Foreign {
			foreign++
			if e.Network != "2001:db8::/48" || e.Agent != "Safari on macOS" {
				t.Errorf("foreign in %q with %q", e.Network, e.Agent)
			}
		}
	}
	if foreign == 0 {
		t.Error("the trace doesn't show where the other holder was")
	}
}

func TestReadOnlyRefreshForADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.newKey(t, w.project, directory.NewKey{Name: "reads", Kind: secret.Verify})
	set := w.signIn(t, w.site)
	c := w.refreshFor(key, set.RefreshToken, firefoxAtHome)
	c.body = c.body[:len(c.body)-1] + `,"rotate":"never"}`
	var read latchkey.TokenSet
	if w.ok(t, c, &read); read.SessionToken == "" || read.RefreshToken != "" {
		t.Errorf("got a session token: %v, a refresh token: %v", read.SessionToken != "", read.RefreshToken != "")
	}
}

func TestOnlyAnApplicationDescribesADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	// A thief who knows the victim's network and browser could otherwise pass for them.
	for name, c := range map[string]call{
		"token in the header": withBody(w.end("POST", "/session/refresh", set.RefreshToken), `{"device":`+firefoxAtHome+`}`),
		"token in the body":   w.refreshFor("", set.RefreshToken, firefoxAtHome),
		"nothing in it":       w.refreshFor("", set.RefreshToken, `{}`),
	} {
		a := w.refused(t, c, latchkey.CodeInvalidRequest)
		if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/device" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	a := w.refused(t, w.refreshFor("", set.RefreshToken, firefoxAtHome), latchkey.CodeInvalidRequest)
	golden(t, "problems/device-without-key", a.body)

	for _, ip := range []string{"here", "198.51.100.0/24", "fe80::1%eth0"} {
		a := w.refused(t, w.refreshFor(w.key, set.RefreshToken, fmt.Sprintf(`{"ip":%q}`, ip)), latchkey.CodeInvalidRequest)
		if len(a.problem.Errors) != 1 || a.problem.Errors[0].Pointer != "/device/ip" {
			t.Errorf("%s: %s", ip, a.body)
		}
	}
	w.refused(t, w.refreshFor(w.key, set.RefreshToken, `{"name":"no name changes here"}`), latchkey.CodeInvalidRequest)
	if again := w.refresh(t, set.RefreshToken); again.RefreshToken != set.RefreshToken {
		t.Error("a refused refresh changed something")
	}
}
