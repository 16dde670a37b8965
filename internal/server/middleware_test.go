package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

const (
	overTTL    = 15 * time.Minute // longer than a session token lives, with the clock skew
	overWindow = 30 * time.Second
)

func TestMiddlewareSignInAndOut(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.sees("/", 200, "hello stranger, unauthenticated")
	b.sees("/account", 401, `"unauthenticated"`)
	status, _, header := b.send("GET", "/account?tab=2", nil, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	if status != 303 || header.Get("Location") != "/sign-in?return_to=%2Faccount%3Ftab%3D2" {
		t.Errorf("%d %v", status, header)
	}
	b.signIn("ann@example.com")
	if held := b.cookies(); !strings.Contains(held, "__Host-Http-DS=") || !strings.Contains(held, "__Host-Http-DSR=") {
		t.Errorf("the jar holds other names")
	}
	b.sees("/account", 200, "hello usr_")
	b.sees("/admin", 403, `"forbidden"`)
	b.sees("/strict", 503, `"unavailable"`) // this verifier follows no feed
	// Another site can't sign her out.
	if status, text, _ := b.send("POST", "/sign-out", nil, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"); status != 403 || !strings.Contains(text, "forbidden") {
		t.Errorf("%d %s", status, text)
	}
	stolen := b.copied()
	if status, text, _ := b.send("POST", "/sign-out", nil); status != 200 || b.cookies() != "" {
		t.Errorf("sign-out: %d %s, jar %t", status, text, b.cookies() != "")
	}
	b.sees("/account", 401, `"unauthenticated"`)
	// Who kept a copy can't go on.
	a.clock.Move(overTTL)
	stolen.sees("/account", 401, `"session_revoked"`)
	if stolen.cookies() != "" {
		t.Error("cookies of an ended session stay")
	}
	if status, _, _ := b.send("POST", "/sign-out", nil); status != 200 {
		t.Error("a second sign-out is an error")
	}
}

// Pain 1 against the real server: 12 requests of one browser with an expired token.
func TestMiddlewareParallelRequests(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	for round := range 3 {
		a.clock.Move(overTTL)
		before := b.cookies()
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() { b.sees("/account", 200, "hello usr_") })
		}
		all.Wait()
		if after := b.cookies(); after == before || strings.Count(after, "=") != 2 {
			t.Error("the cookies weren't replaced")
		}
		if got := a.decided("rotate"); got != fmt.Sprint(round+1) {
			t.Errorf("%s rotations after %d rounds", got, round+1)
		}
		if got := a.decided("replay"); got != "0" {
			t.Errorf("the server was asked %s times too often", got)
		}
	}
	if got := a.series("latchkey_refreshes_total"); len(got) == 0 {
		t.Fatal("nothing was counted")
	}
}

// Pain 3 and 13: answers that get lost, inside and after the reuse window, cost nobody
// the session.
func TestMiddlewareLostAnswers(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, overWindow, 5 * time.Minute} {
		a := newApplication(t)
		b := a.browser()
		b.signIn("ann@example.com")
		b.sees("/account", 200, "hello usr_") // the key set is there
		for range 3 {
			a.clock.Move(overTTL)
			held := b.cookies()
			a.link.lossy.Store(true)
			b.sees("/account", 503, `"terminal":false`)
			b.sees("/", 200, "hello stranger, unavailable")
			if b.cookies() != held {
				t.Error("a lost answer changed the cookies")
			}
			a.link.lossy.Store(false)
			a.clock.Move(pause)
			b.sees("/account", 200, "hello usr_")
			a.clock.Move(overWindow)
		}
	}
}

// While the server is away, a session token that is good stays good; one that has expired
// waits, with its cookies.
func TestMiddlewareServerAway(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	b.sees("/account", 200, "hello usr_")
	a.link.away.Store(true)
	a.clock.Move(time.Minute)
	b.sees("/account", 200, "hello usr_")
	a.clock.Move(overTTL)
	held := b.cookies()
	status, _, header := b.send("GET", "/account", nil, "Sec-Fetch-Mode: navigate")
	if status != 503 || header.Get("Retry-After") == "" || b.cookies() != held {
		t.Errorf("%d %v", status, header)
	}
	a.link.away.Store(false)
	b.sees("/account", 200, "hello usr_")
}

