package token_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// specimen is an authentic token, and where it belongs.
type specimen struct {
	world *world
	text  string
}

// kinds returns a token of each kind and form.
func kinds(t *testing.T) map[string]specimen {
	t.Helper()
	out := map[string]specimen{}
	for form, settings := range forms {
		w := newWorld(t, settings)
		set := w.signIn(t)
		out[form+" refresh"] = specimen{w, set.Refresh.Reveal()}
		if form != "opaque" {
			out[form+" session"] = specimen{w, set.Session.Reveal()}
		}
	}
	return out
}

// Attack 17: a token that was cut or altered anywhere is refused, for the same reason
// wherever that was, and no session is looked for.
func TestAlteredTokens(t *testing.T) {
	t.Parallel()
	for kind, c := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := c.world
			calls := w.sessions.calls.Load()
			var want string
			try := func(text string) {
				t.Helper()
				in := w.present(secret.New(text))
				_, readErr := w.Read(w.ctx, in)
				_, identifyErr := w.Identify(w.ctx, in)
				_, _, refreshErr := w.Refresh(w.ctx, in, false)
				for _, err := range []error{readErr, identifyErr, refreshErr} {
					if fault.KindOf(err) != fault.Unauthenticated {
						t.Fatalf("%q: %v", text, err)
					}
					if want == "" {
						want = err.Error()
					}
					if err.Error() != want {
						t.Fatalf("%q: %v, others get %s", text, err, want)
					}
				}
			}
			for n := range c.text {
				try(c.text[:n])
				try(c.text[n+1:])
				for _, bit := range []int{n % 7, (n + 3) % 7} {
					try(c.text[:n] + string(c.text[n]^1<<bit) + c.text[n+1:])
				}
			}
			for _, more := range []string{"A", "=", "==", ".", "\n", " ", "\x00"} {
				try(c.text + more)
				try(more + c.text)
			}
			for _, line := range []string{"\n", "\r\n"} {
				try(c.text[:20] + line + c.text[20:])
			}
			try(c.text + c.text)
			try("")
			if n := w.sessions.calls.Load() - calls; n != 0 {
				t.Errorf("the store of sessions was asked %d times", n)
			}
		})
	}
}

// A token of one kind is never taken for another, nor one of another project.
func TestTokensAreNotMixedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	jwt := w.signIn(t)
	other := w.newProject(t, `{"refreshTokenFormat":"opaque"}`)
	user := w.newUser(t, other)
	foreign := w.signIn(t, func(in *token.SignIn) { in.Project, in.User = other, user })
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	opaque := w.signIn(t)

	w.refused(t, jwt.Session, fault.Unauthenticated)
	for name, text := range map[string]secret.Text{
		"another project's session token": foreign.Session, "another project's refresh token": foreign.Refresh,
	} {
		if _, err := w.Read(w.ctx, w.present(text)); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		w.refused(t, text, fault.Unauthenticated)
	}
	for name, c := range map[string]struct {
		text secret.Text
		kind token.Kind
	}{"session": {jwt.Session, token.SessionToken}, "refresh": {jwt.Refresh, token.RefreshToken}, "opaque": {opaque.Refresh, token.RefreshToken}} {
		got, err := w.Read(w.ctx, w.present(c.text))
		must(t, err)
		if got.Kind != c.kind || got.Session.IsZero() || got.Token.IsZero() || (got.Claims == nil) != (name == "opaque") || got.ExpiresAt.IsZero() != (name == "opaque") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	in := w.present(jwt.Refresh)
	in.Project = other
	if _, _, err := w.Refresh(w.ctx, in, false); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("at the other project: %v", err)
	}
}

// The checksum of an opaque token is no protection: the MAC is.
func TestOpaqueTokensWithARightChecksum(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"refreshTokenFormat":"opaque"}`)
	good, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(w.signIn(t).Refresh.Reveal(), "rt_"))
	must(t, err)
	sum := len(good) - crc32.Size
	calls := w.sessions.calls.Load()
	for i := range sum {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		binary.BigEndian.PutUint32(bad[sum:], crc32.ChecksumIEEE(bad[:sum]))
		w.refused(t, secret.New("rt_"+base64.RawURLEncoding.EncodeToString(bad)), fault.Unauthenticated)
	}
	if n := w.sessions.calls.Load() - calls; n != 0 {
		t.Errorf("the store of sessions was asked %d times", n)
	}
}

// A refresh token that a revoked key signed says that its session was ended. A session
// token doesn't: another key may have signed its session's refresh token since.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	keys, err := w.keys.List(w.ctx, w.project)
	must(t, err)
	_, err = w.keys.Revoke(w.ctx, w.project, keys[0].ID, audit.Origin{Actor: audit.CLI})
	must(t, err)
	w.refused(t, set.Refresh, fault.SessionRevoked)
	if _, err := w.Identify(w.ctx, w.present(set.Session)); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the session token: %v", err)
	}
	// An altered token of that key is nothing but altered.
	w.refused(t, secret.New(set.Refresh.Reveal()[:200]), fault.Unauthenticated)
}

// A token that another server signed with a key that this one hasn't heard of yet makes
// it read the keys again.
func TestKeyMadeElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	w.signIn(t) // the keys are in memory now
	_, err := w.keys.RotateNow(w.ctx, w.project, audit.Origin{Actor: audit.CLI})
	must(t, err)
	other := w.restart(t)
	set, err := other.SignIn(w.ctx, token.SignIn{Project: w.project, User: w.user, AMR: []string{"pwd"}, Origin: audit.Origin{Actor: audit.System}})
	must(t, err)
	w.clock.Move(time.Hour)
	w.refresh(t, w.Service, set.Refresh)
}
