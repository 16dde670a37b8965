package latchkey

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A hit takes no memory and looks at everything that may have changed.
func TestVerifiedHitAllocatesNothing(t *testing.T) {
	for _, alg := range algorithms() {
		s := newTokenSigner(t, alg, "k1")
		f := &testFeed{}
		v := withFeed(t, staticConfig(t, s.keySet(t)), f)
		token := s.mint(t, map[string]any{"roles": []string{"a"}})
		ctx := t.Context()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := v.Verify(ctx, token, Requirement{Roles: []string{"a"}, MaxAge: time.Hour}, Requirement{Strict: true}); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", alg, n)
		}
	}
}

// Tokens that are alike where the cache looks first are told apart.
func TestVerifiedComparesWhole(t *testing.T) {
	c := newVerifiedTokens(1 << 20)
	tail := strings.Repeat("t", cacheTail)
	claims := &Claims{Subject: "usr_1"}
	c.add("aaaa"+tail, claims, &publicKey{}, nil, 0, testNoon, testNoon)
	for token, want := range map[string]bool{"aaaa" + tail: true, "aaab" + tail: false, "aaa" + tail: false, tail: false, "": false, "t": false, "aaaa" + tail + "t": false} {
		if e := c.find(token); (e != nil) != want || e != nil && e.claims != claims {
			t.Errorf("%q: %v", token, e != nil)
		}
	}
	// More than there are places for: each that is still there is itself.
	for i := range 2 * cacheWays {
		c.add(fmt.Sprint(i)+tail, &Claims{Subject: fmt.Sprint(i)}, &publicKey{}, nil, 0, testNoon, testNoon)
	}
	found := 0
	for i := range 2 * cacheWays {
		if e := c.find(fmt.Sprint(i) + tail); e != nil {
			found++
			if e.claims.Subject != fmt.Sprint(i) {
				t.Errorf("token %d has the claims of %s", i, e.claims.Subject)
			}
		}
	}
	if found == 0 || found > cacheWays {
		t.Errorf("%d found", found)
	}
}

// holds is find without a trace: what is only looked at isn't in use.
func (c *verifiedTokens) holds(token string) bool {
	_, slots := c.place(token)
	for i := range slots {
		if e := slots[i].Load(); e != nil && e.token == token {
			return true
		}
	}
	return false
}

func TestVerifiedKeepsToItsBudget(t *testing.T) {
	const budget = 256 << 10
	c := newVerifiedTokens(budget)
	often := "often" + strings.Repeat("x", 1000)
	c.add(often, &Claims{}, &publicKey{}, nil, 0, testNoon, testNoon)
	for i := range 5000 {
		token := fmt.Sprint(strings.Repeat("x", i%3000), i)
		c.add(token, &Claims{weight: 500}, &publicKey{}, nil, 0, testNoon, testNoon)
		if !c.holds(token) {
			t.Fatalf("token %d isn't there right after it was added", i)
		}
		if c.find(often) == nil {
			t.Fatalf("a token in use is gone after %d others", i)
		}
		if c.bytes > budget {
			t.Fatalf("%d bytes", c.bytes)
		}
	}
	if st := c.status(); st.Bytes < budget/2 || st.Entries < 20 {
		t.Errorf("%+v: most of the budget is unused", st)
	}
	// What is too large for a fair share isn't kept at all.
	c.add(strings.Repeat("y", budget/2), &Claims{}, &publicKey{}, nil, 0, testNoon, testNoon)
	if c.find(strings.Repeat("y", budget/2)) != nil {
		t.Error("one token takes half of the cache")
	}
}

// The same token twice is one entry, and what is dropped is gone.
func TestVerifiedCounts(t *testing.T) {
	c := newVerifiedTokens(1 << 20)
	for range 3 {
		c.add("token", &Claims{weight: 10}, &publicKey{}, nil, 0, testNoon, testNoon)
	}
	if c.entries != 1 || c.bytes != int64(weightVerified+len("token")+10) {
		t.Errorf("%d entries, %d bytes", c.entries, c.bytes)
	}
	e := c.find("token")
	c.drop(e)
	c.drop(e)
	if c.entries != 0 || c.bytes != 0 || c.find("token") != nil {
		t.Errorf("%d entries, %d bytes", c.entries, c.bytes)
	}
}

