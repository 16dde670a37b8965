package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		set := w.signIn(t)
		for _, text := range []token.Presentation{w.present(set.Session), w.present(set.Refresh)} {
			who, err := w.Identify(w.ctx, text)
			must(t, err)
			if who.Row.ID != set.Row.ID || who.Row.User != w.user || who.Session != set.Row.ID {
				t.Errorf("got %+v", who)
			}
		}
		w.clock.Move(10*time.Minute - time.Millisecond)
		_, err := w.Identify(w.ctx, w.present(set.Session))
		must(t, err)
		w.clock.Move(time.Millisecond)
		if _, err := w.Identify(w.ctx, w.present(set.Session)); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("an expired session token: %v", err)
		}
		_, err = w.store.Sessions().End(w.ctx, w.project, set.Row.ID, session.Ending{Reason: session.Logout, Origin: audit.Origin{Actor: audit.CLI}})
		must(t, err)
		for _, in := range []token.Presentation{w.present(set.Session), w.present(set.Refresh)} {
			if _, err := w.Identify(w.ctx, in); fault.KindOf(err) != fault.SessionRevoked {
				t.Errorf("after the end: %v", err)
			}
			_, err := w.Read(w.ctx, in)
			must(t, err)
		}
	})
}

// A stolen refresh token is found out wherever it is shown.
func TestIdentifyFindsTheft(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		first := w.signIn(t)
		w.clock.Move(window)
		second := w.refresh(t, w.Service, first.Refresh)
		if confirmed, from, err := w.Acknowledge(w.ctx, w.present(second.Refresh)); err != nil || confirmed || !from.Equal(w.clock.Now().Add(window)) {
			t.Errorf("inside the window: %v %v %v", confirmed, from, err)
		}
		w.clock.Move(window)
		if confirmed, _, err := w.Acknowledge(w.ctx, w.present(first.Refresh)); err != nil || confirmed {
			t.Errorf("the old token: %v %v", confirmed, err)
		}
		if confirmed, _, err := w.Acknowledge(w.ctx, w.present(second.Refresh)); err != nil || !confirmed {
			t.Errorf("the newest token: %v %v", confirmed, err)
		}
		if _, err := w.Identify(w.ctx, w.present(first.Refresh)); fault.KindOf(err) != fault.TokenReuse {
			t.Errorf("the stolen token: %v", err)
		}
		if _, err := w.Identify(w.ctx, w.present(second.Session)); fault.KindOf(err) != fault.TokenReuse {
			t.Errorf("the session token after it: %v", err)
		}
		w.refused(t, second.Refresh, fault.TokenReuse)
	})
}

// A session token confirms the refresh token that its client got with it, and no other:
// one that was handed out to leave the lineage alone confirms nothing newer.
func TestSessionTokensConfirmWhatTheClientHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	first := w.signIn(t)
	w.clock.Move(window)
	second := w.refresh(t, w.Service, first.Refresh)
	w.clock.Move(window)
	alone, _, err := w.Refresh(w.ctx, w.present(first.Refresh), true)
	must(t, err)
	for _, c := range []struct {
		set  token.Set
		want bool
	}{{first, false}, {alone, false}, {second, true}} {
		_, err := w.Identify(w.ctx, w.present(c.set.Session))
		must(t, err)
		row, _, err := w.store.Sessions().Find(w.ctx, w.project, first.Row.ID)
		must(t, err)
		if row.Confirmed != c.want {
			t.Fatalf("confirmed is %v, want %v", row.Confirmed, c.want)
		}
	}
}

func TestRefusalsOfRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"refreshRateLimit":1}`)
	set := w.signIn(t)
	w.clock.Move(time.Hour)
	in := w.present(set.Refresh)
	in.ComposedAt = w.clock.Now().Add(-time.Hour)
	got, decided, err := w.Refresh(w.ctx, in, false)
	if fault.KindOf(err) != fault.RequestExpired || !decided || got.Rule != session.Stale {
		t.Errorf("composed long ago: %v %v %v", got.Rule, decided, err)
	}
	set = w.refresh(t, w.Service, set.Refresh)
	w.clock.Move(time.Minute)
	got, decided, err = w.Refresh(w.ctx, w.present(set.Refresh), false)
	if fault.KindOf(err) != fault.RateLimited || !decided || got.Rule != session.Limited {
		t.Errorf("too often: %v %v %v", got.Rule, decided, err)
	}
	if _, decided, err := w.Refresh(w.ctx, token.Presentation{Project: w.project}, false); fault.KindOf(err) != fault.Unauthenticated || decided {
		t.Errorf("no token: %v %v", decided, err)
	}
}

// Whoever has the key set can check a session token with nothing but the standard
// library.
func TestSessionTokensVerifyByTheJWKS(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, w *world) {
		set := w.signIn(t)
		body, _, err := w.JWKS(w.ctx, w.project)
		must(t, err)
		var jwks struct{ Keys []jwk }
		must(t, json.Unmarshal(body, &jwks))
		var header struct{ Alg, Kid, Typ string }
		must(t, json.Unmarshal(segment(t, set.Session, 0), &header))
		for _, k := range jwks.Keys {
			if k.Kid != header.Kid {
				continue
			}
			text := set.Session.Reveal()
			dot := strings.LastIndex(text, ".")
			if k.Alg != header.Alg || header.Typ != "at+jwt" || !k.verifies(t, text[:dot], text[dot+1:]) {
				t.Errorf("the token with the header %+v doesn't verify with %+v", header, k)
			}
			if k.verifies(t, text[:dot-1], text[dot+1:]) {
				t.Error("an altered token verifies")
			}
			return
		}
		t.Errorf("the key %s isn't published", header.Kid)
	})
}

type jwk struct{ Kid, Alg, X, Y, N, E string }

func (k jwk) verifies(t *testing.T, input, signature string) bool {
	t.Helper()
	bytes := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		must(t, err)
		return b
	}
	number := func(s string) *big.Int { return new(big.Int).SetBytes(bytes(s)) }
	sig, digest := bytes(signature), sha256.Sum256([]byte(input))
	switch k.Alg {
	case "ES256":
		point := append([]byte{4}, append(bytes(k.X), bytes(k.Y)...)...) // uncompressed (SEC 1, 2.3.3)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		must(t, err)
		return len(sig) == 64 && ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case "EdDSA":
		return ed25519.Verify(bytes(k.X), []byte(input), sig)
	case "RS256":
		return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}, crypto.SHA256, digest[:], sig) == nil
	}
	return false
}

// An authentic token of a session that never was, or was removed, is over.
func TestTokenOfARemovedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	row := set.Row
	row.ID = id.NewSession(w.clock.Now())
	orphan, err := w.RefreshToken(w.ctx, row)
	must(t, err)
	w.refused(t, orphan, fault.SessionRevoked)
	if _, err := w.Identify(w.ctx, w.present(orphan)); fault.KindOf(err) != fault.SessionRevoked {
		t.Errorf("got %v", err)
	}
}
