package latchkey

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDoctor(t *testing.T) {
	const app = "https://app.example.com/"
	for _, c := range []struct {
		name   string
		config CookieConfig
		site   DoctorSite
		want   string // severity:code of every finding, but for the harmless session_cookie
	}{
		{"default", CookieConfig{}, DoctorSite{URL: app}, ""},
		{"config", CookieConfig{SameSite: "Lax", Path: "x"}, DoctorSite{URL: app}, "error:config error:config"},
		{"no url", CookieConfig{}, DoctorSite{}, "error:url"},
		{"url without scheme", CookieConfig{}, DoctorSite{URL: "app.example.com"}, "error:url"},
		{"setter without scheme", CookieConfig{}, DoctorSite{URL: app, SetBy: "auth.example.com"}, "error:url"},
		{"api without scheme", CookieConfig{}, DoctorSite{URL: app, APIs: []string{"x"}}, "error:url"},

		{"plain http", CookieConfig{}, DoctorSite{URL: "http://app.test"}, "error:insecure_origin"},
		{"plain localhost", CookieConfig{}, DoctorSite{URL: "http://localhost:3000"}, "info:localhost"},
		{"plain localhost, configured for elsewhere", CookieConfig{Domain: "example.com", NoPrefix: true}, DoctorSite{URL: "http://[::1]:3000"}, "info:localhost"},
		{"always secure on localhost", CookieConfig{AlwaysSecure: true}, DoctorSite{URL: "http://localhost"}, "error:secure_on_localhost"},
		{"TLS on localhost", CookieConfig{}, DoctorSite{URL: "https://localhost"}, ""},
		{"proxy", CookieConfig{}, DoctorSite{URL: app, Proxied: true}, "info:proxy_host"},
		{"proxy, nothing left to chance", CookieConfig{AlwaysSecure: true}, DoctorSite{URL: app, Proxied: true}, ""},
		{"plain pages", CookieConfig{}, DoctorSite{URL: "http://app.example.com", SetBy: "https://auth.example.com"}, "error:insecure_page error:cross_scheme"},

		{"domain of another host", CookieConfig{Domain: "example.org"}, DoctorSite{URL: app}, "error:domain_mismatch"},
		{"domain below the host", CookieConfig{Domain: "x.app.example.com"}, DoctorSite{URL: app}, "error:domain_mismatch"},
		{"public suffix", CookieConfig{Domain: "github.io"}, DoctorSite{URL: "https://me.github.io", SameSite: func(a, b string) bool { return a == b }}, "error:public_suffix"},
		{"domain for one host", CookieConfig{Domain: "example.com"}, DoctorSite{URL: app}, "warning:domain_wide"},
		{"domain is the host", CookieConfig{Domain: "app.example.com"}, DoctorSite{URL: app}, "warning:domain_wide"},
		{"domain too wide", CookieConfig{Domain: "example.com"}, DoctorSite{URL: app, APIs: []string{"https://api.app.example.com"}}, "warning:domain_wide"},
		{"domain as wide as needed", CookieConfig{Domain: "example.com"}, DoctorSite{URL: app, APIs: []string{"https://api.example.com"}}, "info:domain_shared"},

		{"no prefix", CookieConfig{NoPrefix: true}, DoctorSite{URL: app}, "warning:no_prefix"},
		{"own prefix", CookieConfig{NoPrefix: true, SessionName: "__Host-a", RefreshName: "__Host-b"}, DoctorSite{URL: app}, ""},
		{"path", CookieConfig{Path: "/app"}, DoctorSite{URL: app + "app/x"}, "warning:path"},
		{"wrong path", CookieConfig{Path: "/app"}, DoctorSite{URL: app + "apple"}, "error:path_mismatch warning:path"},

		{"links", CookieConfig{}, DoctorSite{URL: app, Links: true}, "warning:strict_links"},
		{"links, lax", CookieConfig{SameSite: "lax"}, DoctorSite{URL: app, Links: true}, ""},
		{"partitioned for nothing", CookieConfig{Partitioned: true}, DoctorSite{URL: app}, "warning:partitioned_idle"},
		{"none without check", CookieConfig{SameSite: "none"}, DoctorSite{URL: app}, "error:none_csrf warning:none_needless"},
		{"none with check", CookieConfig{SameSite: "none"}, DoctorSite{URL: app, OriginCheck: true}, "warning:none_needless"},

		{"custom domain", CookieConfig{}, DoctorSite{URL: app, SetBy: "https://auth.example.com"}, ""},
		{"custom domain, persistent", CookieConfig{Persistent: true}, DoctorSite{URL: app, SetBy: "https://auth.example.com"}, "warning:seven_days"},
		{"custom domain, short", CookieConfig{Persistent: true}, DoctorSite{URL: app, SetBy: "https://auth.example.com", RefreshLife: 24 * time.Hour}, ""},
		{"issuer of another site", CookieConfig{}, DoctorSite{URL: app, SetBy: "https://auth.example.org"}, "error:cross_site"},
		{"issuer of another site by the list", CookieConfig{}, DoctorSite{URL: "https://a.co.uk", SetBy: "https://b.co.uk", SameSite: func(a, b string) bool { return a == b }}, "error:cross_site"},
		{"issuer of another site, none", CookieConfig{SameSite: "none"}, DoctorSite{URL: app, SetBy: "https://auth.example.org", OriginCheck: true}, "error:third_party"},
		{"issuer of another site, partitioned", CookieConfig{SameSite: "none", Partitioned: true}, DoctorSite{URL: app, SetBy: "https://auth.example.org", OriginCheck: true}, "info:partitioned"},
		{"two names of this machine", CookieConfig{}, DoctorSite{URL: "http://localhost:3000", SetBy: "http://127.0.0.1:8080"}, "error:loopback_names info:localhost"},
		{"two ports of this machine", CookieConfig{}, DoctorSite{URL: "http://localhost:3000", SetBy: "http://localhost:8080"}, "info:localhost"},
		{"two schemes", CookieConfig{}, DoctorSite{URL: "http://localhost:3000", SetBy: "https://localhost:8443"}, "error:cross_scheme"},
		{"mixed content", CookieConfig{}, DoctorSite{URL: app, APIs: []string{"http://api.example.com"}}, "error:mixed_content"},
		{"api out of reach", CookieConfig{}, DoctorSite{URL: app, APIs: []string{"https://api.example.com", "https://API.example.com/v2"}}, "error:not_covered"},
		{"api out of reach of the domain", CookieConfig{Domain: "app.example.com"}, DoctorSite{URL: app, APIs: []string{"https://api.example.com"}}, "error:not_covered warning:domain_wide"},
		{"api on the same host", CookieConfig{}, DoctorSite{URL: app, APIs: []string{app + "api", "https://app.example.com:8443/"}}, ""},

		{"framed", CookieConfig{}, DoctorSite{URL: app, Embedders: []string{"https://portal.example.org"}}, "error:framed"},
		{"framed by its own site", CookieConfig{}, DoctorSite{URL: app, Embedders: []string{"https://portal.example.com"}}, ""},
		{"framed, none", CookieConfig{SameSite: "none"}, DoctorSite{URL: app, OriginCheck: true, Embedders: []string{"https://portal.example.org"}}, "error:third_party"},
		{"framed, partitioned", CookieConfig{SameSite: "none", Partitioned: true}, DoctorSite{URL: app, OriginCheck: true, Embedders: []string{"https://portal.example.org"}}, "info:partitioned"},

		{"sizes", CookieConfig{}, DoctorSite{URL: app, SessionToken: 1200, RefreshToken: 600}, ""},
		{"large", CookieConfig{}, DoctorSite{URL: app, SessionToken: 3700}, "warning:cookie_size"},
		{"too large", CookieConfig{}, DoctorSite{URL: app, SessionToken: 4083}, "error:cookie_size"},
		{"large together", CookieConfig{}, DoctorSite{URL: app, SessionToken: 3500, RefreshToken: 3500}, "warning:header_size"},
		{"forever", CookieConfig{Persistent: true}, DoctorSite{URL: app, RefreshLife: 500 * 24 * time.Hour}, "info:life_capped"},
		{"migration", CookieConfig{PreviousDomains: []string{"example.com"}, AcceptPlain: true, Keys: cookieKeys(t, cookieKeyText(1))}, DoctorSite{URL: app}, "warning:accept_plain info:previous_domains"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range Doctor(c.config, c.site) {
				if f.Code != "session_cookie" {
					got = append(got, string(f.Severity)+":"+f.Code)
				}
				if f.Detail == "" || f.Severity == SeverityError && f.Fix == "" && f.Code != "config" {
					t.Errorf("%+v explains nothing", f)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestDoctorNamesTheNarrowerDomain(t *testing.T) {
	f := Doctor(CookieConfig{Domain: "example.com"}, DoctorSite{URL: "https://www.app.example.com", APIs: []string{"https://api.app.example.com"}})
	if !strings.HasPrefix(f[0].Fix, "app.example.com is wide enough") {
		t.Errorf("%+v", f[0])
	}
}

// What the doctor says of sizes is what the store does.
func TestDoctorSizes(t *testing.T) {
	const app = "https://app.example.com/"
	for _, config := range []CookieConfig{{}, {Keys: cookieKeys(t, cookieKeyText(1))}, {Domain: "example.com", Keys: cookieKeys(t, cookieKeyText(1))}} {
		s := cookieStore(t, config)
		for size := 3900; size < 4100; size++ {
			// A JWT whose header and payload are of 4n digits, and its signature of the rest.
			payload := (size - 6) / 4 * 4 / 2 / 4 * 4
			signature := size - 6 - payload
			if signature%4 == 1 {
				continue // no bytes are written with so many digits
			}
			token := "eyJh." + strings.Repeat("A", payload) + "." + strings.Repeat("A", signature)
			err := s.Save(discard{}, visit(app), TokenSet{SessionToken: token})
			refused := slices.ContainsFunc(Doctor(config, DoctorSite{URL: app, SessionToken: len(token)}), func(f Finding) bool { return f.Code == "cookie_size" && f.Severity == SeverityError })
			if refused != (err != nil) {
				t.Errorf("%d bytes: the doctor refuses: %t, the store says %v", len(token), refused, err)
			}
		}
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestDoctorShowsNoPassword(t *testing.T) {
	for _, url := range []string{"ftp://user:hunter2@app.example.com", "https//user:hunter2@x", "%zz:hunter2@", "https://user:hunter2@app.example.com"} {
		for _, site := range []DoctorSite{{URL: url}, {URL: "https://app.example.com", SetBy: url}, {URL: "http://app.example.com", APIs: []string{url}, Embedders: []string{url}}} {
			if shown := fmt.Sprint(Doctor(CookieConfig{}, site)); strings.Contains(shown, "hunter2") {
				t.Error(shown)
			}
		}
	}
}

func TestFindingJSON(t *testing.T) {
	b, err := json.Marshal(Doctor(CookieConfig{}, DoctorSite{URL: "http://app.test"})[0])
	if err != nil || !strings.HasPrefix(string(b), `{"severity":"error","code":"insecure_origin","attribute":"Secure","detail":"`) {
		t.Errorf("%s, %v", b, err)
	}
}
