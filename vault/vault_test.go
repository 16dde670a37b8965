package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/vault"
)

const (
	keyA = "6f1d6c7cf0b5a64ad6f0f3fb0f1c4b1f5e2c9a7d8b3e4f60718293a4b5c6d7e8"
	keyB = "ZAOs6p99jrmUgSkDKI70nDzqnb6yCrV0gU+5EOFXzfA="
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func clock() time.Time { return start }

// record is an scs.Store that can be looked into, and can fail.
type record struct {
	scs.Store
	mu   sync.Mutex
	rows map[string][]byte
	err  error
}

func newRecord() *record { return &record{rows: map[string][]byte{}} }

func (s *record) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.rows[key]
	return bytes.Clone(b), ok, errors.Join(s.err, ctx.Err())
}

func (s *record) CommitCtx(ctx context.Context, key string, b []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return err
	}
	s.rows[key] = bytes.Clone(b)
	return nil
}

func (s *record) DeleteCtx(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return err
	}
	delete(s.rows, key)
	return nil
}

func open(t *testing.T, c vault.Config) *vault.Store {
	t.Helper()
	if c.Keys == nil {
		c.Keys = []string{keyA}
	}
	if c.Now == nil {
		c.Now = clock
	}
	s, err := vault.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(sid, session, refresh string, at time.Time) latchkey.TokenSet {
	return latchkey.TokenSet{
		SessionToken: session, RefreshToken: refresh, SessionExpiresAt: at.Add(10 * time.Minute), RefreshExpiresAt: at.Add(time.Hour),
		Session: latchkey.Session{ID: sid}, ServerTime: at,
	}
}

// request carries the cookies that an answer has set, as a browser would.
func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range cookies {
		if c.MaxAge >= 0 {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return r
}

func save(t *testing.T, s *vault.Store, r *http.Request, ts latchkey.TokenSet) []*http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.Save(w, r, ts); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()
}

func load(t *testing.T, s *vault.Store, r *http.Request) string {
	t.Helper()
	held, err := s.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(held.Session, held.Refresh)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestTheBrowserHoldsNoToken(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	w := httptest.NewRecorder()
	if err := s.Save(w, request(), set("ses_1", "session-token", "refresh-token", start)); err != nil {
		t.Fatal(err)
	}
	line := w.Header().Get("Set-Cookie")
	if strings.Contains(line, "token") || !strings.HasPrefix(line, "__Host-Http-LK=") {
		t.Errorf("Set-Cookie: %s", line)
	}
	want(t, "attributes", line[strings.Index(line, ";"):], "; Path=/; HttpOnly; Secure; SameSite=Strict")
	want(t, "Cache-Control", w.Header().Get("Cache-Control"), "no-store")
	want(t, "Vary", w.Header().Get("Vary"), "Cookie")
	cookies := w.Result().Cookies()
	want(t, "loaded", load(t, s, request(cookies...)), "[session-token] [refresh-token]")

	for key, row := range rows.rows {
		if strings.Contains(key, cookies[0].Value) || bytes.Contains(row, []byte("token")) || bytes.Contains(row, []byte("ses_1")) {
			t.Errorf("the store can read %q %q", key, row)
		}
	}
	// Neither the store's text nor the entry of another cookie opens anything.
	for key := range rows.rows {
		want(t, "the store's key as a cookie", load(t, s, request(&http.Cookie{Name: cookies[0].Name, Value: key})), "[] []")
	}
}

func TestEntriesAreBoundToCookieAndKey(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	mine := save(t, s, request(), set("ses_1", "s1", "r1", start))
	before := len(rows.rows)
	theirs := save(t, s, request(), set("ses_2", "s2", "r2", start))
	if before != 1 || len(rows.rows) != 2 {
		t.Fatalf("%d, then %d entries", before, len(rows.rows))
	}
	var keys []string
	for key := range rows.rows {
		keys = append(keys, key)
	}
	rows.rows[keys[0]], rows.rows[keys[1]] = rows.rows[keys[1]], rows.rows[keys[0]]
	want(t, "an entry moved to another cookie", load(t, s, request(mine...)), "[] []")
	want(t, "and the other", load(t, s, request(theirs...)), "[] []")
	rows.rows[keys[0]], rows.rows[keys[1]] = rows.rows[keys[1]], rows.rows[keys[0]]
	want(t, "back again", load(t, s, request(mine...)), "[s1] [r1]")

	want(t, "another key", load(t, open(t, vault.Config{Entries: rows, Keys: []string{keyB}}), request(mine...)), "[] []")
	rolled := open(t, vault.Config{Entries: rows, Keys: []string{keyB, keyA}})
	want(t, "the old key behind a new one", load(t, rolled, request(mine...)), "[s1] [r1]")
	save(t, rolled, request(mine...), set("ses_1", "s1b", "r1b", start.Add(time.Second)))
	want(t, "written with the new key", load(t, open(t, vault.Config{Entries: rows, Keys: []string{keyB}}), request(mine...)), "[s1b] [r1b]")
}

func TestEveryAlteredByteOpensNothing(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	cookie := save(t, s, request(), set("ses_1", "s1", "r1", start))[0]
	for i := range cookie.Value {
		for _, c := range []byte("Ax_") {
			if b := []byte(cookie.Value); b[i] != c {
				b[i] = c
				want(t, "an altered cookie", load(t, s, request(&http.Cookie{Name: cookie.Name, Value: string(b)})), "[] []")
			}
		}
		want(t, "a cut cookie", load(t, s, request(&http.Cookie{Name: cookie.Name, Value: cookie.Value[:i]})), "[] []")
	}
	for key, row := range rows.rows {
		for i := range row {
			rows.rows[key] = bytes.Clone(row)
			rows.rows[key][i] ^= 1
			want(t, "an altered entry", load(t, s, request(cookie)), "[] []")
			rows.rows[key] = row[:i]
			want(t, "a cut entry", load(t, s, request(cookie)), "[] []")
		}
	}
}

// Who plants a cookie in a browser before its user signs in must not share the session
// afterwards.
func TestSignInTakesANewCookie(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	planted := save(t, s, request(), set("ses_thief", "s0", "r0", start))
	fresh := save(t, s, request(planted...), set("ses_1", "s1", "r1", start))
	if planted[0].Value == fresh[0].Value {
		t.Error("the planted cookie was taken over")
	}
	want(t, "the planted cookie", load(t, s, request(planted...)), "[] []")
	if len(rows.rows) != 1 {
		t.Errorf("%d entries are left, want 1", len(rows.rows))
	}
}

func TestRefreshKeepsTheCookie(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	first := save(t, s, request(), set("ses_1", "s1", "r1", start))
	second := save(t, s, request(first...), set("ses_1", "s2", "r2", start.Add(time.Minute)))
	want(t, "the cookie", second[0].Value, first[0].Value)
	want(t, "refreshed", load(t, s, request(first...)), "[s2] [r2]")

	// An answer without refresh token leaves the one that rests.
	save(t, s, request(first...), set("ses_1", "s3", "", start.Add(2*time.Minute)))
	want(t, "after an answer without refresh token", load(t, s, request(first...)), "[s3] [r2]")

	// A request that was slow to save must not bring replaced tokens back: the server
	// would take them for a thief's.
	save(t, s, request(first...), set("ses_1", "s2", "r1", start.Add(time.Second)))
	want(t, "after a late save", load(t, s, request(first...)), "[s3] [r2]")
	if len(rows.rows) != 1 {
		t.Errorf("%d entries, want 1", len(rows.rows))
	}
}

func TestClearForgetsEntryAndCookie(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	cookies := save(t, s, request(), set("ses_1", "s1", "r1", start))
	w := httptest.NewRecorder()
	if err := s.Clear(w, request(cookies...)); err != nil {
		t.Fatal(err)
	}
	want(t, "Set-Cookie", w.Header().Get("Set-Cookie"), "__Host-Http-LK=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict")
	want(t, "Cache-Control", w.Header().Get("Cache-Control"), "no-store")
	if len(rows.rows) != 0 {
		t.Error("the entry is still there")
	}
}

// One answer says one thing about the cookie, whatever was called before.
func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	// A store without context, by its own clock.
	s := open(t, vault.Config{Entries: memstore.NewWithCleanupInterval(0), Now: time.Now})
	w := httptest.NewRecorder()
	http.SetCookie(w, &http.Cookie{Name: "other", Value: "x"})
	if err := s.Clear(w, request()); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(w, request(), set("ses_1", "s1", "r1", start)); err != nil {
		t.Fatal(err)
	}
	lines := w.Header()["Set-Cookie"]
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "__Host-Http-LK-none=;") })
	if len(lines) != 2 || lines[0] != "other=x" || strings.Contains(lines[1], "Max-Age=0") {
		t.Errorf("Set-Cookie: %q", lines)
	}
	if got := w.Header()["Vary"]; len(got) != 1 {
		t.Errorf("Vary: %q", got)
	}
	want(t, "loaded", load(t, s, request(w.Result().Cookies()...)), "[s1] [r1]")
}

