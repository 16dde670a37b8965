package native_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// A member that nobody knows doesn't hide what is wrong with the values of the others: one
// answer tells all of it, in one order, and nothing is changed.
func TestUnknownMembersAndWrongValuesAreToldTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made latchkey.Tenant
	w.ok(t, w.manage("POST", "/tenants", `{"name":"Acme"}`), &made)
	var admin latchkey.Role
	w.ok(t, w.manage("POST", "/roles", `{"name":"admin"}`), &admin)
	tenant, role := made.ID, admin.ID
	set := w.signIn(t, w.site)
	var key latchkey.NewAccessKey
	w.ok(t, w.manage("POST", "/access-keys", `{"name":"robot"}`), &key)
	var hook latchkey.NewWebhook
	w.ok(t, w.manage("POST", "/webhooks", `{"url":"https://hooks.example.com/"}`), &hook)
	w.settings(t, `{"claimLint":"reject"}`)
	for name, c := range map[string]struct {
		method, path, body string
		want               string
	}{
		"settings":          {"PATCH", "/settings", `{"nick":1,"sessionTokenTTL":"25h"}`, "/nick unknown, /sessionTokenTTL range"},
		"a tenant's":        {"PATCH", "/tenants/" + tenant + "/settings", `{"nick":1,"idleTimeout":"1s"}`, "/nick unknown, /idleTimeout range"},
		"a user":            {"POST", "/users", `{"nick":1,"loginIds":[""],"phone":"1","roles":["nope"],"tenants":[{"tenant":"x","rolls":[]}],"attributes":{"a":1e400}}`, "/nick unknown, /tenants/0/rolls unknown, /loginIds/0 format, /phone format, /attributes/a range, /roles/0 unknown, /tenants/0/tenant unknown"},
		"a user's change":   {"PATCH", "/users/" + w.user.String(), `{"phone":"1","nick":1}`, "/nick unknown, /phone format"},
		"a user's roles":    {"PUT", "/users/" + w.user.String() + "/roles", `{"nick":1,"roles":["nope"]}`, "/nick unknown, /roles/0 unknown"},
		"nobody":            {"PATCH", "/users/" + id.NewUser(w.clock.Now()).String(), `{"nick":1,"phone":"1"}`, "/nick unknown"},
		"a new tenant":      {"POST", "/tenants", `{"nick":1,"name":"","attributes":{"":1}}`, "/nick unknown, /name format, /attributes/ format"},
		"a tenant":          {"PATCH", "/tenants/" + tenant, `{"nick":1,"name":"\u0000"}`, "/nick unknown, /name format"},
		"a new role":        {"POST", "/roles", `{"nick":1,"name":" x","tenant":"ten_x","permissions":["nope"]}`, "/nick unknown, /name format, /tenant unknown, /permissions/0 unknown"},
		"a role":            {"PATCH", "/roles/" + role, `{"nick":1,"name":" x"}`, "/nick unknown, /name format"},
		"a new permission":  {"POST", "/permissions", `{"nick":1,"name":" x"}`, "/nick unknown, /name format"},
		"a new key":         {"POST", "/access-keys", `{"nick":1,"name":"","networks":["x"],"user":"me","claims":{"sub":1,"n":1e400}}`, "/nick unknown, /networks/0 format, /user format, /name format, /claims/n range, /claims/sub reserved"},
		"a key":             {"PATCH", "/access-keys/" + key.Key.ID, `{"nick":1,"name":""}`, "/nick unknown, /name format"},
		"a key's claims":    {"PATCH", "/access-keys/" + key.Key.ID, `{"nick":1,"claims":{"mail":"a@example.com"}}`, "/nick unknown, /claims/mail sensitive"},
		"a new webhook":     {"POST", "/webhooks", `{"nick":1,"types":["nope"]}`, "/nick unknown, /url required, /types/0 range"},
		"a webhook":         {"PATCH", "/webhooks/" + hook.Webhook.ID, `{"nick":1,"url":"ftp://x"}`, "/nick unknown, /url format"},
		"a template":        {"PUT", "/templates/user", `{"nick":1,"document":{"claims":{"sub":1,"x":"{{ nope }}"},"y":1}}`, "/nick unknown, /document/claims/sub reserved, /document/claims/x format, /document/y unknown"},
		"a template's size": {"PUT", "/templates/user", `{"nick":1,"document":{"claims":{"x":1}},"sample":{"session":{"claims":{"sub":1}}}}`, "/nick unknown, /sample/session/claims/sub reserved"},
		"a preview":         {"POST", "/templates/user/preview", `{"nick":1,"document":{"claims":{"sub":1}}}`, "/nick unknown, /document/claims/sub reserved"},
		"a sign-in":         {"POST", "/sessions", `{"nick":1,"user":"alice@example.com","amr":["mfa"],"claims":{"sub":1},"nsec":{"a":1e400},"device":{"ip":"x","os":1},"tenant":"x"}`, "/nick unknown, /device/os unknown, /tenant format, /device/ip format, /claims/sub reserved, /nsec/a range, /amr/0 reserved"},
		"a sign-in's user":  {"POST", "/sessions", `{"user":{"nick":1,"loginIds":["bob"],"phone":"1"},"amr":["pwd"],"claims":{"sub":1}}`, "/user/nick unknown, /claims/sub reserved, /user/phone format"},
		"a session":         {"PATCH", "/sessions/" + set.Session.ID, `{"nick":1,"claims":{"sub":1},"nsec":{"a":1e400}}`, "/nick unknown, /claims/sub reserved, /nsec/a range"},
	} {
		w.tap.drain()
		a := w.refused(t, w.manage(c.method, c.path, c.body), latchkey.CodeInvalidRequest)
		var got []string
		for _, e := range a.problem.Errors {
			got = append(got, e.Pointer+" "+e.Code)
		}
		want := strings.Split(c.want, ", ")
		if name == "a sign-in" {
			slices.Sort(got)
			slices.Sort(want)
		}
		if a.status != 400 || !slices.Equal(got, want) {
			t.Errorf("%s: got %d %q\nwant %q\n%s", name, a.status, got, want, a.problem.Detail)
		}
		if calls := writes(w.tap.drain()); len(calls) > 0 {
			t.Errorf("%s: the store was asked %v", name, calls)
		}
	}
}

