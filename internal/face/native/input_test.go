package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Bad input: each kind has its exact problem, in testdata/problems.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	foreign := w.signIn(t, w.another(t))
	users := w.manage("POST", "/users", "")
	refresh := w.end("POST", "/session/refresh", "")
	for name, c := range map[string]struct {
		call call
		code latchkey.Code
	}{
		"malformed-json":       {withBody(users, `{"loginIds":["a"],}`), latchkey.CodeInvalidRequest},
		"cut-json":             {withBody(users, `{"loginIds":["a"`), latchkey.CodeInvalidRequest},
		"trailing-data":        {withBody(users, `{"loginIds":["a"]} {}`), latchkey.CodeInvalidRequest},
		"byte-order-mark":      {withBody(users, "\ufeff{}"), latchkey.CodeInvalidRequest},
		"invalid-utf8":         {withBody(users, "{\"name\":\"\xff\"}"), latchkey.CodeInvalidRequest},
		"lone-surrogate":       {withBody(users, `{"name":"\ud800"}`), latchkey.CodeInvalidRequest},
		"deep-nesting":         {withBody(users, strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40)), latchkey.CodeInvalidRequest},
		"unknown-member":       {withBody(users, `{"loginIds":["a"],"colour":"red"}`), latchkey.CodeInvalidRequest},
		"wrong-capitals":       {withBody(users, `{"loginids":["a"]}`), latchkey.CodeInvalidRequest},
		"duplicate-member":     {withBody(users, `{"name":"a","name":"b","loginIds":["a"]}`), latchkey.CodeInvalidRequest},
		"wrong-type":           {withBody(users, `{"loginIds":"a","name":7,"email":true}`), latchkey.CodeInvalidRequest},
		"a-list-for-a-body":    {withBody(users, `[]`), latchkey.CodeInvalidRequest},
		"a-word-out-of-range":  {withBody(users, `{"loginIds":["a"],"status":"asleep"}`), latchkey.CodeInvalidRequest},
		"a-value-out-of-range": {w.manage("PATCH", "/settings", `{"sessionTokenTTL":"25h"}`), latchkey.CodeOutOfRange},
		"a-wrong-duration":     {w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd"],"lifetime":"5 minutes"}`), latchkey.CodeInvalidRequest},
		"a-wrong-time":         {withBody(refresh, `{"composedAt":"2026-09-21 14:00"}`), latchkey.CodeInvalidRequest},
		"a-page-out-of-range":  {w.manage("GET", "/users?pageSize=201", ""), latchkey.CodeInvalidRequest},
		"unknown-parameter":    {w.manage("GET", "/users?colour=red", ""), latchkey.CodeInvalidRequest},
		"a-parameter-twice":    {w.manage("GET", "/users?pageSize=1&pageSize=2", ""), latchkey.CodeInvalidRequest},
		"broken-query":         {w.manage("GET", "/users?loginId=%zz", ""), latchkey.CodeInvalidRequest},
		"body-over-the-limit":  {withBody(users, `{"name":"`+strings.Repeat("x", 1<<20)+`"}`), latchkey.CodeTooLarge},
		"query-over-the-limit": {w.manage("GET", "/users?loginId="+strings.Repeat("x", 9<<10), ""), latchkey.CodeTooLarge},
		"key-over-the-limit":   {call{method: "GET", path: users.path, bearer: strings.Repeat("x", 17<<10)}, latchkey.CodeTooLarge},
		"not-json":             {media(withBody(users, `loginIds=a`), "application/x-www-form-urlencoded"), latchkey.CodeInvalidRequest},
		"compressed":           {encoded(withBody(users, `{}`)), latchkey.CodeInvalidRequest},
		"no-key":               {call{method: "GET", path: users.path}, latchkey.CodeUnauthenticated},
		"wrong-key":            {call{method: "GET", path: users.path, bearer: secret.NewKey(secret.Management).Reveal()}, latchkey.CodeUnauthenticated},
		"cut-key":              {call{method: "GET", path: users.path, bearer: w.key[:len(w.key)-4]}, latchkey.CodeUnauthenticated},
		"no-token":             {refresh, latchkey.CodeUnauthenticated},
		"cut-token":            {w.end("POST", "/session/refresh", set.RefreshToken[:len(set.RefreshToken)-4]), latchkey.CodeUnauthenticated},
		"foreign-token":        {w.end("POST", "/session/refresh", foreign.RefreshToken), latchkey.CodeUnauthenticated},
		"not-a-bearer":         {headers(refresh, "Authorization", "Bearer a b"), latchkey.CodeUnauthenticated},
		"another-scheme":       {headers(refresh, "Authorization", "Basic YTpi"), latchkey.CodeUnauthenticated},
		"token-in-the-query":   {w.end("GET", "/session?sessionToken="+set.SessionToken, ""), latchkey.CodeTokenInURL},
		"key-in-the-query":     {w.manage("GET", "/users?loginId="+w.key, ""), latchkey.CodeTokenInURL},
		"token-in-the-path":    {w.end("DELETE", "/sessions/"+set.RefreshToken, set.SessionToken), latchkey.CodeTokenInURL},
		"unknown-project":      {call{method: "POST", path: "/" + id.NewProject(w.clock.Now()).String() + "/session/refresh", bearer: set.RefreshToken}, latchkey.CodeNotFound},
		"no-project-at-all":    {call{method: "POST", path: "/nonsense/session/refresh", bearer: set.RefreshToken}, latchkey.CodeNotFound},
		"project-of-no-key":    {call{method: "GET", path: "/v1/projects/" + id.NewProject(w.clock.Now()).String() + "/users", bearer: w.key}, latchkey.CodeUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			if c.call.body != "" && c.call.bearer == "" && c.call.path == users.path {
				c.call.bearer = w.key
			}
			a := w.refused(t, c.call, c.code)
			golden(t, "problems/"+name, a.body)
		})
	}
	w.refresh(t, set.RefreshToken)
}

func headers(c call, name, value string) call {
	c.header = http.Header{name: {value}}
	return c
}

func media(c call, value string) call { return headers(c, "Content-Type", value) }

func encoded(c call) call { return headers(c, "Content-Encoding", "gzip") }

// An expired refresh token says so; it isn't mistaken for an altered one.
func TestBadInputExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"lifetime":"1h"}`, w.user))
	w.clock.Move(1 << 42)
	a := w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionExpired)
	golden(t, "problems/expired-token", a.body)
	w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeSessionExpired)
}

// A caller finds its own request id in the problem.
func TestRequestIDIsKeptOrMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := headers(w.end("POST", "/session/refresh", ""), "X-Request-Id", "abc-123")
	if a := w.refused(t, c, latchkey.CodeUnauthenticated); a.problem.RequestID != "abc-123" {
		t.Errorf("got %s", a.problem.RequestID)
	}
}
