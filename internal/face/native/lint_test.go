package native_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
)

// canary is in every value that the linter is to find.
const canary = "wombat"

// flaggable are claims with everything that the linter knows, each with the canary in it
// where it has letters.
var flaggable = `{"mail":"` + canary + `@example.com","db":"postgres://app:` + canary + `@db/x","password":"` + canary + `",
	"api":{"key":["lk_mgmt_` + strings.Repeat(canary, 4) + `"]},"auth":"Bearer ` + canary + `0123456789",
	"card":"4111 1111 1111 1111","phone":"+14155552671","ssn":"078-05-1120"}`

// flags returns what the events claims.flagged say, sorted: on a clock that stands still
// nothing is newer.
func (w *world) flags(t *testing.T) []string {
	t.Helper()
	var list struct {
		Events []struct {
			Session, User string
			Data          map[string]json.RawMessage
		}
	}
	a := w.ok(t, w.manage("GET", "/events?type="+string(audit.ClaimsFlagged), ""), &list)
	if strings.Contains(string(a.body), canary) || strings.Contains(string(a.body), "4111") {
		t.Errorf("a value is in the events: %s", a.body)
	}
	var out []string
	for _, e := range list.Events {
		var found []map[string]string
		must(t, json.Unmarshal(e.Data["findings"], &found))
		text := ""
		for _, f := range found {
			if len(f) != 2 {
				t.Errorf("the event says %v", f)
			}
			text += " " + f["pointer"] + "=" + f["kind"]
		}
		if e.Session == "" || e.User == "" || len(e.Data) != 1 {
			t.Errorf("the event is %+v", e)
		}
		out = append(out, strings.TrimSpace(text))
	}
	slices.Sort(out)
	return out
}

func (w *world) wantFlags(t *testing.T, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := w.flags(t); !slices.Equal(got, want) {
		t.Errorf("%s: the events say\n%q, want\n%q", what, got, want)
	}
}

func TestClaimLintWarns(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // warn is the default
	signIn := func(members string) latchkey.TokenSet {
		return w.signInAs(t, w.site, `{"user":"alice@example.com","amr":["pwd"]`+members+`}`)
	}
	signIn(`,"claims":{"plan":"pro"},"nsec":{"theme":"dark"}`)
	w.wantFlags(t, "clean claims")
	set := signIn(`,"claims":{"mail":"wombat@example.com"},"nsec":{"x":[{"password":"wombat"}]}`)
	first := "/claims/mail=email /nsec/x/0/password=password"
	w.wantFlags(t, "a sign-in", first)

	path := "/sessions/" + set.Session.ID
	patch := func(body string) { w.ok(t, w.manage("PATCH", path, body), nil) }
	patch(`{"claims":{"mail":"wombat@example.org","plan":"team"}}`)
	w.wantFlags(t, "the same place again", first)
	patch(`{"claims":{"plan":"gold"},"nsec":{"x":null,"wombat@example.com":null}}`)
	w.wantFlags(t, "something else, and a removal", first)
	patch(`{"claims":{"mail":"4111111111111111","note":"+14155552671"}}`)
	second := "/claims/mail=card /claims/note=phone"
	w.wantFlags(t, "another kind and place", second, first)
	patch(`{"claims":{"a@wombat.example":{"token":"wombatwombat"}}}`)
	third := "/claims=email /claims/token=token"
	w.wantFlags(t, "a name", third, second, first)
	if n := w.counter.of("flagged warn"); n != 4 {
		t.Errorf("%d calls were counted", n)
	}

	// A refresh passes on what is there, whatever the setting says by then.
	w.settings(t, `{"claimLint":"reject"}`)
	w.clock.Move(window)
	w.refresh(t, set.RefreshToken)
	w.wantFlags(t, "a refresh", third, second, first)
	// Neither is a change of something else refused for it.
	patch(`{"claims":{"plan":"basic"}}`)

	w.settings(t, `{"claimLint":"off"}`)
	signIn(`,"claims":` + flaggable)
	patch(`{"claims":` + flaggable + `}`)
	w.wantFlags(t, "off", third, second, first)
	if warned, refused := w.counter.of("flagged warn"), w.counter.of("flagged reject"); warned != 4 || refused != 0 {
		t.Errorf("%d and %d calls were counted", warned, refused)
	}
}

func TestClaimLintRejects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, `{"claimLint":"reject"}`)
	set := w.signInAs(t, w.site, `{"user":"alice@example.com","amr":["pwd"],"claims":{"plan":"pro"}}`)
	path := "/sessions/" + set.Session.ID
	for name, c := range map[string]struct {
		call   call
		status int
	}{
		"sign-in":             {w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd"],"claims":`+flaggable+`,"nsec":`+flaggable+`}`), 422},
		"user object":         {w.manage("POST", "/sessions", `{"user":{"loginIds":["eve"]},"amr":["pwd"],"claims":`+flaggable+`}`), 422},
		"claims":              {w.manage("PATCH", path, `{"claims":`+flaggable+`}`), 422},
		"nsec":                {w.manage("PATCH", path, `{"nsec":`+flaggable+`}`), 422},
		"a name":              {w.manage("PATCH", path, `{"nsec":{"`+canary+`@example.com":1}}`), 422},
		"with something else": {w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["magic"],"claims":`+flaggable+`}`), 400},
	} {
		a := w.refused(t, c.call, latchkey.CodeInvalidRequest)
		if a.status != c.status || strings.Contains(fmt.Sprint(a.header, string(a.body)), canary) || strings.Contains(string(a.body), "4111") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		golden(t, "problems/lint-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	w.wantFlags(t, "refusals")
	if n := w.counter.of("flagged reject"); n != 5 {
		t.Errorf("%d calls were counted", n)
	}
	if n := w.active(t); n != 1 {
		t.Errorf("%d sessions live, want 1", n)
	}
	if _, err := w.directory.UserByLogin(t.Context(), w.project, "eve"); err == nil {
		t.Error("a refused sign-in made its user")
	}
	var s latchkey.Session
	w.ok(t, w.manage("GET", path, ""), &s)
	if string(s.Claims) != `{"plan":"pro"}` || s.NSec != nil {
		t.Errorf("refused changes left %s and %s", s.Claims, s.NSec)
	}
	w.refused(t, w.manage("PATCH", path, `{"claims":{"sub":"wombat@example.com"}}`), latchkey.CodeReservedClaim)
}

// What is flagged is in no log: reports are what the server's log has of refusals.
func TestFlaggedValuesAreInNoReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret(strings.Repeat(canary, 3)) // which every answer and report is searched for
	long := `{"claims":{"` + strings.Repeat(canary, 4) + `@example.com":"x","password":"` + strings.Repeat(canary, 4) + `","a":["` + strings.Repeat(canary, 4) + `@example.com"]}}`
	sid := w.signIn(t, w.site).Session.ID
	w.ok(t, w.manage("PATCH", "/sessions/"+sid, long), nil)
	w.settings(t, `{"claimLint":"reject"}`)
	a := w.refused(t, w.manage("PATCH", "/sessions/"+sid, long), latchkey.CodeInvalidRequest)
	if a.status != http.StatusUnprocessableEntity || len(a.problem.Errors) != 3 {
		t.Errorf("%s", a.body)
	}
	w.wantFlags(t, "a change", "/claims/a/0=email /claims/password=password /claims=email")
	// An error page may show what it is told, but isn't told this.
	w.refused(t, w.manage("POST", "/sessions", `{"user":"alice@example.com","amr":["pwd"],"claims":{"password":"`+strings.Repeat(canary, 4)+`"}}`), latchkey.CodeInvalidRequest)
}
