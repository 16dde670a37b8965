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
		{"prefix alone", func(s *latchkey.Settings) { s.Cookies.SessionName = "__Host-Http-DS" }, "", ""},
		{"prefix and domain", func(s *latchkey.Settings) {
			s.Cookies.SessionName, s.Cookies.Domain = "__Host-DS", "example.com"
		}, "/cookies/sessionName", "/cookies/domain"},
		{"prefix in capitals and domain", func(s *latchkey.Settings) {
			s.Cookies.RefreshName, s.Cookies.Domain = "__HOST-DS", "example.com"
		}, "/cookies/refreshName", "/cookies/domain"},
		{"prefix and path", func(s *latchkey.Settings) {
			s.Cookies.RefreshName, s.Cookies.Path = "__Host-Http-DSR", "/auth"
		}, "/cookies/refreshName", "/cookies/path"},
		{"other prefix", func(s *latchkey.Settings) {
			s.Cookies.SessionName, s.Cookies.Domain, s.Cookies.Path = "__Secure-DS", "example.com", "/auth"
		}, "", ""},
		{"foreign domain", domains("auth.example.com", "example.org"), "/cookies/domain", "/customDomain"},
		{"sibling domain", domains("auth.example.com", "app.example.com"), "/cookies/domain", "/customDomain"},
		{"child domain", domains("auth.example.com", "x.auth.example.com"), "/cookies/domain", "/customDomain"},
		{"same ending", domains("auth.notexample.com", "example.com"), "/cookies/domain", "/customDomain"},
		{"same ending below", domains("myauth.example.com", "auth.example.com"), "/cookies/domain", "/customDomain"},
		{"over a public suffix", domains("x.s3.amazonaws.com", "amazonaws.com"), "/cookies/domain", "/customDomain"},
		{"own domain", domains("auth.example.com", "auth.example.com"), "", ""},
		{"parent domain", domains("auth.example.co.uk", "example.co.uk"), "", ""},
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
	return strings.Contains(detail, name) || strings.HasSuffix(name, "Name") && strings.Contains(strings.ToUpper(detail), "__HOST-")
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
