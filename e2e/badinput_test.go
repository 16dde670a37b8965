package e2e

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// bad is a request that is refused, and exactly how. No refusal of this table is
// terminal: a client that sends nonsense has no reason to drop its tokens.
type bad struct {
	name   string
	call   call
	status int
	code   latchkey.Code
	fields string // "pointer code" of every field, with commas
}

// TestBadInput sends what isn't wanted to every part of the API.
func TestBadInput(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--log-level", "debug")
	set := p.signIn(i.in, "alice@example.com")
	var other tenancy
	i.runSecret(nil, "", i.args("project", "create", "Other", "--json")...).read(t, &other)
	for what, table := range map[string][]bad{
		"body": badBodies(i.in), "value": badValues(i.in), "query": badQueries(i.in),
		"credential": badCredentials(i.in, other, set), "address": badAddresses(i.in, set),
	} {
		for _, b := range table {
			t.Run(what+" "+b.name, func(t *testing.T) {
				problem := p.ask(b.call).refused(t, b.status, b.code, false)
				var got []string
				for _, f := range problem.Errors {
					if f.Detail == "" {
						t.Errorf("the field %s has no detail", f.Pointer)
					}
					got = append(got, f.Pointer+" "+f.Code)
				}
				if fields := strings.Join(got, ","); fields != b.fields {
					t.Errorf("the fields are %q, want %q: %+v", fields, b.fields, problem.Errors)
				}
				p.ask(call{method: "GET", path: "/docs/errors/" + string(problem.Code)}).must(t, nil)
			})
		}
	}
	// All that was no change: the session that watched it still lives.
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
}

