// Package vault keeps the tokens of web sessions on the server: the browser holds an
// opaque cookie and never sees a token (a backend for frontend). It is a
// latchkey.TokenStore, so latchkey.Middleware works with it as it does with cookies.
//
// Where the tokens rest is any scs.Store: memory, PostgreSQL, MySQL, SQLite, Redis and
// others exist. Nothing in there grants anything: entries are found by a digest of the
// cookie and encrypted under a key that is derived from both the cookie and a key of
// the application. Who has the store lacks both, who has the store and the application's
// key still lacks every cookie.
//
// It doesn't refresh or verify tokens; the middleware does.
package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/latchkey-dev/latchkey"
)

// Config says where tokens rest and how the cookie is marked. Entries and Keys are
// needed.
type Config struct {
	// Entries is where the tokens rest. A store that takes a context (scs.CtxStore)
	// gets the request's.
	Entries scs.Store

	// Keys encrypt the entries: 32 bytes each, in hexadecimal or base64. The first
	// encrypts, all decrypt. To change the key, put the new one first and take the old
	// one away when the longest session since then has ended.
	Keys []string

	// Name of the cookie without its prefix; LK by default. The prefix is __Host-Http-,
	// so that only this host can set the cookie, and never a script.
	Name string

	// SameSite is http.SameSiteStrictMode by default. With Lax, somebody who follows a
	// link from another site is signed in on the first page too.
	SameSite http.SameSite

	// Persistent lets the cookie outlive the browser's run ("remember me").
	Persistent bool

	// AlwaysSecure takes away the exception for plain http on this very machine
	// (localhost, 127.0.0.1, [::1]), where the cookie is neither Secure nor prefixed
	// because some browsers would drop it. A proxy that replaces the Host header by
	// localhost is noticed by what it adds to requests; set it there to leave nothing to
	// chance.
	AlwaysSecure bool

	// Now is time.Now by default.
	Now func() time.Time
}

// Format writes the configuration without its keys, for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "vault.Config{Name:%q, Keys:%d}", c.Name, len(c.Keys))
}

// LogValue returns the configuration without its keys.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Store is a latchkey.TokenStore over server-side entries. It is safe for concurrent use.
type Store struct {
	entries entries
	ring    ring
	cookie  cookie
	now     func() time.Time
}

// Format redacts the store under every verb: fmt would print the keys in it.
func (s *Store) Format(f fmt.State, _ rune) { io.WriteString(f, "[vault]") }

var _ latchkey.TokenStore = (*Store)(nil)

// New returns a Store. All that is wrong with c is in one error.
func New(c Config) (*Store, error) {
	ring, err := parseKeys(c.Keys)
	problems := []error{err}
	if c.Entries == nil {
		problems = append(problems, errors.New("vault: Entries is missing: any scs.Store, such as memstore.New()"))
	}
	cookie, err := newCookie(c)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{entries: entries{c.Entries}, ring: ring, cookie: cookie, now: c.Now}, nil
}

// entry is what rests encrypted.
type entry struct {
	Session   string    `json:"s,omitempty"`
	Refresh   string    `json:"r,omitempty"`
	SessionID string    `json:"sid"`
	At        time.Time `json:"at"`    // the server's clock when the tokens were handed out
	Until     time.Time `json:"until"` // by this machine's clock
}

// held is an entry that a request's cookie opened.
type held struct {
	ticket ticket
	entry
}

// Load returns the tokens that the request's cookie stands for. A cookie that opens
// nothing is no error. An error is one of the scs.Store: nobody can tell then.
func (s *Store) Load(r *http.Request) (latchkey.HeldTokens, error) {
	found, err := s.find(r)
	if err != nil {
		return latchkey.HeldTokens{}, err
	}
	var out latchkey.HeldTokens
	for _, h := range found {
		out.Session = appendNew(out.Session, h.Session)
		out.Refresh = appendNew(out.Refresh, h.Refresh)
	}
	return out, nil
}

func appendNew(list []string, token string) []string {
	if token == "" || slices.Contains(list, token) {
		return list
	}
	return append(list, token)
}

