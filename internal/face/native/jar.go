package native

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// jar is the cookies of a browser, of a project that delivers tokens by cookie.
//
// A request whose token came from a cookie is answered by cookie. One that names its
// token in a header or the body is answered in the body and leaves the cookies alone:
// its sender holds the token anyway, and may be no browser at all.
type jar struct {
	project directory.Project
	store   *latchkey.CookieStore
	r       *http.Request // as it would be without what a stranger can make of its Host
	own     string        // the origin that the request was sent to
	held    latchkey.HeldTokens
}

// byCookie tells whether a project delivers by cookie: a session token never is alone.
func byCookie(s latchkey.Settings) bool { return s.Delivery.Refresh == "cookie" }

// open returns the jar of a request to a project that delivers by cookie.
func (f *Face) open(r *http.Request, p directory.Project) (*jar, error) {
	public := f.address
	j := &jar{project: p, own: public.Scheme + "://" + public.Host}
	c := policy.CookieConfig(p.Settings.Cookies)
	c.Now = f.d.Now
	// What the public URL says of TLS counts, not what the connection looks like from
	// here: it ends at a proxy, which may put localhost in the Host's place.
	c.AlwaysSecure = public.Scheme == "https"
	host := public.Host
	switch custom := p.Settings.CustomDomain; {
	case custom != "" && (r == nil || wire.Host(r) == custom):
		host, j.own, c.AlwaysSecure = custom, "https://"+custom, true
	case r != nil && !c.AlwaysSecure && loopback(r.Host) && loopback(public.Host):
		host, j.own = r.Host, "http://"+r.Host // localhost and 127.0.0.1 are both this machine
	}
	if r == nil {
		r = &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	}
	// Cookies are removed from the domains that the Host is in, which names it in the
	// answer: it may not be what a stranger made up.
	j.r = r.WithContext(r.Context())
	j.r.Host = host
	var err error
	if j.store, err = latchkey.NewCookieStore(c); err != nil {
		return nil, err
	}
	j.held, err = j.store.Load(j.r)
	return j, err
}

