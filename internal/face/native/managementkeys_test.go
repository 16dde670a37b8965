package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func (w *world) makeKey(t testing.TB, bearer, body string) latchkey.NewManagementKey {
	t.Helper()
	var made latchkey.NewManagementKey
	c := w.manage("POST", "/management-keys", body)
	c.bearer = bearer
	w.ok(t, c, &made)
	return made
}

func TestManagementKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.makeKey(t, w.key, fmt.Sprintf(`{"name":"desk","scopes":["users"],"networks":["192.0.2.0/24","2001:db8::/32"],"expiresAt":%q}`,
		w.clock.Now().Add(time.Hour).Format(time.RFC3339)))
	users := w.manage("GET", "/users", "")
	users.bearer = made.Secret
	w.ok(t, users, nil)
	users.from = "203.0.113.9"
	w.refused(t, users, latchkey.CodeForbidden)
	users.from = ""

	var rotated latchkey.NewManagementKey
	w.ok(t, w.manage("POST", "/management-keys/"+made.Key.ID+"/rotate", ""), &rotated)
	w.refused(t, users, latchkey.CodeUnauthenticated)
	users.bearer = rotated.Secret
	w.ok(t, users, nil)
	w.clock.Move(time.Hour)
	w.refused(t, users, latchkey.CodeUnauthenticated)
	w.ok(t, w.manage("DELETE", "/management-keys/"+made.Key.ID, ""), nil)
	for _, k := range []string{made.Key.ID, id.NewManagementKey(w.clock.Now()).String(), "nonsense"} {
		w.refused(t, w.manage("DELETE", "/management-keys/"+k, ""), latchkey.CodeNotFound)
		w.refused(t, w.manage("POST", "/management-keys/"+k+"/rotate", ""), latchkey.CodeNotFound)
	}
	verify := w.makeKey(t, w.key, `{"name":"verifier","kind":"verify"}`)
	if !strings.HasPrefix(verify.Secret, "lk_verify_") || fmt.Sprint(verify.Key.Scopes) != "[verify]" {
		t.Errorf("a key for verifying: %+v", verify.Key)
	}
}

// A deleted key ends at once, also for itself.
func TestManagementKeyDeletesItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.makeKey(t, w.key, `{"name":"desk"}`)
	c := w.manage("DELETE", "/management-keys/"+made.Key.ID, "")
	c.bearer = made.Secret
	w.ok(t, c, nil)
	w.refused(t, c, latchkey.CodeUnauthenticated)
}

// No key makes, or shows the secret of, a key that may do more than itself.
func TestManagementKeysDoNotGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keeper := w.makeKey(t, w.key, `{"name":"keeper","scopes":["keys","users"]}`)
	all := w.makeKey(t, w.key, `{"name":"all"}`)
	attempt := func(method, path, body string) {
		t.Helper()
		c := w.manage(method, path, body)
		c.bearer = keeper.Secret
		w.tap.drain()
		w.refused(t, c, latchkey.CodeForbidden)
		if calls := writes(w.tap.drain()); len(calls) > 0 {
			t.Errorf("%s %s: %v", path, body, calls)
		}
	}
	for _, body := range []string{
		`{"name":"x"}`, `{"name":"x","scopes":null}`, `{"name":"x","scopes":[]}`, `{"name":"x","scopes":["sessions"]}`,
		`{"name":"x","scopes":["keys","users","events"]}`, `{"name":"x","kind":"verify"}`,
	} {
		attempt("POST", "/management-keys", body)
	}
	attempt("POST", "/management-keys/"+all.Key.ID+"/rotate", "")
	less := w.makeKey(t, keeper.Secret, `{"name":"less","scopes":["users"]}`)
	c := w.manage("POST", "/management-keys/"+less.Key.ID+"/rotate", "")
	c.bearer = keeper.Secret
	w.ok(t, c, nil)
}

func TestManagementKeysRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, body := range map[string]string{
		"no name":        `{"scopes":["users"]}`,
		"tags":           `{"name":"","kind":"ak","scopes":["a","b","c","d","e","f","g"]}`,
		"scopes":         `{"name":"x","scopes":["users","everything"]}`,
		"verify scopes":  `{"name":"x","kind":"verify","scopes":["users"]}`,
		"networks":       `{"name":"x","networks":["192.0.2.1","192.0.2.1/24","10.0.0.0/8"]}`,
		"expired":        fmt.Sprintf(`{"name":"x","expiresAt":%q}`, w.clock.Now().Format(time.RFC3339)),
		"control signs":  `{"name":"a\u0000b"}`,
		"its own secret": `{"name":"x","secret":"lk_mgmt_chosen_by_the_caller","project":"prj_x"}`,
	} {
		a := w.refused(t, w.manage("POST", "/management-keys", body), latchkey.CodeInvalidRequest)
		golden(t, "problems/management-key-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
}

func TestManagementKeyExpiresWhenAskedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.clock.Now().Add(time.Hour).Truncate(time.Second).UTC()
	var made latchkey.NewManagementKey
	w.ok(t, w.manage("POST", "/management-keys", fmt.Sprintf(`{"name":"a","expiresAt":%q}`, at.Format(time.RFC3339))), &made)
	if made.Key.ExpiresAt == nil || !made.Key.ExpiresAt.Equal(at) {
		t.Errorf("asked for %v, got %v", at, made.Key.ExpiresAt)
	}
	w.refused(t, w.manage("POST", "/management-keys", `{"name":"a","networks":["::ffff:127.0.0.0/104"]}`), latchkey.CodeInvalidRequest)
}
