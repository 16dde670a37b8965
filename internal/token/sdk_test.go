package token_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// sdk returns a Verifier of the world's project, as an application has one.
func (w *world) sdk(t testing.TB) *latchkey.Verifier {
	t.Helper()
	jwks, _, err := w.JWKS(w.ctx, w.project)
	must(t, err)
	keys, err := latchkey.StaticKeySet(jwks)
	must(t, err)
	v, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: w.Issuer(w.project), Keys: keys, Now: w.clock.Now})
	must(t, err)
	return v
}

// What is minted here verifies with the SDK and says there what the session says here,
// for every algorithm; and a refresh token never counts as a session token.
func TestSDKVerifiesWhatIsMinted(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fmt.Sprintf(`{"signingAlgorithm":%q}`, algorithm))
			v := w.sdk(t)
			first := w.signIn(t, everything)
			w.clock.Move(window)
			for _, set := range []token.Set{first, w.refresh(t, w.Service, first.Refresh)} {
				for range 2 { // cold and from the cache
					c, err := v.Verify(t.Context(), set.Session.Reveal())
					must(t, err)
					compare(t, w, c, set)
				}
				if c, err := v.Verify(t.Context(), set.Refresh.Reveal()); latchkey.ReasonOf(err) != latchkey.ReasonType || c != nil {
					t.Errorf("a refresh token: %v", err)
				}
			}
			w.clock.Move(time.Hour)
			if _, err := v.Verify(t.Context(), first.Session.Reveal()); latchkey.ReasonOf(err) != latchkey.ReasonExpired {
				t.Errorf("an old token: %v", err)
			}
		})
	}
}

// compare holds claims against the session that they are of.
func compare(t *testing.T, w *world, c *latchkey.Claims, set token.Set) {
	t.Helper()
	row := set.Row
	if c.Issuer != w.Issuer(w.project) || c.Subject != w.user.String() || c.SessionID != row.ID.String() || c.Epoch != set.At.UnixMilli() || c.RefreshID != row.Newest.String() {
		t.Errorf("%+v", c)
	}
	if !c.ExpiresAt.Equal(set.SessionExpiresAt) || !c.RefreshExpiresAt.Equal(set.RefreshExpiresAt) || c.AuthTime.Unix() != row.AuthTime.Unix() {
		t.Errorf("times %v, %v, %v", c.ExpiresAt, c.RefreshExpiresAt, c.AuthTime)
	}
	if fmt.Sprint(c.AMR) != fmt.Sprint(row.AMR) || len(c.Audience) != 2 || c.Audience[0] != w.project.String() {
		t.Errorf("amr %v, aud %v", c.AMR, c.Audience)
	}
	var plan, odd, theme, sub json.RawMessage
	for name, into := range map[string]*json.RawMessage{"plan": &plan, `a"b`: &odd} {
		if ok, err := c.Claim(name, into); !ok || err != nil {
			t.Errorf("claim %s: %v, %v", name, ok, err)
		}
	}
	for name, into := range map[string]*json.RawMessage{"theme": &theme, "sub": &sub} {
		if ok, err := c.ClientClaim(name, into); !ok || err != nil {
			t.Errorf("client claim %s: %v, %v", name, ok, err)
		}
	}
	if string(plan) != `"pro"` || string(odd) != `[1,{"c":null}]` || string(theme) != `"dark"` || string(sub) != `"not me"` {
		t.Errorf("claims %s, %s, %s, %s", plan, odd, theme, sub)
	}
}

// Attack 41: the clock is set back, and all sessions of the user end. A token from before
// is refused although it says that it was minted later than that, and what the spared
// session gets then is accepted.
func TestAttack41RevocationAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	spared, ended := w.signIn(t), w.signIn(t)
	w.clock.Move(window)
	ended = w.refresh(t, w.Service, ended.Refresh)
	w.clock.Move(-time.Minute)
	_, err := w.store.Bulk().EndAll(w.ctx, w.project, w.user, spared.Row.ID, session.Ending{Reason: session.Ended})
	must(t, err)
	list, err := w.store.Revocations().Of(w.ctx, w.project, 0, 99)
	must(t, err)
	epoch := func(set token.Set) (at struct {
		Epoch    int64 `json:"epc"`
		IssuedAt int64 `json:"iat"`
	}) {
		claimsInto(t, set.Session, &at)
		return at
	}
	if len(list) != 1 || epoch(ended).Epoch > list[0].At.UnixMilli() {
		t.Fatalf("the entries %+v don't concern a token of %v", list, time.UnixMilli(epoch(ended).Epoch).UTC())
	}
	next := w.refresh(t, w.Service, spared.Refresh)
	if got := epoch(next); got.Epoch <= list[0].At.UnixMilli() || got.IssuedAt != w.clock.Now().Unix() {
		t.Errorf("the next token is of %+v", got)
	}
}
