package limit

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	home   = netip.MustParsePrefix("192.0.2.0/24")
	office = netip.MustParsePrefix("2001:db8:1::/48")
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func limiter(t testing.TB, perMinute, capacity int) *Networks {
	t.Helper()
	n, err := New(perMinute, capacity, start)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// spend takes n requests at one moment, which must all be allowed.
func spend(t *testing.T, l *Networks, network netip.Prefix, n int, at time.Time) {
	t.Helper()
	for i := range n {
		if ok, wait := l.Allow(network, at); !ok || wait != 0 {
			t.Fatalf("request %d of %d: refused, wait %v", i+1, n, wait)
		}
	}
}

func refused(t *testing.T, l *Networks, network netip.Prefix, at time.Time, want time.Duration) {
	t.Helper()
	if ok, wait := l.Allow(network, at); ok || wait != want {
		t.Fatalf("allowed %v, wait %v; want a refusal and %v", ok, wait, want)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 5, 60, 6000, 7000} {
		l := limiter(t, perMinute, 8)
		interval := time.Minute / time.Duration(perMinute)
		spend(t, l, home, perMinute, start)
		refused(t, l, home, start, interval)
		refused(t, l, home, start, interval) // a refusal costs nothing
		refused(t, l, home, start.Add(interval-1), 1)
		spend(t, l, home, 1, start.Add(interval))
		refused(t, l, home, start.Add(interval), interval)
		// Half of it comes back in half a minute, and never more than all of it.
		later := start.Add(interval).Add(interval * time.Duration(perMinute/2))
		spend(t, l, home, perMinute/2, later)
		refused(t, l, home, later, interval)
		later = later.Add(24 * time.Hour)
		spend(t, l, home, perMinute, later)
		refused(t, l, home, later, interval)
	}
}

// At a steady pace of what is allowed nobody is ever refused; a little faster, and the
// share that passes is exactly the allowed one.
func TestSteadyRate(t *testing.T) {
	t.Parallel()
	l := limiter(t, 600, 8)
	now := start
	for range 10_000 {
		spend(t, l, home, 1, now)
		now = now.Add(100 * time.Millisecond)
	}
	passed := 0
	for range 12_000 { // 10 minutes, twice as fast
		if ok, _ := l.Allow(office, now); ok {
			passed++
		}
		now = now.Add(50 * time.Millisecond)
	}
	if want := 600*10 + 600; passed < want-1 || passed > want {
		t.Errorf("%d requests passed in 10 minutes, want %d: the rate and one full bucket", passed, want)
	}
}

func TestNetworksAreApart(t *testing.T) {
	t.Parallel()
	l := limiter(t, 2, 8)
	spend(t, l, home, 2, start)
	refused(t, l, home, start, 30*time.Second)
	spend(t, l, office, 2, start)
	spend(t, l, netip.Prefix{}, 2, start)
	refused(t, l, netip.Prefix{}, start, 30*time.Second)
	// Neither another size nor another family of the same address shares a bucket, but
	// an IPv4 network in its mapped form is the same network.
	spend(t, l, netip.MustParsePrefix("192.0.2.0/25"), 2, start)
	spend(t, l, netip.MustParsePrefix("::/24"), 2, start)
	spend(t, l, netip.MustParsePrefix("0.0.0.0/24"), 2, start)
	refused(t, l, netip.MustParsePrefix("::ffff:192.0.2.0/120"), start, 30*time.Second)
	if l.Len() != 6 {
		t.Errorf("%d networks, want 6", l.Len())
	}
}

// Attack 41: a clock that jumps must not lock anybody out, nor open the limit for good.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	l := limiter(t, 60, 8)
	spend(t, l, home, 60, start)
	refused(t, l, home, start, time.Second)
	// However far it goes back, the bucket counts as empty and fills at its rate.
	for _, back := range []time.Duration{time.Nanosecond, time.Millisecond, time.Hour, 1000 * time.Hour} {
		at := start.Add(-back)
		refused(t, l, home, at, time.Second)
		spend(t, l, home, 1, at.Add(time.Second))
		refused(t, l, home, at.Add(time.Second), time.Second)
	}
	spend(t, l, home, 60, start.Add(time.Hour))
	refused(t, l, home, start.Add(time.Hour), time.Second)
}

