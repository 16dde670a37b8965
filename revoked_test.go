package latchkey

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const feedProject = "prj_1"

// feedEpoch is when the tests' entries begin.
var feedEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// entry returns one of kind that was made so many seconds into the tests.
func feedEntry(kind, id string, seconds int, except ...string) Revocation {
	at := feedEpoch.Add(time.Duration(seconds) * time.Second)
	return Revocation{Kind: kind, ID: id, Except: strings.Join(except, ""), At: at, Until: at.Add(15 * time.Minute)}
}

// minted returns the claims of a token that shows the state at so many seconds.
func feedClaims(seconds int) *Claims {
	return &Claims{
		Subject: "usr_1", SessionID: "ses_1", CurrentTenant: "ten_1", KeyID: "key_1",
		Tenants: map[string]TenantGrants{"ten_1": {Roles: []string{"editor"}}, "ten_2": {Roles: []string{"a b:c"}}},
		Roles:   []string{"member"},
		Epoch:   feedEpoch.Add(time.Duration(seconds) * time.Second).UnixMilli(),
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		entry Revocation
		seen  int // when the token was minted; the entry is of second 10
		want  Reason
	}{
		{feedEntry("session", "ses_1", 10), 0, ReasonRevoked},
		{feedEntry("session", "ses_1", 10), 99, ReasonRevoked},
		{feedEntry("session", "ses_2", 10), 0, ""},
		{feedEntry("user", "usr_1", 10), 10, ReasonRevoked},
		{feedEntry("user", "usr_1", 10), 11, ""},
		{feedEntry("user", "usr_1", 10, "ses_1"), 10, ""},
		{feedEntry("user", "usr_1", 10, "ses_2"), 10, ReasonRevoked},
		{feedEntry("user", "usr_1", 10, "not an id"), 10, ReasonRevoked},
		{feedEntry("user", "ses_1", 10), 0, ""},
		{feedEntry("tenant", "ten_1", 10), 10, ReasonRevoked},
		{feedEntry("tenant", "ten_1", 10), 11, ""},
		{feedEntry("tenant", "ten_1", 10, "ses_1"), 10, ""},
		{feedEntry("tenant", "ten_2", 10), 10, ""}, // a member, but not there now
		{feedEntry("project", feedProject, 10), 10, ReasonRevoked},
		{feedEntry("project", feedProject, 10), 11, ""},
		{feedEntry("project", feedProject, 10, "ses_1"), 10, ""},
		{feedEntry("project", "prj_2", 10), 10, ""},
		{feedEntry("key", "key_1", 10), 99, ReasonRevoked},
		{feedEntry("key", "key_2", 10), 0, ""},
		{feedEntry("epoch", "ses_1", 10), 10, ReasonOutdated},
		{feedEntry("epoch", "ses_1", 10), 11, ""},
		{feedEntry("epoch", "usr_1", 10), 10, ReasonOutdated},
		{feedEntry("epoch", "usr_1", 10, "ses_1"), 10, ""},
		{feedEntry("epoch", "usr_2", 10), 10, ""},
		{feedEntry("epoch", "ten_1", 10), 10, ReasonOutdated},
		{feedEntry("epoch", "ten_2", 10), 10, ReasonOutdated}, // the token shows its grants there
		{feedEntry("epoch", "ten_3", 10), 10, ""},
		{feedEntry("epoch", feedProject, 10), 10, ReasonOutdated},
		{feedEntry("epoch", feedProject, 10), 11, ""},
		{feedEntry("epoch", "prj_2", 10), 10, ""},
		{feedEntry("role", RoleMark("member"), 10), 10, ReasonOutdated},
		{feedEntry("role", RoleMark("member"), 10), 11, ""},
		{feedEntry("role", RoleMark("member"), 10, "ses_1"), 10, ""},
		{feedEntry("role", RoleMark("editor"), 10), 10, ReasonOutdated},
		{feedEntry("role", RoleMark("a b:c"), 10), 10, ReasonOutdated}, // in a tenant that isn't current
		{feedEntry("role", RoleMark("Member"), 10), 10, ""},
		{feedEntry("role", RoleMark("owner"), 10), 10, ""},
		{feedEntry("share", ShareMark(0, 100), 10), 10, ReasonOutdated},
		{feedEntry("share", ShareMark(0, 100), 10), 11, ""},
		{feedEntry("share", ShareMark(0, 100), 10, "ses_1"), 10, ""},
		{feedEntry("share", ShareMark(Share("ses_1"), Share("ses_1")+1), 10), 10, ReasonOutdated},
		{feedEntry("share", ShareMark(0, Share("ses_1")), 10), 10, ""},
		{feedEntry("share", ShareMark(Share("ses_1")+1, 100), 10), 10, ""},
		{feedEntry("weather", "ses_1", 10), 0, ""},
	} {
		x := newRevokedIndex(feedProject)
		x.add(&c.entry, 0)
		if got := x.judge(feedClaims(c.seen)); got != c.want {
			t.Errorf("%s %s except %q, a token of second %d: %q, want %q", c.entry.Kind, c.entry.ID, c.entry.Except, c.seen, got, c.want)
		}
	}
}

