package latchkey

import (
	"strings"
	"testing"
)

func TestCustomClaims(t *testing.T) {
	c := &Claims{
		Subject: "usr_1",
		custom:  []claimMember{{"plan", `"pro"`}, {"limits", `{"n":[1,2]}`}, {"theme", `"light"`}},
		client:  []claimMember{{"theme", `"dark"`}, {"sub", `"usr_2"`}, {"roles", `["admin"]`}},
	}
	var plan, theme string
	var limits struct{ N []int }
	if ok, err := c.Claim("plan", &plan); !ok || err != nil || plan != "pro" {
		t.Errorf("plan is %q: %v, %v", plan, ok, err)
	}
	if ok, err := c.Claim("limits", &limits); !ok || err != nil || len(limits.N) != 2 {
		t.Errorf("limits are %+v: %v, %v", limits, ok, err)
	}
	if ok, err := c.Claim("theme", &theme); !ok || err != nil || theme != "light" {
		t.Errorf("theme is %q: %v, %v", theme, ok, err)
	}
	if ok, err := c.ClientClaim("theme", &theme); !ok || err != nil || theme != "dark" {
		t.Errorf("the client's theme is %q: %v, %v", theme, ok, err)
	}
	// What a client asked for is never taken for a claim, and names are exact.
	for _, name := range []string{"sub", "roles", "Plan", "PLAN", "pla", ""} {
		var v any
		if ok, err := c.Claim(name, &v); ok || err != nil || v != nil {
			t.Errorf("%q is %v: %v, %v", name, v, ok, err)
		}
	}
	if ok, err := c.ClientClaim("plan", &plan); ok || err != nil {
		t.Errorf("a claim is taken for a client's: %v, %v", ok, err)
	}
}

// An error says which claim doesn't fit, and not what it holds.
func TestCustomClaimOfAnotherType(t *testing.T) {
	c := &Claims{custom: []claimMember{{"plan", `"canary"`}}}
	var n int
	ok, err := c.Claim("plan", &n)
	if !ok || err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), `"plan"`) {
		t.Errorf("%v, %v", ok, err)
	}
}
