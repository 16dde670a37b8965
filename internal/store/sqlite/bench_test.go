package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
)

// BenchmarkRotate is 64 callers that refresh sessions all over the table. Each has
// sessions of its own and presents the right token. LATCHKEY_LONG adds a large table.
func BenchmarkRotate(b *testing.B) {
	sizes := []int{10_000}
	if long() {
		sizes = append(sizes, 1_000_000)
	}
	for _, size := range sizes {
		clock := newTick()
		s, _ := fresh(b, Options{Now: clock.Now})
		_, rows := populate(b, s, size)
		for _, c := range []struct {
			name           string
			callers, batch int
		}{{"alone", 1, maxBatch}, {"together", 64, maxBatch}, {"each for itself", 64, 1}} {
			s.queue.max = c.batch
			b.Run(fmt.Sprintf("%s of %d", c.name, size), func(b *testing.B) { rotate(b, s, rows, c.callers) })
		}
	}
}

func rotate(b *testing.B, s *Store, rows []session.Row, callers int) {
	policy := unlimited()
	latencies := make([][]time.Duration, callers)
	var left atomic.Int64
	left.Store(int64(b.N))
	before := cpu()
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		all.Go(func() {
			mine := rows[i*len(rows)/callers : (i+1)*len(rows)/callers]
			step := max(1, len(mine)*618/1000)
			for at := 0; left.Add(-1) >= 0; at = (at + step) % len(mine) {
				start := time.Now()
				row, v, err := s.Sessions().Rotate(context.Background(), refresh(mine[at], 1, policy))
				if err != nil || v.Rule != session.Rotate {
					b.Errorf("%v %v", v.Rule, err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(start))
				mine[at].Parent, mine[at].Newest = row.Parent, row.Newest
			}
		})
	}
	all.Wait()
	b.StopTimer()
	sorted := slices.Concat(latencies...)
	slices.Sort(sorted)
	if len(sorted) == 0 {
		b.Fatal("no rotation succeeded")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "cpu-us/op")
	b.ReportMetric(sorted[len(sorted)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(sorted[len(sorted)*99/100].Seconds()*1000, "p99-ms")
}

// BenchmarkEnd is what a logout asks of the store, with its entry in the feed.
func BenchmarkEnd(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("by %d", callers), func(b *testing.B) {
			s, _ := fresh(b, Options{})
			_, rows := populate(b, s, max(b.N, 1))
			var next atomic.Int64
			before := cpu()
			var all sync.WaitGroup
			b.ResetTimer()
			for range callers {
				all.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						if was, err := s.Sessions().End(context.Background(), rows[i].Project, rows[i].ID, session.Ending{Reason: session.Logout}); !was || err != nil {
							b.Errorf("%v %v", was, err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "cpu-us/op")
		})
	}
}

// BenchmarkFind is what an introspection asks of the store.
func BenchmarkFind(b *testing.B) {
	s, _ := fresh(b, Options{})
	_, rows := populate(b, s, 10_000)
	at := 0
	b.ReportAllocs()
	for b.Loop() {
		at = (at + 6180) % len(rows)
		if _, _, err := s.Sessions().Find(b.Context(), rows[at].Project, rows[at].ID); err != nil {
			b.Fatal(err)
		}
	}
}
