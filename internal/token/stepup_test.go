package token_test

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// stepUpTTL is how long a session is stepped up; then it is an ordinary one again.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"stepUpTTL":"15m","sessionTokenTTL":"10m"}`)
	set := w.signIn(t)
	found, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: set.Row.ID, AMR: []string{"totp"}, Origin: audit.Origin{Actor: audit.CLI}})
	must(t, err)
	until := w.clock.Now().Add(15 * time.Minute)
	if !found.StepUpUntil.Equal(until) || found.Status != session.Active {
		t.Fatalf("%+v", found)
	}
	up := []string{"pwd", "totp", "mfa"}
	for _, c := range []struct {
		wait, lives time.Duration
		su          bool
		amr         []string
	}{{0, 10 * time.Minute, true, up}, {10 * time.Minute, 5 * time.Minute, true, up}, {5*time.Minute - time.Second, time.Second, true, up}, {time.Second, 10 * time.Minute, false, []string{"pwd"}}} {
		w.clock.Move(c.wait)
		next := w.refresh(t, w.Service, set.Refresh)
		got := says(t, next.Session)
		if got.SteppedUp != c.su || !slices.Equal(got.AMR, c.amr) || time.Unix(got.Expires, 0).Sub(w.clock.Now()) != c.lives {
			t.Errorf("after %v: %+v, for %v", c.wait, got, time.Unix(got.Expires, 0).Sub(w.clock.Now()))
		}
		// Refresh tokens say how the user signed in: else a replay couldn't be the same.
		var refresh said
		claimsInto(t, next.Refresh, &refresh)
		if refresh.SteppedUp || !slices.Equal(refresh.AMR, []string{"pwd"}) {
			t.Errorf("the refresh token says %+v", refresh)
		}
		c2, err := w.sdk(t).Verify(t.Context(), next.Session.Reveal())
		must(t, err)
		if c2.SteppedUp != c.su {
			t.Errorf("the SDK reads %v", c2.SteppedUp)
		}
		set = next
	}
	if e := w.told(t, audit.SessionSteppedUp); len(e) != 1 {
		t.Errorf("%d events", len(e))
	}
}

// Attack 26: a step-up is of one session; it isn't believed from whoever asks, and how the
// user signed in, and when, stays as it was.
func TestAttack26StepUpOfOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	one, other := w.signIn(t), w.signIn(t)
	for name, c := range map[string]struct {
		in   token.StepUp
		kind fault.Kind
	}{
		"no method":      {token.StepUp{Session: one.Row.ID}, fault.Invalid},
		"mfa":            {token.StepUp{Session: one.Row.ID, AMR: []string{"mfa"}}, fault.Invalid},
		"unknown method": {token.StepUp{Session: one.Row.ID, AMR: []string{"magic"}}, fault.Invalid},
		"too short":      {token.StepUp{Session: one.Row.ID, AMR: []string{"sms"}, Lifetime: time.Second}, fault.OutOfRange},
		"too long":       {token.StepUp{Session: one.Row.ID, AMR: []string{"sms"}, Lifetime: time.Hour}, fault.OutOfRange},
		"nobody's":       {token.StepUp{Session: id.NewSession(w.clock.Now()), AMR: []string{"sms"}}, fault.NotFound},
	} {
		if _, err := w.StepUp(w.ctx, w.project, c.in); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.Move(time.Minute)
	_, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: one.Row.ID, AMR: []string{"pwd"}, Lifetime: time.Minute})
	must(t, err)
	up, plain := w.refresh(t, w.Service, one.Refresh), w.refresh(t, w.Service, other.Refresh)
	// The same factor once more is no second one.
	if got := says(t, up.Session); !got.SteppedUp || !slices.Equal(got.AMR, []string{"pwd"}) || up.Row.AuthTime != one.Row.AuthTime {
		t.Errorf("%+v", got)
	}
	if got := says(t, plain.Session); got.SteppedUp {
		t.Error("another session of the user is stepped up")
	}
	if got := says(t, w.signIn(t).Session); got.SteppedUp {
		t.Error("a new session of the user is stepped up")
	}
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"maxSessionsPerUser":1,"onLimit":"deny"}`)
	own := w.signIn(t)
	acted := w.signIn(t, func(in *token.SignIn) { in.Actor = `support: "Eve" <eve@example.com>` })
	got := says(t, acted.Session)
	if got.Actor.Sub != acted.Row.Actor || got.Subject != w.user.String() || acted.Row.AbsoluteAt.Sub(acted.Row.CreatedAt) != time.Hour {
		t.Errorf("%+v until %v", got, acted.Row.AbsoluteAt)
	}
	c, err := w.sdk(t).Verify(t.Context(), acted.Session.Reveal())
	must(t, err)
	if !c.Impersonated() {
		t.Error("the SDK takes it for the user")
	}
	if len(w.told(t, audit.SessionImpersonated)) != 1 {
		t.Error("the impersonation isn't told")
	}
	for _, e := range append(w.told(t, audit.SessionImpersonated), w.told(t, audit.SessionCreated)...) {
		if by := e.Data["impersonator"]; (by == acted.Row.Actor) != (e.Session == acted.Row.ID) || by == nil != (e.Session == own.Row.ID) {
			t.Errorf("%+v", e)
		}
	}
	w.refresh(t, w.Service, own.Refresh)
	for name, c := range map[string]struct {
		change func(*token.SignIn)
		kind   fault.Kind
	}{
		"a day":            {func(in *token.SignIn) { in.Lifetime = 24 * time.Hour }, fault.Internal},
		"more than a day":  {func(in *token.SignIn) { in.Lifetime = 24*time.Hour + 1 }, fault.OutOfRange},
		"and revokeOthers": {func(in *token.SignIn) { in.EndOthers = true }, fault.Contradiction},
		"a long name":      {func(in *token.SignIn) { in.Actor = string(make([]byte, 101)) }, fault.Invalid},
		"spaces":           {func(in *token.SignIn) { in.Actor = " eve" }, fault.Invalid},
		"a line":           {func(in *token.SignIn) { in.Actor = "e\nve" }, fault.Invalid},
		"backwards":        {func(in *token.SignIn) { in.Actor = "support \u202eeve" }, fault.Invalid},
		"unseen":           {func(in *token.SignIn) { in.Actor = "e\u200bve" }, fault.Invalid},
		"another line":     {func(in *token.SignIn) { in.Actor = "e\u2028ve" }, fault.Invalid},
		"no text":          {func(in *token.SignIn) { in.Actor = "\xff" }, fault.Invalid},
	} {
		_, err := w.trySignIn(func(in *token.SignIn) { in.Actor = "eve" }, c.change)
		if c.kind == fault.Internal {
			must(t, err)
		} else if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.StepUp(w.ctx, w.project, token.StepUp{Session: acted.Row.ID, AMR: []string{"totp"}}); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("stepped up by somebody else: %v", err)
	}
	// It is never refreshed beyond its end, however often.
	set := acted
	for range 5 {
		w.clock.Move(11 * time.Minute)
		set = w.refresh(t, w.Service, set.Refresh)
		if set.SessionExpiresAt.After(acted.Row.AbsoluteAt) || says(t, set.Session).Actor.Sub == "" {
			t.Errorf("until %v", set.SessionExpiresAt)
		}
	}
	w.clock.Move(5 * time.Minute)
	w.refused(t, set.Refresh, fault.SessionExpired)
}
