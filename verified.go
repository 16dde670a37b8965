package latchkey

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// cacheWays is how many places a token can have. With one alone, two tokens in use
	// could throw each other out for ever.
	cacheWays = 4

	// cacheTail is how much of a token's end its place depends on. The end is that of the
	// signature, which differs from token to token.
	cacheTail = 32

	// cacheSlot is how many bytes of the budget one place is made for: less than most
	// entries take, so that the budget and not the places is what runs out.
	cacheSlot = 1024

	weightVerified = 160 // bytes of a verifiedToken, allocator's rounding included
)

// verifiedToken is a token that passed everything that depends neither on the time nor on
// what is known of keys and revocations. Those are looked at again on every hit.
type verifiedToken struct {
	token  string // the whole: nothing but the identical text is a hit
	hash   uint64
	claims *Claims
	key    *publicKey
	from   int64 // Unix nanoseconds, clock skew included
	until  int64
	weight int64

	ring   atomic.Pointer[keyring] // the keys among which key was last found
	judged atomic.Uint64           // version of the revocations that last spared it
	used   atomic.Bool             // since the clock hand last passed
}

// verifiedTokens is a cache of verified tokens, bounded in bytes. Readers take no lock
// and allocate nothing. Writers have just spent a signature check, so they can wait for
// each other.
type verifiedTokens struct {
	seed   maphash.Seed // drawn per cache: nobody can aim at one place
	slots  []atomic.Pointer[verifiedToken]
	mask   uint64
	budget int64

	hits   spreadCounter
	misses atomic.Uint64

	mu      sync.Mutex
	hand    int
	bytes   int64
	entries int
}

// newVerifiedTokens returns a cache that keeps at most so many bytes, its own table
// included; nil, which never has anything, when that is too little for one token.
func newVerifiedTokens(budget int) *verifiedTokens {
	sets := max(budget, 0) / (cacheWays * cacheSlot)
	if sets == 0 {
		return nil
	}
	sets = 1 << (bits.Len(uint(sets)) - 1)
	slots := sets * cacheWays
	return &verifiedTokens{
		seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[verifiedToken], slots),
		mask: uint64(sets - 1), budget: int64(budget - 8*slots),
	}
}

func (c *verifiedTokens) place(token string) (hash uint64, slots []atomic.Pointer[verifiedToken]) {
	hash = maphash.String(c.seed, token[max(len(token)-cacheTail, 0):])
	at := (hash & c.mask) * cacheWays
	return hash, c.slots[at : at+cacheWays]
}

// find returns the entry of exactly this token, or nil.
func (c *verifiedTokens) find(token string) *verifiedToken {
	if c == nil {
		return nil
	}
	hash, slots := c.place(token)
	for i := range slots {
		// The text is compared in whole. How long that takes tells nothing: whoever can
		// present a text that shares much with a cached token already has that token.
		if e := slots[i].Load(); e != nil && e.hash == hash && e.token == token {
			// Written once only, or every hit would take the line from the other cores.
			if !e.used.Load() {
				e.used.Store(true)
			}
			c.hits.add(hash)
			return e
		}
	}
	c.misses.Add(1)
	return nil
}

// add keeps a token that was verified with a key of ring while the revocations had the
// version judged. It holds from until until, in Unix nanoseconds.
func (c *verifiedTokens) add(token string, claims *Claims, k *publicKey, ring *keyring, judged uint64, from, until time.Time) {
	if c == nil {
		return
	}
	// A copy: the text may be a piece of a larger one, a whole header or cookie.
	e := &verifiedToken{
		token: strings.Clone(token), claims: claims, key: k, from: from.UnixNano(), until: until.UnixNano(),
		weight: int64(weightVerified + len(token) + claims.weight),
	}
	if e.weight > c.budget/cacheWays {
		return
	}
	e.ring.Store(ring)
	e.judged.Store(judged)
	var slots []atomic.Pointer[verifiedToken]
	e.hash, slots = c.place(token)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(c.victim(slots, e), e)
	for n := 2 * len(c.slots); c.bytes > c.budget && n > 0; n-- {
		c.sweep(e)
	}
}

// victim returns the place for e: that of the same token, else a free one, else that of a
// token that nobody has asked for lately, else any.
func (c *verifiedTokens) victim(slots []atomic.Pointer[verifiedToken], e *verifiedToken) *atomic.Pointer[verifiedToken] {
	var free, idle *atomic.Pointer[verifiedToken]
	for i := range slots {
		switch old := slots[i].Load(); {
		case old == nil:
			free = &slots[i]
		case old.hash == e.hash && old.token == e.token:
			return &slots[i]
		case !old.used.Load():
			idle = &slots[i]
		}
	}
	switch {
	case free != nil:
		return free
	case idle != nil:
		return idle
	}
	// All are in use. They have to prove it again, or the next one would again push out
	// whichever it meets first.
	for i := range slots {
		slots[i].Load().used.Store(false)
	}
	return &slots[(e.hash>>32)%cacheWays]
}

// sweep moves the clock hand by one place and frees it, unless its token was asked for
// since the hand last passed.
func (c *verifiedTokens) sweep(spare *verifiedToken) {
	slot := &c.slots[c.hand]
	c.hand = (c.hand + 1) % len(c.slots)
	if e := slot.Load(); e != nil && e != spare && !e.used.Swap(false) {
		c.set(slot, nil)
	}
}

// set puts e, which may be nil, in a place and keeps count. mu is held.
func (c *verifiedTokens) set(slot *atomic.Pointer[verifiedToken], e *verifiedToken) {
	if old := slot.Swap(e); old != nil {
		c.bytes -= old.weight
		c.entries--
	}
	if e != nil {
		c.bytes += e.weight
		c.entries++
	}
}

// drop forgets an entry.
func (c *verifiedTokens) drop(e *verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, slots := c.place(e.token)
	for i := range slots {
		if slots[i].Load() == e {
			c.set(&slots[i], nil)
		}
	}
}

// CacheStatus is what is known of the cache of verified tokens.
type CacheStatus struct {
	Entries int
	Bytes   int64
	Hits    uint64
	Misses  uint64
}

func (c *verifiedTokens) status() CacheStatus {
	if c == nil {
		return CacheStatus{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStatus{Entries: c.entries, Bytes: c.bytes, Hits: c.hits.sum(), Misses: c.misses.Load()}
}

// spreadCounter counts in several places, so that cores don't wait for one memory line.
type spreadCounter struct {
	cells [8]struct {
		n atomic.Uint64
		_ [56]byte // the rest of a line
	}
}

// add counts one; any evenly spread number says in which place.
func (c *spreadCounter) add(spread uint64) { c.cells[spread>>61].n.Add(1) }

func (c *spreadCounter) sum() uint64 {
	var n uint64
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}
