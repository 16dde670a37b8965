package latchkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const (
	feedIssuer  = "https://auth.example.com/" + feedProject
	feedTestKey = "lk_verify_0123456789abcdefCANARY"
)

func newTestFeed(t testing.TB, others ...func(*RevocationsConfig)) *Revocations {
	t.Helper()
	c := RevocationsConfig{Issuer: feedIssuer, Key: feedTestKey}
	for _, change := range others {
		change(&c)
	}
	r, err := NewRevocations(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever was known before a restart is judged the same after it.
func TestAttack22RestartKeepsRevocations(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		before := newTestFeed(t)
		entries := make([]Revocation, random.IntN(12))
		for i := range entries {
			entries[i] = randomFeedEntry(random)
			before.take(&entries[i], true)
		}
		before.advance("77.ab")
		before.learn(feedEpoch.Add(time.Minute))
		state := before.export()
		if bytes.Contains(state, []byte("CANARY")) {
			t.Fatal("the key is in the state")
		}
		after := newTestFeed(t)
		if err := after.restore(state); err != nil {
			t.Fatal(err)
		}
		if after.place() != "77.ab" || after.index.size() != before.index.size() {
			t.Fatalf("cursor %q, %d entries of %d", after.place(), after.index.size(), before.index.size())
		}
		if got := after.Status(); got.Complete || got.Silence < time.Hour {
			t.Fatalf("what was saved isn't what was heard: %+v", got)
		}
		for range 20 {
			c := randomFeedClaims(random)
			if got, want := after.judge(c), before.judge(c); got != want {
				t.Fatalf("%+v after %+v: %q, want %q", c, entries, got, want)
			}
		}
		if again := after.export(); len(again) != len(state) {
			t.Fatalf("saved again it is\n%s\nand not\n%s", again, state)
		}
	}
}

// A state is added to what is known, and doesn't move a cursor back.
func TestRestoreMerges(t *testing.T) {
	old := newTestFeed(t)
	a, b, c := feedEntry("session", "ses_1", 1), feedEntry("user", "usr_1", 1, "ses_2"), feedEntry("user", "usr_1", 5, "ses_3")
	old.take(&a, false)
	old.take(&b, false)
	old.advance("1.a")
	r := newTestFeed(t)
	r.take(&c, false)
	r.advance("9.z")
	if err := r.restore(old.export()); err != nil {
		t.Fatal(err)
	}
	third, other := feedClaims(1), feedClaims(3)
	third.SessionID, other.SessionID = "ses_3", "ses_2"
	if r.place() != "9.z" || r.judge(feedClaims(99)) != ReasonRevoked || r.judge(third) != ReasonRevoked || r.judge(other) != ReasonRevoked {
		t.Errorf("cursor %q, %q, %q, %q", r.place(), r.judge(feedClaims(99)), r.judge(third), r.judge(other))
	}
}

// Our clock may be wrong by any amount when a process starts. What was revoked is
// dropped when the server says that its time is over, and not before.
func TestAttack41ClockJumpsDropNothing(t *testing.T) {
	var now time.Time
	clock := func(c *RevocationsConfig) { c.Now = func() time.Time { return now } }
	now = feedEpoch
	r := newTestFeed(t, clock)
	e := feedEntry("session", "ses_1", 0) // until 15 minutes later
	r.learn(feedEpoch)
	r.take(&e, true)
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 100 * 24 * time.Hour, 0} {
		now = feedEpoch.Add(jump)
		r.learn(feedEpoch.Add(10 * time.Second))
		if r.judge(feedClaims(0)) != ReasonRevoked {
			t.Fatalf("our clock jumped by %v and the entry is gone", jump)
		}
		restarted := newTestFeed(t, clock)
		if err := restarted.restore(r.export()); err != nil || restarted.judge(feedClaims(0)) != ReasonRevoked {
			t.Fatalf("restart after a jump of %v: %v, %q", jump, err, restarted.judge(feedClaims(0)))
		}
		restarted.learn(feedEpoch.Add(20 * time.Second))
		if restarted.judge(feedClaims(0)) != ReasonRevoked {
			t.Fatalf("restart after a jump of %v: gone once the server was heard", jump)
		}
	}
	// The server's clock jumps: time has to pass here, too.
	now = feedEpoch.Add(2 * time.Minute)
	r.learn(feedEpoch.Add(time.Hour))
	if r.judge(feedClaims(0)) != ReasonRevoked {
		t.Fatal("the server's clock jumped, and the entry is gone")
	}
	// A clock that goes back must not make later entries look over.
	late := feedEntry("user", "usr_1", 30)
	r.take(&late, true)
	for m := 3; m <= 20; m++ {
		now = feedEpoch.Add(time.Duration(m) * time.Minute)
		r.learn(now)
	}
	if r.judge(feedClaims(0)) != "" || r.Status().Entries != 0 {
		t.Error("entries that are over stay")
	}
	state := r.export()
	if strings.Contains(string(state), "ses_1") {
		t.Errorf("%s", state)
	}
}

