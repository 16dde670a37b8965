package native_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Every route works, and answers as its golden file says.
func TestEveryRouteAnswers(t *testing.T) {
	t.Parallel()
	for _, r := range newWorld(t).face.Routes() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.ok(t, w.good(t, r), nil)
			if a.route != r.ID {
				t.Fatalf("%s was taken by %q", r.ID, a.route)
			}
			golden(t, "answers/"+r.ID, a.body)
			// Only what is the same for everybody may be kept by caches.
			public := strings.Contains(r.Pattern, "/.well-known/")
			if kept := a.header.Get("Cache-Control") != "no-store"; kept != public {
				t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
			}
		})
	}
}

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range w.face.Routes() {
		if w.spec.operations[r.ID] == nil {
			t.Errorf("%s isn't in the document", r.ID)
		}
		documented[r.ID] = r.All()
	}
	if len(w.spec.operations) != len(w.face.Routes()) {
		t.Errorf("the document has %d operations, the table %d", len(w.spec.operations), len(w.face.Routes()))
	}
}

// Attack 28: no route does anything for somebody who may not use it, and says no more
// than that.
func TestEveryManagementRouteRefusesStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	others := w.another(t)
	session := w.signIn(t, w.site)
	for _, r := range w.face.Routes() {
		if r.Scope == "" {
			continue
		}
		good := w.good(t, r)
		var lacks []directory.Scope
		for _, scope := range directory.Scopes() {
			if scope != r.Scope {
				lacks = append(lacks, scope)
			}
		}
		short := w.newKey(t, w.project, directory.NewKey{Name: "short-lived", Kind: secret.Management, ExpiresAt: w.clock.Now().Add(time.Minute)})
		w.clock.Move(time.Minute)
		office := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		for name, c := range map[string]struct {
			bearer string
			code   latchkey.Code
		}{
			"no credential":             {"", latchkey.CodeUnauthenticated},
			"no key":                    {"something-else", latchkey.CodeUnauthenticated},
			"a cut key":                 {w.key[:len(w.key)-1], latchkey.CodeUnauthenticated},
			"a key that nobody has":     {secret.NewKey(secret.Management).Reveal(), latchkey.CodeUnauthenticated},
			"another project's key":     {others.key, latchkey.CodeUnauthenticated},
			"an expired key":            {short, latchkey.CodeUnauthenticated},
			"a session token":           {session.SessionToken, latchkey.CodeUnauthenticated},
			"a refresh token":           {session.RefreshToken, latchkey.CodeUnauthenticated},
			"a key for verifying":       {w.newKey(t, w.project, directory.NewKey{Name: "verify", Kind: secret.Verify}), latchkey.CodeForbidden},
			"a key without the scope":   {w.newKey(t, w.project, directory.NewKey{Name: "less", Kind: secret.Management, Scopes: lacks}), latchkey.CodeForbidden},
			"a key for another network": {w.newKey(t, w.project, directory.NewKey{Name: "office", Kind: secret.Management, Networks: office}), latchkey.CodeForbidden},
		} {
			if name == "a key for verifying" && r.Scope == directory.ScopeVerify {
				continue
			}
			w.tap.drain()
			attempt := good
			attempt.bearer = c.bearer
			a := w.refused(t, attempt, c.code)
			if a.route != r.ID {
				t.Errorf("%s, %s: taken by %q", r.ID, name, a.route)
			}
			if calls := w.tap.drain(); len(calls) > 1 || len(calls) == 1 && calls[0] != "managementKeys.FindByDigest" {
				t.Errorf("%s, %s: the store was asked %v", r.ID, name, calls)
			}
		}
	}
}

func TestEveryEndUserRouteRefusesStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	foreign := w.signIn(t, w.another(t))
	for _, r := range w.face.Routes() {
		if r.Scope != "" || strings.Contains(r.Pattern, ".well-known") {
			continue
		}
		good := w.good(t, r)
		mine := good.bearer
		noVerify := w.newKey(t, w.project, directory.NewKey{Name: "users", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeUsers}})
		for name, c := range map[string]struct {
			bearer string
			code   latchkey.Code
		}{
			"no credential":                   {"", latchkey.CodeUnauthenticated},
			"no token":                        {"something-else", latchkey.CodeUnauthenticated},
			"a cut token":                     {mine[:len(mine)-1], latchkey.CodeUnauthenticated},
			"another project's session token": {foreign.SessionToken, latchkey.CodeUnauthenticated},
			"another project's refresh token": {foreign.RefreshToken, latchkey.CodeUnauthenticated},
			"a management key alone":          {w.key, latchkey.CodeUnauthenticated},
			"a key without the scope":         {noVerify, latchkey.CodeForbidden},
			"a key that nobody has":           {secret.NewKey(secret.Verify).Reveal(), latchkey.CodeUnauthenticated},
		} {
			w.tap.drain()
			attempt := good
			attempt.bearer = c.bearer
			if r.ID == "exchangeAccessKey" {
				c.code = latchkey.CodeUnauthenticated // no other key is one without the scope
			}
			if a := w.refused(t, attempt, c.code); a.route != r.ID {
				t.Errorf("%s, %s: taken by %q", r.ID, name, a.route)
			}
			if calls := writes(w.tap.drain()); len(calls) > 0 {
				t.Errorf("%s, %s: the store was asked %v", r.ID, name, calls)
			}
		}
	}
}

