package latchkey

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T, s *CookieStore, r *http.Request) HeldTokens {
	t.Helper()
	h, err := s.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestLoad(t *testing.T) {
	const site = "https://app.example.com/"
	for _, c := range []struct {
		name, url  string
		config     CookieConfig
		cookies    []string
		session    string
		refresh    string
		duplicates bool
	}{
		{"none", site, CookieConfig{}, nil, "", "", false},
		{"both", site, CookieConfig{}, []string{"__Host-Http-DS=a; __Host-Http-DSR=b"}, "a", "b", false},
		{"among others", site, CookieConfig{}, []string{"x=1; __Host-Http-DS=a; =y; z; q=__Host-Http-DS=w"}, "a", "", false},
		{"several headers", site, CookieConfig{}, []string{"x=1", "__Host-Http-DS=a", "__Host-Http-DSR=b"}, "a", "b", false},
		{"no space", site, CookieConfig{}, []string{"x=1;__Host-Http-DS=a"}, "a", "", false},
		{"twice", site, CookieConfig{}, []string{"__Host-Http-DS=a; __Host-Http-DS=b", "__Host-Http-DS=c"}, "a b c", "", true},
		{"twice the same", site, CookieConfig{}, []string{"__Host-Http-DS=a; __Host-Http-DS=a"}, "a", "", true},
		{"one of two is rubbish", site, CookieConfig{}, []string{`__Host-Http-DS="a"; __Host-Http-DS=b`}, "b", "", true},
		{"equals signs belong to the value", site, CookieConfig{}, []string{"__Host-Http-DS=a=="}, "a==", "", false},
		{"empty", site, CookieConfig{}, []string{"__Host-Http-DS="}, "", "", false},
		{"too long", site, CookieConfig{}, []string{"__Host-Http-DS=" + strings.Repeat("a", 4096)}, "", "", false},

		{"bare on a secure site", site, CookieConfig{}, []string{"DS=a; DSR=b"}, "", "", false},
		{"other prefixes on a secure site", site, CookieConfig{}, []string{"__Secure-DS=a; __Host-DS=b; __Http-DS=c"}, "", "", false},
		{"bare with a domain", site, CookieConfig{Domain: "example.com"}, []string{"DS=a"}, "", "", false},
		{"domain", site, CookieConfig{Domain: "example.com"}, []string{"__Secure-DS=a"}, "a", "", false},
		{"before there was a domain", site, CookieConfig{Domain: "example.com"}, []string{"__Host-Http-DS=a"}, "a", "", true},
		{"before the domain was given up", site, CookieConfig{PreviousDomains: []string{"example.com"}}, []string{"__Secure-DS=a"}, "a", "", true},
		{"no prefix", site, CookieConfig{NoPrefix: true}, []string{"DS=a; __Host-Http-DS=b"}, "a", "", false},

		{"bare on localhost", "http://localhost/", CookieConfig{}, []string{"DS=a; DSR=b"}, "a", "b", false},
		{"protected on localhost", "http://localhost/", CookieConfig{}, []string{"__Host-Http-DS=a; __Host-Http-DSR=b"}, "a", "b", false},
		{"both on localhost", "http://localhost/", CookieConfig{}, []string{"DS=b; __Host-Http-DS=a"}, "a", "", false},
		{"bare on localhost, always secure", "http://localhost/", CookieConfig{AlwaysSecure: true}, []string{"DS=a"}, "", "", false},

		{"encrypted under keys that are gone", site, CookieConfig{}, []string{"__Host-Http-DS=e1.AAAA"}, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, cookieStore(t, c.config), visit(c.url, c.cookies...))
			if got := strings.Join(h.Session, " "); got != c.session {
				t.Errorf("session %q, want %q", got, c.session)
			}
			if got := strings.Join(h.Refresh, " "); got != c.refresh {
				t.Errorf("refresh %q, want %q", got, c.refresh)
			}
			if h.Duplicates != c.duplicates {
				t.Errorf("duplicates: %t", h.Duplicates)
			}
		})
	}
}