func TestOff(t *testing.T) {
	t.Parallel()
	l := limiter(t, 0, 8)
	spend(t, l, home, 100_000, start)
	if l.Len() != 0 {
		t.Error("a limiter that is off remembers networks")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ perMinute, capacity int }{{-1, 1}, {MaxPerMinute + 1, 1}, {1, 0}, {1, -1}, {1, 1<<30 + 1}} {
		if _, err := New(c.perMinute, c.capacity, start); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	l := limiter(t, MaxPerMinute, 1)
	if ok, _ := l.Allow(home, start); !ok || l.interval <= 0 {
		t.Error("the greatest limit doesn't work")
	}
}

func network(i int) netip.Prefix {
	address := [16]byte{0x20, 0x01, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
	return netip.PrefixFrom(netip.AddrFrom16(address), 48)
}

// The network that was silent for the longest time goes first, whether its last
// request was allowed or refused.
func TestForgetsTheSilent(t *testing.T) {
	t.Parallel()
	l := limiter(t, 1, 3)
	for i := range 3 {
		spend(t, l, network(i), 1, start)
	}
	refused(t, l, network(0), start, time.Minute) // now the oldest is 1
	spend(t, l, network(3), 1, start)             // forgets 1
	refused(t, l, network(0), start, time.Minute)
	refused(t, l, network(2), start, time.Minute)
	refused(t, l, network(3), start, time.Minute)
	spend(t, l, network(1), 1, start) // forgets 0
	refused(t, l, network(2), start, time.Minute)
	refused(t, l, network(3), start, time.Minute)
	refused(t, l, network(1), start, time.Minute)
	spend(t, l, network(0), 1, start)
	if l.Len() != 3 {
		t.Errorf("%d networks, want 3", l.Len())
	}
}

// The ring and the index agree after any sequence of uses.
func FuzzRing(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 1, 2, 5, 6, 7, 1})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, uses []byte) {
		l := limiter(t, 1_000, 4)
		var recent []netip.Prefix // newest first
		for i, u := range uses {
			p := network(int(u % 9))
			l.Allow(p, start.Add(time.Duration(i)))
			kept := []netip.Prefix{p}
			for _, q := range recent {
				if q != p && len(kept) < 4 {
					kept = append(kept, q)
				}
			}
			recent = kept
		}
		at := l.buckets[0].old
		for _, p := range recent {
			if l.buckets[at].network != keyOf(p) || l.index[keyOf(p)] != at {
				t.Fatalf("the ring doesn't hold the latest networks in order: %v", recent)
			}
			at = l.buckets[at].old
		}
		if at != 0 || len(l.index) != len(recent) {
			t.Fatalf("the ring isn't closed, or the index holds %d networks, want %d", len(l.index), len(recent))
		}
	})
}

// Any number of networks costs no more than the capacity allows.
func TestMemoryIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := limiter(t, 6000, Capacity)
	for i := range 4 * Capacity {
		l.Allow(network(i), start)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if l.Len() != Capacity {
		t.Errorf("%d networks are remembered, want %d", l.Len(), Capacity)
	}
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if grown > 12<<20 {
		t.Errorf("%d bytes are held, over 12 MiB", grown)
	}
	t.Logf("%.1f MiB for %d networks", float64(grown)/(1<<20), Capacity)
	runtime.KeepAlive(l)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	l := limiter(t, 1000, 16)
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2_000 {
				if ok, _ := l.Allow(home, start); ok {
					passed.Add(1)
				}
				if i%4 == 0 {
					l.Allow(network(i%8), start)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 1000 {
		t.Errorf("%d requests passed, want exactly 1000", passed.Load())
	}
}

func BenchmarkAllow(b *testing.B) {
	l := limiter(b, 6000, Capacity)
	for i := range Capacity {
		l.Allow(network(i), start)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i += 7919 {
			l.Allow(network(i&0xffff), start)
		}
	})
}

func BenchmarkAllowOneNetwork(b *testing.B) {
	l := limiter(b, 6000, Capacity)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow(home, start)
		}
	})
}
