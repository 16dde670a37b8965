package native_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/face/native"
)

// Attack 40: credentials in every place where a confused client could put them. The
// world searches every answer and report for parts of them (checkLeaks).
func TestNoCanaryIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	opaque := w.signIn(t, w.site)
	spare := w.makeKey(t, w.key, `{"name":"spare"}`)
	canaries := []string{set.SessionToken, set.RefreshToken, opaque.RefreshToken, spare.Secret}
	for i, r := range w.face.Routes() {
		site := w.site
		if strings.HasSuffix(r.ID, "Project") {
			site = w.another(t) // nothing works in a deleted one
		}
		good := w.goodAt(t, site, r)
		// A key is the shortest, and would be repeated whole where others are cut.
		for _, canary := range []string{canaries[i%3], canaries[3]} {
			for _, c := range misplaced(w.spec, r, good, canary) {
				w.do(t, c)
			}
		}
	}
}

// misplaced returns calls of a route with a credential where none belongs.
func misplaced(s spec, r native.Route, good call, canary string) []call {
	var out []call
	add := func(change func(c *call)) {
		c := good
		c.bearer = "" // nothing that is asked for here is done
		change(&c)
		out = append(out, c)
		c.bearer = good.bearer
		if !harmful(r) {
			out = append(out, c)
		}
	}
	escaped := url.QueryEscape(canary)
	for _, query := range []string{
		"token=" + escaped, "x=" + escaped, escaped, escaped + "=1", "x=a," + escaped, "x=" + escaped + "&x=" + escaped,
		"pageToken=" + escaped, "type=a," + escaped, "type=" + escaped, "user=x" + escaped, "ip=x" + escaped, "%zz" + escaped, "a;" + escaped,
	} {
		add(func(c *call) { c.path = withQuery(c.path, query) })
	}
	add(func(c *call) { c.path += "/" + canary })
	add(func(c *call) { c.path = strings.Replace(c.path, "/prj_", "/"+canary, 1) })
	for _, header := range []string{"X-Request-Id", "User-Agent", "If-None-Match", "Content-Type", "X-Forwarded-For"} {
		add(func(c *call) { *c = headers(*c, header, canary) })
	}
	if r.Method == "GET" {
		return out
	}
	bodies := []string{canary, `{` + canary, `"` + canary + `"`, `{"` + canary + `":1}`, `{"x":{"` + canary + `":1}}`, `["` + canary + `"]`, `{"a":"` + canary}
	for _, name := range s.bodyMembers(r.ID) {
		bodies = append(bodies, fmt.Sprintf(`{%q:%q}`, name, canary), fmt.Sprintf(`{%q:[%q]}`, name, canary),
			fmt.Sprintf(`{%q:{%q:1}}`, name, canary), fmt.Sprintf(`{%q:{"ip":%q,"loginIds":[%q]}}`, name, canary, canary))
	}
	for _, body := range bodies {
		add(func(c *call) { c.body = body })
	}
	return out
}

// harmful reports whether a call of the route with odd values could end what the test
// goes on with.
func harmful(r native.Route) bool {
	return slices.Contains([]string{
		"revokeUserSessions", "revokeSession", "revokeKey", "rotateKey", "deleteUser", "changeUser", "changeSettings",
		"rotateManagementKey", "deleteManagementKey", "logout", "logoutAll", "logoutOthers", "endOwnSession",
	}, r.ID) && r.Body == nil
}

// bodyMembers returns the names of a body's members.
func (s spec) bodyMembers(id string) []string {
	content := object(object(object(s.operations[id]["requestBody"])["content"])["application/json"])
	schema := object(content["schema"])
	if ref, found := schema["$ref"].(string); found {
		schema = s.resolve(ref)
	}
	var out []string
	for name := range object(schema["properties"]) {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// What is answered to a sign-in or shown of a session never holds a credential but the
// tokens that were asked for; an application that stores one as a claim or a name sees
// it again, of course.
func TestNoCredentialIsShownTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range w.face.Routes() {
		a := w.ok(t, w.goodAt(t, w.another(t), r), nil)
		found := credential.FindAllString(string(a.body), -1)
		want := map[string]int{
			"createSession": 2, "refreshSession": 2, "switchTenant": 2, "createManagementKey": 1, "rotateManagementKey": 1,
			"createWebhook": 1, "rotateWebhook": 1, "createAccessKey": 1, "rotateAccessKey": 1, "exchangeAccessKey": 1,
		}[r.ID]
		if len(found) != want {
			t.Errorf("%s: %d credentials are in the answer, want %d", r.ID, len(found), want)
		}
		var v any
		must(t, json.Unmarshal(a.body, &v))
	}
}
