package native_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var before, after latchkey.SettingsAnswer
	w.ok(t, w.manage("GET", "/settings", ""), &before)
	a := w.ok(t, w.manage("PATCH", "/settings", `{"sessionTokenTTL":"2h","refreshRateLimit":30,"cookies":{"sameSite":"lax"},"audience":["api"]}`), &after)
	golden(t, "answers/changeSettings-warned", a.body)
	if after.Version != before.Version+1 || len(after.Warnings) == 0 {
		t.Errorf("version %d after %d, warnings %v", after.Version, before.Version, after.Warnings)
	}
	w.ok(t, w.manage("PATCH", "/settings", `{"sessionTokenTTL":null,"refreshRateLimit":null,"cookies":null,"audience":null}`), &after)
	if len(after.Warnings) != 0 || after.Settings.SessionTokenTTL != before.Settings.SessionTokenTTL || !reflect.DeepEqual(after.Settings.Cookies, before.Settings.Cookies) {
		t.Errorf("null doesn't put the defaults back: %+v", after)
	}
}

func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var before latchkey.SettingsAnswer
	w.ok(t, w.manage("GET", "/settings", ""), &before)
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"out of range":     {`{"sessionTokenTTL":"1s","reuseWindow":"3m","refreshTokenFormat":"jwe"}`, latchkey.CodeOutOfRange},
		"contradiction":    {`{"sessionTokenTTL":"2h","absoluteTimeout":"1h"}`, latchkey.CodeContradiction},
		"unknown members":  {`{"sessiontokenttl":"5m","cookies":{"colour":"red"}}`, latchkey.CodeInvalidRequest},
		"wrong types":      {`{"sessionTokenTTL":300,"autoTenant":"yes","audience":"api","refreshRateLimit":"often"}`, latchkey.CodeInvalidRequest},
		"duplicate member": {`{"sessionTokenTTL":"5m","sessionTokenTTL":"6m"}`, latchkey.CodeInvalidRequest},
		"not an object":    {`[]`, latchkey.CodeInvalidRequest},
	} {
		a := w.refused(t, w.manage("PATCH", "/settings", c.body), c.code)
		golden(t, "problems/settings-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	var after latchkey.SettingsAnswer
	if w.ok(t, w.manage("GET", "/settings", ""), &after); !reflect.DeepEqual(after, before) {
		t.Errorf("something was changed: %+v", after)
	}
}

// A domain leads to one project: who comes second is told so, and so is who wants the
// server's own host.
func TestCustomDomainIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"customDomain":"auth.shop.example"}`)
	other := w.another(t)
	patch := func(domain string) call {
		return call{method: "PATCH", path: "/v1/projects/" + other.project.String() + "/settings", bearer: other.key, body: `{"customDomain":"` + domain + `"}`}
	}
	a := w.refused(t, patch("auth.shop.example"), latchkey.CodeConflict)
	golden(t, "problems/domain-taken", a.body)
	a = w.refused(t, patch("auth.example.com"), latchkey.CodeConflict)
	golden(t, "problems/own-domain", a.body)
	w.ok(t, patch("auth.bank.example"), nil)
}
