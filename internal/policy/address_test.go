package policy

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	for _, good := range []string{
		"https://example.com", "https://app.example.com", "https://app.example.com:8443", "https://me.github.io",
		"https://xn--bcher-kva.example.com", "https://localhost", "https://localhost:3000",
		"http://localhost", "http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]:3000", "http://[::1]",
		"https://192.0.2.7", "https://[2001:db8::1]:8443", "https://a.b.internal", "https://3com.com",
		"https://" + strings.Repeat("a", 63) + ".example.com",
		"https://example.com:1", "https://example.com:65535", "https://example.com:80", "http://localhost:443",
	} {
		if flaw := originFlaw(good); flaw != "" {
			t.Errorf("%s: %s", good, flaw)
		}
	}
	for _, bad := range []string{
		"", "null", "*", "https://", "https://*.example.com", "https://*", "example.com", "//example.com", "file:///", "ftp://example.com",
		"http://example.com", "http://192.0.2.7", "http://127.0.0.2", "http://localhost.example.com", "http://0.0.0.0", "http://[::]",
		"https://example.com/", "https://example.com?", "https://example.com#", "https://example.com/path", "https://example.com\\",
		"https://user@example.com", "https://user:pass@example.com", "https://@example.com",
		"HTTPS://example.com", "https://Example.com", "https://example.COM", "https://example.com.", "https://.example.com", "https://a..example.com",
		"https://example.com:443", "http://localhost:80", "https://example.com:", "https://example.com:0", "https://example.com:080",
		"https://example.com:65536", "https://example.com:99999999999999999999", "https://example.com:8443:1", "https://example.com:a", "https://example.com:+1", "https://example.com:-1",
		"https://com", "https://co.uk", "https://github.io", "https://intranet", "https://anything.ck",
		"https://exämple.com", "https://example。com", "https://ｅxample.com", "https://example.com\u200b",
		" https://example.com", "https://example.com ", "https://exam ple.com", "https://example.com\n", "https://example.com\x00", "https://exa%6dple.com",
		"https://my_app.example.com", "https://-a.example.com", "https://a-.example.com", "https://" + strings.Repeat("a", 64) + ".example.com",
		"https://" + strings.Repeat("abc.", 63) + "com",
		"https://127.1", "https://2130706433", "https://0x7f.0.0.1", "https://0x7f000001", "https://010.0.0.1", "https://1.2.3.4.5", "https://example.1", "https://example.0x",
		"https://[::1", "https://::1", "https://[::1]a", "https://[::1]]", "https://[]", "https://[0:0:0:0:0:0:0:1]", "https://[2001:DB8::1]", "https://[::ffff:192.0.2.7]",
		"https://[fe80::1%eth0]", "https://[fe80::1%25eth0]", "https://[192.0.2.7]", "https://[v1.a]", "https://a[::1]",
		"https:/example.com", "https:example.com", "https:///example.com", "javascript://example.com", "https://https://example.com",
	} {
		if originFlaw(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRedirects(t *testing.T) {
	for _, good := range []string{
		"https://app.example.com", "https://app.example.com/", "https://app.example.com/callback?next=%2Fhome&x=@", "https://app.example.com:443/cb",
		"https://app.example.com/a@b", "https://app.example.com//double", "https://app.example.com?x=1", "https://192.0.2.7/cb", "https://[2001:db8::1]/cb",
		"http://localhost:3000/cb", "http://127.0.0.1/cb", "http://[::1]:9/cb", "http://localhost/?a=:",
		"com.example.app:/callback", "com.example.app:/", "com.example.app://callback", "com.example.app://host/path?x=1", "com.example.my-app+1:/cb",
		"https://a.example/" + strings.Repeat("x", 2000-18),
	} {
		if flaw := redirectFlaw(good); flaw != "" {
			t.Errorf("%s: %s", good, flaw)
		}
	}
	for _, bad := range []string{
		"", "/callback", "//app.example.com/cb", "///app.example.com", `/\app.example.com`, "callback", "app.example.com/cb", ":", "://",
		"https:", "https:/app.example.com/cb", "https:app.example.com", "https:///app.example.com/cb", "https://", "https://?x", "https:\\\\app.example.com",
		"HTTPS://app.example.com/cb", "https://App.example.com/cb", "http://app.example.com/cb", "http://localhost.evil.example/cb", "http://127.0.0.2/cb",
		"https://app.example.com/cb#", "https://app.example.com/cb#frag", "com.example.app:/cb#x",
		"https://user@app.example.com/cb", "https://app.example.com@evil.example/cb", "https://app.example.com:pw@evil.example/cb", "com.example.app://user@host/cb",
		`https://app.example.com\@evil.example`, `https://app.example.com/\evil`, `https://evil.example\.app.example.com`,
		"https://app.example.com/a b", "https://app.example.com/\t", "https://app.example.com/\r\nSet-Cookie:x", "https://app.example.com/\x00", "https://app.example.com/\x7f",
		"java\nscript:alert(1)", "\x01https://app.example.com",
		"https://app。example.com/cb", "https://app.example.com/ü", "https://app.example.com∕evil",
		"https://app.example.com/%", "https://app.example.com/%2", "https://app.example.com/%zz", "https://app.example.com/?q=%g0",
		`https://app.example.com/"onload`, "https://app.example.com/<script>", "https://app.example.com/{x}", "https://app.example.com/^", "https://app.example.com/`", "https://app.example.com/|",
		"javascript:alert(1)", "javascript://app.example.com/%0aalert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "myapp:/cb", "myapp://cb", "blob:https://app.example.com/x", "about:blank",
		"Com.example.app:/cb", "com.example.app:cb", "com.example.app:", ".com.example:/cb", "com.example.:/cb", "com..example:/cb", "1com.example:/cb", "com.exa_mple:/cb",
		"https://*.example.com/cb", "https://com/cb", "https://github.io/cb", "https://app.example.com./cb", "https://0x7f.1/cb", "https://[::1/cb", "https://app.example.com:0/cb", "https://app.example.com:/cb",
		"https://a.example/" + strings.Repeat("x", 2001-18),
	} {
		if redirectFlaw(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestDomains(t *testing.T) {
	for _, good := range []string{"example.com", "auth.example.com", "auth.example.co.uk", "me.github.io", "xn--bcher-kva.example", "auth.corp.internal", "www.ck"} {
		if flaw := domainFlaw(good); flaw != "" {
			t.Errorf("%s: %s", good, flaw)
		}
	}
	for _, bad := range []string{
		"", ".", ".example.com", "example.com.", "a..example.com", "com", "co.uk", "github.io", "anything.ck", "intranet",
		"localhost", "auth.localhost", "127.0.0.1", "192.0.2.7", "0x7f.1", "1", "::1", "[::1]", "[2001:db8::1]", "auth.example.com:443",
		"https://auth.example.com", "auth.example.com/", "Auth.example.com", "*.example.com", "auth_1.example.com", "-a.example.com",
		"äuth.example.com", "auth。example.com", "auth.example.com ", "auth.example.com\n", "a;b.example.com", "user@example.com",
		strings.Repeat("a.", 125) + "com.", strings.Repeat("a.", 126) + "com", strings.Repeat("a", 64) + ".com",
	} {
		if domainFlaw(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestCookieNames(t *testing.T) {
	for _, good := range []string{"DS", "__Host-Http-DS", "__Secure-DSR", "a.b_c-d", "!#$%&'*+-.^_`|~", strings.Repeat("n", 64)} {
		if flaw := cookieNameFlaw(good); flaw != "" {
			t.Errorf("%s: %s", good, flaw)
		}
	}
	for _, bad := range []string{"", " ", "a b", "a=b", "a;b", "a,b", `a"b`, `a\b`, "a/b", "(a)", "<a>", "a@b", "a:b", "[a]", "a?", "{a}", "a\t", "a\r\nb", "a\x00", "a\x7f", "ä", "\xff", strings.Repeat("n", 65)} {
		if cookieNameFlaw(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestCookiePaths(t *testing.T) {
	for _, good := range []string{"/", "/auth", "/a/b-c_d.e~", "/%20", "/" + strings.Repeat("p", 255)} {
		if flaw := cookiePathFlaw(good); flaw != "" {
			t.Errorf("%s: %s", good, flaw)
		}
	}
	for _, bad := range []string{"", "auth", "*", "/a;Domain=example.com", "/a b", "/a\r\nX: y", "/a?b", "/a#b", `/a\b`, "/ä", "/\x00", "/\x7f", "/" + strings.Repeat("p", 256)} {
		if cookiePathFlaw(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// What is accepted means the same to a URL parser as it does byte by byte.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://[::1]:80", "https://[2001:db8::1]", "https://192.0.2.7",
		"https://0x7f.1", "https://a@b.example.com", "https://a.example.com\\", "https://*.example.com", "null", "https://co.uk", "https://xn--.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if originFlaw(s) != "" {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme+"://"+u.Host != s || u.User != nil || u.Path != "" || u.Hostname() == "" || s != strings.ToLower(s) {
			t.Errorf("%q is no plain origin: %#v", s, u)
		}
		if u.Scheme != "https" && !loopback(u.Hostname()) {
			t.Errorf("%q is neither secure nor local", s)
		}
		if redirectFlaw(s) != "" || redirectFlaw(s+"/") != "" {
			t.Errorf("%q may call but nothing may be sent back to it", s)
		}
	})
}

func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{
		"https://app.example.com/callback?x=%2F", "com.example.app:/cb", "com.example.app://host/cb", "http://127.0.0.1:1/cb", "https://a.example\\@b.example",
		"javascript:alert(1)", "//evil.example", "https://a.example:443", "https://[2001:db8::1]/?[", "https://a.example/%2e%2e/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if redirectFlaw(s) != "" {
			return
		}
		if scheme, _, _ := strings.Cut(s, ":"); strings.Contains(scheme, ".") {
			return // the host of such an address is opaque: it needs no meaning for a URL parser
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if u.User != nil || u.Fragment != "" || u.Opaque != "" || u.Hostname() == "" || strings.ContainsAny(s, "\\ \t\r\n#") {
			t.Errorf("%q is no plain address: %#v", s, u)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			t.Errorf("%q is neither secure nor local", s)
		}
	})
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
