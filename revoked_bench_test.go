package latchkey

import (
	"fmt"
	"runtime"
	"testing"
)

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{0, 1000, 1_000_000} {
		x := newRevokedIndex(feedProject)
		fillIndex(x, n)
		c := feedClaims(0)
		c.SessionID, c.Subject = "ses_01k9zzzzzzzzzzzzzzzzzzzzzz", "usr_01k9zzzzzzzzzzzzzzzzzzzzzz"
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.judge(c)
			}
		})
		b.Run(fmt.Sprintf("entries=%d/parallel", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					x.judge(c)
				}
			})
		})
	}
}

// fill adds n sessions with identifiers of the usual length, and a tenth as many users.
func fillIndex(x *revokedIndex, n int) {
	for i := range n {
		e := feedEntry("session", fmt.Sprintf("ses_%026d", i), i)
		x.add(&e, 0)
		if i%10 == 0 && i < n-n/10 {
			e := feedEntry("user", fmt.Sprintf("usr_%026d", i), i)
			x.add(&e, 0)
		}
	}
}

func BenchmarkIndexMemory(b *testing.B) {
	for _, kind := range []string{"session", "user"} {
		b.Run(kind, func(b *testing.B) {
			const n = 1_000_000
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				x := newRevokedIndex(feedProject)
				for i := range n {
					e := feedEntry(kind, fmt.Sprintf("x_%026d", i), i)
					x.add(&e, 0)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/entry")
				runtime.KeepAlive(x)
			}
		})
	}
}

// A token with three roles, while a thousand roles and half of the shares have changed.
func BenchmarkJudgeOfRoles(b *testing.B) {
	x := newRevokedIndex(feedProject)
	for i := range 1000 {
		e := feedEntry("role", RoleMark(fmt.Sprint("role ", i)), i)
		x.add(&e, 0)
	}
	c := feedClaims(0)
	c.SessionID, c.Subject = "ses_01k9zzzzzzzzzzzzzzzzzzzzzz", "usr_01k9zzzzzzzzzzzzzzzzzzzzzz"
	e := feedEntry("share", ShareMark(Share(c.SessionID)+1, 100), 0)
	x.add(&e, 0)
	if x.judge(c) != "" {
		b.Fatal("the token is refused")
	}
	b.ReportAllocs()
	for b.Loop() {
		x.judge(c)
	}
}