func TestPersistentCookieLastsAsLongAsTheSession(t *testing.T) {
	t.Parallel()
	// This machine's clock is an hour ahead of the server's: what is left counts.
	ahead := func() time.Time { return start.Add(time.Hour) }
	s := open(t, vault.Config{Entries: newRecord(), Persistent: true, SameSite: http.SameSiteLaxMode, Now: ahead})
	c := save(t, s, request(), set("ses_1", "s1", "r1", start))[0]
	if c.MaxAge != 3600 || !c.Expires.Equal(start.Add(2*time.Hour)) || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("Max-Age %d, Expires %v, SameSite %v", c.MaxAge, c.Expires, c.SameSite)
	}
	want(t, "loaded", load(t, s, request(c)), "[s1] [r1]")
}

func TestLocalhostNeedsNoTLS(t *testing.T) {
	t.Parallel()
	for host, bare := range map[string]bool{
		"http://localhost:3000/": true, "http://127.0.0.1:3000/": true, "http://[::1]:3000/": true, "http://app.localhost/": true,
		"http://app.example/": false, "https://localhost/": false, "http://localhost.example/": false,
	} {
		s := open(t, vault.Config{Entries: newRecord()})
		w := httptest.NewRecorder()
		if err := s.Save(w, httptest.NewRequest("GET", host, nil), set("ses_1", "s1", "r1", start)); err != nil {
			t.Fatal(err)
		}
		line := w.Header().Get("Set-Cookie")
		if strings.HasPrefix(line, "LK=") != bare || strings.Contains(line, "Secure") == bare {
			t.Errorf("%s: %s", host, line)
		}
	}
	s := open(t, vault.Config{Entries: newRecord()})
	c := save(t, s, httptest.NewRequest("GET", "http://localhost/", nil), set("ses_1", "s1", "r1", start))[0]
	want(t, "a name without prefix on a site", load(t, s, request(c)), "[] []")
	strict := open(t, vault.Config{Entries: newRecord(), AlwaysSecure: true})
	c = save(t, strict, httptest.NewRequest("GET", "http://localhost/", nil), set("ses_1", "s1", "r1", start))[0]
	want(t, "AlwaysSecure", c.Name, "__Host-Http-LK")
}