// find opens what the request's cookies stand for, newest tokens first.
func (s *Store) find(r *http.Request) ([]held, error) {
	var found []held
	tickets, err := s.cookie.tickets(r)
	if err != nil {
		return nil, err
	}
	for _, t := range tickets {
		sealed, ok, err := s.entries.find(r.Context(), t.key())
		if err != nil {
			return nil, failed(err)
		}
		if !ok {
			continue
		}
		e, ok := s.ring.open(t, sealed)
		if !ok || !s.now().Before(e.Until) {
			continue
		}
		found = append(found, held{t, e})
	}
	slices.SortStableFunc(found, func(a, b held) int { return b.At.Compare(a.At) })
	return found, nil
}

// Save keeps the tokens of set. Another session than the one that the cookie stands for
// gets a new cookie, and the entry of the old one is removed: a cookie that was planted
// before a sign-in is worth nothing after it. Tokens that are older than those that rest
// already are not kept, so that a slow request can't bring a replaced refresh token back.
func (s *Store) Save(w http.ResponseWriter, r *http.Request, set latchkey.TokenSet) error {
	found, err := s.find(r)
	if err != nil {
		return err
	}
	now := s.now()
	next := held{entry: entry{
		Session: set.SessionToken, Refresh: set.RefreshToken, SessionID: set.Session.ID, At: set.ServerTime,
		// By this machine's clock, which may differ from the server's: what counts is
		// how much is left.
		Until: now.Add(set.RefreshExpiresAt.Sub(set.ServerTime)),
	}}
	known := slices.IndexFunc(found, func(h held) bool { return h.SessionID == set.Session.ID && set.Session.ID != "" })
	if known < 0 {
		next.ticket = newTicket()
	} else if old := found[known]; old.At.After(next.At) {
		return s.cookie.write(w, r, old.ticket, old.Until, now)
	} else {
		next.ticket = old.ticket
		next.Refresh, next.Session = cmp.Or(next.Refresh, old.Refresh), cmp.Or(next.Session, old.Session)
	}
	if next.Refresh == "" && next.Session == "" {
		return errors.New("vault: the token set holds no token: the project delivers by cookie, and a vault needs tokens in the body")
	}
	if !now.Before(next.Until) {
		return errors.New("vault: the session is over")
	}
	sealed, err := s.ring.seal(next.ticket, next.entry)
	if err != nil {
		return err
	}
	if err := s.entries.commit(r.Context(), next.ticket.key(), sealed, next.Until); err != nil {
		return failed(err)
	}
	for i, h := range found {
		if i == known {
			continue
		}
		if err := s.entries.delete(r.Context(), h.ticket.key()); err != nil {
			return failed(err)
		}
	}
	return s.cookie.write(w, r, next.ticket, next.Until, now)
}

func failed(err error) error { return fmt.Errorf("vault: the store of entries failed: %w", err) }

// Clear removes the entries that the request's cookies stand for, and the cookie.
func (s *Store) Clear(w http.ResponseWriter, r *http.Request) error {
	tickets, err := s.cookie.tickets(r)
	problems := []error{err}
	for _, t := range tickets {
		problems = append(problems, s.entries.delete(r.Context(), t.key()))
	}
	problems = append(problems, s.cookie.clear(w, r))
	if err := errors.Join(problems...); err != nil {
		return failed(err)
	}
	return nil
}

// Tidy does nothing: only this host can set the cookie, so there are no leftovers.
func (s *Store) Tidy(http.ResponseWriter, *http.Request, string, string) error { return nil }

// entries calls the scs.Store, with the request's context where it takes one.
type entries struct{ scs.Store }

func (e entries) find(ctx context.Context, key string) ([]byte, bool, error) {
	if c, ok := e.Store.(scs.CtxStore); ok {
		return c.FindCtx(ctx, key)
	}
	return e.Store.Find(key)
}

func (e entries) commit(ctx context.Context, key string, b []byte, expiry time.Time) error {
	if c, ok := e.Store.(scs.CtxStore); ok {
		return c.CommitCtx(ctx, key, b, expiry)
	}
	return e.Store.Commit(key, b, expiry)
}

func (e entries) delete(ctx context.Context, key string) error {
	if c, ok := e.Store.(scs.CtxStore); ok {
		return c.DeleteCtx(ctx, key)
	}
	return e.Store.Delete(key)
}
