package audit_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func TestParseFilter(t *testing.T) {
	s, u, tenant := id.NewSession(now), id.NewUser(now), id.NewTenant(now)
	for name, c := range map[string]struct {
		in   latchkey.EventFilter
		want audit.Query
	}{
		"nothing": {latchkey.EventFilter{}, audit.Query{Types: []audit.Type{}}},
		"everything": {
			latchkey.EventFilter{
				Types: []string{"session.ended", "key.revoked"}, Session: s.String(), User: u.String(), Tenant: tenant.String(),
				Actor: "user:" + u.String(), IP: "192.0.2.1", RequestID: "r", From: now, To: now.Add(time.Hour),
			},
			audit.Query{
				Types: []audit.Type{audit.SessionEnded, audit.KeyRevoked}, Session: s, User: u, Tenant: tenant,
				Actor: audit.UserActor(u), IP: "192.0.2.1", RequestID: "r", From: now, To: now.Add(time.Hour),
			},
		},
		"an address in another form": {latchkey.EventFilter{IP: "::ffff:192.0.2.1"}, audit.Query{Types: []audit.Type{}, IP: "192.0.2.1"}},
		"a kind":                     {latchkey.EventFilter{Types: []string{"sign_in.*"}, Actor: "system"}, audit.Query{Types: []audit.Type{audit.SignInDenied}, Actor: audit.System}},
	} {
		if got, problems := audit.ParseFilter(c.in); len(problems) > 0 || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, problems, c.want)
		}
	}
}

// Nothing is done by an actor whose name is misspelt, and an empty list would say that
// nothing was done.
func TestParseFilterKnowsWhoActs(t *testing.T) {
	user, key := id.NewUser(time.UnixMilli(1)), id.NewManagementKey(time.UnixMilli(1))
	for given, fine := range map[string]bool{
		"": true, "system": true, "cli": true, "user:" + user.String(): true, "key:" + key.String(): true,
		"sytem": false, "CLI": false, "alice": false, user.String(): false, "key:" + user.String(): false, "user:alice@example.com": false,
		"user:" + user.String() + "0": false, "system:" + user.String(): false,
	} {
		if _, problems := audit.ParseFilter(latchkey.EventFilter{Actor: given}); (len(problems) == 0) != fine {
			t.Errorf("%q: %v", given, problems)
		}
	}
}

// All that is wrong is told at once, and nothing of what was given.
func TestParseFilterTellsAll(t *testing.T) {
	const given = "given-by-mistake"
	_, problems := audit.ParseFilter(latchkey.EventFilter{Types: []string{"user.*", given}, Session: given, User: given, Tenant: given, Actor: given, IP: "fe80::1%" + given})
	var names []string
	for _, p := range problems {
		names = append(names, p.Pointer)
		if p.Code == "" || !strings.HasSuffix(p.Detail, ".") || strings.Contains(p.Detail, given) {
			t.Errorf("of %s it says %q (%s)", p.Pointer, p.Detail, p.Code)
		}
	}
	if want := []string{"type", "session", "user", "tenant", "actor", "ip"}; !slices.Equal(names, want) {
		t.Errorf("wrong are %v, want %v", names, want)
	}
}
