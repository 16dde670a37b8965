package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store"
)

// feedURL is where clients believe the server to be; they reach it wherever it listens.
const feedURL = "http://localhost:8080"

// feedSite is a server on a SQLite file that can go away and come back, and its
// customer's side.
type feedSite struct {
	t      *testing.T
	dsn    string
	master secret.Text
	issuer string
	key    string // may do everything
	verify string // may follow the feed

	mu      sync.Mutex
	address string
	asked   []string // queries of requests for the feed
}

func newFeedSite(t *testing.T) *feedSite {
	t.Helper()
	f := &feedSite{t: t, dsn: "sqlite://" + filepath.Join(t.TempDir(), "latchkey.db"), master: secret.NewMasterKey(), address: "127.0.0.1:1"}
	_, _, err := store.Migrate(t.Context(), f.dsn, nil)
	f.must(err)
	app, stop := f.start()
	p, err := app.CreateProject(t.Context(), "acme", operator)
	f.must(err)
	f.issuer = app.Tokens.Issuer(p.ID)
	for kind, to := range map[secret.KeyKind]*string{secret.Management: &f.key, secret.Verify: &f.verify} {
		_, clear, err := app.Directory.CreateKey(t.Context(), p.ID, directory.NewKey{Name: "k", Kind: kind}, directory.ManagementKey{}, operator)
		f.must(err)
		*to = clear.Reveal()
	}
	stop()
	return f
}

func (f *feedSite) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// start runs a server on the file until stop is called.
func (f *feedSite) start() (app *server.App, stop func()) {
	f.t.Helper()
	bell := revocation.NewBell()
	st, err := store.Open(f.t.Context(), f.dsn, store.Options{OnRevocation: bell.Ring})
	f.must(err)
	master, err := secret.ParseRing(f.master)
	f.must(err)
	app, err = server.Assemble(st, master, feedURL, time.Now)
	f.must(err)
	metrics, err := observe.NewMetrics("1.2.3")
	f.must(err)
	s, err := server.New(server.Deps{
		Config: config.Defaults(), App: app, Log: slog.New(slog.DiscardHandler), Metrics: metrics,
		PublicURL: feedURL, Version: "1.2.3", Revoked: bell,
	})
	f.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	f.listen(l.Addr().String())
	stop = sync.OnceFunc(func() {
		f.listen("127.0.0.1:1")
		cancel()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
		if err := st.Close(); err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(stop)
	return app, stop
}

func (f *feedSite) listen(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.address = address
}

// RoundTrip sends a request to where the server listens now.
func (f *feedSite) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	address := f.address
	if strings.HasSuffix(r.URL.Path, "/revocations") {
		f.asked = append(f.asked, r.URL.RawQuery)
	}
	f.mu.Unlock()
	r = r.Clone(r.Context())
	r.Host, r.URL.Host = r.URL.Host, address
	return http.DefaultTransport.RoundTrip(r)
}

func (f *feedSite) lastAsked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[len(f.asked)-1]
}

func (f *feedSite) client() *latchkey.Client {
	f.t.Helper()
	c, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: f.issuer, Key: f.key, HTTPClient: &http.Client{Transport: f}})
	f.must(err)
	return c
}

// verifier returns a running verifier, and what stops it.
func (f *feedSite) verifier(stateFile string, poll bool) (v *latchkey.Verifier, stop func()) {
	f.t.Helper()
	hc := &http.Client{Transport: f}
	feed, err := latchkey.NewRevocations(latchkey.RevocationsConfig{Issuer: f.issuer, Key: f.verify, HTTPClient: hc, Poll: poll})
	f.must(err)
	v, err = latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: f.issuer, Revocations: feed, HTTPClient: hc, StateFile: stateFile})
	f.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(stop)
	return v, stop
}

// signIn returns the tokens of a new session.
func (f *feedSite) signIn(user string) latchkey.TokenSet {
	f.t.Helper()
	set, err := f.client().CreateSession(f.t.Context(), latchkey.SignInRequest{
		User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{user}}), AMR: []string{"pwd"},
	})
	f.must(err)
	return set
}

// becomes waits until a check of the token ends as wanted, and fails after within.
func (f *feedSite) becomes(v *latchkey.Verifier, token string, want latchkey.Reason, within time.Duration) {
	f.t.Helper()
	f.until(within, func() error {
		_, err := v.Verify(f.t.Context(), token)
		if got := latchkey.ReasonOf(err); got != want || (err == nil) != (want == "") {
			return fmt.Errorf("it is %q (%v), want %q; the feed: %+v", got, err, want, v.Status().Feed)
		}
		return nil
	})
}

func (f *feedSite) until(within time.Duration, check func() error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("after %v: %v", within, err)
		case <-tick.C:
		}
	}
}

func complete(v *latchkey.Verifier) func() error {
	return func() error {
		if s := v.Status().Feed; !s.Complete || s.LastError != "" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	}
}

