package config

import (
	"net/url"
	"strings"
	"testing"
)

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"https://id.example.com", "https://id.example.com:8443", "https://id.example.com/auth", "https://id.example.com/a/b-c_d.e",
		"http://localhost:8080", "http://127.0.0.1", "https://[2001:db8::1]:444", "https://192.0.2.1", "https://xn--bcher-kva.example",
		"https://x:80", "http://x:443", "https://id.example.com/..a",
	} {
		c := mustLoad(t, good().with("--public-url", value))
		if c.PublicURL != value {
			t.Errorf("%q became %q", value, c.PublicURL)
		}
	}
	for value, want := range map[string]string{
		"id.example.com":                           "absolute",
		"//id.example.com":                         "absolute",
		"/auth":                                    "absolute",
		"https:id.example.com":                     "absolute",
		"https://":                                 "absolute",
		"ftp://id.example.com":                     "absolute",
		"javascript:alert(1)":                      "absolute",
		"https://a b":                              "absolute",
		"https://x:port":                           "absolute",
		"https://x/%zz":                            "absolute",
		"https://u@id.example.com":                 "user name",
		"https://@id.example.com":                  "user name",
		"https://id.example.com?":                  "query",
		"https://id.example.com?a=b":               "query",
		"https://id.example.com#":                  "fragment",
		"https://id.example.com/#a":                "fragment",
		"https://id.example.com/":                  "slash",
		"https://id.example.com/auth/":             "slash",
		"https://ID.example.com":                   "lower case",
		"https://id..example.com":                  "lower case",
		"https://id.example.com.":                  "lower case",
		"https://bücher.example":                   "lower case",
		"https://my_host":                          "lower case",
		"https://192.0.2.256":                      "lower case",
		"https://0x7f.1":                           "lower case",
		"https://[2001:DB8::1]":                    "usual form",
		"https://[2001:db8:0::1]":                  "usual form",
		"https://[fe80::1%25eth0]":                 "usual form",
		"https://id.example.com:443":               "port",
		"http://id.example.com:80":                 "port",
		"https://id.example.com:":                  "port",
		"https://id.example.com:0":                 "port",
		"https://id.example.com:65536":             "port",
		"https://id.example.com:08443":             "port",
		"https://id.example.com//auth":             "path",
		"https://id.example.com/a/../b":            "path",
		"https://id.example.com/./b":               "path",
		"https://id.example.com/a%2fb":             "path",
		"https://id.example.com/ä":                 "path",
		"https://id.example.com/a;b":               "path",
		"HTTPS://id.example.com":                   "unusual form",
		"https://x/" + strings.Repeat("a", maxURL): "longer than",
	} {
		_, err := good().with("--public-url", value).load(t)
		wantProblems(t, err, "--public-url ")
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a word of %q", value, err, want)
		}
	}
}

// What is accepted survives being parsed and joined with a path, unchanged.
func FuzzPublicURL(f *testing.F) {
	f.Add("https://id.example.com/auth")
	f.Add("http://[::1]:8080")
	f.Add("https://a@b?c#d")
	f.Fuzz(func(t *testing.T, value string) {
		var l loader
		if l.url(value) != nil {
			return
		}
		u, err := url.Parse(value + "/prj_1/.well-known/jwks.json")
		if err != nil || u.String() != value+"/prj_1/.well-known/jwks.json" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is accepted: %v %v", value, u, err)
		}
		if joined := u.JoinPath(); joined.String() != u.String() {
			t.Fatalf("%q is cleaned to %q", value, joined)
		}
	})
}
