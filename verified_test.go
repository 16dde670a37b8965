package latchkey

import (
	"fmt"
	"testing"
	"time"
)

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
