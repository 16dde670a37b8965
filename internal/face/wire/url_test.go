package wire

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

const someJWT = "eyJhbGciOiJFUzI1NiJ9.eyJjYW5hcnkiOjF9.c2ln"

func TestTokenInURL(t *testing.T) {
	tests := []struct {
		target string
		refuse bool
	}{
		{"/prj_1/session", false},
		{"/prj_1/sessions?pageToken=AQID&pageSize=5&after=x", false},
		{"/prj_1/sessions?sort=asc&monkey=1&tokens=3&state=ended", false},
		{"/docs/errors/token_reuse", false},
		{"/x?q=eyJ", false},
		{"/x?q=rt_", false},
		{"/x?token=", true},
		{"/x?token=abc", true},
		{"/x?a=1&access_token=abc", true},
		{"/x?REFRESHTOKEN=abc", true},
		{"/x?refresh_token=abc", true},
		{"/x?refresh-token=abc", true},
		{"/x?sessionToken=abc", true},
		{"/x?id_token=abc", true},
		{"/x?JWT=abc", true},
		{"/x?key=abc", true},
		{"/x?api_key=abc", true},
		{"/x?managementKey=abc", true},
		{"/x?%74oken=abc", true},
		{"/x?a=1;token=abc", true},
		{"/x?%zz=1&token=%zz", true},
		{"/x?q=" + someJWT, true},
		{"/x?q=%65yJhbGciOiJFUzI1NiJ9.e30.c2ln", true},
		{"/x?" + someJWT, true},
		{"/x?q=rt_abcdef", true},
		{"/x?q=lk_mgmt_abc", true},
		{"/x?q=lk_verify_abc", true},
		{"/x?q=lk_ak_abc", true},
		{"/sessions/" + someJWT, true},
		{"/sessions/rt_abcdef", true},
		{"/sessions/%72t_abcdef/x", true},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		path, query, _ := strings.Cut(tt.target, "?")
		r.URL = &url.URL{Path: path, RawQuery: query}
		if plain, err := url.PathUnescape(path); err == nil {
			r.URL.Path = plain
		}
		err := TokenInURL(r)
		if tt.refuse != (fault.KindOf(err) == fault.TokenInURL) || !tt.refuse && err != nil {
			t.Errorf("%s: %v", tt.target, err)
		}
		if err != nil && (strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), "eyJ")) {
			t.Errorf("the error holds the credential: %v", err)
		}
	}
}

func TestSafeURL(t *testing.T) {
	tests := []struct{ target, want string }{
		{"/", "/"},
		{"/v1/projects/prj_1/sessions/ses_7zzzzzzzzzzzzzzzzzzzzzzzzz", "/v1/projects/prj_1/sessions/ses_7zzzzzzzzzzzzzzzzzzzzzzzzz"},
		{"/sessions?pageSize=5&pageToken=AQID&x", "/sessions?pageSize&pageToken&x"},
		{"/start_something/sort_ascending", "/start_something/sort_ascending"},
		{"/x/" + someJWT + "/y?token=" + someJWT, "/x/[redacted]/y?token"},
		{"/x/a=" + someJWT, "/x/[redacted]"},
		{"/x/%65yJhbGciOiJFUzI1NiJ9.e30.c2ln", "/x/[redacted]"},
		{"/x/lk_mgmt_0123456789", "/x/[redacted]"},
		{"/x/start_rt_0123456789", "/x/[redacted]"},
		{"/x/a.rt_rt_0123456789", "/x/[redacted]"},
		{"/x?" + someJWT, "/x?[redacted]"},
		{"/x?s3cret!=1&rt_0123456789=1", "/x?[redacted]&[redacted]"},
		{"/x?%0aX=1", "/x?[redacted]"},
		{"/a%0ab%00%1b[31m", "/a%0ab%00%1b[31m"},
		{"/x?" + strings.Repeat("a&", 100), "/x?" + strings.Repeat("a&", 16) + "…"},
		{"/" + strings.Repeat("a", 5000), "/" + strings.Repeat("a", maxLoggedPath-1)},
	}
	for _, tt := range tests {
		path, query, _ := strings.Cut(tt.target, "?")
		plain, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := SafeURL(&url.URL{Path: plain, RawPath: path, RawQuery: query}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.target, got, tt.want)
		}
	}
	if SafeURL(nil) != "" {
		t.Error("nil")
	}
	if got := SafeURL(&url.URL{Scheme: "http", User: url.UserPassword("u", "canary"), Host: "h", Path: "/a\nb"}); got != "/a%0Ab" {
		t.Error(got)
	}
}

// Attack 40: whatever is in a URL, no value and no token of ours reaches a log, and
// no line break.
func FuzzSafeURL(f *testing.F) {
	f.Add("/x", "a=1&b=2", "canary")
	f.Add("/%2e%2e/\x00", ";;==%zz", "x")
	f.Fuzz(func(t *testing.T, path, query, name string) {
		u := &url.URL{Path: "/" + path + "/" + someJWT, RawQuery: query + "&" + url.QueryEscape(name) + "=" + "c4n4ry" + "&lk_mgmt_c4n4ryc4n4ry"}
		got := SafeURL(u)
		if strings.Contains(path+query+name, "c4n4ry") || strings.Contains(path, "eyJ") {
			return
		}
		if strings.Contains(got, "c4n4ry") || strings.Contains(got, someJWT) || strings.ContainsAny(got, "\r\n\x00\x1b") || len(got) > 1500 {
			t.Errorf("%q", got)
		}
	})
}