// What a token doesn't have is nobody's, and the epoch of one that has none is before
// everything.
func TestJudgeOfBareTokens(t *testing.T) {
	x := newRevokedIndex(feedProject)
	for _, e := range []Revocation{feedEntry("session", "ses_1", 1), feedEntry("tenant", "ten_1", 1), feedEntry("key", "key_1", 1), feedEntry("user", "usr_1", 1, "ses_1")} {
		x.add(&e, 0)
	}
	if got := x.judge(&Claims{Epoch: 1, Subject: strings.Repeat("u", 200)}); got != "" {
		t.Errorf("a token that says nothing: %q", got)
	}
	if got := x.judge(&Claims{Subject: "usr_1"}); got != ReasonRevoked {
		t.Errorf("a token without session and epoch: %q", got)
	}
}

func TestEntryOutcomes(t *testing.T) {
	x := newRevokedIndex(feedProject)
	now := feedEpoch.UnixMilli()
	until := func(e Revocation, at time.Time) Revocation { e.Until = at; return e }
	for name, c := range map[string]struct {
		e    Revocation
		want outcome
	}{
		"no id":           {feedEntry("session", "", 1), entryMalformed},
		"id too long":     {feedEntry("session", strings.Repeat("s", 32), 1), entryMalformed},
		"id with a space": {feedEntry("session", "ses 1", 1), entryMalformed},
		"no times":        {Revocation{Kind: "session", ID: "ses_1"}, entryMalformed},
		"ends before":     {until(feedEntry("session", "ses_1", 5), feedEpoch), entryMalformed},
		"year 10000":      {until(feedEntry("session", "ses_1", 5), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), entryMalformed},
		"of long ago":     {Revocation{Kind: "session", ID: "ses_1", At: time.Unix(-5, 0), Until: feedEpoch.Add(time.Hour)}, entryMalformed},
		"other project":   {feedEntry("project", "prj_2", 1), entryMalformed},
		"over":            {until(feedEntry("session", "ses_1", -60), feedEpoch), entryOver},
		"unknown":         {feedEntry("device", "dev_1", 1), entryUnknown},
		"role by name":    {feedEntry("role", "member", 1), entryMalformed},
		"short mark":      {feedEntry("role", "role_1", 1), entryMalformed},
		"mark in capital": {feedEntry("role", "role_00000000000000AB", 1), entryMalformed},
		"mark with sign":  {feedEntry("role", "role_+00000000000000a", 1), entryMalformed},
		"empty share":     {feedEntry("share", "share_5_5", 1), entryMalformed},
		"share backwards": {feedEntry("share", "share_6_5", 1), entryMalformed},
		"share over 100":  {feedEntry("share", "share_0_101", 1), entryMalformed},
		"share below 0":   {feedEntry("share", "share_-1_5", 1), entryMalformed},
		"share with zero": {feedEntry("share", "share_00_5", 1), entryMalformed},
		"half a share":    {feedEntry("share", "share_5", 1), entryMalformed},
		"share and more":  {feedEntry("share", "share_0_5_6", 1), entryMalformed},
	} {
		if got := x.add(&c.e, now); got != c.want || x.edits.Load() != 0 || x.size() != 0 {
			t.Errorf("%s: %d, want %d; %d edits, %d entries", name, got, c.want, x.edits.Load(), x.size())
		}
	}
	for _, kind := range []string{"session", "user", "tenant", "key", "epoch", "project", "role", "share"} {
		id := "x_1"
		switch kind {
		case "project":
			id = feedProject
		case "role":
			id = RoleMark("member")
		case "share":
			id = ShareMark(10, 30)
		}
		e, before := feedEntry(kind, id, 1), x.edits.Load()
		if got := x.add(&e, now); got != entryAdded || x.edits.Load() != before+1 {
			t.Errorf("%s: %d, %d edits", kind, got, x.edits.Load()-before)
		}
		if got := x.add(&e, now); got != entryKnown || x.edits.Load() != before+1 {
			t.Errorf("%s again: %d, %d edits", kind, got, x.edits.Load()-before)
		}
	}
}

