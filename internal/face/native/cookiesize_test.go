package native_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// Attack 36, pain P20: what doesn't fit into a cookie with its whole name is refused when
// it is minted, with the claims that are too large.
func TestAttack36CookieBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"delivery":{"session":"cookie","refresh":"cookie"}}`)
	body := func(n int) string {
		parts := []string{}
		for ; n > 0; n -= min(n, 490) {
			parts = append(parts, fmt.Sprintf(`"c%d":%q`, len(parts), strings.Repeat("x", min(n, 490))))
		}
		return fmt.Sprintf(`{"user":%q,"amr":["pwd"],"claims":{%s}}`, w.user, strings.Join(parts, ","))
	}
	longest := 0
	for n := 2200; n < 2800; n += 3 {
		c := w.manage("POST", "/sessions", body(n))
		a := w.do(t, c)
		if a.problem.Code == latchkey.CodeClaimsTooLarge {
			break
		}
		var set latchkey.TokenSet
		must(t, json.Unmarshal(a.body, &set))
		for _, line := range set.SetCookie {
			pair, _, _ := strings.Cut(line, ";")
			longest = max(longest, len(pair)-1)
		}
	}
	if longest < 4090 || longest > 4096 {
		t.Errorf("the longest cookie has %d bytes", longest)
	}
	// Larger ones were fine in the body. Once they must go by cookie, a refresh says so.
	w.settings(t, `{"delivery":null}`)
	set := w.signInAs(t, w.site, body(3000))
	w.settings(t, `{"delivery":{"refresh":"cookie"}}`)
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeClaimsTooLarge)
}

// A browser that has collected 200 cookies is served all the same.
func TestAttack36ManyCookies(t *testing.T) {
	t.Parallel()
	_, b := byCookie(t, "")
	var more []string
	for i := range 200 {
		more = append(more, fmt.Sprintf("c%d=%s", i, strings.Repeat("x", 30)))
	}
	b.more = strings.Join(more, "; ")
	b.ok(t, "POST", "/session/refresh")
	b.ok(t, "GET", "/session")
}