// The newest comes first, but a hint can't put a planted cookie before a protected one,
// nor a date in the future before everything.
func TestLoadOrder(t *testing.T) {
	token := func(ago int64) string { return someJWT(fmt.Sprintf(`{"iat":%d}`, cookieNow.Unix()-ago)) }
	old, young, future := token(1000), token(10), token(-3600)
	opaque := "rt_x"
	for _, c := range []struct {
		name    string
		config  CookieConfig
		cookies []string
		want    []string
	}{
		{"newest first", CookieConfig{}, []string{"__Host-Http-DS=" + old + "; __Host-Http-DS=" + young}, []string{young, old}},
		{"future last", CookieConfig{}, []string{"__Host-Http-DS=" + future + "; __Host-Http-DS=" + old + "; __Host-Http-DS=" + young}, []string{young, old, future}},
		{"unknown age last, else as it comes", CookieConfig{}, []string{"__Host-Http-DS=" + opaque + "; __Host-Http-DS=y; __Host-Http-DS=" + old}, []string{old, opaque, "y"}},
		{"protected first", CookieConfig{PreviousDomains: []string{"example.com"}}, []string{"__Secure-DS=" + young + "; __Host-Http-DS=" + old}, []string{old, young}},
		{"newest first where both can be planted", CookieConfig{Domain: "example.com"}, []string{"__Secure-DS=" + young + "; __Host-Http-DS=" + old}, []string{young, old}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if h := load(t, cookieStore(t, c.config), visit("https://app.example.com/", c.cookies...)); !slices.Equal(h.Session, c.want) {
				t.Errorf("%q, want %q", h.Session, c.want)
			}
		})
	}
	for _, claims := range []string{"", "[]", `{"iat":"1"}`, `{"iat":1.5}`, `{"iat":1e300}`, `{"iat":-1}`, `{"exp":9223372036854775807}`, strings.Repeat("[", 3000)} {
		if at := expiryOf(someJWT(claims), "", cookieNow); !at.IsZero() {
			t.Errorf("%.20s lasts until %v", claims, at)
		}
	}
}

