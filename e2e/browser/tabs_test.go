package browser

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey"
)

// burst sends four requests at once from each tab, and returns the answers.
func (a *app) burst(tabs ...*tab) []fetched {
	a.w.t.Helper()
	answers := make([][]fetched, len(tabs))
	var all sync.WaitGroup
	for i, b := range tabs {
		all.Go(func() {
			got, err := script[[]fetched](b, `url => Promise.all([1, 2, 3, 4].map(async () => {
				const r = await fetch(url, {cache: "no-store", headers: {Accept: "application/json"}})
				return {Status: r.status, Body: await r.text()}
			}))`, a.origin+"/live/state")
			if err != nil {
				a.w.t.Error(err)
			}
			answers[i] = got
		})
	}
	all.Wait()
	var flat []fetched
	for _, some := range answers {
		flat = append(flat, some...)
	}
	return flat
}

// rush lets all tabs send requests with an expired session token, and fails the test unless
// each gets the session and there was one rotation.
func (a *app) rush(sid string, tabs ...*tab) {
	a.w.t.Helper()
	for range 5 {
		until := a.expire(tabs[0])
		before := count(a.rules(sid), "rotate")
		answers := a.burst(tabs...)
		slow := time.Now().After(until)
		a.settle()
		if slow {
			continue // the next token ran out too: the machine is busy with something else
		}
		for i, got := range answers {
			if got.Status != http.StatusOK || !strings.Contains(got.Body, sid) {
				a.w.t.Errorf("%s: request %d gets %+v", a.origin, i, got)
			}
		}
		if rules := a.rules(sid); count(rules, "rotate")-before != 1 {
			a.w.t.Errorf("%s: there were %d rotations, want 1: %v", a.origin, count(rules, "rotate")-before, rules)
		}
		return
	}
	a.w.t.Fatalf("%s: twelve requests take longer than a token lasts", a.origin)
}

// TestParallelRequests: twelve requests of three tabs come with an expired session
// token. They cause one rotation, and nobody is signed out. On https they come over one
// connection all at once, and another instance of the application, that shares nothing
// with the first, gets half of them.
func TestParallelRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		same := arrangement{origin: origin, settings: latchkey.SettingsPatch{"sessionTokenTTL": "1m", "reuseWindow": "2s"}}
		a := w.app(same)
		if strings.HasPrefix(origin, "https:") {
			a.balance(same)
		}
		tabs := []*tab{p.tab(), p.tab(), p.tab()}
		sid := a.signIn(tabs[0])
		for _, b := range tabs {
			b.open(a.origin + "/account")
		}
		a.rush(sid, tabs...)
		for _, b := range tabs {
			if got := a.state(b); got.Session != sid {
				t.Errorf("%s: afterwards a tab has %+v", origin, got)
			}
		}
		p.clear()
	}
}

// balance puts another instance of the application beside this one: they take turns.
func (a *app) balance(o arrangement) {
	a.w.t.Helper()
	o.settings = nil
	other, first := a.twin(o), a.handler
	var turn atomic.Int64
	a.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if turn.Add(1)%2 == 0 {
			other.ahead.Store(a.ahead.Load())
			other.handler.ServeHTTP(rw, r)
			return
		}
		first.ServeHTTP(rw, r)
	})
	a.w.site(o.origin, a.handler)
}

// TestSignOut: signing out in one tab signs out the others, the back button shows
// nothing, and copies of the cookies are worth nothing.
func TestSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := w.profile(), w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin})
		first, second, copied := p.tab(), p.tab(), other.tab()
		sid := a.signIn(first)
		second.open(a.origin + "/live")
		first.open(a.origin + "/account")
		p.copyTo(other, a.origin)
		copied.open(a.origin + "/")
		a.state(copied) // without this the copies might never have been good

		if landed := first.follow(".bar form button"); landed.URL != a.origin+"/sign-in" || landed.Status != http.StatusOK {
			t.Errorf("%s: signing out leads to %s, which answers %d", origin, landed.URL, landed.Status)
		}
		if kept := p.cookies(); len(kept) > 0 {
			t.Errorf("%s: after signing out the browser keeps %d cookies, %s the first", origin, len(kept), kept[0].Name)
		}
		if got := a.ask(second); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: the other tab gets %+v", origin, got)
		}
		second.do("waiting until the live page says so", chromedp.WaitVisible(chromedp.CSS("#status.bad")))
		w.await("the copies are refused", func() bool { return a.ask(copied).Status == http.StatusUnauthorized })
		if session, err := a.client.Session(t.Context(), sid); err != nil || session.State != "ended" || session.EndReason != "logout" {
			t.Errorf("%s: the server says %+v, %v", origin, session, err)
		}

		left := result[string](first, `() => location.href`)
		result[any](first, `() => { history.back() }`)
		// A page that comes out of the browser's memory isn't loaded again: only its
		// address tells.
		w.await("the browser has gone back", func() bool {
			at, err := script[string](first, `() => location.href`)
			return err == nil && at != left
		})
		shown := result[string](first, `() => location.pathname + " " + document.body.innerText`)
		if !strings.HasPrefix(shown, "/sign-in ") || strings.Contains(shown, email) || strings.Contains(shown, "Alice") {
			t.Errorf("%s: going back after signing out shows %s", origin, shown)
		}
		p.clear()
		other.clear()
	}
}