// scan judges as the definition of the feed says: by all entries.
func scanFeed(entries []Revocation, c *Claims) Reason {
	verdict := Reason("")
	for _, e := range entries {
		before := c.Epoch <= e.At.UnixMilli() && (e.Except == "" || e.Except != c.SessionID)
		_, member := c.Tenants[e.ID]
		switch {
		case e.Kind == "session" && e.ID == c.SessionID, e.Kind == "key" && e.ID == c.KeyID,
			before && e.Kind == "user" && e.ID == c.Principal(), before && e.Kind == "tenant" && e.ID == c.CurrentTenant,
			before && e.Kind == "project" && e.ID == feedProject:
			return ReasonRevoked
		case before && e.Kind == "epoch" && (e.ID == c.SessionID || e.ID == c.Principal() || e.ID == c.CurrentTenant || e.ID == feedProject || member),
			before && e.Kind == "role" && slices.ContainsFunc(everyRole(c), func(name string) bool { return e.ID == RoleMark(name) }),
			before && e.Kind == "share" && scanShare(e.ID, c.SessionID):
			verdict = ReasonOutdated
		}
	}
	return verdict
}

func everyRole(c *Claims) []string {
	names := slices.Clone(c.Roles)
	for _, g := range c.Tenants {
		names = append(names, g.Roles...)
	}
	return names
}

// scanShare reads a mark as its description says, with another hash of the same name.
func scanShare(mark, sid string) bool {
	h := fnv.New32a()
	h.Write([]byte(sid))
	var from, to int
	_, err := fmt.Sscanf(mark, "share_%d_%d", &from, &to)
	share := int(h.Sum32() % 100)
	return err == nil && sid != "" && from <= share && share < to
}

func pickWord(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

func randomFeedEntry(r *rand.Rand) Revocation {
	e := feedEntry("", "", r.IntN(12), pickWord(r, "", "", "ses_1", "ses_2", "ses_3"))
	e.Until = e.Until.Add(time.Duration(r.IntN(5)) * time.Minute)
	switch e.Kind = pickWord(r, "session", "user", "user", "user", "tenant", "project", "epoch", "epoch", "key", "role", "role", "share", "new"); e.Kind {
	case "user":
		e.ID = pickWord(r, "usr_1", "usr_2")
	case "tenant":
		e.ID = pickWord(r, "ten_1", "ten_2")
	case "project":
		e.ID = pickWord(r, feedProject, "prj_2")
	case "key":
		e.ID = pickWord(r, "key_1", "key_2")
	case "epoch":
		e.ID = pickWord(r, "ses_1", "ses_2", "usr_1", "usr_2", "ten_1", "ten_2", feedProject, "prj_2")
	case "role":
		e.ID = RoleMark(pickWord(r, "member", "editor", "a b:c", "owner"))
	case "share":
		from := r.IntN(100)
		e.ID = ShareMark(from, from+1+r.IntN(100-from))
	default:
		e.ID = pickWord(r, "ses_1", "ses_2", "ses_3")
	}
	return e
}

func randomFeedClaims(r *rand.Rand) *Claims {
	c := feedClaims(r.IntN(14) - 1)
	c.SessionID, c.Subject, c.KeyID = pickWord(r, "ses_1", "ses_2", "ses_3", ""), pickWord(r, "usr_1", "usr_2"), pickWord(r, "key_1", "key_3")
	c.CurrentTenant, c.Tenants = pickWord(r, "", "ten_1", "ten_2"), map[string]TenantGrants{pickWord(r, "ten_1", "ten_2", "ten_3"): {Roles: []string{pickWord(r, "editor", "owner")}}}
	c.Roles = []string{pickWord(r, "member", "a b:c")}
	if r.IntN(4) == 0 {
		// What the template says instead is never taken for a user.
		c.DirectorySubject, c.Subject = c.Subject, pickWord(r, "usr_1", "usr_2", "legacy 7", strings.Repeat("u", 200))
	}
	return c
}

// Whatever the order and however often entries come, tokens are judged as if all entries
// were looked through; and dropping what is over changes that only for tokens that no
// entry concerns any more.
func TestJudgeAgreesWithScan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	verdicts, severity := map[Reason]int{}, map[Reason]int{"": 0, ReasonOutdated: 1, ReasonRevoked: 2}
	for range 3000 {
		entries := make([]Revocation, r.IntN(10))
		for i := range entries {
			entries[i] = randomFeedEntry(r)
		}
		x := newRevokedIndex(feedProject)
		for range 1 + r.IntN(3) {
			for _, i := range r.Perm(len(entries)) {
				x.add(&entries[i], 0)
			}
		}
		now := feedEpoch.Add(15*time.Minute + time.Duration(r.IntN(300))*time.Second)
		swept := newRevokedIndex(feedProject)
		var left []Revocation
		for _, e := range entries {
			swept.add(&e, 0)
			if e.Until.After(now) {
				left = append(left, e)
			}
		}
		swept.sweep(now.UnixMilli())
		for range 20 {
			c := randomFeedClaims(r)
			want := scanFeed(entries, c)
			verdicts[want]++
			if got := x.judge(c); got != want {
				t.Fatalf("%+v judged by %+v: %q, want %q", c, entries, got, want)
			}
			got, least := swept.judge(c), scanFeed(left, c)
			if severity[got] < severity[least] || severity[got] > severity[want] {
				t.Fatalf("%+v judged by what is left of %+v at %v: %q, want %q or %q", c, entries, now, got, least, want)
			}
		}
	}
	for _, reason := range []Reason{"", ReasonRevoked, ReasonOutdated} {
		if verdicts[reason] < 1000 {
			t.Errorf("only %d times %q: the cases are too much alike", verdicts[reason], reason)
		}
	}
}

