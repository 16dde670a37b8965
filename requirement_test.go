package latchkey

import (
	"encoding/json"
	"testing"
	"time"
)

var testNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func grantedClaims() *Claims {
	return &Claims{
		AMR: []string{"pwd", "totp", "mfa"}, SteppedUp: true, AuthTime: testNoon.Add(-10 * time.Minute),
		CurrentTenant: "ten_1",
		Tenants: map[string]TenantGrants{
			"ten_1": {Roles: []string{"editor"}, Permissions: []string{"write"}},
			"ten_2": {Roles: []string{"owner"}, Permissions: []string{"delete"}},
		},
		Roles: []string{"member"}, Permissions: []string{"read"},
	}
}

func TestRequirement(t *testing.T) {
	for name, c := range map[string]struct {
		need Requirement
		want Reason
	}{
		"nothing":                          {Requirement{}, ""},
		"strict is not of the claims":      {Requirement{Strict: true}, ""},
		"methods":                          {Requirement{AMR: []string{"mfa", "pwd"}}, ""},
		"one method missing":               {Requirement{AMR: []string{"mfa", "webauthn"}}, ReasonMethods},
		"a method in other letters":        {Requirement{AMR: []string{"MFA"}}, ReasonMethods},
		"an empty method":                  {Requirement{AMR: []string{""}}, ReasonMethods},
		"step-up":                          {Requirement{StepUp: true}, ""},
		"age at the bound":                 {Requirement{MaxAge: 10 * time.Minute}, ""},
		"age over it":                      {Requirement{MaxAge: 10*time.Minute - 1}, ReasonAge},
		"a negative age":                   {Requirement{MaxAge: -1}, ReasonAge},
		"the current tenant":               {Requirement{Tenant: "ten_1"}, ""},
		"another tenant":                   {Requirement{Tenant: "ten_2"}, ""},
		"a foreign tenant":                 {Requirement{Tenant: "ten_3"}, ReasonTenant},
		"role of the project":              {Requirement{Roles: []string{"member"}}, ""},
		"role of the current tenant":       {Requirement{Roles: []string{"member", "editor"}}, ""},
		"role of another tenant":           {Requirement{Roles: []string{"owner"}}, ReasonRole},
		"role of the tenant in question":   {Requirement{Tenant: "ten_2", Roles: []string{"owner", "member"}}, ""},
		"role of the current, but not it":  {Requirement{Tenant: "ten_2", Roles: []string{"editor"}}, ReasonRole},
		"permission of the project":        {Requirement{Permissions: []string{"read"}}, ""},
		"permission of the current tenant": {Requirement{Permissions: []string{"read", "write"}}, ""},
		"permission of another tenant":     {Requirement{Permissions: []string{"delete"}}, ReasonPermission},
		"permission of that in question":   {Requirement{Tenant: "ten_2", Permissions: []string{"delete"}}, ""},
		"a role is no permission":          {Requirement{Permissions: []string{"editor"}}, ReasonPermission},
		"in person":                        {Requirement{NotImpersonated: true}, ""},
		"all at once":                      {Requirement{AMR: []string{"pwd"}, StepUp: true, MaxAge: time.Hour, Tenant: "ten_1", Roles: []string{"editor"}, Permissions: []string{"write"}}, ""},
		"all but one":                      {Requirement{AMR: []string{"pwd"}, StepUp: true, MaxAge: time.Hour, Tenant: "ten_1", Roles: []string{"editor"}, Permissions: []string{"delete"}}, ReasonPermission},
	} {
		if got := c.need.unmet(grantedClaims(), testNoon); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Whoever acts in the user's place is told so, also where the user may go.
func TestRequirementOfImpersonation(t *testing.T) {
	c := grantedClaims()
	c.Actor = json.RawMessage(`{}`)
	if got := (&Requirement{NotImpersonated: true, Roles: []string{"nobody"}}).unmet(c, testNoon); got != ReasonImpersonated {
		t.Errorf("%q", got)
	}
	if got := (&Requirement{Roles: []string{"member"}}).unmet(c, testNoon); got != "" {
		t.Errorf("a route that doesn't mind: %q", got)
	}
}

// Claims that say nothing meet no requirement.
func TestRequirementOfEmptyClaims(t *testing.T) {
	for want, need := range map[Reason]Requirement{
		ReasonMethods: {AMR: []string{"pwd"}}, ReasonStepUp: {StepUp: true}, ReasonAge: {MaxAge: 1 << 62},
		ReasonTenant: {Tenant: "ten_1"}, ReasonRole: {Roles: []string{"x"}}, ReasonPermission: {Permissions: []string{"x"}},
	} {
		if got := need.unmet(&Claims{}, testNoon); got != want {
			t.Errorf("%+v: %q, want %q", need, got, want)
		}
	}
	// A current tenant that the list of tenants doesn't have grants membership, no role.
	c := &Claims{CurrentTenant: "ten_1"}
	if got := (&Requirement{Tenant: "ten_1"}).unmet(c, testNoon); got != "" {
		t.Errorf("the current tenant is refused: %s", got)
	}
	if c.HasRole("") || c.HasPermission("") {
		t.Error("nobody has the empty role")
	}
}

func TestHasRole(t *testing.T) {
	c := grantedClaims()
	for _, role := range []string{"member", "editor"} {
		if !c.HasRole(role) || c.HasPermission(role) {
			t.Errorf("role %s", role)
		}
	}
	for _, permission := range []string{"read", "write"} {
		if !c.HasPermission(permission) || c.HasRole(permission) {
			t.Errorf("permission %s", permission)
		}
	}
	if c.HasRole("owner") || c.HasPermission("delete") || c.HasRole("Member") {
		t.Error("grants of another tenant, or of another spelling, count")
	}
}