// A proxy that ends TLS and replaces the Host header, as nginx does unless told otherwise,
// doesn't take the protection of the cookie away.
func TestAttack34HostReplacedByAProxy(t *testing.T) {
	t.Parallel()
	s := open(t, vault.Config{Entries: newRecord()})
	planted := save(t, s, httptest.NewRequest("GET", "http://localhost/", nil), set("ses_1", "s1", "r1", start))[0]
	for name, change := range map[string]func(*http.Request){
		"HTTP/1.0":          func(r *http.Request) { r.ProtoMinor = 0 },
		"X-Forwarded-For":   func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"X-Forwarded-Proto": func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") },
		"Forwarded":         func(r *http.Request) { r.Header.Set("Forwarded", "for=192.0.2.1") },
		"Via":               func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") },
		"X-Real-Ip":         func(r *http.Request) { r.Header.Set("X-Real-Ip", "192.0.2.1") },
		"a public page": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Origin", "https://app.example")
		},
		"the protected name": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-Http-LK", Value: "x"}) },
		"a page that sent us": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Referer", "https://app.example/a")
		},
	} {
		r := httptest.NewRequest("GET", "http://localhost:8080/", nil)
		change(r)
		if c := save(t, s, r, set("ses_2", "s2", "r2", start))[0]; c.Name != "__Host-Http-LK" || !c.Secure {
			t.Errorf("%s: the cookie is %s, secure: %t", name, c.Name, c.Secure)
		}
		r.AddCookie(&http.Cookie{Name: planted.Name, Value: planted.Value})
		want(t, name, load(t, s, r), "[] []")
	}
	// Another site's page that links to this machine changes nothing.
	r := httptest.NewRequest("GET", "http://localhost:8080/", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Referer", "https://search.example/")
	if c := save(t, s, r, set("ses_3", "s3", "r3", start))[0]; c.Name != "LK" {
		t.Errorf("on this machine: %s", c.Name)
	}
}