func TestSweepDropsWhatIsOver(t *testing.T) {
	x := newRevokedIndex(feedProject)
	n := 5000
	for i := range n {
		for _, kind := range []string{"session", "key", "user", "tenant", "epoch"} {
			e := feedEntry(kind, fmt.Sprintf("x_%d", i), i)
			x.add(&e, 0)
		}
		e := feedEntry("epoch", fmt.Sprintf("ten_%d", i), i)
		x.add(&e, 0)
		e = feedEntry("role", RoleMark(fmt.Sprint(i)), i)
		x.add(&e, 0)
	}
	for i := range 100 {
		e := feedEntry("share", ShareMark(0, i+1), 0)
		x.add(&e, 0)
	}
	for _, kind := range []string{"project", "epoch"} {
		e := feedEntry(kind, feedProject, 0)
		x.add(&e, 0)
	}
	if got := x.size(); got != 7*n+2+100 {
		t.Fatalf("%d entries", got)
	}
	version := x.edits.Load()
	for _, left := range []int{n - 1, n - 500, 10, 0} {
		x.sweep(feedEpoch.Add(15*time.Minute + time.Duration(n-left-1)*time.Second).UnixMilli())
		if got := x.size(); got != 7*left {
			t.Errorf("%d entries are left, want %d", got, 7*left)
		}
		c := feedClaims(0)
		c.SessionID = fmt.Sprintf("x_%d", n-1)
		if got := x.judge(c); (got == ReasonRevoked) != (left > 0) {
			t.Errorf("with %d left, the last session is %q", left, got)
		}
	}
	if x.edits.Load() != version {
		t.Error("the version grew although nothing was refused that wasn't before")
	}
}

// With no room left, a token that an entry would have refused is still refused; others
// are good again once they were refreshed, and all when the entries are over.
func TestAttack42CrowdedFeedNeverUnrevokes(t *testing.T) {
	x := newRevokedIndex(feedProject)
	x.limit = 10
	for i := range 10 {
		e := feedEntry("session", fmt.Sprintf("ses_x%d", i), i)
		x.add(&e, 0)
	}
	if x.judge(feedClaims(0)) != "" || x.crowded() {
		t.Fatal("full is not over-full")
	}
	last := feedEntry("session", "ses_1", 20)
	before := x.edits.Load()
	if got := x.add(&last, 0); got != entryCrowded || x.size() != 10 || !x.crowded() || x.edits.Load() == before {
		t.Fatalf("outcome %d, %d entries", got, x.size())
	}
	for _, kind := range []string{"user", "tenant", "epoch"} {
		e := feedEntry(kind, "x_1", 5)
		if got := x.add(&e, 0); got != entryCrowded {
			t.Errorf("%s: %d", kind, got)
		}
	}
	if got := x.judge(feedClaims(20)); got != ReasonOutdated {
		t.Errorf("a token of the session without room: %q", got)
	}
	if got := x.judge(feedClaims(21)); got != "" {
		t.Errorf("a token that was minted later: %q", got)
	}
	for _, e := range []Revocation{feedEntry("key", "key_1", 30), feedEntry("project", feedProject, 5)} {
		if got := x.add(&e, 0); got != entryAdded {
			t.Errorf("%s has no room: %d", e.Kind, got)
		}
	}
	if got := x.judge(feedClaims(40)); got != ReasonRevoked {
		t.Errorf("a token of a revoked key: %q", got)
	}
	x.sweep(last.Until.UnixMilli() - 1)
	if !x.crowded() {
		t.Error("forgotten too early")
	}
	x.sweep(last.Until.UnixMilli())
	if x.crowded() {
		t.Error("never forgotten")
	}
	for i := range maxRevokedKeys + 1 {
		e := feedEntry("key", fmt.Sprintf("key_x%d", i), 50)
		want := entryAdded
		if i >= maxRevokedKeys-1 { // key_1 is there
			want = entryCrowded
		}
		if got := x.add(&e, 0); got != want {
			t.Fatalf("key %d: %d, want %d", i, got, want)
		}
	}
}
