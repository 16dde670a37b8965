package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/publicsuffix"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

const (
	keyVariable        = "LATCHKEY_KEY"
	cookieKeysVariable = "LATCHKEY_COOKIE_KEYS"
)

// doctorFlags are what latchkey doctor is told about a deployment.
type doctorFlags struct {
	issuer, app, setBy, keyEnv string
	apis, embedders            []string
	links, proxied             bool
	sessionSize, refreshSize   int
	cookies                    latchkey.CookieConfig
	changed                    func(flag string) bool
}

func doctorCommand(t *terminal) *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use: "doctor", Short: "Check a deployment: issuer, keys, clock, feed, and what browsers make of its cookies",
		Long: `Asks a server what an application would ask it, and says what browsers will do with the cookies of an application.

A key of the project in ` + keyVariable + ` also checks the revocation feed; with a management key the project's settings are looked at and give the cookies their names and attributes. Keys that encrypt cookies are taken from ` + cookieKeysVariable + `. Nothing is changed and no key is shown.

Exit status 1 means that something is wrong, 0 that at most warnings were found.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			f.changed = c.Flags().Changed
			return t.doctor(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.issuer, "issuer", "", "the issuer: the server's public URL, a slash and the project's id")
	flags.StringVar(&f.app, "app", "", "URL of the application's pages, as browsers see it; without it cookies aren't looked at")
	flags.StringVar(&f.setBy, "cookies-by", "", "who sets the cookies: app, or issuer; by default what the settings say, else app")
	flags.StringArrayVar(&f.apis, "api", nil, "URL that the pages call with the cookies; may be repeated")
	flags.StringArrayVar(&f.embedders, "embedder", nil, "URL of a page that shows the application in a frame; may be repeated")
	flags.BoolVar(&f.links, "links", false, "users arrive by links from other sites and are to be signed in at once")
	flags.BoolVar(&f.proxied, "proxied", false, "TLS ends at a proxy in front of the application")
	flags.StringVar(&f.keyEnv, "key-env", keyVariable, "environment variable that holds a key of the project")
	flags.IntVar(&f.sessionSize, "session-token-bytes", 0, "size of a large session token")
	flags.IntVar(&f.refreshSize, "refresh-token-bytes", 0, "size of a large refresh token")
	k := &f.cookies
	flags.StringVar(&k.SessionName, "cookie-session-name", "", "name of the session token's cookie, without prefix; DS by default")
	flags.StringVar(&k.RefreshName, "cookie-refresh-name", "", "name of the refresh token's cookie, without prefix; DSR by default")
	flags.BoolVar(&k.NoPrefix, "cookie-no-prefix", false, "take the names as they are")
	flags.StringVar(&k.Domain, "cookie-domain", "", "Domain attribute; for one host when left out")
	flags.StringArrayVar(&k.PreviousDomains, "cookie-previous-domain", nil, "an earlier Domain; may be repeated")
	flags.StringVar(&k.Path, "cookie-path", "", "Path attribute; / by default")
	flags.StringVar(&k.SameSite, "cookie-same-site", "", "strict (default), lax or none")
	flags.BoolVar(&k.Partitioned, "cookie-partitioned", false, "set Partitioned")
	flags.BoolVar(&k.Persistent, "cookie-persistent", false, "let cookies outlive the browser's run")
	flags.BoolVar(&k.AlwaysSecure, "cookie-always-secure", false, "no exception for plain http on localhost")
	return c
}

// over returns base with what flags say instead.
func (f doctorFlags) over(base latchkey.CookieConfig) latchkey.CookieConfig {
	given := f.cookies
	for name, take := range map[string]func(){
		"session-name":    func() { base.SessionName = given.SessionName },
		"refresh-name":    func() { base.RefreshName = given.RefreshName },
		"no-prefix":       func() { base.NoPrefix = given.NoPrefix },
		"domain":          func() { base.Domain = given.Domain },
		"previous-domain": func() { base.PreviousDomains = given.PreviousDomains },
		"path":            func() { base.Path = given.Path },
		"same-site":       func() { base.SameSite = given.SameSite },
		"partitioned":     func() { base.Partitioned = given.Partitioned },
		"persistent":      func() { base.Persistent = given.Persistent },
		"always-secure":   func() { base.AlwaysSecure = given.AlwaysSecure },
	} {
		if f.changed("cookie-" + name) {
			take()
		}
	}
	return base
}

// diagnosis is a line of what latchkey doctor says.
type diagnosis struct {
	Area string `json:"area"` // issuer, tls, clock, keys, ready, feed, settings, cookies
	latchkey.Finding
}

// fine is the severity of what is as it should be.
const fine latchkey.Severity = "ok"

func (t *terminal) doctor(ctx context.Context, f doctorFlags) error {
	e, err := newExamination(f, os.Getenv)
	if err != nil {
		return &usageError{err}
	}
	if e.reach(ctx) {
		e.keySet(ctx)
		e.readiness(ctx)
		e.revocations(ctx)
		e.settings(ctx)
	}
	e.cookies()
	errors, warnings := 0, 0
	for i, d := range e.found {
		switch d.Severity {
		case latchkey.SeverityError:
			errors++
		case latchkey.SeverityWarning:
			warnings++
		}
		// Some of it comes from whoever answers at the issuer's address.
		e.found[i].Detail, e.found[i].Fix = wire.Printable(d.Detail, maxCell), wire.Printable(d.Fix, maxCell)
	}
	if err := t.show(map[string]any{"issuer": f.issuer, "errors": errors, "warnings": warnings, "findings": e.found}, func() { t.diagnoses(e.found) }); err != nil {
		return err
	}
	if errors > 0 {
		return &foundError{"the doctor found " + count(errors, "error")}
	}
	return nil
}

// foundError is the exit status of a run that found errors, which it has shown.
type foundError struct{ text string }

func (e *foundError) Error() string { return e.text }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// diagnoses prints for people: marks on a terminal, words in a file.
func (t *terminal) diagnoses(found []diagnosis) {
	marks := map[latchkey.Severity]string{fine: "ok     ", latchkey.SeverityInfo: "info   ", latchkey.SeverityWarning: "warning", latchkey.SeverityError: "error  "}
	if interactive(t.out) {
		marks = map[latchkey.Severity]string{fine: "✓", latchkey.SeverityInfo: "·", latchkey.SeverityWarning: "!", latchkey.SeverityError: "✗"}
	}
	indent := strings.Repeat(" ", len([]rune(marks[fine]))+len("  settings  "))
	for _, d := range found {
		t.printf("%s  %-8s  %s\n", marks[d.Severity], d.Area, d.Detail)
		if d.Browsers != "" {
			t.printf("%sin: %s\n", indent, d.Browsers)
		}
		if d.Fix != "" {
			t.printf("%sfix: %s\n", indent, d.Fix)
		}
	}
}

// sameSite goes by the public suffix list.
func sameSite(a, b string) bool {
	x, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return a == b
	}
	y, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && x == y
}

// cookies says what would be set, and what browsers make of it.
func (e *examination) cookies() {
	f := e.flags
	if f.app == "" {
		e.say(latchkey.SeverityInfo, "cookies", "no_app", "Not looked at: --app URL says where the application is.", "")
		return
	}
	site := latchkey.DoctorSite{
		URL: f.app, APIs: f.apis, Embedders: f.embedders, Links: f.links, Proxied: f.proxied, OriginCheck: true,
		SessionToken: f.sessionSize, RefreshToken: f.refreshSize, RefreshLife: e.refreshLife, SameSite: sameSite,
	}
	if f.setBy == "issuer" || f.setBy == "" && e.delivers {
		site.SetBy = e.base
		if e.customDomain != "" {
			site.SetBy = "https://" + e.customDomain
		}
	}
	config := f.over(e.config)
	if site.SetBy == "" {
		config.Keys = e.cookieKeys // the server doesn't have them
	}
	for _, line := range wouldSet(config, site) {
		e.say(latchkey.SeverityInfo, "cookies", "set_cookie", line, "")
	}
	for _, finding := range latchkey.Doctor(config, site) {
		e.found = append(e.found, diagnosis{"cookies", finding})
	}
}

// wouldSet are the cookies that are set, without their values.
func wouldSet(config latchkey.CookieConfig, site latchkey.DoctorSite) []string {
	store, err := latchkey.NewCookieStore(config)
	if err != nil {
		return nil // the doctor says why
	}
	by := site.URL
	if site.SetBy != "" {
		by = site.SetBy
	}
	u, err := url.Parse(by)
	if err != nil {
		return nil
	}
	r := &http.Request{Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{}
	}
	w := headers{}
	later := time.Now().Add(time.Hour)
	if err := store.Save(w, r, latchkey.TokenSet{SessionToken: "x", SessionExpiresAt: later, RefreshToken: "x", RefreshExpiresAt: later}); err != nil {
		return nil
	}
	var out []string
	for _, line := range w["Set-Cookie"] {
		pair, attributes, _ := strings.Cut(line, "; ")
		name, _, _ := strings.Cut(pair, "=")
		shown := []string{name + "=…"}
		for attribute := range strings.SplitSeq(attributes, "; ") {
			if key, _, _ := strings.Cut(attribute, "="); key == "Max-Age" || key == "Expires" {
				attribute = key + "=…"
			}
			shown = append(shown, attribute)
		}
		out = append(out, strings.Join(shown, "; "))
	}
	return out
}

// headers is a response of which only the headers matter.
type headers http.Header

func (h headers) Header() http.Header         { return http.Header(h) }
func (h headers) Write(b []byte) (int, error) { return len(b), nil }
func (h headers) WriteHeader(int)             {}
