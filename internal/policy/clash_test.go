package policy

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestContradictions(t *testing.T) {
	for _, c := range []struct {
		name       string
		change     func(*latchkey.Settings)
		one, other string // empty: allowed
	}{
		{"token over session", func(s *latchkey.Settings) { s.AbsoluteTimeout = duration(t, "9m59s") }, "/sessionTokenTTL", "/absoluteTimeout"},
		{"token as session", func(s *latchkey.Settings) { s.AbsoluteTimeout = duration(t, "10m") }, "", ""},
		{"token over idle", func(s *latchkey.Settings) { s.IdleTimeout = duration(t, "9m") }, "/sessionTokenTTL", "/idleTimeout"},
		{"token as idle", func(s *latchkey.Settings) { s.IdleTimeout = duration(t, "10m") }, "", ""},
		{"idle over session", func(s *latchkey.Settings) { s.IdleTimeout = duration(t, "28d1s") }, "/idleTimeout", "/absoluteTimeout"},
		{"idle as session", func(s *latchkey.Settings) { s.IdleTimeout = duration(t, "28d") }, "", ""},
		{"session in cookie", func(s *latchkey.Settings) { s.Delivery.Session = "cookie" }, "/delivery/session", "/delivery/refresh"},
		{"refresh in cookie", func(s *latchkey.Settings) { s.Delivery.Refresh = "cookie" }, "", ""},
		{"one name", func(s *latchkey.Settings) { s.Cookies.RefreshName = "DS" }, "/cookies/sessionName", "/cookies/refreshName"},
		{"names by case", func(s *latchkey.Settings) { s.Cookies.RefreshName = "ds" }, "", ""},
		{"two prefixes", func(s *latchkey.Settings) { s.Cookies.SessionName = "__Host-Http-DS" }, "/cookies/sessionName", "/cookies/prefix"},
		{"two prefixes in capitals", func(s *latchkey.Settings) { s.Cookies.RefreshName = "__SECURE-DS" }, "/cookies/refreshName", "/cookies/prefix"},
		{"prefix alone", plainNames("__Host-Http-DS", "DSR", nil), "", ""},
		{"prefix and domain", plainNames("__Host-DS", "DSR", func(s *latchkey.Settings) { s.Cookies.Domain = "example.com" }), "/cookies/sessionName", "/cookies/domain"},
		{"prefix in capitals and domain", plainNames("DS", "__HOST-DS", func(s *latchkey.Settings) { s.Cookies.Domain = "example.com" }), "/cookies/refreshName", "/cookies/domain"},
		{"prefix and path", plainNames("DS", "__Host-Http-DSR", func(s *latchkey.Settings) { s.Cookies.Path = "/auth" }), "/cookies/refreshName", "/cookies/path"},
		{"other prefix", plainNames("__Secure-DS", "DSR", func(s *latchkey.Settings) { s.Cookies.Domain, s.Cookies.Path = "example.com", "/auth" }), "", ""},
		{"foreign domain", domains("auth.example.com", "example.org"), "/cookies/domain", "/customDomain"},
		{"sibling domain", domains("auth.example.com", "app.example.com"), "/cookies/domain", "/customDomain"},
		{"child domain", domains("auth.example.com", "x.auth.example.com"), "/cookies/domain", "/customDomain"},
		{"same ending", domains("auth.notexample.com", "example.com"), "/cookies/domain", "/customDomain"},
		{"same ending below", domains("myauth.example.com", "auth.example.com"), "/cookies/domain", "/customDomain"},
		{"over a public suffix", domains("x.s3.amazonaws.com", "amazonaws.com"), "/cookies/domain", "/customDomain"},
		{"own domain", domains("auth.example.com", "auth.example.com"), "", ""},
		{"parent domain", domains("auth.example.co.uk", "example.co.uk"), "", ""},
		{"leftovers where cookies are", func(s *latchkey.Settings) {
			s.Cookies.Domain, s.Cookies.PreviousDomains = "example.com", []string{"example.com"}
		}, "/cookies/previousDomains", "/cookies/domain"},
		{"leftovers elsewhere", func(s *latchkey.Settings) {
			s.Cookies.Domain, s.Cookies.PreviousDomains = "example.com", []string{"auth.example.com"}
		}, "", ""},
		{"none for nobody", byCookies(func(s *latchkey.Settings) { s.Cookies.SameSite = "none" }), "/cookies/sameSite", "/approvedOrigins"},
		{"none for a page", byCookies(func(s *latchkey.Settings) {
			s.Cookies.SameSite, s.ApprovedOrigins = "none", []string{"https://app.example.org"}
		}), "", ""},
		{"none in a frame", byCookies(func(s *latchkey.Settings) { s.Cookies.SameSite, s.Cookies.Partitioned = "none", true }), "", ""},
		{"sessions without limit", func(s *latchkey.Settings) { s.OnLimit = "deny" }, "", ""},
		{"partitioned none", func(s *latchkey.Settings) { s.Cookies.SameSite, s.Cookies.Partitioned = "none", true }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Defaults()
			c.change(&s)
			refused := refusal(t, s)
			if c.one == "" {
				if refused != nil {
					t.Error(refused)
				}
				return
			}
			if refused == nil {
				t.Fatal("accepted")
			}
			for _, pointer := range []string{c.one, c.other} {
				code, detail := found(t, refused, pointer)
				if code != "contradiction" || !names(detail, c.one) || !names(detail, c.other) {
					t.Errorf("%s: %s %q", pointer, code, detail)
				}
			}
			if refused.Kind != fault.Contradiction || len(refused.Fields) != 2 {
				t.Error(refused)
			}
		})
	}
}

