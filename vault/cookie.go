package vault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// cookie is how the ticket travels: in the session token's place of a CookieStore, so
// that prefixes, the exception for this very machine, proxies and caches are that one's
// business. The refresh token's place stays empty.
type cookie struct {
	name  string
	store *latchkey.CookieStore
}

const (
	prefix      = "__Host-Http-"
	defaultName = "LK"
	maxName     = 64
	emptyPlace  = "-none" // behind the name

	// maxTickets bounds the look-ups that one request can ask for. An honest browser
	// sends one cookie of the name.
	maxTickets = 4
)

func newCookie(c Config) (cookie, error) {
	out := cookie{name: c.Name}
	if out.name == "" {
		out.name = defaultName
	}
	var problems []error
	if len(out.name) > maxName || strings.ContainsFunc(out.name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) || strings.HasPrefix(strings.ToLower(out.name), "__") {
		problems = append(problems, fmt.Errorf("vault: Name is up to %d letters, digits, '-' and '_', without prefix", maxName))
	}
	sameSite := ""
	switch c.SameSite {
	case 0, http.SameSiteDefaultMode, http.SameSiteStrictMode:
	case http.SameSiteLaxMode:
		sameSite = "lax"
	default:
		problems = append(problems, errors.New("vault: SameSite is Strict or Lax: the cookie is for pages of its own host"))
	}
	if len(problems) > 0 {
		return cookie{}, errors.Join(problems...)
	}
	var err error
	out.store, err = latchkey.NewCookieStore(latchkey.CookieConfig{
		SessionName: out.name, RefreshName: out.name + emptyPlace, SameSite: sameSite,
		Persistent: c.Persistent, AlwaysSecure: c.AlwaysSecure, Now: c.Now,
	})
	return out, err
}

// tickets returns what the request carries.
func (c cookie) tickets(r *http.Request) ([]ticket, error) {
	held, err := c.store.Load(r)
	var out []ticket
	for _, text := range held.Session {
		if t, ok := parseTicket(text); ok && len(out) < maxTickets {
			out = append(out, t)
		}
	}
	return out, err
}

func (c cookie) write(w http.ResponseWriter, r *http.Request, t ticket, until, now time.Time) error {
	return c.store.Save(w, r, latchkey.TokenSet{SessionToken: t.reveal(), SessionExpiresAt: until, ServerTime: now})
}

func (c cookie) clear(w http.ResponseWriter, r *http.Request) error { return c.store.Clear(w, r) }
