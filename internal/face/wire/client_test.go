package wire

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

func proxies(t testing.TB, networks ...string) Proxies {
	t.Helper()
	p, err := ParseProxies(networks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Attack 34: an address that a client can choose is none.
func TestClientAddress(t *testing.T) {
	trusted := proxies(t, "10.0.0.0/8", "192.0.2.7", "2001:db8:f::/48")
	many := strings.Repeat("10.0.0.1, ", maxHops) + "10.0.0.1"
	tests := []struct {
		name, peer string
		headers    []string
		proxies    Proxies
		want       string
	}{
		{"no proxies", "203.0.113.9:1", []string{"1.2.3.4"}, Proxies{}, "203.0.113.9"},
		{"a peer that isn't trusted", "203.0.113.9:1", []string{"1.2.3.4"}, trusted, "203.0.113.9"},
		{"a trusted peer", "10.0.0.1:1", []string{"1.2.3.4"}, trusted, "1.2.3.4"},
		{"a trusted peer without the header", "10.0.0.1:1", nil, trusted, "10.0.0.1"},
		{"an invented entry on the left", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4"}, trusted, "1.2.3.4"},
		{"junk on the left", "10.0.0.1:1", []string{"<script>,,,, 1.2.3.4"}, trusted, "1.2.3.4"},
		{"through two proxies", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4, 192.0.2.7"}, trusted, "1.2.3.4"},
		{"two headers", "10.0.0.1:1", []string{"6.6.6.6", "1.2.3.4 ,10.9.9.9"}, trusted, "1.2.3.4"},
		{"the entry is in the first header", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4", "10.9.9.9"}, trusted, "1.2.3.4"},
		{"only proxies", "10.0.0.1:1", []string{"10.3.3.3, 10.2.2.2"}, trusted, "10.3.3.3"},
		{"malformed", "10.0.0.1:1", []string{"1.2.3.4, unknown"}, trusted, "10.0.0.1"},
		{"malformed behind a proxy", "10.0.0.1:1", []string{"1.2.3.4, x, 10.2.2.2"}, trusted, "10.0.0.1"},
		{"empty", "10.0.0.1:1", []string{""}, trusted, "10.0.0.1"},
		{"an empty entry", "10.0.0.1:1", []string{"1.2.3.4,"}, trusted, "10.0.0.1"},
		{"half a bracket", "10.0.0.1:1", []string{"[2001:db8::1"}, trusted, "10.0.0.1"},
		{"a leading zero", "10.0.0.1:1", []string{"1.2.3.04"}, trusted, "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"1.2.3.4:5678"}, trusted, "1.2.3.4"},
		{"IPv6", "10.0.0.1:1", []string{"2001:db8::1"}, trusted, "2001:db8::1"},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::1]:443"}, trusted, "2001:db8::1"},
		{"IPv6 with a zone", "10.0.0.1:1", []string{"fe80::1%eth0"}, trusted, "fe80::1"},
		{"mapped entry", "10.0.0.1:1", []string{"::ffff:1.2.3.4"}, trusted, "1.2.3.4"},
		{"mapped entry that is a proxy", "10.0.0.1:1", []string{"1.2.3.4, ::ffff:10.1.1.1"}, trusted, "1.2.3.4"},
		{"mapped peer", "[::ffff:10.0.0.1]:1", []string{"1.2.3.4"}, trusted, "1.2.3.4"},
		{"IPv6 proxy", "[2001:db8:f::1]:1", []string{"1.2.3.4"}, trusted, "1.2.3.4"},
		{"too many hops", "10.0.0.1:1", []string{"1.2.3.4, " + many}, trusted, "10.0.0.1"},
		{"no address at all", "@", []string{"1.2.3.4"}, trusted, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			for _, h := range tt.headers {
				r.Header.Add("X-Forwarded-For", h)
			}
			// Other headers, and look-alikes that some servers fold into the real one.
			r.Header["X_forwarded_for"] = []string{"6.6.6.6"}
			r.Header["X_Forwarded_For"] = []string{"6.6.6.6"}
			r.Header["x-forwarded-for"] = []string{"6.6.6.6"}
			r.Header.Set("Forwarded", "for=6.6.6.6")
			r.Header.Set("X-Real-Ip", "6.6.6.6")
			if got := tt.proxies.Client(r).IP.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestClientNetwork(t *testing.T) {
	for peer, want := range map[string]string{
		"203.0.113.9:1": "203.0.113.0/24", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1::/48", "[::ffff:203.0.113.9]:1": "203.0.113.0/24", "": "invalid Prefix",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		if got := (Proxies{}).Client(r).Network.String(); got != want {
			t.Errorf("%s: got %s, want %s", peer, got, want)
		}
	}
}

func TestParseProxies(t *testing.T) {
	_, err := ParseProxies([]string{"10.0.0.0/8", "10.0.0.1/8", "0.0.0.0/0", "::/0", "proxy.example.com", "::ffff:10.0.0.0/104", "", "fe80::1%eth0"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"10.0.0.0/8 is meant", `"0.0.0.0/0": would trust everybody`, `"::/0": would`, `"proxy.example.com": not an address`,
		`"::ffff:10.0.0.0/104": write an IPv4 network`, `"": not`, `"fe80::1%eth0": not`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	p := proxies(t, " 10.0.0.0/8 ", "::ffff:192.0.2.1")
	if !p.trusts(netip.MustParseAddr("192.0.2.1")) || p.trusts(netip.MustParseAddr("192.0.2.2")) {
		t.Error("a mapped address isn't its IPv4 address")
	}
}

const (
	chromeAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	iphoneAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)

func TestClientAgent(t *testing.T) {
	for agent, want := range map[string]string{
		chromeAgent: "Chrome on Windows",
		strings.ReplaceAll(chromeAgent, "126", "999"): "Chrome on Windows", // an update is no new device
		iphoneAgent: "Safari on iOS",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": "Firefox on Linux",
		"curl/8.5.0":             "curl",
		"python-requests/2.31.0": "python-requests",
		"Go-http-client/1.1":     "Go-http-client",
		"node":                   "node",
		"MyApp/1.2 (iPhone; iOS 17.0; Scale/3.00)": "MyApp on iOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148": "iPhone",
		"":                        "",
		"((((;;;;////":            "",
		"Mozilla/5.0":             "",
		"<script>":                "",
		strings.Repeat("a", 5000): strings.Repeat("a", maxAgent),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("User-Agent", agent)
		if got := (Proxies{}).Client(r).Agent; got != want {
			t.Errorf("%.80s: got %q, want %q", agent, got, want)
		}
	}
}

func TestClientUserAgent(t *testing.T) {
	for agent, want := range map[string]string{
		"a\x00b\x1b[31m\r\nc\u0085\u202ed\xff\u200e": "ab[31mcd",
		strings.Repeat("ä", 200):                     strings.Repeat("ä", 128),
		"x" + strings.Repeat("ä", 200):               "x" + strings.Repeat("ä", 127),
		strings.Repeat("\n", 5000) + "late":          "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["User-Agent"] = []string{agent, "second"}
		if got := (Proxies{}).Client(r).UserAgent; got != want {
			t.Errorf("%.40q: got %q, want %q", agent, got, want)
		}
	}
	if got := (Proxies{}).Client(&http.Request{RemoteAddr: "192.0.2.1:1"}); got.UserAgent != "" || got.Agent != "" {
		t.Errorf("%+v", got)
	}
}

// FuzzForwarded checks that no X-Forwarded-For gets a trusted address past, or an
// address that isn't in it.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"1.2.3.4", "6.6.6.6, 1.2.3.4, 10.0.0.2", "[::1]:80", "::ffff:10.0.0.1,x", ",,,", "fe80::1%25eth0"} {
		f.Add(seed, "")
	}
	p := proxies(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, first, second string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {first, second}}}
		got := p.Client(r)
		if !got.IP.IsValid() || got.IP.Is4In6() || got.IP.Zone() != "" || !got.Network.Contains(got.IP) {
			t.Errorf("%+v", got)
		}
		if got.IP != netip.MustParseAddr("10.0.0.1") && first == "" && second == "" {
			t.Errorf("%v comes from nowhere", got.IP)
		}
	})
}

func FuzzAgent(f *testing.F) {
	for _, seed := range []string{chromeAgent, iphoneAgent, "curl/8", "Mozilla/5.0 (Linux; Android", "CrOS x86_64 (", "a:b //", "Instagram 1", "FBAN/x;Android"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		got := (Proxies{}).Client(&http.Request{Header: http.Header{"User-Agent": {agent}}})
		if len(got.UserAgent) > maxUserAgent || len(got.Agent) > maxAgent+16 || !utf8.ValidString(got.UserAgent+got.Agent) || strings.ContainsAny(got.UserAgent+got.Agent, "\r\n\x00") {
			t.Errorf("%q %q", got.UserAgent, got.Agent)
		}
	})
}
