package token_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// fuzzRead holds reading to its promise: it takes exactly the texts that were minted,
// gives one reason for all others, and never looks for a session.
func fuzzRead(f *testing.F, settings string) {
	w := newWorld(f, settings)
	minted := map[string]token.Kind{}
	for range 3 {
		set := w.signIn(f, everything)
		w.clock.Move(window)
		next := w.refresh(f, w.Service, set.Refresh)
		for _, s := range []token.Set{set, next} {
			minted[s.Session.Reveal()] = token.SessionToken
			minted[s.Refresh.Reveal()] = token.RefreshToken
		}
	}
	for text := range minted {
		f.Add(text)
		f.Add(text[:len(text)-1])
		f.Add(text + "=")
		f.Add(strings.ToLower(text))
		if parts := strings.Split(text, "."); len(parts) == 3 {
			f.Add(parts[0] + "." + parts[1] + ".")
			f.Add("eyJhbGciOiJub25lIn0." + parts[1] + ".")
			f.Add(strings.Repeat(".", 1000))
		}
	}
	f.Add("rt_")
	f.Add("rt_" + strings.Repeat("A", 82))
	f.Add("")
	calls := w.sessions.calls.Load()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := w.Read(w.ctx, w.present(secret.New(text)))
		kind, good := minted[text]
		switch {
		case good && (err != nil || got.Kind != kind):
			t.Errorf("%q is good: %v %v", text, got.Kind, err)
		case !good && (fault.KindOf(err) != fault.Unauthenticated || got.Kind != 0 || got.Claims != nil):
			t.Errorf("%q: %+v %v", text, got, err)
		}
		if w.sessions.calls.Load() != calls {
			t.Errorf("%q: a session was looked for", text)
		}
	})
}

func FuzzReadJWT(f *testing.F) { fuzzRead(f, `{"signingAlgorithm":"EdDSA"}`) }

func FuzzReadOpaque(f *testing.F) { fuzzRead(f, `{"refreshTokenFormat":"opaque"}`) }
