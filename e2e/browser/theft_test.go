package browser

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// TestStolenCookie: somebody copies a user's cookies into another browser, and both go
// on using them. That is found out when both have refreshed, and then both are out.
func TestStolenCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, thief := w.profile(), w.profile()
	const window = time.Second
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin, settings: latchkey.SettingsPatch{"reuseWindow": "1s"}})
		own, stolen := owner.tab(), thief.tab()
		sid := a.signIn(own)
		owner.copyTo(thief, a.origin)
		stolen.open(a.origin + "/")
		if got := a.state(stolen); got.Session != sid {
			t.Fatalf("%s: the thief has %+v", origin, got)
		}

		// Each uses the session after the other, past the window in which a repeated
		// refresh is forgiven. The page asks the server with the new token, which shows
		// that it arrived.
		turns, last := 0, time.Now()
		for in := true; in && turns < 6; turns++ {
			w.await("the window is over", func() bool { return time.Since(last) > window })
			p, b := thief, stolen
			if turns%2 == 1 {
				p, b = owner, own
			}
			a.forget()
			p.drop(a.sessionCookie())
			in = a.ask(b).Status == http.StatusOK
			last = time.Now()
			if in {
				w.await("the window is over", func() bool { return time.Since(last) > window })
				b.open(a.origin + "/account")
			}
		}
		t.Logf("%s: found out at turn %d", origin, turns)
		for name, b := range map[string]*tab{"the owner": own, "the thief": stolen} {
			w.await(name+" is out", func() bool { return a.ask(b).Status == http.StatusUnauthorized })
		}
		session, err := a.client.Session(t.Context(), sid)
		if err != nil || session.State != "ended" || session.EndReason != "token_reuse" {
			t.Errorf("%s: the server says %s, %s, %v", origin, session.State, session.EndReason, err)
		}
		if rules := a.rules(sid); !slices.Contains(rules, "theft") {
			t.Errorf("%s: the trace says %v", origin, rules)
		}
		owner.clear()
		thief.clear()
	}
}
