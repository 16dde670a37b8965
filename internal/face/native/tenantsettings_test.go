package native_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func TestTenantSettingsRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/tenants/" + w.grants.tenant.String() + "/settings"
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"out of range":    {`{"sessionTokenTTL":"1s","maxSessionsPerUser":-1,"onLimit":"never"}`, latchkey.CodeOutOfRange},
		"contradiction":   {`{"sessionTokenTTL":"2h","absoluteTimeout":"1h"}`, latchkey.CodeContradiction},
		"unknown members": {`{"sessiontokenttl":"5m","reuseWindow":"1s"}`, latchkey.CodeInvalidRequest},
		"wrong types":     {`{"sessionTokenTTL":300,"maxSessionsPerUser":"many","onLimit":[]}`, latchkey.CodeInvalidRequest},
	} {
		a := w.refused(t, w.manage("PATCH", path, c.body), c.code)
		golden(t, "problems/tenant-settings-"+strings.ReplaceAll(name, " ", "-"), a.body)
		if dry := w.refused(t, w.manage("POST", path+"/dry-run", c.body), c.code); string(dry.body) != string(a.body) {
			t.Errorf("%s: the dry-run is refused otherwise: %s", name, dry.body)
		}
	}
	var after latchkey.TenantSettingsAnswer
	if w.ok(t, w.manage("GET", path, ""), &after); after.Settings != (latchkey.TenantSettings{}) {
		t.Errorf("something was changed: %+v", after)
	}
	for _, tenant := range []string{"acme", id.NewTenant(w.clock.Now()).String(), w.another(t).grants.tenant.String()} {
		for _, c := range []call{
			w.manage("GET", "/tenants/"+tenant+"/settings", ""), w.manage("PATCH", "/tenants/"+tenant+"/settings", "{}"),
			w.manage("POST", "/tenants/"+tenant+"/settings/dry-run", "{}"),
		} {
			w.refused(t, c, latchkey.CodeNotFound)
		}
	}
}

// A dry-run of the project's settings is refused as the change is, and changes nothing.
func TestDryRunRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another(t)
	w.ok(t, call{method: "PATCH", path: "/v1/projects/" + other.project.String() + "/settings", bearer: other.key, body: `{"customDomain":"auth.shop.example"}`}, nil)
	for body, code := range map[string]latchkey.Code{
		`{"sessionTokenTTL":"1s"}`:                        latchkey.CodeOutOfRange,
		`{"sessionTokenTTL":"2h","absoluteTimeout":"1h"}`: latchkey.CodeContradiction,
		`{"sessiontokenttl":"5m"}`:                        latchkey.CodeInvalidRequest,
		`{"customDomain":"auth.shop.example"}`:            latchkey.CodeConflict,
		`{"customDomain":"auth.example.com"}`:             latchkey.CodeConflict,
	} {
		dry := w.refused(t, w.manage("POST", "/settings/dry-run", body), code)
		real := w.refused(t, w.manage("PATCH", "/settings", body), code)
		if string(dry.body) != string(real.body) {
			t.Errorf("%s: %s in the dry-run, %s in earnest", body, dry.body, real.body)
		}
	}
	var before, after latchkey.SettingsAnswer
	w.ok(t, w.manage("GET", "/settings", ""), &before)
	w.ok(t, w.manage("POST", "/settings/dry-run", `{"absoluteTimeout":"1h","customDomain":"auth.bank.example"}`), nil)
	if w.ok(t, w.manage("GET", "/settings", ""), &after); after.Version != before.Version {
		t.Errorf("a dry-run has changed something: %+v", after)
	}
}

// A dry-run takes as long as there are sessions: the server's deadline of answers must not
// cut it off, and yet a caller who doesn't read is.
func TestDryRunDeadlines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/settings/dry-run", "/tenants/" + w.grants.tenant.String() + "/settings/dry-run"} {
		for _, body := range []string{`{"idleTimeout":"1h"}`, `{"idleTimeout":"1s"}`} {
			out := &held{ResponseRecorder: httptest.NewRecorder()}
			w.handler.ServeHTTP(out, w.manage("POST", path, body).request(t))
			if out.Code != http.StatusOK {
				if len(out.set) > 0 {
					t.Errorf("%s %s is refused with deadlines %v", path, body, out.set)
				}
				continue
			}
			left := time.Until(out.written)
			if len(out.set) != 2 || !out.set[0].IsZero() || left <= 0 || left > time.Minute {
				t.Errorf("%s %s: deadlines %v, %v left", path, body, out.set, left)
			}
		}
	}
}
