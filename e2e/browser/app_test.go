package browser

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2/memstore"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/examples/webapp/site"
	"github.com/latchkey-dev/latchkey/vault"
)

// app is the example web application at an origin, on a server of its own.
type app struct {
	w        *world
	server   *server
	origin   string
	client   *latchkey.Client
	verifier *latchkey.Verifier
	handler  http.Handler
	prefix   string       // of the cookies' names
	outage   atomic.Bool  // no new request of the application reaches the server
	ahead    atomic.Int64 // by how many nanoseconds the verifier's clock is ahead; see expire
	later    atomic.Int64 // and that of the middleware; see forget
}

// arrangement says what differs from the defaults.
type arrangement struct {
	origin   string
	cookies  latchkey.CookieConfig
	vault    bool // tokens stay on the application's server
	settings latchkey.SettingsPatch
}

// origins are where everything has to work.
func origins() []string { return []string{"https://app.example.test", "http://localhost"} }

const (
	email    = "alice@example.com"
	password = "correct horse battery staple"
)

// app serves the example, and waits until it knows what the server has revoked.
func (w *world) app(a arrangement) *app {
	w.t.Helper()
	out := &app{w: w, server: w.server()}
	out.start(a)
	out.origin = w.site(a.origin, out.handler)
	return out
}

// twin is the same application on another machine: it shares nothing with the first one
// but the server.
func (a *app) twin(o arrangement) *app {
	a.w.t.Helper()
	out := &app{w: a.w, server: a.server, origin: a.origin}
	out.start(o)
	return out
}

func (a *app) start(o arrangement) {
	w := a.w
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if strings.HasPrefix(o.origin, "https:") && !o.cookies.NoPrefix {
		a.prefix = "__Host-Http-"
	}
	var err error
	network := &http.Client{Transport: a}
	a.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: a.server.Issuer, Key: a.server.ManagementKey, HTTPClient: network})
	must(err)
	if o.settings != nil {
		_, err = a.client.ChangeSettings(w.t.Context(), o.settings)
		must(err)
	}
	a.verifier, err = latchkey.NewVerifier(latchkey.VerifierConfig{
		Issuer: a.server.Issuer, Key: a.server.VerifyKey, HTTPClient: network, ClockSkew: -1, // see expire
		Now: func() time.Time { return time.Now().Add(time.Duration(a.ahead.Load())) },
	})
	must(err)
	c := latchkey.MiddlewareConfig{
		Verifier: a.verifier, Client: a.client, Cookies: o.cookies, SignInURL: site.SignInPath,
		Now: func() time.Time { return time.Now().Add(time.Duration(a.later.Load())) },
	}
	if o.vault {
		entries := memstore.New()
		w.t.Cleanup(entries.StopCleanup)
		c.Tokens, err = vault.New(vault.Config{Entries: entries, Keys: []string{"c111e2fa0032f1fca4cf4b82d66d44bbd2488db346a65e2f80b584252109d83d"}})
		must(err)
	}
	middleware, err := latchkey.NewMiddleware(c)
	must(err)
	users := site.NewUsers(1)
	must(users.Add(site.User{ID: "1", Email: email, Name: "Alice Example"}, password))
	a.handler, err = site.New(site.Config{Title: "Webapp", Sessions: middleware, Client: a.client, Users: users, Log: slog.New(slog.DiscardHandler)})
	must(err)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.verifier.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-ended
	})
	w.await("the application follows the revocation feed", func() bool { return a.verifier.Status().Feed.Complete })
}

