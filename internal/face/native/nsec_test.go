package native_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// Whatever a client calls, in whatever order: what it asks for is in nsec and nowhere else,
// and no custom claim stands in the place of one that the server vouches for.
func TestNoSequenceOfClientCallsLeavesNSec(t *testing.T) {
	t.Parallel()
	names := []string{"sub", "SUB", "ſub", "iss", "sid", "roles", "permissions", "tenants", "dct", "su", "act", "amr", "aud", "epc", "exp", "nsec", "dsub",
		"plan", "admin", "a.b", `n"s`, "", "\u0000", "toString", "claims", "client_id", "scope"}
	values := []string{`true`, `null`, `"usr_evil"`, `["admin"]`, `{"roles":["admin"]}`, `{"nsec":{"sub":"x"}}`, `1e300`, `99999999999999999999`, `"\u2028"`}
	for seed := range uint64(4) {
		w := newWorld(t)
		w.settings(t, `{"claimLint":"off","refreshRateLimit":100000}`)
		rng := rand.New(rand.NewPCG(seed, 4))
		set := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"claims":{"plan":"pro"},"nsec":{"theme":"dark"}}`, w.user))
		known := map[string]bool{"plan": true, "nsec": true}
		for name := range claims(t, set.SessionToken) {
			known[name] = true
		}
		refresh, session := set.RefreshToken, set.SessionToken
		keep := func(a reply) {
			var next latchkey.TokenSet
			if a.status >= 400 || json.Unmarshal(a.body, &next) != nil {
				return
			}
			if next.RefreshToken != "" {
				refresh = next.RefreshToken
			}
			session = next.SessionToken
		}
		for range 60 {
			token := refresh
			if rng.IntN(2) == 0 {
				token = session
			}
			var c call
			switch rng.IntN(8) {
			case 0:
				w.clock.Move(time.Duration(rng.IntN(30)) * time.Second)
				continue
			case 1:
				keep(w.do(t, w.end("POST", "/session/refresh", refresh)))
			case 2:
				keep(w.do(t, w.here(refresh)))
			case 3:
				c = w.end("POST", []string{"/session/logout-others", "/session/ack"}[rng.IntN(2)], token)
				w.do(t, c)
			default:
				c = w.claim(token, fmt.Sprintf(`{%q:%s,%q:%s}`, names[rng.IntN(len(names))], values[rng.IntN(len(values))], fmt.Sprint("k", rng.IntN(9)), values[rng.IntN(len(values))]))
				c.spoilt = true
				w.raw(t, c)
			}
			for kind, text := range map[string]string{"session": session, "refresh": refresh} {
				said := claims(t, text)
				for name := range said {
					if !known[name] && name != "prt" {
						t.Fatalf("seed %d: the %s token has got a claim %q", seed, kind, name)
					}
				}
				var fixed struct{ Sub, Sid, Plan string }
				readClaims(t, text, &fixed)
				if fixed.Sub != w.user.String() || fixed.Sid != set.Session.ID || fixed.Plan != "pro" || said["act"] != nil || said["su"] != nil {
					t.Fatalf("seed %d: the %s token says %+v", seed, kind, fixed)
				}
			}
		}
		if n := len(claims(t, session)); n == 0 {
			t.Error("nothing was looked at")
		}
	}
}
