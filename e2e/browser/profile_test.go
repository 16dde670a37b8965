package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// profile is a browser of its own: nobody shares its cookies.
type profile struct {
	w   *world
	ctx context.Context
}

// profile starts a browser with an empty profile in a temporary folder, and ends it with
// the test.
func (w *world) profile() *profile {
	w.t.Helper()
	allocator, free := chromedp.NewExecAllocator(context.Background(), w.options()...)
	ctx, cancel := chromedp.NewContext(allocator)
	w.t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			w.t.Logf("the browser doesn't end in order: %v", err) // it isn't what is tested
		}
		cancel()
		free()
	})
	if err := chromedp.Do(ctx); err != nil {
		w.t.Fatalf("%s doesn't start: %v", chromium, err)
	}
	return &profile{w, ctx}
}

// options are the browser's flags. It reaches this world's sites and nothing else.
func (w *world) options() []chromedp.ExecAllocatorOption {
	flags := map[string]any{
		"headless":                               true,
		"no-sandbox":                             true, // containers and root
		"disable-gpu":                            true,
		"disable-quic":                           true,
		"no-first-run":                           true,
		"no-default-browser-check":               true,
		"disable-background-networking":          true,
		"disable-component-update":               true,
		"disable-default-apps":                   true,
		"disable-sync":                           true,
		"disable-breakpad":                       true,
		"disable-dev-shm-usage":                  true,
		"disable-background-timer-throttling":    true,
		"disable-renderer-backgrounding":         true,
		"disable-ipc-flooding-protection":        true,
		"password-store":                         "basic",
		"disable-features":                       "HttpsUpgrades,Translate,OptimizationHints,MediaRouter",
		"ignore-certificate-errors-spki-list":    w.spki,
		"host-resolver-rules":                    "MAP *:443 " + w.tls.Addr().String() + ", MAP *:80 " + w.http.Addr().String() + ", MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
		"disable-backgrounding-occluded-windows": true,
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(chromium), chromedp.WindowSize(1280, 900)}
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	return options
}

// tab is one tab of a browser. Only one goroutine at a time uses it.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// tab opens an empty tab.
func (p *profile) tab() *tab {
	p.w.t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx)
	p.w.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		p.w.t.Fatalf("no new tab: %v", err)
	}
	return &tab{p.w.t, ctx}
}

// open goes to an address and returns the page's own answer.
func (b *tab) open(address string) *network.Response {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.Run(ctx, chromedp.NavigateResponse(address))
	if err != nil {
		b.t.Fatalf("going to %s: %v", address, err)
	}
	return response
}

// do carries out steps in the tab.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// script calls a function of JavaScript in the page, with arguments that are sent as
// JSON, waits for what it promises, and returns that.
func script[T any](b *tab, function string, args ...any) (T, error) {
	var texts []string
	for _, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			var none T
			return none, err
		}
		texts = append(texts, string(text))
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	call := fmt.Sprintf("(%s)(%s)", function, strings.Join(texts, ","))
	return chromedp.Run(ctx, chromedp.Evaluate[T](call, func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
}

// result is script for a test that can't go on without the result.
func result[T any](b *tab, function string, args ...any) T {
	b.t.Helper()
	r, err := script[T](b, function, args...)
	if err != nil {
		b.t.Fatalf("%.200s: %v", function, err)
	}
	return r
}

// fetched is what a page's script learns of an answer. Failed says that it learned
// nothing: the request wasn't sent, or the answer was withheld.
type fetched struct {
	Failed     bool
	Status     int
	Type       string // of the response: basic, cors, opaque
	URL        string // after redirects
	Body       string
	Redirected bool
}

// fetch sends a request as the page's script, with the given options.
func (b *tab) fetch(address string, options map[string]any) fetched {
	b.t.Helper()
	return result[fetched](b, `async (url, options) => {
		try {
			const r = await fetch(url, options)
			return {Status: r.status, Type: r.type, URL: r.url, Redirected: r.redirected, Body: await r.text()}
		} catch (e) {
			return {Failed: true, Body: String(e)}
		}
	}`, address, options)
}

// cookies returns all that the browser keeps, of all sites.
func (p *profile) cookies() []*network.Cookie {
	p.w.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	kept, err := chromedp.Call(ctx, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		p.w.t.Fatalf("the browser doesn't say which cookies it keeps: %v", err)
	}
	return kept.Cookies
}

// cookie returns the cookie of a name, or nil when there is none.
func (p *profile) cookie(name string) *network.Cookie {
	p.w.t.Helper()
	var found *network.Cookie
	for _, c := range p.cookies() {
		if c.Name != name {
			continue
		}
		if found != nil {
			p.w.t.Fatalf("two cookies have the name %s: of %s%s and %s%s", name, found.Domain, found.Path, c.Domain, c.Path)
		}
		found = c
	}
	return found
}

// follow clicks what leads to another page and waits for that page.
func (b *tab) follow(selector string) *network.Response {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
	if err != nil {
		b.t.Fatalf("following %s: %v", selector, err)
	}
	return response
}

// console watches what the browser and the page's scripts complain about from now on.
// What it returns tells the complaints so far, and may be called once.
func (b *tab) console() func() []string {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	messages := chromedp.Console(ctx)
	return func() []string {
		b.t.Helper()
		defer cancel()
		const end = "that was all"
		result[any](b, `text => { console.log(text) }`, end)
		var found []string
		for m, err := range messages {
			if err != nil {
				b.t.Fatal(err)
			}
			if m.Text == end {
				break
			}
			found = append(found, m.String())
		}
		return found
	}
}
