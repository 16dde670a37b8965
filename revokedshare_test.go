package latchkey

import (
	"fmt"
	"hash/fnv"
	"testing"
	"time"
)

func TestRoleMark(t *testing.T) {
	// The first two are the test vectors of the hash's authors.
	for name, want := range map[string]string{"": "role_cbf29ce484222325", "foobar": "role_85944171f73967e8"} {
		if got := RoleMark(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"a", "Tenant Admin", "billing:read/all.v2", "ä", "\x00"} {
		h := fnv.New64a()
		h.Write([]byte(name))
		mark := RoleMark(name)
		if want := fmt.Sprintf("role_%016x", h.Sum64()); mark != want || !isID(mark) {
			t.Errorf("%q: %s, want %s", name, mark, want)
		}
		if got, ok := parseRoleMark(mark); !ok || got != h.Sum64() {
			t.Errorf("%s is read as %x, %v", mark, got, ok)
		}
	}
	if mark := roleMarkOf(10); mark != "role_000000000000000a" {
		t.Errorf("a small hash: %s", mark)
	}
}

// A role of one tenant is told apart from those of the same name elsewhere.
func TestTenantRoleMark(t *testing.T) {
	if got, want := TenantRoleMark("ten_1", "member"), RoleMark("ten_1/member"); got != want || got == TenantRoleMark("ten_2", "member") || got == RoleMark("member") {
		t.Errorf("%s, want %s", got, want)
	}
	x := newRevokedIndex(feedProject)
	e := feedEntry("role", TenantRoleMark("ten_1", "admin"), 10)
	if got := x.add(&e, 0); got != entryAdded {
		t.Fatalf("outcome %d", got)
	}
	names := func(list ...string) map[string]TenantGrants { return map[string]TenantGrants{"ten_1": {Roles: list}} }
	for name, c := range map[string]struct {
		roles   []string
		tenants map[string]TenantGrants
		second  int
		want    Reason
	}{
		"in that tenant":             {nil, names("member", "admin"), 10, ReasonOutdated},
		"minted later":               {nil, names("admin"), 11, ""},
		"another role there":         {nil, names("member"), 10, ""},
		"the project's":              {[]string{"admin"}, names(), 10, ""},
		"in another tenant":          {nil, map[string]TenantGrants{"ten_2": {Roles: []string{"admin"}}}, 10, ""},
		"in that tenant and another": {nil, map[string]TenantGrants{"ten_1": {Roles: []string{"admin"}}, "ten_2": {}}, 10, ReasonOutdated},
	} {
		claims := feedClaims(c.second)
		claims.Roles, claims.Tenants = c.roles, c.tenants
		if got := x.judge(claims); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestShareMark(t *testing.T) {
	for from := range 101 {
		for to := range 101 {
			mark := ShareMark(from, to)
			f, u, ok := parseShareMark(mark)
			if ok != (from < to) || ok && (f != from || u != to) || !isID(mark) {
				t.Errorf("%s: %d to %d, %v", mark, f, u, ok)
			}
		}
	}
}

// Sessions are spread over the shares evenly: half of the shares is about half of the
// sessions, whatever their identifiers have in common.
func TestShareIsEven(t *testing.T) {
	const n = 100_000
	var count [shares]int
	for i := range n {
		share := Share(fmt.Sprintf("ses_01k9zzzzzzzzzzzzzzzzz%06d", i))
		if share < 0 || share >= shares {
			t.Fatalf("share %d", share)
		}
		count[share]++
	}
	for share, c := range count {
		if c < n/shares*7/10 || c > n/shares*13/10 {
			t.Errorf("share %d has %d of %d sessions", share, c, n)
		}
	}
}

// More roles than a project has cost a refresh each; they never let an outdated token
// through, nor take room from what is revoked.
func TestAttack42FloodOfRolesNeverUnchanges(t *testing.T) {
	x := newRevokedIndex(feedProject)
	for i := range maxRevokedRoles {
		e := feedEntry("role", RoleMark(fmt.Sprint("flood ", i)), 5)
		if got := x.add(&e, 0); got != entryAdded {
			t.Fatalf("role %d: %d", i, got)
		}
	}
	if got := x.judge(feedClaims(5)); got != "" {
		t.Fatalf("none of them is the token's: %q", got)
	}
	last := feedEntry("role", RoleMark("member"), 10)
	if got := x.add(&last, 0); got != entryAdded || x.size() != maxRevokedRoles+1 || x.crowded() {
		t.Fatalf("outcome %d, %d entries, crowded %v", got, x.size(), x.crowded())
	}
	if got := x.judge(feedClaims(10)); got != ReasonOutdated {
		t.Errorf("a token with the role without room: %q", got)
	}
	if got := x.judge(feedClaims(11)); got != "" {
		t.Errorf("a token that was minted later: %q", got)
	}
	other := feedClaims(10)
	other.Roles, other.Tenants = nil, nil
	if got := x.judge(other); got != ReasonOutdated {
		t.Errorf("a token without the role: %q, want a refresh too many", got)
	}
	known := feedEntry("role", RoleMark("flood 1"), 20)
	if got := x.add(&known, 0); got != entryAdded || x.judge(feedClaims(20)) != "" {
		t.Error("a role that has its room has lost it")
	}
	session := feedEntry("session", "ses_1", 20)
	if got := x.add(&session, 0); got != entryAdded || x.judge(feedClaims(99)) != ReasonRevoked {
		t.Errorf("a session has no room: %d", got)
	}
	x.sweep(known.Until.UnixMilli())
	if got := x.size(); got != 0 {
		t.Errorf("%d entries stay", got)
	}
}

// Any number of roll-outs takes the room of 100 shares.
func TestFloodOfSharesStaysSmall(t *testing.T) {
	x := newRevokedIndex(feedProject)
	for second := range 20 {
		for from := range 100 {
			for to := from + 1; to <= 100; to += 7 {
				e := feedEntry("share", ShareMark(from, to), second)
				x.add(&e, 0)
			}
		}
	}
	if got := x.size(); got != shares {
		t.Errorf("%d entries", got)
	}
	bare := feedClaims(0)
	bare.SessionID = "" // of an access key
	if x.judge(feedClaims(0)) != ReasonOutdated || x.judge(bare) != "" {
		t.Errorf("a session %q, none %q", x.judge(feedClaims(0)), x.judge(bare))
	}
	x.sweep(feedEpoch.Add(15*time.Minute + 18*time.Second).UnixMilli())
	if got := x.size(); got != shares {
		t.Errorf("%d entries while the last roll-out matters", got)
	}
	x.sweep(feedEpoch.Add(time.Hour).UnixMilli())
	if got := x.size(); got != 0 || x.judge(feedClaims(0)) != "" {
		t.Errorf("%d entries stay", got)
	}
}

// A share that was swept doesn't take others along.
func TestSweepOfOneShare(t *testing.T) {
	x := newRevokedIndex(feedProject)
	short, long := feedEntry("share", ShareMark(0, 50), 0), feedEntry("share", ShareMark(50, 100), 60)
	x.add(&short, 0)
	x.add(&long, 0)
	x.sweep(short.Until.UnixMilli())
	if got := x.size(); got != 50 {
		t.Errorf("%d shares are left, want 50", got)
	}
}

func TestJudgeOfRolesAllocatesNothing(t *testing.T) {
	x := newRevokedIndex(feedProject)
	for _, e := range []Revocation{feedEntry("role", RoleMark("owner"), 10), feedEntry("share", ShareMark(0, Share("ses_1")), 10)} {
		x.add(&e, 0)
	}
	c := feedClaims(0)
	if n := testing.AllocsPerRun(100, func() { x.judge(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMarks(f *testing.F) {
	for _, id := range []string{"", "role_", RoleMark("admin"), "role_000000000000000g", "share_0_100", "share_1", "share__", "share_+1_2", "share_1_2_3", "share_99_100", "role_0x00000000000000"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if h, ok := parseRoleMark(id); ok && roleMarkOf(h) != id {
			t.Errorf("%q was taken for %s", id, roleMarkOf(h))
		}
		if from, to, ok := parseShareMark(id); ok && (ShareMark(from, to) != id || from < 0 || from >= to || to > 100) {
			t.Errorf("%q was taken for %d to %d", id, from, to)
		}
	})
}