// loopback tells whether a Host header names this very machine, as browsers see it.
func loopback(host string) bool {
	u, err := url.Parse("http://" + host)
	return err == nil && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

// guard refuses a request that a page of another site makes a browser send with its
// cookies, by Fetch Metadata and Origin. Pages of approvedOrigins may.
func (j *jar) guard() error {
	origin := j.r.Header.Get("Origin")
	// The library compares hosts only: a page that somebody put into an unencrypted
	// answer has the right host, and the wrong scheme.
	foreign := j.r.Header.Get("Sec-Fetch-Site") == "" && origin != "" && origin != j.own
	err := new(http.CrossOriginProtection).Check(j.r)
	if safe := j.r.Method == http.MethodGet || j.r.Method == http.MethodHead; safe || err == nil && !foreign {
		return nil
	}
	if len(j.r.Header["Origin"]) == 1 && slices.Contains(j.project.Settings.ApprovedOrigins, origin) {
		return nil
	}
	return fault.New(fault.Forbidden, "A page of another origin sent this request with the user's cookies, and approvedOrigins doesn't have that origin.")
}

// carry puts the tokens of a set into cookies and takes those out of the set. presented
// is the refresh token that they follow from; it stays good when there is no new one.
func (j *jar) carry(w http.ResponseWriter, set *latchkey.TokenSet, presented string) error {
	byCookie := *set
	if j.project.Settings.Delivery.Session != "cookie" {
		byCookie.SessionToken = ""
	} else {
		set.SessionToken = ""
	}
	set.RefreshToken = ""
	if set.RefreshExpiresAt.Sub(set.ServerTime) < time.Second || set.SessionExpiresAt.Sub(set.ServerTime) < time.Second {
		return fault.New(fault.SessionExpired, "The session has run out; sign in again.")
	}
	err := j.store.Save(w, j.r, byCookie)
	if err == nil && j.held.Duplicates {
		good := byCookie.RefreshToken
		if good == "" {
			good = presented
		}
		err = j.store.Tidy(w, j.r, byCookie.SessionToken, good)
	}
	var size *latchkey.CookieSizeError
	if errors.As(err, &size) {
		return fault.Wrap(fault.ClaimsTooLarge, err, "A cookie would have %d bytes with its name, and browsers drop it over %d.", size.Bytes, size.Limit)
	}
	return err
}

// clear makes the browser forget both tokens.
func (j *jar) clear(w http.ResponseWriter) error { return j.store.Clear(w, j.r) }

// headerOnly collects the headers that a response would have.
type headerOnly http.Header

func (h headerOnly) Header() http.Header         { return http.Header(h) }
func (h headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h headerOnly) WriteHeader(int)             {}

// forward moves the tokens of a fresh session that go by cookie into setCookie, for an
// application that has no business with them but to pass them on.
func (f *Face) forward(p directory.Project, set *latchkey.TokenSet) error {
	if !byCookie(p.Settings) {
		return nil
	}
	j, err := f.open(nil, p)
	if err != nil {
		return err
	}
	out := headerOnly{}
	if err := j.carry(out, set, ""); err != nil {
		return err
	}
	set.SetCookie = out.Header()["Set-Cookie"]
	return nil
}

// taken looks for the token in cookies. asked are the kinds that the endpoint takes, the
// best first. An explicit token is left alone, unless a cookie holds the same: then a
// browser's cookie was read out by an application in front of it, and the two would part
// if the answer didn't go there.
func (f *Face) taken(w http.ResponseWriter, r *http.Request, p *presented, asked []token.Kind) error {
	if len(r.Header["Cookie"]) == 0 || !p.key.ID.IsZero() {
		return nil
	}
	project, err := f.d.Tokens.Settings(r.Context(), p.Project)
	if err != nil || !byCookie(project.Settings) {
		return err
	}
	j, err := f.open(r, project)
	if err != nil {
		return err
	}
	vary(w.Header(), "Cookie")
	if explicit := p.Token; !explicit.IsZero() {
		if !j.holds(explicit) {
			return nil
		}
		p.jar, p.beside = j, j.holdsBeside(explicit)
		return j.guard()
	}
	if len(j.held.Session)+len(j.held.Refresh) == 0 {
		return nil
	}
	if err := j.guard(); err != nil {
		return err
	}
	for _, kind := range asked {
		found, err := f.sorted(r, p.Project, j.of(kind), kind)
		if err != nil {
			return err
		}
		p.tokens = append(p.tokens, found...)
	}
	if len(p.tokens) > 0 {
		p.jar, p.Token = j, p.tokens[0]
	}
	return nil
}

// holds tells whether one of the cookies has this token.
func (j *jar) holds(t secret.Text) bool {
	same := func(text string) bool { return t.Equal(secret.New(text)) }
	return slices.ContainsFunc(j.held.Refresh, same) || slices.ContainsFunc(j.held.Session, same)
}

// holdsBeside tells whether there are other tokens of the kind of one that is held.
func (j *jar) holdsBeside(t secret.Text) bool {
	for _, kind := range [][]string{j.held.Refresh, j.held.Session} {
		if len(kind) > 1 && slices.ContainsFunc(kind, func(text string) bool { return t.Equal(secret.New(text)) }) {
			return true
		}
	}
	return false
}

// of returns what the cookies of a kind hold, if tokens of that kind go by cookie.
func (j *jar) of(kind token.Kind) []string {
	switch {
	case kind == token.RefreshToken:
		return j.held.Refresh
	case j.project.Settings.Delivery.Session == "cookie":
		return j.held.Session
	}
	return nil
}

// sorted returns the tokens in the order in which they are to be tried. A single one is
// judged by whom it is presented to.
func (f *Face) sorted(r *http.Request, p id.Project, held []string, kind token.Kind) ([]secret.Text, error) {
	var all []secret.Text
	for _, text := range held {
		all = append(all, secret.New(text))
	}
	if len(all) < 2 {
		return all, nil
	}
	best, err := f.d.Tokens.Choose(r.Context(), p, all, kind)
	if len(best) == 0 && err == nil {
		return all[:1], nil // which says what is wrong with it
	}
	return best, err
}

func vary(h http.Header, name string) {
	if !slices.Contains(h["Vary"], name) {
		h.Add("Vary", name)
	}
}

// over tells whether a refusal is terminal: the session of the token has ended.
func over(err error) bool { return err != nil && wire.Info(fault.KindOf(err)).Terminal }

// try calls do with each token that was presented until one is good for something: a
// leftover of a session that has ended must not stand in the way of the one that lives.
// Only when every cookie is dead, and the verdict on one of them was terminal, the
// cookies are cleared. A transient refusal ends the search and changes nothing. A token
// that was named is tried alone: what is beside it in the cookies may be good.
func (p *presented) try(w http.ResponseWriter, do func() error) error {
	var refusal error
	for _, p.Token = range p.tokens {
		err := do()
		if !over(err) && fault.KindOf(err) != fault.Unauthenticated || err == nil {
			return err
		}
		if refusal == nil || over(err) && !over(refusal) {
			refusal = err
		}
	}
	if p.jar != nil && !p.beside && over(refusal) {
		if err := p.jar.clear(w); err != nil {
			return err
		}
	}
	return refusal
}
