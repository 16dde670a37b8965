package token_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/session"
)

// benchmarkRefresh measures a rotation with all that is around it but HTTP and the disk:
// the token is checked, the decision is made in the store, two tokens are minted.
func benchmarkRefresh(b *testing.B, settings string) {
	w := newWorld(b, settings)
	refresh := w.signIn(b).Refresh
	b.ReportAllocs()
	for b.Loop() {
		// Past the window and what may follow it, so that every refresh rotates.
		w.clock.Move(2 * window)
		set := w.refresh(b, w.Service, refresh)
		if set.Rule != session.Rotate {
			b.Fatalf("%v instead of a rotation", set.Rule)
		}
		refresh = set.Refresh
		if w.clock.Now().After(set.Row.AbsoluteAt.Add(-10 * window)) {
			b.StopTimer()
			refresh = w.signIn(b).Refresh
			b.StartTimer()
		}
	}
}

func BenchmarkRefreshJWT(b *testing.B) { benchmarkRefresh(b, `{"refreshRateLimit":100000}`) }

func BenchmarkRefreshOpaque(b *testing.B) {
	benchmarkRefresh(b, `{"refreshRateLimit":100000,"refreshTokenFormat":"opaque"}`)
}

func BenchmarkRefreshJWTEdDSA(b *testing.B) {
	benchmarkRefresh(b, `{"refreshRateLimit":100000,"signingAlgorithm":"EdDSA"}`)
}

// BenchmarkReplay measures a repetition inside the window, as of many tabs.
func BenchmarkReplay(b *testing.B) {
	w := newWorld(b, `{}`)
	refresh := w.signIn(b).Refresh
	b.ReportAllocs()
	for b.Loop() {
		w.refresh(b, w.Service, refresh)
	}
}