func badBodies(in tenancy) []bad {
	const code = latchkey.CodeInvalidRequest
	post := func(body string, header ...string) call {
		c := call{method: "POST", path: in.api("/sessions"), bearer: in.ManagementKey, body: body, header: map[string]string{}}
		for n := 0; n < len(header); n += 2 {
			c.header[header[n]] = header[n+1]
		}
		return c
	}
	const good = `{"user":{"loginIds":["a@example.com"]},"amr":["pwd"]}`
	return []bad{
		{"cut", post(good[:len(good)-1]), 400, code, " format"},
		{"not JSON", post(`user=a`), 400, code, " format"},
		{"trailing data", post(good + `{}`), 400, code, " format"},
		{"trailing comma", post(`{"user":"a","amr":["pwd"],}`), 400, code, " format"},
		{"byte order mark", post("\xef\xbb\xbf" + good), 400, code, " format"},
		{"invalid UTF-8", post("{\"user\":\"\xff\"}"), 400, code, " format"},
		{"half a surrogate pair", post(`{"user":"\ud800","amr":["pwd"]}`), 400, code, " format"},
		{"a list", post(`[]`), 400, code, " type"},
		{"a string", post(`"a"`), 400, code, " type"},
		{"deep", post(`{"user":"a","amr":["pwd"],"claims":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 101)), 400, code,
			"/claims" + strings.Repeat("/a", 31) + " size"},
		{"unknown member", post(`{"user":"a","amr":["pwd"],"admin":true,"epoch":9}`), 400, code, "/admin unknown,/epoch unknown"},
		{"member in another case", post(`{"User":"a","amr":["pwd"]}`), 400, code, "/User unknown,/user required"},
		{"unknown member of a member", post(`{"user":{"loginIds":["a@example.com"],"admin":true},"amr":["pwd"]}`), 400, code, "/user/admin unknown"},
		{"member twice", post(`{"user":"a","user":"b","amr":["pwd"]}`), 400, code, "/user duplicate"},
		{"claim twice", post(`{"user":"a","amr":["pwd"],"claims":{"x":1,"x":2}}`), 400, code, "/claims/x duplicate"},
		{"wrong types", post(`{"user":"a","amr":"pwd","revokeOthers":"yes"}`), 400, code, "/amr type,/revokeOthers type"},
		{"nothing", post(""), 400, code, "/user required,/amr required"},
		{"a form", post(good, "Content-Type", "application/x-www-form-urlencoded"), 400, code, " format"},
		{"text", post(good, "Content-Type", "text/plain"), 400, code, " format"},
		{"compressed", post(good, "Content-Encoding", "gzip"), 400, code, " format"},
	}
}

func badValues(in tenancy) []bad {
	const invalid, outside = latchkey.CodeInvalidRequest, latchkey.CodeOutOfRange
	settings := func(body string) call {
		return call{method: "PATCH", path: in.api("/settings"), bearer: in.ManagementKey, body: body}
	}
	session := func(more string) call {
		return call{method: "POST", path: in.api("/sessions"), bearer: in.ManagementKey, body: `{"user":{"loginIds":["a@example.com"]},` + more + `}`}
	}
	user := func(body string) call {
		return call{method: "POST", path: in.api("/users"), bearer: in.ManagementKey, body: body}
	}
	return []bad{
		{"over the range", settings(`{"reuseWindow":"121s"}`), 422, outside, "/reuseWindow range"},
		{"under the range", settings(`{"sessionTokenTTL":"59s"}`), 422, outside, "/sessionTokenTTL range"},
		{"several", settings(`{"sessionTokenTTL":"25h","absoluteTimeout":"3y","refreshRateLimit":0}`), 400, invalid, "/absoluteTimeout format,/sessionTokenTTL range,/refreshRateLimit range"},
		{"all out of range", settings(`{"sessionTokenTTL":"25h","refreshRateLimit":0}`), 422, outside, "/sessionTokenTTL range,/refreshRateLimit range"},
		{"no such choice", settings(`{"signingAlgorithm":"none"}`), 422, outside, "/signingAlgorithm range"},
		{"contradiction", settings(`{"idleTimeout":"10m","sessionTokenTTL":"20m"}`), 422, latchkey.CodeContradiction,
			"/sessionTokenTTL contradiction,/idleTimeout contradiction"},
		{"setting of another type", settings(`{"maxSessionsPerUser":"many"}`), 400, invalid, "/maxSessionsPerUser type"},
		{"unknown setting", settings(`{"reusewindow":"1s"}`), 400, invalid, "/reusewindow unknown"},
		{"public suffix", settings(`{"cookies":{"domain":"co.uk"}}`), 400, invalid, "/cookies/domain format"},
		{"unknown method", session(`"amr":["magic"]`), 400, invalid, "/amr/0 range"},
		{"mfa is ours to say", session(`"amr":["pwd","mfa"]`), 400, invalid, "/amr/1 reserved"},
		{"lifetime over the range", session(`"amr":["pwd"],"lifetime":"29d"`), 422, outside, "/lifetime range"},
		{"lifetime isn't one", session(`"amr":["pwd"],"lifetime":"soon"`), 400, invalid, "/lifetime format"},
		{"reserved claim", session(`"amr":["pwd"],"claims":{"sub":"usr_root"}`), 422, latchkey.CodeReservedClaim, "/claims/sub reserved"},
		{"reserved claim in another case", session(`"amr":["pwd"],"claims":{"ROLES":["admin"]}`), 422, latchkey.CodeReservedClaim, "/claims/ROLES reserved"},
		{"large claim", session(`"amr":["pwd"],"claims":{"a":"` + strings.Repeat("x", 600) + `"}`), 422, latchkey.CodeClaimsTooLarge, "/claims/a size"},
		{"no address", session(`"amr":["pwd"],"device":{"ip":"fe80::1%eth0"}`), 400, invalid, "/device/ip format"},
		{"no login id", user(`{}`), 400, invalid, "/loginIds format"},
		{"no e-mail address", user(`{"loginIds":["b"],"email":"b"}`), 400, invalid, "/email format"},
		{"login id taken", user(`{"loginIds":["alice@example.com"]}`), 409, latchkey.CodeConflict, ""},
	}
}

func badQueries(in tenancy) []bad {
	const code = latchkey.CodeInvalidRequest
	list := func(path string) call { return call{method: "GET", path: in.api(path), bearer: in.ManagementKey} }
	return []bad{
		{"unknown parameter", list("/sessions?admin=1"), 400, code, "?admin unknown"},
		{"parameter twice", list("/sessions?pageSize=1&pageSize=2"), 400, code, "?pageSize duplicate"},
		{"page too large", list("/sessions?pageSize=201"), 400, code, "?pageSize range"},
		{"page too small", list("/users?pageSize=0"), 400, code, "?pageSize range"},
		{"no number", list("/users?pageSize=0x10"), 400, code, "?pageSize type"},
		{"forged page", list("/sessions?pageToken=AAAA"), 400, code, "?pageToken format"},
		{"no such state", list("/sessions?state=alive"), 400, code, "?state range"},
		{"no user id", list("/sessions?user=usr_1'%20OR%201=1--"), 400, code, "?user format"},
		{"no network", list("/sessions?ip=10.0.0.1/8"), 400, code, "?ip format"},
		{"no time", list("/events?from=yesterday"), 400, code, "?from format"},
		{"no such event", list("/events?type=session.%25"), 400, code, "?type range"},
		{"broken escape", list("/events?from=%zz"), 400, code, "? format"},
		{"semicolon", list("/sessions?state=active;user=x"), 400, code, "? format"},
	}
}

// badCredentials are requests by somebody else than they should be by.
func badCredentials(in, other tenancy, set latchkey.TokenSet) []bad {
	const code = latchkey.CodeUnauthenticated
	as := func(key string) call { return call{method: "GET", path: in.api("/sessions"), bearer: key} }
	header := func(value string) call {
		return call{method: "GET", path: in.api("/sessions"), header: map[string]string{"Authorization": value}}
	}
	two := refresh(in, set.RefreshToken)
	two.body = map[string]string{"refreshToken": set.SessionToken}
	never := refresh(in, set.RefreshToken)
	never.body = map[string]string{"rotate": "never"}
	late := refresh(in, set.RefreshToken)
	late.body = map[string]string{"composedAt": "2020-01-01T00:00:00Z"}
	return []bad{
		{"none", as(""), 401, code, ""},
		{"another project's key", as(other.ManagementKey), 401, code, ""},
		{"a session token as key", as(set.SessionToken), 401, code, ""},
		{"no Bearer", header("Basic " + in.ManagementKey), 401, code, ""},
		{"nothing behind Bearer", header("Bearer "), 401, code, ""},
		{"a space in it", header("Bearer " + in.ManagementKey + " x"), 401, code, ""},
		{"a verify key may not manage", as(in.VerifyKey), 403, latchkey.CodeForbidden, ""},
		{"no token", refresh(in, ""), 401, code, ""},
		{"a session token can't refresh", refresh(in, set.SessionToken), 401, code, ""},
		{"a key is no token", refresh(in, in.ManagementKey), 401, code, ""},
		{"two tokens", two, 422, latchkey.CodeContradiction, "/refreshToken contradiction"},
		{"rotate=never by a user", never, 403, latchkey.CodeForbidden, ""},
		{"composed too long ago", late, 409, latchkey.CodeRequestExpired, ""},
		{"another project's token", refresh(other, set.RefreshToken), 401, code, ""},
		{"another project's session", call{method: "GET", path: other.api("/sessions/" + set.Session.ID), bearer: other.ManagementKey}, 404, latchkey.CodeNotFound, ""},
	}
}

// badAddresses are requests for what isn't there.
func badAddresses(in tenancy, set latchkey.TokenSet) []bad {
	const code = latchkey.CodeNotFound
	nobody := tenancy{ID: in.ID[:len(in.ID)-4] + "0000"}
	get := func(path string) call { return call{method: "GET", path: path, bearer: in.ManagementKey} }
	sid := set.Session.ID
	return []bad{
		{"unknown project", refresh(nobody, set.RefreshToken), 404, code, ""},
		{"no project at all", call{method: "GET", path: "/prj_/session", bearer: set.SessionToken}, 404, code, ""},
		{"unknown project's keys", call{method: "GET", path: nobody.user("/.well-known/jwks.json")}, 404, code, ""},
		// Whoever has no key of a project isn't told whether there is one.
		{"management of an unknown project", get(nobody.api("/sessions")), 401, latchkey.CodeUnauthenticated, ""},
		{"unknown session", get(in.api("/sessions/" + sid[:len(sid)-4] + "0000")), 404, code, ""},
		{"no session id", get(in.api("/sessions/%00%27--")), 404, code, ""},
		{"unknown user", get(in.api("/users/usr_x")), 404, code, ""},
		{"sign-in of an unknown user", call{method: "POST", path: in.api("/sessions"), bearer: in.ManagementKey, body: `{"user":"nobody@example.com","amr":["pwd"]}`}, 404, code, ""},
		{"unknown key", call{method: "POST", path: in.api("/keys/key_x/revoke"), bearer: in.ManagementKey}, 404, code, ""},
		{"nothing there", get("/v2/projects"), 404, code, ""},
		{"the wrong method", call{method: "PUT", path: in.api("/settings"), bearer: in.ManagementKey}, 405, latchkey.CodeInvalidRequest, ""},
	}
}
