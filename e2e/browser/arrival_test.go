package browser

import (
	"fmt"
	"strings"
	"testing"
)

// TestLinkFromAnotherSite: who is signed in and follows a link of another site, a web
// mail for example, gets the page and no sign-in form, although SameSite=Strict keeps
// the cookies out of the first request. Who isn't signed in gets the form.
func TestLinkFromAnotherSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin})
		log := &watch{next: a.handler}
		w.site(origin, log)
		b := p.tab()
		mail := w.site("https://mail.example.net", page(fmt.Sprintf(`<a href="%s/account?from=mail">your account</a>`, a.origin), nil))

		lands := func() string {
			b.open(mail)
			b.follow("a")
			var at string
			w.await("the browser has arrived", func() bool {
				at = result[string](b, `() => document.querySelector("main") ? location.href : ""`)
				return at != ""
			})
			return at
		}
		if at := lands(); !strings.HasPrefix(at, a.origin+"/sign-in?return_to=%2Faccount%3Ffrom%3Dmail") {
			t.Errorf("%s: without a session the link leads to %s", origin, at)
		}
		a.signIn(b)
		log.find("")
		if at := lands(); at != a.origin+"/account?from=mail" {
			t.Errorf("%s: with a session the link leads to %s", origin, at)
		}
		if got := log.find("GET /account"); len(got) != 2 || got[0].cookies != 0 || got[1].cookies == 0 {
			t.Errorf("%s: the link made %+v, want one request without cookies and one with", origin, got)
		}
		p.clear()
	}
}