// TestChangesAreSeen: within a second, a page's request has what somebody else changed
// about its session, without a new sign-in; and a session that somebody revoked is over for
// it, although its token goes on for minutes.
func TestChangesAreSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	for _, origin := range origins() {
		a := w.app(arrangement{origin: origin})
		b := p.tab()
		var changed, revoked []time.Duration
		for range 3 {
			sid := a.signIn(b)
			if _, err := a.client.UpdateSessionClaims(t.Context(), sid, latchkey.ClaimsPatch{Claims: []byte(`{"note":"new"}`)}); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			w.await("the page's request has the change", func() bool { return a.state(b).Note == "new" })
			changed = append(changed, time.Since(begun).Round(100*time.Microsecond))

			if _, err := a.client.RevokeSession(t.Context(), sid); err != nil {
				t.Fatal(err)
			}
			begun = time.Now()
			w.await("the page's request is refused", func() bool { return a.ask(b).Status == http.StatusUnauthorized })
			revoked = append(revoked, time.Since(begun).Round(100*time.Microsecond))
		}
		t.Logf("%s: the page's request sees a change after %v, a revocation after %v", origin, changed, revoked)
		// The machine may be busy with something else, so the fastest counts.
		if max(slices.Min(changed), slices.Min(revoked)) > time.Second {
			t.Errorf("%s: it took %v until changes were seen, %v until revocations were", origin, changed, revoked)
		}
		p.clear()
	}
}

// TestOutage: while the server is down, sessions go on; one whose token runs out meanwhile
// waits, and nobody is signed out or sent to sign in.
func TestOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.profile()
	a := w.app(arrangement{origin: "https://app.example.test", settings: latchkey.SettingsPatch{"sessionTokenTTL": "1m", "reuseWindow": "2s"}})
	b, live := p.tab(), p.tab()
	sid := a.signIn(b)
	live.open(a.origin + "/live")
	status := func(want string) func() bool {
		return func() bool {
			return result[string](live, `() => document.querySelector("#status").textContent`) == want
		}
	}
	w.await("the live page has its first answer", status("Live"))

	held := p.cookie(a.refreshCookie()).Value
	a.outage.Store(true)
	if got := a.state(b); got.Session != sid {
		t.Errorf("with a good token the page gets %+v", got)
	}
	a.expire(b)
	if got := a.ask(b); got.Status != http.StatusServiceUnavailable {
		t.Errorf("with an expired token the page gets %+v", got)
	}
	if page := b.open(a.origin + "/account"); page.Status != http.StatusServiceUnavailable || page.URL != a.origin+"/account" {
		t.Errorf("with an expired token the browser gets %s, which answers %d", page.URL, page.Status)
	}
	w.await("the live page says that there is no answer", status("No answer; trying again"))
	if kept := p.cookie(a.refreshCookie()); kept == nil || kept.Value != held {
		t.Error("the outage changed the refresh token's cookie")
	}

	a.outage.Store(false)
	w.await("the session goes on", func() bool { return a.ask(b).Status == http.StatusOK })
	a.settle()
	if got := a.state(b); got.Session != sid {
		t.Errorf("after the outage the session is %+v", got)
	}
	w.await("the live page goes on", status("Live"))
}

// TestEndAnotherSession: a user ends the session of another device in the list, and all
// sessions at once.
func TestEndAnotherSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(arrangement{origin: "https://app.example.test"})
	here, there := w.profile().tab(), w.profile().tab()
	mine, lost := a.signIn(here), a.signIn(there)
	here.open(a.origin + "/account")
	if listed := result[int](here, `() => document.querySelectorAll(".sessions li").length`); listed != 2 {
		t.Errorf("the list has %d sessions, want 2", listed)
	}
	here.follow(`form[action="/account/sessions/` + lost + `/end"] button`)
	w.await("the other device is out", func() bool { return a.ask(there).Status == http.StatusUnauthorized })
	if got := a.state(here); got.Session != mine {
		t.Errorf("this device has %+v", got)
	}

	a.signIn(there)
	here.open(a.origin + "/account")
	if landed := here.follow(`form[action="/sign-out-everywhere"] button`); landed.URL != a.origin+"/sign-in" {
		t.Errorf("signing out everywhere leads to %s", landed.URL)
	}
	for _, b := range []*tab{here, there} {
		w.await("every device is out", func() bool { return a.ask(b).Status == http.StatusUnauthorized })
	}
}

// TestLivePage: the page that shows a session works under its policy, and sees changes
// from outside without a new sign-in.
func TestLivePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(arrangement{origin: "https://app.example.test"})
	b := w.profile().tab()
	a.signIn(b)
	complaints := b.console()
	b.open(a.origin + "/live")
	text := func(selector string) string {
		return result[string](b, `selector => document.querySelector(selector)?.textContent ?? ""`, selector)
	}
	w.await("the page has its first answer", func() bool { return text("#status") == "Live" })
	w.await("the page has the trace", func() bool { return text("#trace li") != "" })
	b.do("changing a claim", chromedp.Click(chromedp.CSS("#change")))
	w.await("the page has the new claim", func() bool { return strings.HasPrefix(text("#note"), "changed at") })
	if said := complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
	b.do("revoking", chromedp.Click(chromedp.CSS("#revoke")), chromedp.WaitVisible(chromedp.CSS("#status.bad")))
	if landed := b.follow("#explain a"); landed.URL != a.origin+"/sign-in" {
		t.Errorf("afterwards the page leads to %s", landed.URL)
	}
}