func domains(custom, cookie string) func(*latchkey.Settings) {
	return func(s *latchkey.Settings) { s.CustomDomain, s.Cookies.Domain = custom, cookie }
}

// names tells whether detail names the setting at pointer. The two cookie names go by
// their value where there is one.
func names(detail, pointer string) bool {
	name := pointer[strings.LastIndexByte(pointer, '/')+1:]
	return strings.Contains(detail, name) || strings.HasSuffix(name, "Name") && (strings.Contains(strings.ToUpper(detail), "__HOST-") || strings.Contains(detail, "__SECURE-"))
}

// Two settings that would be equal or over one another only because one is unusable
// are not called a contradiction.
func TestNoConsequentialProblems(t *testing.T) {
	for pointer, change := range map[string]func(*latchkey.Settings){
		"/absoluteTimeout": func(s *latchkey.Settings) { s.AbsoluteTimeout = 0 },
		"/cookies/domain":  domains("auth.example.com", "com"),
		"/customDomain":    domains("example", "example.com"),
	} {
		s := Defaults()
		change(&s)
		if refused := refusal(t, s); refused == nil || len(refused.Fields) != 1 || refused.Fields[0].Pointer != pointer {
			t.Errorf("%s: %v", pointer, refused)
		}
	}
	s := Defaults()
	s.Cookies.SessionName, s.Cookies.RefreshName = "", ""
	if refused := refusal(t, s); refused == nil || refused.Kind != fault.Invalid || len(refused.Fields) != 2 {
		t.Error(refused)
	}
}

// plainNames sets names that are taken as they are.
func plainNames(session, refresh string, more func(*latchkey.Settings)) func(*latchkey.Settings) {
	return func(s *latchkey.Settings) {
		s.Cookies.Prefix, s.Cookies.SessionName, s.Cookies.RefreshName = "none", session, refresh
		if more != nil {
			more(s)
		}
	}
}

func byCookies(more func(*latchkey.Settings)) func(*latchkey.Settings) {
	return func(s *latchkey.Settings) {
		s.Delivery = latchkey.Delivery{Session: "cookie", Refresh: "cookie"}
		more(s)
	}
}

// Nothing passes that those refuse who write the cookies.
func TestCookiesCanBeWritten(t *testing.T) {
	for name, change := range map[string]func(*latchkey.Settings){
		"names that differ in their prefix": plainNames("__Secure-DS", "DS", nil),
		"a prefix alone":                    plainNames("__Secure-", "DS", nil),
		"a previous domain twice":           func(s *latchkey.Settings) { s.Cookies.PreviousDomains = []string{"example.com", "example.com"} },
		"a previous domain twice, in a body": func(s *latchkey.Settings) {
			s.Cookies.PreviousDomains = []string{"a.example.com", "b.example.com", "a.example.com"}
		},
	} {
		s := Defaults()
		change(&s)
		refused := refusal(t, s)
		if refused == nil || refused.Kind != fault.Contradiction {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		if code, detail := found(t, refused, "/cookies"); code != "contradiction" || !strings.HasPrefix(detail, "cookies: ") {
			t.Errorf("%s: %v", name, refused)
		}
	}
}