func TestVerifiedOff(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	for _, bytes := range []int{-1, 1, cacheWays*cacheSlot - 1} {
		v := newTestVerifier(t, s.keySet(t), func(c *VerifierConfig) { c.CacheBytes = bytes })
		token := s.mint(t, nil)
		for range 2 {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
		if st := v.Status().Cache; st != (CacheStatus{}) {
			t.Errorf("%+v", st)
		}
	}
}

// The budget is in bytes that are really taken, for tokens of every shape.
func TestVerifiedMemory(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	list := func(n int) []string {
		l := make([]string, n)
		for i := range l {
			l[i] = fmt.Sprint("role-", i)
		}
		return l
	}
	tenants := map[string]any{}
	for i := range 20 {
		tenants[fmt.Sprint("ten_", i)] = map[string]any{"roles": list(2), "permissions": list(2)}
	}
	for what, changes := range map[string]map[string]any{
		"small": {"drn": nil, "amr": nil, "rexp": nil, "tenants": nil, "roles": nil, "permissions": nil}, "usual": nil, "roles": {"roles": list(200)}, "tenants": {"tenants": tenants},
		"custom": {"a": list(40), "b": strings.Repeat("x", 3000), "c": 1, "d": 2, "e": 3, "f": 4}, "escapes": {"x": strings.Repeat("\"", 2000), "sub": strings.Repeat("\"", 1000)},
	} {
		const n = 600
		tokens := make([]string, n)
		for i := range tokens {
			tokens[i] = s.sign(t, s.header(), payload(t, changes)+strings.Repeat(" ", i%100)+strings.Repeat("\t", i/100))
		}
		// What tests before this one have left behind may go at any moment and spoil a
		// measurement, but not several; and many entries outweigh it.
		for attempt := 1; ; attempt++ {
			st, taken := measure(t, s, tokens)
			if st.Entries >= n*9/10 && taken <= st.Bytes*11/10 && taken >= st.Bytes/3 {
				break
			}
			if attempt == 8 {
				t.Errorf("%s: %d entries count as %d bytes, and take %d", what, st.Entries, st.Bytes, taken)
				break
			}
		}
	}
}

// measure returns what a cache of some tokens counts, and the memory that it takes.
func measure(t *testing.T, s *tokenSigner, tokens []string) (CacheStatus, int64) {
	t.Helper()
	v := newTestVerifier(t, s.keySet(t), func(c *VerifierConfig) { c.CacheBytes = 32 << 20 })
	before := heap()
	for _, token := range tokens {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	taken := int64(heap()) - int64(before)
	st := v.Status().Cache
	runtime.KeepAlive(v)
	return st, taken
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestVerifiedConcurrently(t *testing.T) {
	c := newVerifiedTokens(32 << 10)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 2000 {
				token := fmt.Sprint("token", (i*7+w)%50)
				if e := c.find(token); e != nil {
					if e.claims.Subject != token {
						t.Errorf("%s has the claims of %s", token, e.claims.Subject)
					}
					if i%5 == 0 {
						c.drop(e)
					}
					continue
				}
				c.add(token, &Claims{Subject: token}, &publicKey{}, nil, 0, testNoon, testNoon)
			}
		})
	}
	workers.Wait()
	entries, bytes := 0, int64(0)
	for i := range c.slots {
		if e := c.slots[i].Load(); e != nil {
			entries++
			bytes += e.weight
		}
	}
	if entries != c.entries || bytes != c.bytes {
		t.Errorf("%d entries of %d bytes are counted as %d of %d", entries, bytes, c.entries, c.bytes)
	}
}

// As many tokens as a place has ways live side by side, in whatever order they are added
// and asked for: none that is in use throws another one out while there is room.
func TestTokensOfOnePlaceDontThrowEachOtherOut(t *testing.T) {
	t.Parallel()
	c := newVerifiedTokens(cacheWays * cacheSlot * 4) // 4 sets
	from, until := time.Unix(0, 0), time.Unix(1000, 0)
	_, wanted := c.place("x")
	var tokens []string
	for i := 0; len(tokens) < cacheWays; i++ {
		token := fmt.Sprintf("%032d", i)
		if _, slots := c.place(token); &slots[0] == &wanted[0] {
			tokens = append(tokens, token)
		}
	}
	for _, token := range tokens {
		c.add(token, &Claims{}, &publicKey{}, nil, 0, from, until)
	}
	for range 3 {
		for _, token := range tokens {
			if c.find(token) == nil {
				t.Errorf("%s was thrown out although there was room", token)
				c.add(token, &Claims{}, &publicKey{}, nil, 0, from, until)
			}
		}
	}
	if got := c.status(); got.Entries != cacheWays {
		t.Errorf("%d entries, want %d", got.Entries, cacheWays)
	}
}
