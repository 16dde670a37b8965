package native_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// Attack 37: what one caller is told never shows up in what another one is told, even
// when both are refused at the same moment. Run with -race.
func TestRefusalsAreIsolated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sites := []*site{w.site, w.another(t)}
	var group sync.WaitGroup
	for worker := range 8 {
		s := sites[worker%2]
		group.Go(func() {
			for i := range 40 {
				mark := fmt.Sprintf("mark%dx%d", worker, i)
				base := "/v1/projects/" + s.project.String()
				for _, c := range []call{
					{method: "POST", path: base + "/users", body: `{"loginIds":["` + mark + `"],"` + mark + `":1}`},
					{method: "PATCH", path: base + "/settings", body: `{"` + mark + `":1,"sessionTokenTTL":"1s"}`},
					{method: "POST", path: base + "/sessions", body: `{"user":"alice@example.com","amr":["pwd"],"claims":{"` + mark + `":"` + strings.Repeat("x", 600) + `"}}`},
					{method: "GET", path: base + "/users?" + mark + "=1"},
				} {
					c.bearer = s.key
					c = headers(c, "X-Request-Id", mark)
					w.onlyMine(t, c, mark)
				}
			}
		})
	}
	group.Wait()
}

func (w *world) onlyMine(t *testing.T, c call, mark string) {
	t.Helper()
	a := w.do(t, c)
	if a.status < 400 || a.problem.RequestID != mark {
		t.Errorf("%s: %d %s", c.path, a.status, a.body)
	}
	if got, all := strings.Count(string(a.body), mark), strings.Count(string(a.body), "mark"); got < 2 || got != all {
		t.Errorf("%s: %d of %d marks are its own: %s", mark, got, all, a.body)
	}
}

// Attacks 17 and 18: a credential that was cut or altered anywhere is refused without
// asking the store for anything.
func TestAlteredCredentialsNeverReachTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.signIn(t, w.site)
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	opaque := w.signIn(t, w.site).RefreshToken
	users := w.manage("GET", "/users", "")
	// The keys are old, and known to be all there are: no token can name a newer one.
	w.clock.Move(time.Hour)
	w.ok(t, w.end("GET", "/session", opaque), nil)
	w.clock.Move(time.Second)
	for kind, c := range map[string]struct {
		credential string
		calls      []call
	}{
		"session token":  {first.SessionToken, []call{w.end("GET", "/session", "")}},
		"refresh token":  {first.RefreshToken, []call{w.end("POST", "/session/refresh", "")}},
		"opaque token":   {opaque, []call{w.end("POST", "/session/refresh", ""), w.end("POST", "/session/logout-all", "")}},
		"management key": {w.key, []call{users, w.end("POST", "/session/refresh", "")}},
	} {
		for _, good := range c.calls {
			for _, bad := range spoilt(c.credential) {
				w.tap.drain()
				good.bearer, good.spoilt = bad, true
				a := w.do(t, good)
				if a.problem.Code != latchkey.CodeUnauthenticated && a.problem.Code != latchkey.CodeTooLarge {
					t.Fatalf("%s as %q: %d %s", kind, bad, a.status, a.body)
				}
				if calls := w.tap.drain(); len(calls) > 0 {
					t.Fatalf("%s as %q: the store was asked %v", kind, bad, calls)
				}
			}
		}
	}
}

// spoilt returns a credential cut at every length and altered at every byte.
func spoilt(s string) []string {
	var out []string
	for n := 1; n < len(s); n++ {
		out = append(out, s[:n], s[n:])
	}
	for i := range len(s) {
		// Another character of the alphabet, and one of any kind.
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for _, c := range []byte{alphabet[rand.IntN(len(alphabet))], s[i] ^ 1<<rand.IntN(7)} {
			if c != s[i] {
				out = append(out, s[:i]+string(c)+s[i+1:])
			}
		}
	}
	return append(out, s+"A", s+"=", s+".", "A"+s, s+s, strings.ToUpper(s), base64.RawURLEncoding.EncodeToString([]byte(s)))
}