// A configuration holds keys, which must not get into a log with it.
func TestConfigRedacts(t *testing.T) {
	t.Parallel()
	c := vault.Config{Entries: newRecord(), Keys: []string{keyA, keyB}, Name: "LK2"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&log, verb, c)
		fmt.Fprintf(&log, verb, &c)
	}
	for _, key := range c.Keys {
		if strings.Contains(log.String(), key) || strings.Contains(log.String(), fmt.Sprintf("%x", key)) {
			t.Error("a key is shown")
		}
	}
	if !strings.Contains(log.String(), "LK2") {
		t.Error(log.String())
	}
}

// A store that fails says nothing about the session.
func TestAFailingStoreIsAnError(t *testing.T) {
	t.Parallel()
	rows := newRecord()
	s := open(t, vault.Config{Entries: rows})
	cookies := save(t, s, request(), set("ses_1", "s1", "r1", start))
	rows.err = errors.New("down")
	w := httptest.NewRecorder()
	_, loaded := s.Load(request(cookies...))
	for what, err := range map[string]error{
		"Load":  loaded,
		"Save":  s.Save(w, request(cookies...), set("ses_1", "s2", "r2", start)),
		"Clear": s.Clear(httptest.NewRecorder(), request(cookies...)),
	} {
		if !errors.Is(err, rows.err) || strings.Contains(err.Error(), cookies[0].Value) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(w.Header()) != 0 {
		t.Errorf("a save that failed wrote %v", w.Header())
	}
	rows.err = nil
	want(t, "afterwards", load(t, s, request(cookies...)), "[s1] [r1]")
}

func TestSaveRefusesWhatCantBeKept(t *testing.T) {
	t.Parallel()
	s := open(t, vault.Config{Entries: newRecord()})
	over := set("ses_1", "s1", "r1", start)
	over.RefreshExpiresAt = start
	for what, ts := range map[string]latchkey.TokenSet{"no tokens": set("ses_1", "", "", start), "over": over} {
		w := httptest.NewRecorder()
		if err := s.Save(w, request(), ts); err == nil || len(w.Header()) > 0 {
			t.Errorf("%s: %v, %v", what, err, w.Header())
		}
	}
}

func TestNewNamesAllProblems(t *testing.T) {
	t.Parallel()
	secretish := strings.Repeat("x", 20)
	_, err := vault.New(vault.Config{Keys: []string{keyA, secretish}, Name: "__Host-x", SameSite: http.SameSiteNoneMode})
	if err == nil || strings.Contains(err.Error(), secretish) {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{"Entries is missing", "key 2 of 2", "Name is", "SameSite is"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v doesn't say %q", err, part)
		}
	}
	for what, keys := range map[string][]string{
		"no key": nil, "zeros": {strings.Repeat("0", 64)}, "the same key twice": {keyA, keyA},
	} {
		if _, err := vault.New(vault.Config{Entries: newRecord(), Keys: keys}); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	s := open(t, vault.Config{Entries: newRecord()})
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, keyA[:8]) || strings.Contains(text, "111 29 108") {
		t.Errorf("the store prints its keys: %s", text)
	}
}

func FuzzCookie(f *testing.F) {
	rows := newRecord()
	s, err := vault.New(vault.Config{Entries: rows, Keys: []string{keyA}, Now: clock})
	if err != nil {
		f.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := s.Save(w, request(), set("ses_1", "s1", "r1", start)); err != nil {
		f.Fatal(err)
	}
	good := w.Result().Cookies()[0]
	f.Add("__Host-Http-LK=" + good.Value)
	f.Add("LK=" + good.Value)
	f.Add(`__Host-Http-LK="` + good.Value + `"`)
	f.Add("__Host-Http-LK=a; __Host-Http-LK=b; ; =; __Host-Http-LK")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		r.Header.Set("Cookie", header)
		held, err := s.Load(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(held.Session) > 0 && !strings.Contains(header, "__Host-Http-LK="+good.Value) {
			t.Errorf("%q opens an entry", header)
		}
	})
}
