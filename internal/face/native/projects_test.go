package native_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey"
)

func TestDisabledProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	signIn := w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd"]}`)
	made := w.manage("POST", "/sessions", `{"user":{"loginIds":["bob@example.com"]},"amr":["pwd"]}`)
	w.ok(t, w.manage("PATCH", "", `{"status":"disabled"}`), nil)

	golden(t, "problems/signIn-disabled-project", w.refused(t, signIn, latchkey.CodeConflict).body)
	w.refused(t, made, latchkey.CodeConflict)
	var users latchkey.UserList
	if w.ok(t, w.manage("GET", "/users?loginId=bob@example.com", ""), &users); len(users.Users) != 0 {
		t.Error("a user was made for a sign-in that is refused")
	}
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked)
	w.ok(t, w.end("GET", "/.well-known/jwks.json", ""), nil)
	w.ok(t, call{method: "GET", path: "/" + w.project.String() + "/revocations", bearer: w.key}, nil)

	w.ok(t, w.manage("PATCH", "", `{"status":"enabled"}`), nil)
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked) // for good
	w.ok(t, signIn, nil)
	w.ok(t, made, nil)
}

func TestProjectRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	golden(t, "problems/changeProject", w.refused(t, w.manage("PATCH", "", `{"name":""}`), latchkey.CodeInvalidRequest).body)
	other := w.another(t)
	for _, body := range []string{``, `{"confirm":""}`, `{"confirm":"` + other.project.String() + `"}`} {
		w.refused(t, w.manage("DELETE", "", body), latchkey.CodeInvalidRequest)
	}
	golden(t, "problems/deleteProject", w.refused(t, w.manage("DELETE", "", `{"confirm":"acme"}`), latchkey.CodeInvalidRequest).body)
	var p latchkey.Project
	if w.ok(t, w.manage("GET", "", ""), &p); p.Status != "enabled" || p.Name != "acme" {
		t.Errorf("something was changed: %+v", p)
	}
}

// Nothing of a deleted project can be asked for or changed but what verifiers need.
func TestDeletedProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	routes := w.face.Routes()
	gone := w.another(t)
	set := w.signIn(t, gone)
	var calls []call
	for _, r := range routes {
		if r.Scope != "" && r.ID != "deleteProject" && r.ID != "changeProject" {
			calls = append(calls, w.goodAt(t, gone, r))
		}
	}
	at := "/v1/projects/" + gone.project.String()
	w.ok(t, call{method: "DELETE", path: at, bearer: gone.key, body: `{"confirm":"` + gone.project.String() + `"}`}, nil)
	w.tap.drain()
	for _, c := range calls {
		if c.path == "/"+gone.project.String()+"/revocations" {
			w.ok(t, c, nil)
			continue
		}
		w.refused(t, c, latchkey.CodeNotFound)
	}
	if done := writes(w.tap.drain()); len(done) > 0 {
		t.Errorf("in a deleted project somebody did %v", done)
	}
	end := func(method, path, bearer string) call {
		return call{method: method, path: "/" + gone.project.String() + path, bearer: bearer}
	}
	w.refused(t, end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked)
	w.ok(t, end("GET", "/.well-known/jwks.json", ""), nil)
	w.ok(t, end("GET", "/.well-known/openid-configuration", ""), nil)
}