// A copied jar: both go on once at the most, then the session is over for both.
func TestMiddlewareTheft(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	thief := b.copied()
	a.clock.Move(overTTL)
	b.sees("/account", 200, "hello usr_")
	a.clock.Move(overTTL)
	b.sees("/account", 200, "hello usr_")
	a.clock.Move(overWindow)
	thief.sees("/account", 401, `"token_reuse"`)
	a.clock.Move(overTTL)
	b.sees("/account", 401, `"terminal":true`)
	if b.cookies() != "" || thief.cookies() != "" {
		t.Error("cookies of an ended session stay")
	}
}

// Pain 5: an application that can't set cookies serves expired ones for as long as the
// session lives, and rotates nothing.
func TestMiddlewareReadOnly(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	verifyOnly, err := a.client.CreateManagementKey(t.Context(), latchkey.ManagementKeyRequest{Name: "render", Kind: "verify"})
	a.must(err)
	issuer := publicURL + "/" + a.project.ID.String()
	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: verifyOnly.Secret, HTTPClient: &http.Client{Transport: a.link}, Now: a.clock.Now})
	a.must(err)
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, HTTPClient: &http.Client{Transport: a.link}, Now: a.clock.Now})
	a.must(err)
	m, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, ReadOnly: true, Now: a.clock.Now})
	a.must(err)
	render := httptest.NewTLSServer(a.routes(m))
	t.Cleanup(render.Close)
	a.clock.Move(overTTL)
	held := b.cookies()
	for range 5 {
		r, err := http.NewRequest("GET", render.URL+"/account", nil)
		a.must(err)
		r.Header.Set("Cookie", held)
		answer, err := render.Client().Do(r)
		a.must(err)
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 || len(answer.Header["Set-Cookie"]) != 0 {
			t.Errorf("%d %s %v", answer.StatusCode, body, answer.Header)
		}
	}
	if a.decided("read") != "1" || a.decided("rotate") != "0" {
		t.Errorf("%v", a.series("latchkey_refreshes_total"))
	}
	a.clock.Move(overTTL)
	b.sees("/account", 200, "hello usr_")
}

// What the application says of the browser reaches the session's trace, so that a copy
// in another browser can be told.
func TestMiddlewareDevice(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	a.clock.Move(overTTL)
	b.sees("/account", 200, "hello usr_")
	for s, err := range a.client.Sessions(t.Context(), latchkey.SessionFilter{}) {
		a.must(err)
		if s.Agent != "Firefox on Linux" || s.Network != "127.0.0.0/24" {
			t.Errorf("the session was seen with %q in %q", s.Agent, s.Network)
		}
	}
}

// Neither the application's log nor the server's holds a token.
func TestMiddlewareLogsNoToken(t *testing.T) {
	a := newApplication(t)
	b := a.browser()
	b.signIn("ann@example.com")
	held := b.cookies()
	for range 2 {
		a.clock.Move(overTTL)
		b.sees("/account", 200, "hello usr_")
		a.link.away.Store(true)
		a.clock.Move(overTTL)
		b.sees("/account", 503, "unavailable")
		a.link.away.Store(false)
		held += "; " + b.cookies()
	}
	_, ours := a.logged.take(t)
	_, theirs := a.log.take(t)
	if !strings.Contains(ours, "session refresh") {
		t.Errorf("nothing was logged: %s", ours)
	}
	for pair := range strings.SplitSeq(held, "; ") {
		_, value, _ := strings.Cut(pair, "=")
		parts := strings.Split(value, ".")
		if len(parts) != 3 {
			t.Fatalf("%d parts", len(parts))
		}
		for _, part := range parts[1:] {
			if strings.Contains(ours+theirs, part) {
				t.Error("a token is in a log")
			}
		}
	}
}
