package native_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var bob latchkey.User
	w.ok(t, w.manage("POST", "/users", bodies["createUser"]), &bob)
	var found struct {
		Users []latchkey.User `json:"users"`
	}
	w.ok(t, w.manage("GET", "/users?loginId=bob%40example.com", ""), &found)
	if len(found.Users) != 1 || found.Users[0].ID != bob.ID {
		t.Errorf("found %+v", found)
	}
	w.ok(t, w.manage("GET", "/users?loginId=BOB%40example.com", ""), &found)
	if len(found.Users) != 0 {
		t.Errorf("another login id: %+v", found)
	}
	var changed latchkey.User
	w.ok(t, w.manage("PATCH", "/users/"+bob.ID, `{"name":"","email":null,"loginIds":["bob"]}`), &changed)
	if changed.Name != "" || changed.Email != "bob@example.com" || fmt.Sprint(changed.LoginIDs) != "[bob]" {
		t.Errorf("changed: %+v", changed)
	}
	w.ok(t, w.manage("DELETE", "/users/"+bob.ID, ""), nil)
	for _, u := range []string{bob.ID, id.NewUser(w.clock.Now()).String(), "nonsense", w.another(t).user.String()} {
		w.refused(t, w.manage("GET", "/users/"+u, ""), latchkey.CodeNotFound)
		w.refused(t, w.manage("PATCH", "/users/"+u, `{"name":"x"}`), latchkey.CodeNotFound)
		w.refused(t, w.manage("DELETE", "/users/"+u, ""), latchkey.CodeNotFound)
	}
}

func TestUsersRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/users/" + w.newUser(t, w.project, "carol@example.com").String()
	taken := `{"loginIds":["dave","alice@example.com"]}`
	golden(t, "problems/login-id-taken", w.refused(t, w.manage("POST", "/users", taken), latchkey.CodeConflict).body)
	w.refused(t, w.manage("PATCH", path, taken), latchkey.CodeConflict)
	for name, body := range map[string]string{
		"no login ids":       `{"name":"Dave"}`,
		"everything wrong":   `{"loginIds":["",""," x"],"name":"a\u0007","email":"nobody","phone":"12","status":"asleep"}`,
		"members of another": `{"loginIds":["dave"],"epoch":7,"id":"usr_1","createdAt":"2020-01-01T00:00:00Z"}`,
	} {
		a := w.refused(t, w.manage("POST", "/users", body), latchkey.CodeInvalidRequest)
		golden(t, "problems/user-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	w.refused(t, w.manage("PATCH", path, `{"loginIds":[]}`), latchkey.CodeInvalidRequest)
	w.refused(t, w.manage("GET", "/users?loginID=x", ""), latchkey.CodeInvalidRequest)
}

func TestDisablingAUserEndsTheSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	path := "/users/" + w.user.String()
	w.ok(t, w.manage("PATCH", path, `{"status":"disabled"}`), nil)
	w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeSessionRevoked)
	w.ok(t, w.manage("PATCH", path, `{"status":"enabled"}`), nil)
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked)
	w.refresh(t, w.signIn(t, w.site).RefreshToken)
}