// Where our clock is behind, a token is accepted here after the server has forgotten why
// it is revoked. It is remembered for as long as the token could be taken for a live one.
func TestAttack41OwnClockBehind(t *testing.T) {
	const behind = 5 * time.Minute
	ours := feedEpoch.Add(-behind)
	clock := func() time.Time { return ours }
	r := newTestFeed(t, func(c *RevocationsConfig) { c.Now = clock })
	s := newTokenSigner(t, algEdDSA, "key_1")
	keys, err := StaticKeySet(s.keySet(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierConfig{Issuer: ourIssuer, Keys: keys, Revocations: r, ClockSkew: maxClockSkew, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	entry := feedEntry("session", "ses_1", 0) // of a token of ten minutes, and five of skew
	at, end := feedEpoch.Unix(), feedEpoch.Add(10*time.Minute).Unix()
	token := s.mint(t, map[string]any{"iat": at, "nbf": at, "exp": end, "sid": "ses_1", "epc": feedEpoch.UnixMilli()})
	refused := 0
	for passed := time.Duration(0); passed < 30*time.Minute; passed += 10 * time.Second {
		ours = feedEpoch.Add(passed - behind)
		r.learn(feedEpoch.Add(passed))
		if passed == 0 {
			r.take(&entry, true)
		}
		if passed == 16*time.Minute { // a stream that begins anew says it again, and a restart remembers it
			again := newTestFeed(t, func(c *RevocationsConfig) { c.Now = clock })
			again.learn(feedEpoch.Add(passed))
			if again.take(&entry, false); again.judge(feedClaims(0)) != ReasonRevoked {
				t.Error("an entry that matters here was taken for one that is over")
			}
			restarted := newTestFeed(t, func(c *RevocationsConfig) { c.Now = clock })
			if err := restarted.restore(r.export()); err != nil || restarted.judge(feedClaims(0)) != ReasonRevoked {
				t.Errorf("after a restart: %v, %q", err, restarted.judge(feedClaims(0)))
			}
		}
		switch _, err := v.Verify(t.Context(), token); ReasonOf(err) {
		case ReasonRevoked:
			refused++
		case "":
			t.Fatalf("the revoked token is good again after %v", passed)
		}
	}
	if refused == 0 || r.Status().Entries != 0 {
		t.Errorf("refused %d times as revoked; %d entries in the end", refused, r.Status().Entries)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	good := newTestFeed(t)
	for _, e := range []Revocation{feedEntry("session", "ses_1", 1), feedEntry("user", "usr_1", 1, "ses_2"), feedEntry("key", "key_1", 1), feedEntry("role", RoleMark("member"), 1), feedEntry("share", "share_7_8", 1)} {
		good.take(&e, false)
	}
	good.advance("5.a")
	state := string(good.export())
	for name, damage := range map[string]func(string) string{
		"empty":              func(string) string { return "" },
		"cut":                func(s string) string { return s[:len(s)-2] },
		"not JSON":           func(string) string { return "no" },
		"null":               func(string) string { return "null" },
		"list":               func(string) string { return "[]" },
		"later version":      func(s string) string { return strings.Replace(s, `"version":2`, `"version":3`, 1) },
		"strange role":       func(s string) string { return strings.Replace(s, RoleMark("member"), "role_1", 1) },
		"strange share":      func(s string) string { return strings.Replace(s, "share_7_8", "share_8_8", 1) },
		"other issuer":       func(s string) string { return strings.Replace(s, "auth.example.com", "example.com", 1) },
		"session without id": func(s string) string { return strings.Replace(s, "ses_1", "", 1) },
		"long id":            func(s string) string { return strings.Replace(s, "usr_1", strings.Repeat("u", 40), 1) },
		"strange exception":  func(s string) string { return strings.Replace(s, `"except":"ses_2"`, `"except":"a b"`, 1) },
		"no time":            func(s string) string { return strings.Replace(s, `"at":`, `"was":`, 1) },
		"negative time":      func(s string) string { return strings.Replace(s, `"key_1":`, `"key_1":-`, 1) },
		"long cursor":        func(s string) string { return strings.Replace(s, "5.a", strings.Repeat("5", 300), 1) },
		"number for text":    func(s string) string { return strings.Replace(s, `"5.a"`, `5`, 1) },
	} {
		r := newTestFeed(t)
		damaged := damage(state)
		if damaged == state {
			t.Fatalf("%s: no damage was done to %s", name, state)
		}
		err := r.restore([]byte(damaged))
		if err == nil || r.place() != "" || r.index.size() != 0 {
			t.Errorf("%s: %v, cursor %q, %d entries", name, err, r.place(), r.index.size())
		}
	}
	if err := newTestFeed(t).restore(make([]byte, maxFeedState+1)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("too large: %v", err)
	}
	if err := newTestFeed(t).restore([]byte(state)); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// Entries that there was no room for are still refused after a restart.
func TestRestoreOfACrowdedFeed(t *testing.T) {
	r := newTestFeed(t)
	r.index.limit = 3
	for i := range 5 {
		e := feedEntry("session", fmt.Sprintf("ses_%d", 9-i), i)
		r.take(&e, true)
	}
	after := newTestFeed(t)
	if err := after.restore(r.export()); err != nil {
		t.Fatal(err)
	}
	c := feedClaims(4)
	if got := after.judge(c); got != ReasonOutdated || !after.Status().Crowded {
		t.Errorf("%q", got)
	}
	small := newTestFeed(t)
	small.index.limit = 1
	if err := small.restore(r.export()); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		c.SessionID = fmt.Sprintf("ses_%d", 9-i)
		if small.judge(c) == "" {
			t.Errorf("%s is accepted", c.SessionID)
		}
	}
}

// An SDK that didn't know what roles and shares are has passed over their entries. Its
// state says what is revoked, but the feed begins anew: with the cursor, a role that was
// taken away before the upgrade would stay in use for as long as the token lives.
func TestRestoreOfAStateWithoutRoles(t *testing.T) {
	state := `{"version":1,"issuer":"` + feedIssuer + `","cursor":"5.a","server":` + fmt.Sprint(feedEpoch.UnixMilli()) + `,"at":` + fmt.Sprint(feedEpoch.UnixMilli()) +
		`,"sessions":{"ses_1":` + fmt.Sprint(feedEpoch.Add(time.Hour).UnixMilli()) + `}}`
	r := newTestFeed(t)
	if err := r.restore([]byte(state)); err != nil || r.place() != "" || r.judge(feedClaims(0)) != ReasonRevoked {
		t.Errorf("%v, cursor %q, %q", err, r.place(), r.judge(feedClaims(0)))
	}
	if again := string(r.export()); !strings.Contains(again, `"version":2`) || !strings.Contains(again, "ses_1") {
		t.Errorf("saved again: %s", again)
	}
}

// The largest state that can be written can be read.
func TestLargestStateFits(t *testing.T) {
	id := strings.Repeat("x", 31)
	k := marks{latest: mark{at: 1e15, except: new(ident)}, other: mark{at: 1e15, except: new(ident)}, until: 1e15}
	*k.latest.except, *k.other.except = identOf(id), identOf(id)
	one, err := json.Marshal(k.save(nil, id))
	if err != nil || len(one)*(maxRevoked+maxRevokedRoles+shares)+maxRevokedKeys*60 > maxFeedState {
		t.Errorf("%d bytes per entry make %d MiB: %v", len(one), len(one)*maxRevoked>>20, err)
	}
	if in64 := base64.StdEncoding.EncodedLen(maxFeedState); in64 > maxState {
		t.Errorf("%d bytes in a state file that has at most %d", in64, maxState)
	}
}

func FuzzRestore(f *testing.F) {
	r := newTestFeed(f)
	for _, e := range []Revocation{feedEntry("session", "ses_1", 1), feedEntry("user", "usr_1", 1, "ses_2"), feedEntry("user", "usr_1", 2, "ses_1"), feedEntry("epoch", "ten_1", 1), feedEntry("project", feedProject, 1), feedEntry("role", RoleMark("member"), 1), feedEntry("share", "share_7_50", 1)} {
		r.take(&e, false)
	}
	r.advance("5.a")
	r.learn(feedEpoch)
	f.Add(r.export())
	f.Add([]byte(`{"version":1,"issuer":"` + feedIssuer + `","cursor":"5.a"}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		r := newTestFeed(t)
		if err := r.restore(state); err != nil {
			if r.index.size() != 0 || r.place() != "" {
				t.Fatal("part of a refused state was used")
			}
			return
		}
		again := newTestFeed(t)
		if err := again.restore(r.export()); err != nil {
			t.Fatalf("%v: %s", err, r.export())
		}
		if again.index.size() != r.index.size() || again.place() != r.place() || again.judge(feedClaims(0)) != r.judge(feedClaims(0)) {
			t.Errorf("%s became %s", r.export(), again.export())
		}
	})
}

func FuzzFeedEvent(f *testing.F) {
	for _, e := range []Revocation{feedEntry("session", "ses_1", 1), feedEntry("user", "usr_1", 1, "ses_2"), feedEntry("epoch", "ten_1", 1)} {
		text, _ := json.Marshal(e)
		f.Add("revocation", "5.a", text)
	}
	f.Add("live", "5.a", []byte(`{"serverTime":"2026-01-02T03:04:05Z"}`))
	f.Add("snapshot", "", []byte(`{"serverTime":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, name, id string, data []byte) {
		r := newTestFeed(t)
		known := feedEntry("session", "ses_known", 1)
		r.take(&known, false)
		w := &watched{follower: newFollower(r)}
		w.event(streamEvent{name: name, id: id, data: data})
		w.event(streamEvent{name: name, id: id, data: data})
		if name == "revocation" {
			c := feedClaims(5)
			c.SessionID = "ses_known"
			if s := r.Status(); s.Entries+s.Unknown+s.Malformed == 1 || r.judge(c) != ReasonRevoked {
				t.Errorf("%+v: the entry was neither applied nor counted", s)
			}
		}
		if err := newTestFeed(t).restore(r.export()); err != nil {
			t.Error(err)
		}
	})
}

func FuzzFeedList(f *testing.F) {
	list, _ := json.Marshal(RevocationList{Snapshot: true, Entries: []Revocation{feedEntry("session", "ses_1", 1)}, Cursor: "5.a", ServerTime: feedEpoch})
	f.Add(list)
	f.Add([]byte(`{"entries":[{},null,7,{"at":"yesterday"}],"cursor":"a"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var list RevocationList
		if decodeList(body, &list) != nil {
			return
		}
		r := newTestFeed(t)
		r.learn(list.ServerTime)
		for i := range list.Entries {
			r.take(&list.Entries[i], true)
		}
		r.Status()
	})
}
