package latchkey

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Pain 18: a wrong clock is neither a reason to sign in again nor to refresh in a loop.
func TestPain18Clock(t *testing.T) {
	for _, reason := range []Reason{ReasonExpired, ReasonNotYetValid} {
		k := newRig(t, withSignIn(t, "/sign-in"))
		k.bad("s1", ReasonExpired)
		k.bad("s2", reason)
		k.answers("s2", "r2")
		w := k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "r1", "Accept: text/html"))
		k.refused(w, 503, CodeUnavailable, false, "save s2 r2")
		if k.questions() != 1 {
			t.Errorf("%s: asked %d times", reason, k.questions())
		}
	}
}

// Pain 21 and attack 31: leftovers and planted cookies neither hide the good ones nor
// cost the session.
func TestPain21Duplicates(t *testing.T) {
	now := time.Now()
	k := newRig(t)
	k.good("s1", Claims{Subject: "old", IssuedAt: now.Add(-time.Minute)})
	k.good("s2", Claims{Subject: "ann", IssuedAt: now, Epoch: 7})
	k.good("s3", Claims{Subject: "older state", IssuedAt: now, Epoch: 6})
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "s1", "s2", "s3", "sx", "r1")), "ann with s2", "tidy s2 r1")
	// Nobody knows yet which refresh token is good, so none is thrown away.
	k.passed(k.serve(k.m.Required(seen), visitor("GET", "/", "s2", "r1", "r2")), "ann with s2", "tidy s2 ")
	k.refused(k.serve(k.m.Require(Requirement{Roles: []string{"x"}})(seen), visitor("GET", "/", "s2", "sx")), 403, CodeForbidden, false, "")

	verdicts := map[string]error{
		"r-ended": terminal(CodeSessionRevoked), "r-reused": terminal(CodeTokenReuse), "r-junk": transient(CodeUnauthenticated, 401, 0),
		"r-busy": transient(CodeRateLimited, 429, time.Second), "r-lost": errors.New("connection reset"),
	}
	k.answer = func(_ context.Context, r RefreshRequest) (TokenSet, error) {
		return TokenSet{SessionToken: "s2", RefreshToken: "r-next"}, verdicts[r.Token]
	}
	for _, c := range []struct {
		held   string
		status int
		code   Code
		ended  bool
		change string
	}{
		{"r-good", 200, "", false, "save s2 r-next"},
		{"r-ended r-good", 200, "", false, "save s2 r-next, tidy s2 r-next"},
		{"r-junk r-busy r-good", 200, "", false, "save s2 r-next, tidy s2 r-next"},
		{"r-{} r-junk r-ended r-good", 200, "", false, "save s2 r-next, tidy s2 r-next"},
		{"r-ended r-reused", 401, CodeSessionRevoked, true, "clear"},
		{"r-ended r-junk", 401, CodeUnauthenticated, false, "tidy  r-junk"},
		{"r-junk r-{}", 401, CodeUnauthenticated, false, ""},
		{strings.Repeat("r", maxToken+1), 401, CodeUnauthenticated, false, ""}, // attack 36
		{strings.Repeat("r", maxToken+1) + " r-good", 200, "", false, "save s2 r-next, tidy s2 r-next"},
		{"r-ended r-junk r-{}", 401, CodeUnauthenticated, false, ""},
		{"r-ended r-busy", 503, CodeUnavailable, false, "tidy  r-busy"},
		// When the server can't be reached, the others aren't tried.
		{"r-lost r-good", 503, CodeUnavailable, false, ""},
		{"r-ended r-lost r-good", 503, CodeUnavailable, false, ""},
	} {
		k.m.refresher = newRefresher(k.Refresh, false, time.Now)
		held := strings.ReplaceAll(c.held, "{}", "\x7f") // what can't be a token
		r := visitor("GET", "/", strings.Fields(held)...)
		w := k.serve(k.m.Required(seen), r)
		if c.status == 200 {
			k.passed(w, "ann with s2", c.change)
		} else {
			k.refused(w, c.status, c.code, c.ended, c.change)
		}
	}
}

// However many are planted, one request asks three times at the most, and those that the
// server has refused don't stand in the way of the good one.
func TestManyPlantedTokens(t *testing.T) {
	k := newRig(t)
	k.good("s2", Claims{Subject: "ann"})
	k.answer = func(_ context.Context, r RefreshRequest) (TokenSet, error) {
		if r.Token == "r-good" {
			return TokenSet{SessionToken: "s2", RefreshToken: "r-next"}, nil
		}
		return TokenSet{}, terminal(CodeSessionRevoked)
	}
	request := func() *http.Request { return visitor("GET", "/", "r1", "r2", "r3", "r4", "r-good") }
	k.refused(k.serve(k.m.Required(seen), request()), 503, CodeUnavailable, false, "")
	if k.questions() != maxAsked {
		t.Errorf("asked %d times", k.questions())
	}
	k.passed(k.serve(k.m.Required(seen), request()), "ann with s2", "save s2 r-next, tidy s2 r-next")
	if k.questions() != 5 {
		t.Errorf("asked %d times", k.questions())
	}
}

// Pain 24: one refresh for a request, also when its answer is refused again.
func TestPain24NoLoop(t *testing.T) {
	for reason, want := range map[Reason]struct {
		status int
		code   Code
	}{
		// A role changed, or a key was replaced, between the server's answer and its
		// check here. The session is fine: nobody is to be sent to sign in.
		ReasonOutdated:   {503, CodeUnavailable},
		ReasonUnknownKey: {503, CodeUnavailable},
		ReasonRevoked:    {401, CodeUnauthenticated},
	} {
		k := newRig(t, withSignIn(t, "/sign-in"))
		k.bad("s1", ReasonOutdated)
		k.bad("s2", reason)
		k.answers("s2", "r2")
		h := k.m.Required(k.m.Strict(k.m.Required(seen)))
		k.refused(k.serve(h, visitor("GET", "/", "s1", "r1")), want.status, want.code, false, "save s2 r2")
		if k.questions() != 1 {
			t.Errorf("%s: asked %d times", reason, k.questions())
		}
		w := k.serve(h, visitor("GET", "/", "s1", "r1", "Accept: text/html"))
		if sent := w.Header().Get("Location") != ""; sent != (want.status == 401) {
			t.Errorf("%s: sent to sign in: %t", reason, sent)
		}
	}
	// A token that isn't one of this project is an error of the deployment. Nothing of
	// it is kept.
	for _, reason := range []Reason{ReasonSignature, ReasonIssuer, ReasonMalformed} {
		k := newRig(t)
		k.bad("s2", reason)
		k.answers("s2", "r2")
		k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), 503, CodeUnavailable, false, "")
	}
	// The keys to check it with can't be had, but it is the server's answer.
	k := newRig(t)
	k.bad("s2", ReasonKeysUnavailable)
	k.answers("s2", "r2")
	k.refused(k.serve(k.m.Required(seen), visitor("GET", "/", "r1")), 503, CodeUnavailable, false, "save s2 r2")
}
