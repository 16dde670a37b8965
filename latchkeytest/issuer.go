package latchkeytest

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// Config is how an Issuer differs from the usual. The zero value is the server's
// defaults.
type Config struct {
	SessionTokenTTL time.Duration    // life of session tokens; 10 min when zero
	SessionTTL      time.Duration    // life of sessions; 28 days when zero
	ReuseWindow     time.Duration    // 20 s when zero; negative: none
	Now             func() time.Time // the clock before Advance; time.Now when nil
}

// Issuer is a fake Latchkey server with one project. It is safe for concurrent use.
type Issuer struct {
	t      testing.TB
	config Config
	server *httptest.Server
	id     string // of the project
	key    string
	verify string
	stop   context.CancelFunc
	ended  context.Context // ends with the test
	feed   *feed

	mu        sync.Mutex
	offset    time.Duration // of the clock
	down      context.CancelFunc
	up        context.Context // ends when the server goes down
	keys      []*signingKey   // oldest first, also those that were revoked
	sessions  map[string]*session
	machines  map[string]*machine // by their secrets
	refreshes int
	followers []*follower
}

// NewIssuer starts an Issuer that is closed when the test ends.
func NewIssuer(t testing.TB, change ...func(*Config)) *Issuer {
	t.Helper()
	c := Config{SessionTokenTTL: 10 * time.Minute, SessionTTL: 28 * 24 * time.Hour, ReuseWindow: 20 * time.Second, Now: time.Now}
	for _, f := range change {
		f(&c)
	}
	c.ReuseWindow = max(c.ReuseWindow, 0)
	i := &Issuer{
		t: t, config: c, id: newID("prj"), key: "lk_mgmt_" + rand.Text(), verify: "lk_verify_" + rand.Text(),
		feed: newFeed(), sessions: map[string]*session{}, machines: map[string]*machine{},
	}
	i.ended, i.stop = context.WithCancel(context.Background())
	i.up, i.down = context.WithCancel(i.ended)
	i.keys = []*signingKey{i.newKey()}
	i.server = httptest.NewServer(i.gate(i.routes()))
	t.Cleanup(func() {
		i.stop() // streams end, for which Close waits
		i.server.Close()
	})
	return i
}

// URL returns the issuer: what VerifierConfig and ClientConfig want.
func (i *Issuer) URL() string { return i.server.URL + "/" + i.id }

// Key returns a management key that may do everything.
func (i *Issuer) Key() string { return i.key }

// VerifyKey returns a key that may follow the revocation feed and refresh read-only.
func (i *Issuer) VerifyKey() string { return i.verify }

// Now is the issuer's clock. Give it to whatever is to live in the issuer's time.
func (i *Issuer) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now()
}

func (i *Issuer) now() time.Time { return i.config.Now().Add(i.offset) }

// Advance lets time pass, for the issuer and for the Verifiers and Clients that it made.
func (i *Issuer) Advance(d time.Duration) {
	i.t.Helper()
	i.mu.Lock()
	i.offset += d
	i.mu.Unlock()
	i.Settle()
}

// SignIn starts a session of a user, any text, and returns its tokens. The claims are in
// all of its session tokens; they may replace any other, and one that is nil takes it
// out.
func (i *Issuer) SignIn(user string, claims ...Claims) latchkey.TokenSet {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.signIn(user, merge(claims))
}

// ChangeClaims changes claims of a session (nil takes one out) and tells the verifiers
// that its tokens are outdated, as the server does when a role changes: the next refresh
// brings the new ones.
func (i *Issuer) ChangeClaims(sessionID string, claims Claims) {
	i.t.Helper()
	i.mu.Lock()
	s := i.sessions[sessionID]
	if s != nil {
		s.claims = merge([]Claims{s.claims, claims})
	}
	i.mu.Unlock()
	if s == nil {
		i.t.Errorf("latchkeytest: there is no session %q", sessionID)
		return
	}
	i.publish("epoch", sessionID)
}

// Revoke ends a session. When it returns, the issuer's Verifiers know.
func (i *Issuer) Revoke(sessionID string) {
	i.t.Helper()
	i.end(sessionID, "revoked")
}

// RevokeUser ends all sessions of a user but, when it is named, one. When it returns, the
// issuer's Verifiers know.
func (i *Issuer) RevokeUser(user, exceptSession string) {
	i.t.Helper()
	i.mu.Lock()
	i.closeAll(user, "revoked", i.sessions[exceptSession], i.now())
	i.mu.Unlock()
	i.Settle()
}

// Expire lets the life of a session run out, as if it hadn't been refreshed for too long.
// The session tokens that were made for it stay good until they expire: see Advance.
func (i *Issuer) Expire(sessionID string) {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if s := i.sessions[sessionID]; s != nil {
		s.expires = i.now()
		return
	}
	i.t.Errorf("latchkeytest: there is no session %q", sessionID)
}

// Down makes the server unreachable: connections are closed without an answer, and
// streams end.
func (i *Issuer) Down() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down()
}

// Up ends Down. Followers of the feed come back by themselves; Settle waits for them.
func (i *Issuer) Up() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.up.Err() != nil {
		i.up, i.down = context.WithCancel(i.ended)
	}
}

// RotateKeys makes a new signing key, which signs from now on, and returns its id. What
// the one before signed stays good.
func (i *Issuer) RotateKeys() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := i.newKey()
	i.keys = append(i.keys, k)
	return k.id
}

// RevokeKey takes a signing key out, so that what it signed is refused. When it was the
// last one, a new one is made. When it returns, the issuer's Verifiers know.
func (i *Issuer) RevokeKey(kid string) {
	i.t.Helper()
	if !i.revokeKey(kid) {
		i.t.Errorf("latchkeytest: there is no key %q", kid)
		return
	}
	i.publish("key", kid)
}

// Refreshes returns how many refreshes have reached the server.
func (i *Issuer) Refreshes() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.refreshes
}

// Rotations returns how often the refresh token of a session was replaced.
func (i *Issuer) Rotations(sessionID string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s := i.sessions[sessionID]; s != nil {
		return s.rotations
	}
	return 0
}

// gate closes the connections while the server is down, and gives every answer the
// issuer's time.
func (i *Issuer) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		up, now := i.up, i.now()
		i.mu.Unlock()
		if up.Err() != nil {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
			return
		}
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		// A stream ends when the server goes down.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(up, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// newID returns an identifier of the server's form.
func newID(prefix string) string { return prefix + "_" + strings.ToLower(rand.Text()) }
