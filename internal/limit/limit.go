// Package limit owns the last of the limits on requests: how many may come from one
// network in a minute, kept in memory. It doesn't know what a request is, nor which
// network it comes from; the limit of each session is kept with the session.
package limit

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// MaxPerMinute is the greatest limit. Above it the time between two requests would be
// too short to be counted in nanoseconds.
const MaxPerMinute = 100_000_000

// Capacity is how many networks a server remembers unless it is told otherwise: more
// than are active in any minute, in about 10 MiB.
const Capacity = 65_536

// Networks holds one token bucket for each network that was seen of late. A bucket holds
// as many requests as are allowed in a minute and fills up in a minute. It is safe for
// concurrent use.
//
// Memory is bounded: beyond its capacity the network that was silent for the longest time
// is forgotten, which gives it a full bucket. So somebody who owns more networks than the
// capacity is limited by nothing here, and wouldn't be anyway: each of them has a bucket
// of its own.
type Networks struct {
	interval time.Duration // between two requests at the allowed rate
	burst    time.Duration // what a full bucket is worth
	capacity int
	start    time.Time

	mu      sync.Mutex
	index   map[key]int32
	buckets []bucket // the first is the ring's anchor and holds no network
}

// bucket is an element of a ring, latest used first. Its level is kept as the time at
// which it will be full again: that needs no work while nobody asks.
type bucket struct {
	full       time.Duration // since Networks.start
	newer, old int32
	network    key
}

// key is a network in half the space of a netip.Prefix, without a pointer for the garbage
// collector to follow. An IPv4 network has its mapped IPv6 form.
type key struct {
	address [16]byte
	bits    uint8
}

func keyOf(network netip.Prefix) key {
	if !network.IsValid() {
		return key{bits: 255}
	}
	bits := network.Bits()
	if network.Addr().Is4() {
		bits += 96
	}
	return key{network.Addr().As16(), uint8(bits)}
}

// New returns a limiter that allows perMinute requests, from 0 (no limit) to
// MaxPerMinute, for each of at most capacity networks. start is the time from which the
// limiter counts: that of the clock whose readings Allow gets.
func New(perMinute, capacity int, start time.Time) (*Networks, error) {
	if perMinute < 0 || perMinute > MaxPerMinute {
		return nil, errors.New("limit: the number of requests per minute is out of range")
	}
	if capacity < 1 || capacity > 1<<30 {
		return nil, errors.New("limit: the number of networks is out of range")
	}
	n := &Networks{capacity: capacity, start: start, index: map[key]int32{}, buckets: make([]bucket, 1)}
	if perMinute > 0 {
		n.interval = time.Minute / time.Duration(perMinute)
		n.burst = n.interval * time.Duration(perMinute)
	}
	return n, nil
}

// Allow takes one request out of the network's bucket and reports whether there was one;
// if not, it says when the next one may come. A refused request costs nothing. Networks
// that aren't valid share a bucket.
//
// The caller has cut the address down to its network: a bucket for each address of an
// IPv6 network would limit nobody.
func (n *Networks) Allow(network netip.Prefix, now time.Time) (ok bool, retryAfter time.Duration) {
	if n.interval == 0 {
		return true, 0
	}
	at := now.Sub(n.start)
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.use(keyOf(network), at)
	// A bucket takes no longer than burst to be full. If it seems to, the clock was
	// set back. It counts as empty then: waiting for the clock to catch up would lock
	// an honest network out, and a full one would be a gift to any other.
	b.full = min(max(b.full, at), at+n.burst)
	if wait := b.full + n.interval - n.burst - at; wait > 0 {
		return false, wait
	}
	b.full += n.interval
	return true, 0
}

// Len returns how many networks are remembered.
func (n *Networks) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.index)
}

// use finds or makes the network's bucket and puts it in front of the ring. The pointer
// is good until the next call.
func (n *Networks) use(network key, at time.Duration) *bucket {
	i, known := n.index[network]
	switch {
	case known:
		n.unlink(i)
	case len(n.index) < n.capacity:
		i = int32(len(n.buckets))
		n.buckets = append(n.buckets, bucket{network: network, full: at})
		n.index[network] = i
	default:
		i = n.buckets[0].newer // the ring is closed: beyond the anchor is the oldest
		n.unlink(i)
		delete(n.index, n.buckets[i].network)
		n.buckets[i] = bucket{network: network, full: at}
		n.index[network] = i
	}
	first := n.buckets[0].old
	n.buckets[i].newer, n.buckets[i].old = 0, first
	n.buckets[first].newer, n.buckets[0].old = i, i
	return &n.buckets[i]
}

func (n *Networks) unlink(i int32) {
	b := n.buckets[i]
	n.buckets[b.newer].old, n.buckets[b.old].newer = b.old, b.newer
}