// What every route refuses alike, whatever it is for.
func TestEveryRouteRefusesWhatNoRouteTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range w.face.Routes() {
		if strings.Contains(r.Pattern, ".well-known") {
			c := w.good(t, r)
			c.path = strings.Replace(c.path, w.project.String(), id.NewProject(w.clock.Now()).String(), 1)
			w.refused(t, c, latchkey.CodeNotFound)
			c.path = strings.Replace(r.Pattern, "{project}", "nonsense", 1)
			w.refused(t, c, latchkey.CodeNotFound)
			continue
		}
		good := w.good(t, r)
		for name, change := range map[string]func(c *call) latchkey.Code{
			"a token in the query": func(c *call) latchkey.Code {
				c.path = withQuery(c.path, "token=x")
				return latchkey.CodeTokenInURL
			},
			"a credential as any parameter": func(c *call) latchkey.Code {
				c.path = withQuery(c.path, "q="+good.bearer)
				return latchkey.CodeTokenInURL
			},
			"two credentials": func(c *call) latchkey.Code {
				c.header = http.Header{"Authorization": {"Bearer " + good.bearer, "Bearer " + good.bearer}}
				return latchkey.CodeUnauthenticated
			},
			"a credential over the limit": func(c *call) latchkey.Code {
				c.bearer = strings.Repeat("x", 17<<10)
				return latchkey.CodeTooLarge
			},
			"no such project": func(c *call) latchkey.Code {
				c.path = strings.Replace(c.path, w.project.String(), "nonsense", 1)
				return latchkey.CodeNotFound
			},
			"what isn't wanted": func(c *call) latchkey.Code {
				if c.method == "GET" {
					c.path = withQuery(c.path, "nonsense=1")
				} else {
					c.body = `{"nonsense":1}`
				}
				return latchkey.CodeInvalidRequest
			},
			"a member too many": func(c *call) latchkey.Code {
				if c.method == "GET" {
					c.path = withQuery(c.path, "nonsense=1")
				} else {
					c.body = strings.Replace(cmp.Or(c.body, "{}"), "{", `{"nonsense":1,`, 1)
					c.body = strings.Replace(c.body, ",}", "}", 1)
				}
				return latchkey.CodeInvalidRequest
			},
		} {
			c := good
			code := change(&c)
			w.tap.drain()
			if a := w.refused(t, c, code); a.route != r.ID {
				t.Errorf("%s, %s: taken by %q", r.ID, name, a.route)
			}
			if calls := writes(w.tap.drain()); len(calls) > 0 {
				t.Errorf("%s, %s: the store was asked %v", r.ID, name, calls)
			}
		}
		if good.method != "GET" {
			c := good
			c.body = `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
			w.refused(t, c, latchkey.CodeTooLarge)
			c.body = `{`
			w.refused(t, c, latchkey.CodeInvalidRequest)
		}
	}
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// When the store is gone no route pretends otherwise, and none drops a session.
func TestEveryRouteWithoutAStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range w.face.Routes() {
		good := w.goodAt(t, w.another(t), r) // deleting a user leaves the others' alone
		w.tap.fail(fault.New(fault.Unavailable, "The disk is full.").After(1500 * time.Millisecond))
		if a := w.refused(t, good, latchkey.CodeUnavailable); a.header.Get("Retry-After") != "2" {
			t.Errorf("%s: Retry-After %q", r.ID, a.header.Get("Retry-After"))
		}
		w.tap.fail(errors.New("canary: table sessions is corrupt"))
		if a := w.refused(t, good, latchkey.CodeInternal); strings.Contains(string(a.body), "canary") {
			t.Errorf("%s: shows the cause: %s", r.ID, a.body)
		}
		w.tap.fail(context.DeadlineExceeded)
		w.refused(t, good, latchkey.CodeUnavailable)
		w.tap.fail(nil)
		w.ok(t, good, nil)
	}
}

// A change that loses against others again and again is refused in the end, and can be
// tried again.
func TestChangesThatAlwaysLose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for route, verb := range map[string]string{
		"changeSettings": "projects.ChangeSettings", "changeSessionClaims": "sessions.SetClaims",
		"revokeKey": "keys.Apply", "rotateKey": "keys.Apply",
	} {
		good := w.goodAt(t, w.another(t), w.routes[route])
		w.tap.failOn(verb, fault.New(fault.Conflict, "Somebody else was first."))
		w.refused(t, good, latchkey.CodeConflict)
		w.tap.fail(nil)
		w.ok(t, good, nil)
	}
}
