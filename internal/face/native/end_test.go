package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

type ended struct {
	Revoked int  `json:"revoked"`
	DryRun  bool `json:"dryRun"`
}

func TestRevokeOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	for want := range 2 {
		var got ended
		w.ok(t, w.manage("POST", "/sessions/"+set.Session.ID+"/revoke", `{}`), &got)
		if got.Revoked != 1-want {
			t.Errorf("revoked %d, want %d", got.Revoked, 1-want)
		}
	}
	w.refused(t, w.end("POST", "/session/refresh", set.RefreshToken), latchkey.CodeSessionRevoked)
	if n := w.counter.of("ended revoked"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestRevokeAUsersSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newUser(t, w.project, "mallory@example.com")
	foreign := w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"]}`, stranger))
	w.signIn(t, w.site)
	set := w.signIn(t, w.site)
	var got ended
	w.ok(t, w.manage("POST", "/users/"+w.user.String()+"/sessions/revoke", ""), &got)
	if got.Revoked != 2 {
		t.Errorf("revoked %d, want 2", got.Revoked)
	}
	w.refused(t, w.end("GET", "/session", set.SessionToken), latchkey.CodeSessionRevoked)
	w.refresh(t, foreign.RefreshToken)
	w.refresh(t, w.signIn(t, w.site).RefreshToken)
	w.refused(t, w.manage("POST", "/users/"+w.another(t).user.String()+"/sessions/revoke", ""), latchkey.CodeNotFound)
	w.refused(t, w.manage("POST", "/users/nonsense/sessions/revoke", ""), latchkey.CodeNotFound)
}

func TestRevokeByFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.newUser(t, w.project, "bob@example.com")
	start := w.clock.Now()
	at := func(hours int) string {
		return start.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
	}
	for i := range 4 {
		user := w.user
		if i == 3 {
			user = bob
		}
		w.signInAs(t, w.site, fmt.Sprintf(`{"user":%q,"amr":["pwd"],"device":{"ip":"198.51.%d.7"}}`, user, 100+i))
		w.clock.Move(time.Hour)
	}
	for _, c := range []struct {
		filter string
		want   int
	}{
		{`"ip":"198.51.100.0/24"`, 1},
		{`"ip":"198.51.100.0/22"`, 4},
		{`"ip":"198.51.100.7"`, 1},
		{`"ip":"198.51.100.8"`, 0},
		{fmt.Sprintf(`"user":%q`, bob), 1},
		{fmt.Sprintf(`"createdFrom":%q`, at(1)), 3},
		{fmt.Sprintf(`"createdTo":%q`, at(1)), 1},
		{fmt.Sprintf(`"createdFrom":%q,"createdTo":%q`, at(1), at(3)), 2},
		{fmt.Sprintf(`"user":%q,"ip":"198.51.100.0/24"`, bob), 0},
		{`"all":true`, 4},
	} {
		var got ended
		w.ok(t, w.manage("POST", "/sessions/revoke", `{"dryRun":true,`+c.filter+`}`), &got)
		if got.Revoked != c.want || !got.DryRun {
			t.Errorf("%s: %+v, want %d", c.filter, got, c.want)
		}
	}
	if n := w.active(t); n != 4 {
		t.Fatalf("a dry run ended something: %d live", n)
	}
	for _, c := range []struct {
		filter     string
		want, left int
	}{{`"ip":"198.51.100.0/23"`, 2, 2}, {`"ip":"198.51.100.0/23"`, 0, 2}, {`"all":true`, 2, 0}} {
		var got ended
		w.ok(t, w.manage("POST", "/sessions/revoke", `{`+c.filter+`}`), &got)
		if got.Revoked != c.want || w.active(t) != c.left {
			t.Errorf("%s: revoked %d and %d live, want %d and %d", c.filter, got.Revoked, w.active(t), c.want, c.left)
		}
	}
}

// Whoever forgets the filter must not log everybody out.
func TestRevokeRefusesWhatIsUnclear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.signIn(t, w.site)
	for name, c := range map[string]struct {
		body string
		code latchkey.Code
	}{
		"nothing":         {``, latchkey.CodeInvalidRequest},
		"an empty object": {`{}`, latchkey.CodeInvalidRequest},
		"nulls":           {`{"user":null,"ip":null}`, latchkey.CodeInvalidRequest},
		"only a dry run":  {`{"dryRun":true}`, latchkey.CodeInvalidRequest},
		"both":            {`{"all":true,"ip":"192.0.2.0/24"}`, latchkey.CodeContradiction},
		"unreadable":      {`{"user":"bob","ip":"192.0.2.7/24"}`, latchkey.CodeInvalidRequest},
	} {
		a := w.refused(t, w.manage("POST", "/sessions/revoke", c.body), c.code)
		golden(t, "problems/revoke-"+strings.ReplaceAll(name, " ", "-"), a.body)
	}
	w.refresh(t, set.RefreshToken)
}
