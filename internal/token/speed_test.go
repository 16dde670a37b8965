package token_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// benchmarkRefresh measures a rotation with all that is around it but HTTP and the disk:
// the token is checked, the decision is made in the store, two tokens are minted.
func benchmarkRefresh(b *testing.B, settings string, documents ...string) {
	w := newWorld(b, settings)
	for _, doc := range documents {
		w.equip(b, `{"plan":"gold","seats":25}`)
		w.save(b, document.User, doc)
	}
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

// Templates cost what their expressions cost, and almost nothing without any.
func BenchmarkRefreshConstantTemplate(b *testing.B) {
	benchmarkRefresh(b, `{"refreshRateLimit":100000}`, `{"claims":{"plan":"gold","n":[1,2,3]},"audience":["https://api.example.com"]}`)
}

func BenchmarkRefreshTemplate(b *testing.B) {
	benchmarkRefresh(b, `{"refreshRateLimit":100000}`,
		`{"claims":{"plan":"{{ user.attributes.plan }}","hello":"Hi {{ user.name }}","large":"{{ user.attributes.seats > 10 }}"}}`)
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