// RoundTrip is the application's way to the server.
func (a *app) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.outage.Load() {
		return nil, errors.New("an outage")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// signIn signs in as a person does, and returns the session's id.
func (a *app) signIn(b *tab) string {
	a.w.t.Helper()
	b.open(a.origin + site.SignInPath)
	b.fill(map[string]string{"#email": email, "#password": password})
	if landed := b.follow("main form button"); landed.Status != http.StatusOK {
		a.w.t.Fatalf("the sign-in leads to %s, which answers %d", landed.URL, landed.Status)
	}
	return a.state(b).Session
}

// state is what the page's script learns of the session.
type state struct {
	Token, Session, Note string
	IssuedAt, ExpiresAt  time.Time
}

// state asks for the state as the page's script does, and fails the test unless the
// session is good.
func (a *app) state(b *tab) state {
	a.w.t.Helper()
	got := a.ask(b)
	var s state
	if err := json.Unmarshal([]byte(got.Body), &s); got.Status != http.StatusOK || err != nil {
		a.w.t.Fatalf("the session isn't good: %+v", got)
	}
	return s
}

// ask sends the request that the live page sends every second.
func (a *app) ask(b *tab) fetched {
	a.w.t.Helper()
	return b.fetch(a.origin+"/live/state", map[string]any{"headers": map[string]string{"Accept": "application/json"}, "cache": "no-store"})
}

// rules are what the server has decided about a session, each as often as it did.
func (a *app) rules(sid string) []string {
	a.w.t.Helper()
	trace, err := a.client.Trace(a.w.t.Context(), sid)
	if err != nil {
		a.w.t.Fatal(err)
	}
	var rules []string
	for _, e := range trace.Entries {
		rules = append(rules, slices.Repeat([]string{e.Rule}, e.Count)...)
	}
	return rules
}

// count counts a rule among others.
func count(rules []string, rule string) int {
	n := 0
	for _, r := range rules {
		if r == rule {
			n++
		}
	}
	return n
}

func (a *app) sessionCookie() string { return a.prefix + "DS" }
func (a *app) refreshCookie() string { return a.prefix + "DSR" }

// expire makes the session token run out, by the application's clock, which stays ahead
// until settle. It waits until the token is old enough that the next one will last for a
// while, and returns until when that is for sure.
func (a *app) expire(b *tab) time.Time {
	a.w.t.Helper()
	const lasting = 5 * time.Second
	held := a.state(b)
	a.w.await("the session token is old enough", func() bool { return time.Since(held.IssuedAt) > lasting })
	a.ahead.Store(int64(time.Until(held.ExpiresAt) + 100*time.Millisecond))
	return time.Now().Add(lasting - time.Second)
}

// forget lets a minute pass for what the middleware remembers: the answer to a refresh, for
// requests that come right after it with the same token.
func (a *app) forget() { a.later.Add(int64(time.Minute)) }

// settle puts the clock right again.
func (a *app) settle() { a.ahead.Store(0) }

// fill types into fields.
func (b *tab) fill(fields map[string]string) {
	b.t.Helper()
	for selector, text := range fields {
		b.do("typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
	}
}

// drop takes a cookie away from the browser, as if it had run out.
func (p *profile) drop(name string) {
	p.w.t.Helper()
	held := p.cookie(name)
	if held == nil {
		p.w.t.Fatalf("there is no cookie %s", name)
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: held.Name, Domain: held.Domain, Path: held.Path}); err != nil {
		p.w.t.Fatal(err)
	}
}

// clear takes all cookies away.
func (p *profile) clear() {
	p.w.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		p.w.t.Fatal(err)
	}
}

// copyTo steals all cookies of an origin: it puts them into another browser.
func (p *profile) copyTo(thief *profile, origin string) {
	p.w.t.Helper()
	var copies []*network.CookieParam
	for _, c := range p.cookies() {
		copies = append(copies, &network.CookieParam{
			Name: c.Name, Value: c.Value, URL: origin, Path: c.Path, Secure: c.Secure, HTTPOnly: c.HTTPOnly, SameSite: c.SameSite,
		})
	}
	if len(copies) == 0 {
		p.w.t.Fatal("there is nothing to steal")
	}
	ctx, cancel := context.WithTimeout(thief.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, network.SetCookies, network.SetCookiesParams{Cookies: copies}); err != nil {
		p.w.t.Fatal(err)
	}
}