// Whatever ends sessions is known to verifiers within a second, by stream and by poll.
func TestRevocationsReachVerifiers(t *testing.T) {
	for _, poll := range []bool{false, true} {
		t.Run(fmt.Sprintf("poll=%v", poll), func(t *testing.T) {
			f := newFeedSite(t)
			f.start()
			v, _ := f.verifier("", poll)
			f.until(5*time.Second, complete(v))
			c := f.client()
			one, two, three, other := f.signIn("ada"), f.signIn("ada"), f.signIn("ada"), f.signIn("bob")
			strict := latchkey.Requirement{Strict: true}
			for _, set := range []latchkey.TokenSet{one, two, three, other} {
				if _, err := v.Verify(t.Context(), set.SessionToken, strict); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.RevokeSession(t.Context(), one.Session.ID)
			f.must(err)
			f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)

			f.must(c.LogoutOthers(t.Context(), two.RefreshToken))
			f.becomes(v, three.SessionToken, latchkey.ReasonRevoked, time.Second)
			f.becomes(v, two.SessionToken, "", time.Second)

			_, err = c.RevokeUserSessions(t.Context(), two.Session.User)
			f.must(err)
			f.becomes(v, two.SessionToken, latchkey.ReasonRevoked, time.Second)
			f.becomes(v, f.signIn("ada").SessionToken, "", time.Second)
			f.becomes(v, other.SessionToken, "", time.Second)

			// A key: what it has signed is refused, what its successor signs is not.
			keys, err := c.SigningKeys(t.Context())
			f.must(err)
			for _, k := range keys {
				if k.State == "active" {
					_, err = c.RevokeSigningKey(t.Context(), k.ID)
					f.must(err)
				}
			}
			f.until(time.Second, func() error {
				_, err := v.Verify(t.Context(), other.SessionToken)
				if reason := latchkey.ReasonOf(err); reason != latchkey.ReasonRevoked && reason != latchkey.ReasonUnknownKey {
					return fmt.Errorf("what a revoked key has signed: %v", err)
				}
				return nil
			})
			f.becomes(v, f.signIn("bob").SessionToken, "", 5*time.Second)

			s := v.Status().Feed
			if s.LastLag > time.Second || s.Malformed != 0 || s.Unknown != 0 || s.Reconnects != 0 || s.Mode != map[bool]string{false: "stream", true: "poll"}[poll] {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The server goes away and comes back on the same file: nothing is missing on either
// side, and no valid token was refused meanwhile.
func TestAttack22FeedOverServerRestart(t *testing.T) {
	f := newFeedSite(t)
	_, stop := f.start()
	v, _ := f.verifier("", false)
	f.until(5*time.Second, complete(v))
	one, two, three := f.signIn("ada"), f.signIn("bob"), f.signIn("eve")
	_, err := f.client().RevokeSession(t.Context(), one.Session.ID)
	f.must(err)
	f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)
	f.becomes(v, two.SessionToken, "", time.Second)
	stop()
	f.until(5*time.Second, func() error {
		if s := v.Status().Feed; s.LastError == "" {
			return fmt.Errorf("the outage isn't seen: %+v", s)
		}
		return nil
	})
	f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)
	f.becomes(v, three.SessionToken, "", time.Second)
	f.start()
	_, err = f.client().RevokeSession(t.Context(), two.Session.ID)
	f.must(err)
	f.becomes(v, two.SessionToken, latchkey.ReasonRevoked, 30*time.Second)
	f.becomes(v, three.SessionToken, "", time.Second)
	f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)
	if last := f.lastAsked(); !strings.HasPrefix(last, "after=") {
		t.Errorf("it didn't go on at its cursor: %q", last)
	}
}

// A verifier that starts while the server is away still knows what was revoked, and goes
// on where its predecessor was.
func TestAttack22FeedOverVerifierRestart(t *testing.T) {
	f := newFeedSite(t)
	_, stopServer := f.start()
	state := filepath.Join(t.TempDir(), "state.json")
	v, stop := f.verifier(state, false)
	f.until(5*time.Second, complete(v))
	one, two := f.signIn("ada"), f.signIn("bob")
	f.becomes(v, two.SessionToken, "", 5*time.Second)
	_, err := f.client().RevokeSession(t.Context(), one.Session.ID)
	f.must(err)
	f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)
	stop()
	_, err = f.client().RevokeSession(t.Context(), two.Session.ID)
	f.must(err)
	stopServer()

	v, _ = f.verifier(state, false)
	f.becomes(v, one.SessionToken, latchkey.ReasonRevoked, time.Second)
	f.becomes(v, two.SessionToken, "", time.Second)
	if s := v.Status().Feed; s.Complete {
		t.Errorf("without the server: %+v", s)
	}
	f.start()
	f.becomes(v, two.SessionToken, latchkey.ReasonRevoked, 30*time.Second)
	if last := f.lastAsked(); !strings.HasPrefix(last, "after=") {
		t.Errorf("it didn't go on at its cursor: %q", last)
	}
}
