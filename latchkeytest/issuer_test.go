package latchkeytest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reason(v *latchkey.Verifier, token string, need ...latchkey.Requirement) latchkey.Reason {
	_, err := v.Verify(context.Background(), token, need...)
	return latchkey.ReasonOf(err)
}

func TestTokensAreGood(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	v := i.Verifier()
	set := i.SignIn("alice", latchkeytest.Claims{"roles": []string{"admin"}, "plan": "pro", "amr": []string{"webauthn"}})
	c, err := v.Verify(t.Context(), set.SessionToken, latchkey.Requirement{Roles: []string{"admin"}, AMR: []string{"webauthn"}, Strict: true})
	must(t, err)
	var plan string
	found, err := c.Claim("plan", &plan)
	must(t, err)
	if c.Subject != "alice" || c.SessionID != set.Session.ID || !found || plan != "pro" || !c.ExpiresAt.Equal(set.SessionExpiresAt) {
		t.Errorf("got %+v, plan %q", c, plan)
	}
}

func TestTokensAreAsBadAsWanted(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	v := i.Verifier()
	now := i.Now()
	for name, test := range map[string]struct {
		claims  latchkeytest.Claims
		options []latchkeytest.SignOption
		want    latchkey.Reason
	}{
		"good":           {nil, nil, ""},
		"another issuer": {latchkeytest.Claims{"iss": "https://evil.example/prj_1"}, nil, latchkey.ReasonIssuer},
		"another aud":    {latchkeytest.Claims{"aud": []string{"prj_other"}}, nil, latchkey.ReasonAudience},
		"expired":        {latchkeytest.Claims{"exp": latchkeytest.NumericDate(now.Add(-time.Hour))}, nil, latchkey.ReasonExpired},
		"not yet":        {latchkeytest.Claims{"nbf": latchkeytest.NumericDate(now.Add(time.Hour))}, nil, latchkey.ReasonNotYetValid},
		"type":           {nil, []latchkeytest.SignOption{latchkeytest.Header("typ", "rt+jwt")}, latchkey.ReasonType},
		"no type":        {nil, []latchkeytest.SignOption{latchkeytest.Header("typ", nil)}, latchkey.ReasonType},
		"stranger":       {nil, []latchkeytest.SignOption{latchkeytest.ByStranger()}, latchkey.ReasonSignature},
		"unknown key":    {nil, []latchkeytest.SignOption{latchkeytest.Header("kid", "key_unknown")}, latchkey.ReasonUnknownKey},
	} {
		token := i.Sign(test.claims, test.options...)
		if got := reason(v, token); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := reason(v, i.Sign(nil, latchkeytest.Unsigned())); got == "" {
		t.Error("an unsigned token was accepted")
	}
}

func TestTimePasses(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	v, c := i.Verifier(), i.Client()
	set := i.SignIn("alice")
	i.Advance(12 * time.Minute)
	if got := reason(v, set.SessionToken); got != latchkey.ReasonExpired {
		t.Errorf("after 12 minutes: %q", got)
	}
	next, err := c.Refresh(t.Context(), latchkey.RefreshRequest{Token: set.RefreshToken})
	must(t, err)
	if got := reason(v, next.SessionToken, latchkey.Requirement{Strict: true}); got != "" || next.RefreshToken == set.RefreshToken {
		t.Errorf("after the refresh: %q", got)
	}
	if i.Rotations(set.Session.ID) != 1 || i.Refreshes() != 1 {
		t.Errorf("%d rotations, %d refreshes", i.Rotations(set.Session.ID), i.Refreshes())
	}
	i.Expire(set.Session.ID)
	if _, err = c.Refresh(t.Context(), latchkey.RefreshRequest{Token: next.RefreshToken}); latchkey.CodeOf(err) != latchkey.CodeSessionExpired {
		t.Errorf("after the end: %v", err)
	}
}

func TestVerifiersHearAtOnce(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	streaming, lax := i.Verifier(), i.Verifier(func(c *latchkey.VerifierConfig) { c.Key = "" })
	revocations, err := latchkey.NewRevocations(latchkey.RevocationsConfig{Issuer: i.URL(), Key: i.VerifyKey(), Poll: true, Now: i.Now})
	must(t, err)
	polling := i.Verifier(func(c *latchkey.VerifierConfig) { c.Key, c.Revocations = "", revocations })

	alice, laptop, bob := i.SignIn("alice"), i.SignIn("alice"), i.SignIn("bob")
	check := func(when string, set latchkey.TokenSet, want latchkey.Reason) {
		t.Helper()
		for name, v := range map[string]*latchkey.Verifier{"streaming": streaming, "polling": polling} {
			if got := reason(v, set.SessionToken); got != want {
				t.Errorf("%s, %s: got %q, want %q", when, name, got, want)
			}
		}
		if got := reason(lax, set.SessionToken); got != "" {
			t.Errorf("%s, without a feed: got %q", when, got)
		}
	}
	check("at first", alice, "")
	i.Revoke(alice.Session.ID)
	check("revoked", alice, latchkey.ReasonRevoked)
	check("another", laptop, "")
	phone := i.SignIn("alice")
	i.RevokeUser("alice", phone.Session.ID)
	check("the user's", laptop, latchkey.ReasonRevoked)
	check("the one that was spared", phone, "")
	i.RevokeUser("alice", "")
	check("all", phone, latchkey.ReasonRevoked)
	check("afterwards", i.SignIn("alice"), "")
	check("another user's", bob, "")
	i.ChangeClaims(bob.Session.ID, latchkeytest.Claims{"roles": []string{"admin"}})
	check("changed", bob, latchkey.ReasonOutdated)

	i.Advance(time.Minute)
	next, err := i.Client().Refresh(t.Context(), latchkey.RefreshRequest{Token: bob.RefreshToken})
	must(t, err)
	if got := reason(streaming, next.SessionToken, latchkey.Requirement{Roles: []string{"admin"}}); got != "" {
		t.Errorf("refreshed: %q", got)
	}
	must(t, i.Client().Logout(t.Context(), next.RefreshToken))
	i.Settle()
	check("logged out", next, latchkey.ReasonRevoked)
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	v := i.Verifier()
	c := i.Client(func(c *latchkey.ClientConfig) { c.Retries = -1 })
	set := i.SignIn("alice")
	must(t, second(v.Verify(t.Context(), set.SessionToken)))
	i.Down()
	i.Down()
	if _, err := c.Own(t.Context(), set.RefreshToken); err == nil || latchkey.CodeOf(err) != "" {
		t.Errorf("while down: %v", err)
	}
	i.Revoke(set.Session.ID) // on the other side of the outage
	if got := reason(v, i.Sign(nil)); got != "" {
		t.Errorf("while down: %q", got)
	}
	i.Up()
	i.Settle()
	if got := reason(v, set.SessionToken); got != latchkey.ReasonRevoked {
		t.Errorf("after it: %q", got)
	}
	if _, err := c.Own(t.Context(), set.RefreshToken); latchkey.CodeOf(err) != latchkey.CodeSessionRevoked {
		t.Errorf("after it: %v", err)
	}
}

func TestKeysTurn(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	v, c := i.Verifier(), i.Client()
	before := i.SignIn("alice")
	first, err := v.Verify(t.Context(), before.SessionToken)
	must(t, err)
	kid := i.RotateKeys()
	i.Advance(time.Hour) // unknown keys aren't asked for all the time
	after := i.SignIn("bob")
	claims, err := v.Verify(t.Context(), after.SessionToken)
	must(t, err)
	if claims.KeyID != kid || first.KeyID == kid {
		t.Errorf("signed with %q, then with %q", first.KeyID, claims.KeyID)
	}
	i.RevokeKey(kid)
	if got := reason(v, after.SessionToken); got == "" {
		t.Error("what a revoked key signed is accepted")
	}
	if _, err := c.Refresh(t.Context(), latchkey.RefreshRequest{Token: after.RefreshToken}); latchkey.CodeOf(err) != latchkey.CodeSessionRevoked {
		t.Errorf("refreshed with a revoked key's token: %v", err)
	}
	must(t, second(c.Refresh(t.Context(), latchkey.RefreshRequest{Token: before.RefreshToken})))
	must(t, c.Logout(t.Context(), after.RefreshToken))
}

func TestMistakesFailTheTest(t *testing.T) {
	t.Parallel()
	spy := &recorder{TB: t}
	i := latchkeytest.NewIssuer(spy)
	i.Revoke("ses_none")
	i.Expire("ses_none")
	i.ChangeClaims("ses_none", nil)
	i.RevokeKey("key_none")
	if len(spy.errors) != 4 {
		t.Errorf("got %q", spy.errors)
	}
	if i.Rotations("ses_none") != 0 {
		t.Error("an unknown session has rotated")
	}
}

// recorder keeps errors from failing the test.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestOtherAddressesAreRefused(t *testing.T) {
	t.Parallel()
	i := latchkeytest.NewIssuer(t)
	for _, path := range []string{"/", "/settings", "/session/refresh"} {
		res, err := http.Get(i.URL() + path)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if _, err := i.Client().Settings(t.Context()); latchkey.CodeOf(err) != latchkey.CodeNotFound {
		t.Errorf("settings: %v", err)
	}
	for _, key := range []string{"lk_verify_stranger", "lk_mgmt_stranger"} {
		res, err := http.NewRequest("GET", i.URL()+"/revocations", nil)
		must(t, err)
		res.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(res)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("the feed with a stranger's key: %d", answer.StatusCode)
		}
	}
	if !strings.HasPrefix(i.Key(), "lk_mgmt_") || i.Key() == i.VerifyKey() {
		t.Error("keys have another form than the server's")
	}
}

func second[T any](_ T, err error) error { return err }