func TestLoadEncrypted(t *testing.T) {
	before, after := cookieKeys(t, cookieKeyText(1)), cookieKeys(t, cookieKeyText(2)+","+cookieKeyText(1))
	jwt := someJWT(`{"sub":"usr_1"}`)
	seal := func(name, token string) string {
		v, err := before.seal(name, token)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name   string
		config CookieConfig
		value  string
		want   string
	}{
		{"own key", CookieConfig{Keys: before}, seal("DS", jwt), jwt},
		{"older key", CookieConfig{Keys: after}, seal("DS", jwt), jwt},
		{"unknown key", CookieConfig{Keys: cookieKeys(t, cookieKeyText(3))}, seal("DS", jwt), ""},
		{"of the other cookie", CookieConfig{Keys: before}, seal("DSR", jwt), ""},
		{"truncated", CookieConfig{Keys: before}, seal("DS", jwt)[:100], ""},
		{"plain", CookieConfig{Keys: before}, jwt, ""},
		{"plain, accepted", CookieConfig{Keys: before, AcceptPlain: true}, jwt, jwt},
		{"truncated, and plain is accepted", CookieConfig{Keys: before, AcceptPlain: true}, seal("DS", jwt)[:100], ""},
		{"no token inside", CookieConfig{Keys: before}, seal("DS", "a b\r\n"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := cookieStore(t, c.config)
			h := load(t, s, visit("https://app.example.com/", "__Host-Http-DS="+c.value))
			if got := strings.Join(h.Session, " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	// The names of one deployment on localhost and on its site hold the same.
	s := cookieStore(t, CookieConfig{Keys: before})
	line := saved(t, s, visit("http://localhost/"), cookieSet())[0]
	pair, _, _ := strings.Cut(line, ";")
	if h := load(t, s, visit("http://localhost/", pair)); len(h.Session) != 1 || h.Session[0] != "s.e.s" {
		t.Errorf("%q is read as %v", line, h)
	}
}

// Attack 31: names that a lenient parser would take for ours, and tricks that join or
// split what the browser keeps apart. None of these is our cookie.
func TestAttack31LookAlikes(t *testing.T) {
	for name, config := range map[string]CookieConfig{"DS": {NoPrefix: true}, "__Host-Http-DS": {}} {
		s := cookieStore(t, config)
		for _, cookie := range []string{
			"\t" + name + "=evil", "\v" + name + "=evil", "\f" + name + "=evil", "\x1c" + name + "=evil", "\x00" + name + "=evil", "\x7f" + name + "=evil",
			"\u00a0" + name + "=evil", "\u0085" + name + "=evil", "\u2000" + name + "=evil", "\u3000" + name + "=evil", "\u200b" + name + "=evil", "\ufeff" + name + "=evil",
			"\x85" + name + "=evil", "\xa0" + name + "=evil",
			name + " =evil", name + "\t=evil", name + "\u00a0=evil", name + "\x00=evil",
			strings.ToLower(name) + "=evil", strings.Replace(name, "S", "\u017f", 1) + "=evil", strings.Replace(name, "D", "\uff24", 1) + "=evil",
			`"` + name + `"=evil`, "$" + name + "=evil", "%44S=evil", strings.Replace(name, "D", "%44", 1) + "=evil",
			name, name + ";=evil", "=" + name + "=evil", "= " + name + "=evil", name + ":evil", name + ",evil", "x=1, " + name + "=evil",
			`$Version=1; "` + name + `=evil"`, `x="; y"` + name + `=evil"`,
			name + `="evil"`, name + `=\145vil`, name + "=ev il", name + "= evil", name + "=evil ", name + "=evil\t", name + "=ev,il", name + "=ev\u00edl", name + "=%65vil\x00",
		} {
			if h := load(t, s, visit("https://app.example.com/", cookie)); len(h.Session) > 0 {
				t.Errorf("%q is taken for %s: %q", cookie, name, h.Session)
			}
			// Nor does it hide, change or join the one that is there.
			for _, line := range []string{cookie + "; " + name + "=good", name + "=good; " + cookie} {
				if h := load(t, s, visit("https://app.example.com/", line)); !slices.Equal(h.Session, []string{"good"}) {
					t.Errorf("%q holds %q", line, h.Session)
				}
			}
		}
		// A sandwich of quotes can't smuggle the good one into another cookie's value.
		sandwich := `$Version=1; x="start; ` + name + `=good; end"`
		if h := load(t, s, visit("https://app.example.com/", sandwich)); !slices.Equal(h.Session, []string{"good"}) {
			t.Errorf("%q holds %q", sandwich, h.Session)
		}
	}
}

// Attack 31: a sibling host plants cookies. It can't set a __Host- name in any browser;
// what it can set is not read.
func TestAttack31TossedBySibling(t *testing.T) {
	s := cookieStore(t, CookieConfig{})
	for _, tossed := range []string{"DS=evil", "__Secure-DS=evil", "__Http-DS=evil", "__Host-DS=evil"} {
		for _, line := range []string{tossed + "; __Host-Http-DS=good", "__Host-Http-DS=good; " + tossed} {
			if h := load(t, s, visit("https://app.example.com/", line)); !slices.Equal(h.Session, []string{"good"}) || h.Duplicates {
				t.Errorf("%q holds %q", line, h.Session)
			}
		}
	}
	// Where names aren't protected, both come along whatever the order: the caller finds
	// out which is good.
	s = cookieStore(t, CookieConfig{NoPrefix: true})
	for _, line := range []string{"DS=evil; DS=good", "DS=good; DS=evil"} {
		if h := load(t, s, visit("https://app.example.com/", line)); len(h.Session) != 2 || !slices.Contains(h.Session, "good") || !h.Duplicates {
			t.Errorf("%q holds %v", line, h)
		}
	}
}

// Attack 36: as many cookies as a browser sends don't hide ours, and more than that, or
// more bytes than a server takes, cost no more.
func TestAttack36ManyCookies(t *testing.T) {
	s := cookieStore(t, CookieConfig{})
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("c%d=%s", i, strings.Repeat("v", 200)))
	}
	if h := load(t, s, visit("https://app.example.com/", strings.Join(many, "; ")+"; __Host-Http-DS=good")); !slices.Equal(h.Session, []string{"good"}) {
		t.Errorf("200 cookies hide ours: %v", h)
	}
	seen := 0
	eachCookie([]string{strings.Repeat("a=b;", 1_000_000)}, func(string, string) { seen++ })
	if seen != maxCookiesRead {
		t.Errorf("%d cookies of a million were read", seen)
	}
	seen = 0
	eachCookie(slices.Repeat([]string{"a=" + strings.Repeat("v", 10_000)}, 100), func(string, string) { seen++ })
	if seen != maxCookieBytes/10_000 {
		t.Errorf("%d cookies of 10 kB were read", seen)
	}
	var same []string
	for i := range 100 {
		same = append(same, fmt.Sprintf("__Host-Http-DS=t%d", i))
	}
	if h := load(t, s, visit("https://app.example.com/", strings.Join(same, "; "))); len(h.Session) != maxHeld || !h.Duplicates {
		t.Errorf("%v", h)
	}
}

func TestHeldTokensRedact(t *testing.T) {
	h := HeldTokens{Session: []string{"secret-1"}, Refresh: []string{"secret-2"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{h, &h, []HeldTokens{h}} {
			if shown := fmt.Sprintf(verb, v); strings.Contains(shown, "secret") || strings.Contains(shown, "736563") || !strings.Contains(shown, "1 session tokens") {
				t.Errorf("%s: %s", verb, shown)
			}
		}
	}
}

// FuzzLoad: whatever a header holds, what is taken from it stood there under the exact
// name, is a possible token, and is bounded.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "DS=a", "DS=a; DSR=b", "DS=a;DS=b", `DS="a"; $Version=1`, " DS=a", "\tDS=a", "DS =a", "=DS=a", "DS", ";;;=;=", "DS=" + strings.Repeat("a", 5000), "\u00a0DS=x",
	} {
		f.Add(seed, "x=y")
	}
	s := cookieStore(f, CookieConfig{NoPrefix: true})
	f.Fuzz(func(t *testing.T, one, two string) {
		r := visit("https://app.example.com/", one, two)
		h, err := s.Load(r)
		if err != nil {
			t.Fatal(err)
		}
		for name, tokens := range map[string][]string{"DS": h.Session, "DSR": h.Refresh} {
			if len(tokens) > maxHeld {
				t.Fatalf("%d tokens", len(tokens))
			}
			for i, token := range tokens {
				if !bearerText(token) || slices.Contains(tokens[:i], token) {
					t.Fatalf("%q of %q", token, tokens)
				}
				pair, found := name+"="+token, false
				for _, line := range []string{one, two} {
					for part := range strings.SplitSeq(line, ";") {
						found = found || strings.TrimLeft(part, " ") == pair
					}
				}
				if !found {
					t.Fatalf("%q isn't in %q and %q", pair, one, two)
				}
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	keys, err := ParseCookieKeys(cookieKeyText(1))
	if err != nil {
		b.Fatal(err)
	}
	token := someJWT(`{"sub":"usr_1","pad":"` + strings.Repeat("x", 600) + `"}`)
	sealed, err := keys.seal("DS", token)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config CookieConfig
		cookie string
	}{
		{"plain", CookieConfig{}, "theme=dark; __Host-Http-DS=" + token + "; __Host-Http-DSR=rt_0123456789"},
		{"encrypted", CookieConfig{Keys: keys}, "theme=dark; __Host-Http-DS=" + sealed},
		{"two to order", CookieConfig{}, "__Host-Http-DS=" + token + "; __Host-Http-DS=x"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := cookieStore(b, c.config)
			r := visit("https://app.example.com/", c.cookie)
			b.ReportAllocs()
			for b.Loop() {
				if h, err := s.Load(r); err != nil || len(h.Session) == 0 {
					b.Fatal(h, err)
				}
			}
		})
	}
}
