package browser

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey/examples/webapp/site"
)

// TestExamples runs the programs of examples/ as their README says, and uses them as a
// visitor does.
func TestExamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	api := w.example(s, "api")
	p := w.profile()

	b := p.tab()
	webapp := w.example(s, "webapp")
	w.visit(b, webapp)
	if kept := p.cookies(); len(kept) != 2 {
		t.Errorf("webapp: the browser keeps %d cookies", len(kept))
	}
	p.clear()

	vault := w.example(s, "vault", "-upstream", api)
	w.visit(b, vault)
	if kept := p.cookies(); len(kept) != 1 {
		t.Errorf("vault: the browser keeps %d cookies", len(kept))
	}
	// Behind the vault is the other service, which gets the token from it.
	if got := b.open(vault + "/api/me"); got.Status != http.StatusOK {
		t.Errorf("vault: the service behind it answers %d", got.Status)
	}
	if me := result[string](b, `() => document.body.innerText`); !strings.Contains(me, `"user":"usr_`) {
		t.Errorf("vault: the service behind it says %s", me)
	}
}

// example starts one of the examples and returns where it serves.
func (w *world) example(s *server, name string, args ...string) string {
	w.t.Helper()
	program, err := build(w.t.TempDir(), "./examples/"+name)
	if err != nil {
		w.t.Fatal(err)
	}
	p := w.start([]string{"LATCHKEY_ISSUER=" + s.Issuer, "LATCHKEY_KEY=" + s.ManagementKey}, program, append([]string{"-addr", "localhost:0"}, args...)...)
	serving := regexp.MustCompile(`url=(\S+)`)
	var url string
	p.await("serves", func() bool {
		if found := serving.FindStringSubmatch(p.said()); found != nil {
			url = found[1]
		}
		return url != ""
	})
	return url
}

// visit signs in with what the form itself says.
func (w *world) visit(b *tab, origin string) {
	w.t.Helper()
	b.open(origin + site.SignInPath)
	hint := result[string](b, `() => document.querySelector(".hint").textContent`)
	_, password, _ := strings.Cut(hint, "“")
	password, _, _ = strings.Cut(password, "”")
	b.fill(map[string]string{"#email": regexp.MustCompile(`\S+@\S+`).FindString(hint), "#password": password})
	if landed := b.follow("main form button"); landed.Status != http.StatusOK || landed.URL != origin+"/" {
		w.t.Errorf("%s: the sign-in leads to %s, which answers %d", origin, landed.URL, landed.Status)
	}
	for _, path := range []string{"/account", "/live"} {
		if page := b.open(origin + path); page.Status != http.StatusOK || page.URL != origin+path {
			w.t.Errorf("%s: %s is %s, which answers %d", origin, path, page.URL, page.Status)
		}
	}
}

// TestPages: every page of the example fits narrow and wide screens, and keeps to its own
// content security policy.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(arrangement{origin: "https://app.example.test"})
	b := w.profile().tab()
	complaints := b.console()
	check := func(paths ...string) {
		t.Helper()
		for _, width := range []int64{320, 1280} {
			b.do("choosing a screen", chromedp.EmulateViewport(width, 800, chromedp.EmulateMobile))
			for _, path := range paths {
				if page := b.open(a.origin + path); page.Status != http.StatusOK || page.URL != a.origin+path {
					t.Errorf("%s is %s, which answers %d", path, page.URL, page.Status)
				}
				if wide := result[int64](b, `() => document.documentElement.scrollWidth`); wide > width {
					t.Errorf("%s is %d pixels wide on a screen of %d", path, wide, width)
				}
				if unnamed := result[int](b, `() => [...document.querySelectorAll("input:not([type=hidden])")].filter(i => !i.labels.length).length`); unnamed > 0 {
					t.Errorf("%s has %d fields without a label", path, unnamed)
				}
			}
		}
	}
	check("/", "/sign-in")
	a.signIn(b)
	check("/", "/account", "/live")
	if said := complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
