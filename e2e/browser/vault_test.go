package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/latchkey-dev/latchkey"
)

// TestVault: with a vault the browser holds one opaque cookie, the same for the whole
// session, while the tokens behind it are refreshed; and tabs don't get into each other's
// way any more than with cookies.
func TestVault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin, vault: true, settings: latchkey.SettingsPatch{"sessionTokenTTL": "1m", "reuseWindow": "2s"}})
		tabs := []*tab{p.tab(), p.tab(), p.tab()}
		sid := a.signIn(tabs[0])
		held := p.cookies()
		if len(held) != 1 {
			t.Fatalf("%s: the browser holds %d cookies", origin, len(held))
		}
		c := held[0]
		if c.Name != a.prefix+"LK" || c.Secure != strings.HasPrefix(origin, "https:") || !c.HTTPOnly || !c.Session || c.SameSite != network.CookieSameSiteStrict ||
			c.Path != "/" || strings.HasPrefix(c.Domain, ".") || len(c.Value) > 64 || strings.Contains(c.Value, ".") {
			t.Errorf("%s: the browser holds %+v", origin, *c)
		}
		for _, b := range tabs[1:] {
			b.open(a.origin + "/account")
		}

		a.rush(sid, tabs...)
		if after := p.cookie(c.Name); after == nil || after.Value != c.Value {
			t.Errorf("%s: the cookie was replaced", origin)
		}
		a.keepsSecrets(p, tabs[0], c.Name)

		tabs[0].open(a.origin + "/account")
		tabs[0].follow(".bar form button")
		if kept := p.cookies(); len(kept) > 0 {
			t.Errorf("%s: after signing out the browser keeps %d cookies", origin, len(kept))
		}
		if got := a.ask(tabs[1]); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: after signing out another tab gets %+v", origin, got)
		}
		p.clear()
	}
}
