package vault_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
	"github.com/latchkey-dev/latchkey/vault"
)

// site is an application with a vault, and a browser.
type site struct {
	issuer  *latchkeytest.Issuer
	rows    *record
	url     string
	browser *http.Client
}

// newSite serves upstream behind a proxy at /api/, and signs alice in at /sign-in.
func newSite(t *testing.T, upstream http.HandlerFunc, change func(*vault.ProxyConfig)) *site {
	t.Helper()
	s := &site{issuer: latchkeytest.NewIssuer(t), rows: newRecord()}
	store := open(t, vault.Config{Entries: s.rows, Now: s.issuer.Now})
	m, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{
		Verifier: s.issuer.Verifier(), Client: s.issuer.Client(), Tokens: store, Now: s.issuer.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	back := httptest.NewServer(upstream)
	t.Cleanup(back.Close)
	target, err := url.Parse(back.URL + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	config := vault.ProxyConfig{Target: target}
	if change != nil {
		change(&config)
	}
	proxy, err := store.Proxy(config)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", m.Required(proxy))
	mux.Handle("/open/", m.Optional(proxy))
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, s.issuer.SignIn("alice")); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignOut(w, r); err != nil {
			t.Error(err)
		}
	})
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.browser = front.URL, &http.Client{Jar: jar}
	return s
}

func (s *site) do(t *testing.T, method, path string, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := s.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestProxyAddsTheToken(t *testing.T) {
	t.Parallel()
	var verifier *latchkey.Verifier
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		c, err := verifier.Verify(r.Context(), token)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "LK", Value: "stolen", Path: "/"})
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark", Path: "/"})
		fmt.Fprintf(w, "%s %s %s cookies=%q for=%q", c.Subject, r.Method, r.URL, r.Header["Cookie"], r.Header["X-Forwarded-For"])
	}, nil)
	verifier = s.issuer.Verifier()

	status, body, _ := s.do(t, "GET", "/api/things?page=2")
	if status != http.StatusUnauthorized {
		t.Fatalf("without a session: %d %s", status, body)
	}
	status, body, header := s.do(t, "GET", "/open/things")
	var problem latchkey.Problem
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != 401 || problem.Code != latchkey.CodeUnauthenticated || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("an open route behind the proxy: %d %s %v", status, body, err)
	}
	s.do(t, "POST", "/sign-in")
	want := `alice GET /v1/api/things?page=2 cookies=[] for=["127.0.0.1"]`
	status, body, header = s.do(t, "GET", "/api/things?page=2")
	if status != 200 || body != want {
		t.Fatalf("%d %s, want %s", status, body, want)
	}
	if set := header["Set-Cookie"]; len(set) != 1 || !strings.HasPrefix(set[0], "theme=") {
		t.Errorf("cookies of the upstream: %q", set)
	}

	// The session token runs out: the proxy sends a fresh one, and the browser's cookie
	// stays what it is.
	s.issuer.Advance(11 * time.Minute)
	status, body, _ = s.do(t, "GET", "/api/things?page=2")
	if status != 200 || body != want || s.issuer.Refreshes() != 1 {
		t.Fatalf("after the token's expiry: %d %s, %d refreshes", status, body, s.issuer.Refreshes())
	}
	s.do(t, "POST", "/sign-out")
	if status, _, _ = s.do(t, "GET", "/api/things"); status != 401 || len(s.rows.rows) != 0 {
		t.Errorf("signed out: %d, %d entries", status, len(s.rows.rows))
	}
}

// Attack 34: upstreams believe what a proxy in front of them says of the user and the
// connection, under any name that they may read as one of these headers.
func TestAttack34ProxyHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, ","), "forged") {
				fmt.Fprintln(w, name)
			}
		}
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Host"), " ", r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Page"), " ", len(r.Header["Authorization"]))
	}, nil)
	s.do(t, "POST", "/sign-in")
	r, err := http.NewRequest("GET", s.url+"/api/", nil)
	if err != nil {
		t.Fatal(err)
	}
	// With such headers the site isn't this machine any more, and the cookie protected.
	ticket := s.browser.Jar.Cookies(r.URL)[0]
	s.browser.Jar = nil
	r.Header.Set("Cookie", "__Host-Http-"+ticket.Name+"="+ticket.Value)
	for _, name := range []string{
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-Client-Cert", "X-Forwarded", "X_Forwarded_User", "x_forwarded-for", "X-Real-Ip", "X_real_ip",
	} {
		r.Header[name] = []string{"forged"}
	}
	r.Header["X-Page"] = []string{"kept"}
	res, err := s.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(s.url, "http://") + " http kept 1"; string(body) != want {
		t.Errorf("the upstream gets\n%s\nwant %s", body, want)
	}
}

func TestProxyForwardsOtherCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header["Cookie"])
	}, func(c *vault.ProxyConfig) { c.ForwardCookies = true })
	s.do(t, "POST", "/sign-in")
	home, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	ticket := s.browser.Jar.Cookies(home)[0]
	s.browser.Jar = nil
	_, body, _ := s.do(t, "GET", "/api/", "Cookie", "a=1; "+ticket.Name+"="+ticket.Value+"; __host-http-lk=x; lk=y; LK2=z;; b=2")
	if want := `["a=1; LK2=z; b=2"]`; body != want {
		t.Errorf("the upstream gets %s, want %s", body, want)
	}
}

func TestProxySaysLittleWhenTheUpstreamIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil)
	s.do(t, "POST", "/sign-in")
	status, body, header := s.do(t, "GET", "/api/")
	var problem latchkey.Problem
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != http.StatusBadGateway || problem.Terminal ||
		problem.Code != latchkey.CodeUnavailable || strings.Contains(body, "127.0.0.1") || header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", status, body, err)
	}
}

func TestProxyRefusesTargetsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := open(t, vault.Config{Entries: newRecord()})
	for _, target := range []string{"", "//host", "ftp://host", "https:///path", "https://user:pw@host", "https://host?x=1", "https://host/#x"} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Proxy(vault.ProxyConfig{Target: u}); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: %v", target, err)
		}
	}
	if _, err := s.Proxy(vault.ProxyConfig{}); err == nil {
		t.Error("no target is taken")
	}
}

// Twelve requests of one browser with an expired token: one refresh, and all get through.
func TestManyTabsOneRotation(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }, nil)
	s.do(t, "POST", "/sign-in")
	s.issuer.Advance(11 * time.Minute)
	type outcome struct {
		status int
		err    error
	}
	done := make(chan outcome)
	for range 12 {
		go func() {
			res, err := s.browser.Get(s.url + "/api/")
			if err != nil {
				done <- outcome{0, err}
				return
			}
			res.Body.Close()
			done <- outcome{res.StatusCode, nil}
		}()
	}
	for range 12 {
		if o := <-done; o.status != 200 || o.err != nil {
			t.Errorf("%d %v", o.status, o.err)
		}
	}
	if got := s.issuer.Refreshes(); got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}