// Also without an unknown member, a sign-in tells all at once.
func TestSignInTellsAllAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, want := range map[string]string{
		`{"user":{"loginIds":["bob"],"phone":"1"},"amr":["pwd"],"claims":{"sub":1}}`:                              "reserved_claim /claims/sub /user/phone",
		`{"user":{"loginIds":["bob"],"phone":"1"},"amr":["pwd"],"device":{"ip":"x"},"tenant":"x"}`:                "invalid_request /tenant /device/ip /user/phone",
		`{"user":"alice@example.com","amr":["pwd"],"device":{"ip":"x"},"nsec":{"a":1e400}}`:                       "invalid_request /device/ip /nsec/a",
		`{"user":{"loginIds":["alice@example.com"],"email":"x","roles":["nope"]},"amr":["pwd"],"lifetime":"29d"}`: "out_of_range /lifetime /user/email /user/roles/0",
		`{"user":{"name":"x"},"amr":["pwd"],"tenant":"x"}`:                                                        "invalid_request /tenant /user/loginIds",
	} {
		w.tap.drain()
		a := w.do(t, w.manage("POST", "/sessions", body))
		got := string(a.problem.Code)
		for _, e := range a.problem.Errors {
			got += " " + e.Pointer
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
		if calls := writes(w.tap.drain()); len(calls) > 0 {
			t.Errorf("%s: the store was asked %v", body, calls)
		}
	}
}
