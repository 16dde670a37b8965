package token_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// choose fails unless these are chosen, in this order.
func (w *world) choose(t *testing.T, kind token.Kind, held []secret.Text, want ...secret.Text) {
	t.Helper()
	got, err := w.Choose(w.ctx, w.project, held, kind)
	must(t, err)
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && got[i].Equal(want[i])
	}
	if ok {
		return
	}
	at := func(text secret.Text) int {
		for i, h := range held {
			if h.Equal(text) {
				return i
			}
		}
		return -1
	}
	for _, text := range got {
		t.Errorf("chosen: number %d", at(text))
	}
	for _, text := range want {
		t.Errorf("wanted: number %d", at(text))
	}
}

// chain returns the refresh tokens of a session, oldest first.
func (w *world) chain(t *testing.T, n int) []secret.Text {
	t.Helper()
	set := w.signIn(t)
	all := []secret.Text{set.Refresh}
	for range n {
		w.clock.Move(window)
		next, _, err := w.Refresh(w.ctx, token.Presentation{Project: w.project, Token: all[len(all)-1]}, false)
		must(t, err)
		all = append(all, next.Refresh)
	}
	return all
}

// The one that a refresh would trade is chosen, in whatever order they come: an older
// one would look like a theft.
func TestChooseTheNewestOfASession(t *testing.T) {
	for _, settings := range []string{`{}`, `{"refreshTokenFormat":"opaque"}`, `{"absoluteTimeout":"1h","idleTimeout":"30m"}`} {
		w := newWorld(t, settings)
		all := w.chain(t, 3)
		newest := all[3]
		for range 4 {
			w.choose(t, token.RefreshToken, all, newest)
			all = append(all[1:], all[0])
		}
		// Without the newest: the one before, which may be traded while its answer is
		// not known to have arrived.
		w.choose(t, token.RefreshToken, []secret.Text{all[0], all[2], all[1]}, all[2])
	}
}

// A sibling that was handed out, too, comes before their parent.
func TestChooseASibling(t *testing.T) {
	w := newWorld(t, `{}`)
	first := w.signIn(t).Refresh
	refresh := func() secret.Text {
		w.clock.Move(window)
		set, _, err := w.Refresh(w.ctx, token.Presentation{Project: w.project, Token: first}, false)
		must(t, err)
		return set.Refresh
	}
	w.clock.Move(window)
	parent, _, err := w.Refresh(w.ctx, token.Presentation{Project: w.project, Token: first}, false)
	must(t, err)
	first = parent.Refresh
	sibling := refresh()
	newest := refresh() // the sibling's answer was lost
	w.choose(t, token.RefreshToken, []secret.Text{first, sibling}, sibling)
	w.choose(t, token.RefreshToken, []secret.Text{first, sibling, newest}, newest)
}

func TestChooseAmongSessions(t *testing.T) {
	w := newWorld(t, `{}`)
	older, newer := w.chain(t, 1), w.chain(t, 1)
	// Who holds them has put them in order.
	w.choose(t, token.RefreshToken, []secret.Text{newer[0], older[1], newer[1], older[0]}, newer[1], older[1])
	w.choose(t, token.RefreshToken, []secret.Text{older[1], newer[1]}, older[1], newer[1])
	w.settings(t, `{"refreshTokenFormat":"opaque"}`)
	older, newer = w.chain(t, 1), w.chain(t, 1)
	w.choose(t, token.RefreshToken, []secret.Text{older[1], newer[0], newer[1], older[0]}, newer[1], older[1])
}

func TestChooseLeavesJunkOut(t *testing.T) {
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	other := w.newProject(t, `{}`)
	foreign, err := w.SignIn(w.ctx, token.SignIn{Project: other, User: w.newUser(t, other), AMR: []string{"pwd"}})
	must(t, err)
	text := set.Refresh.Reveal()
	junk := []secret.Text{
		secret.New("junk"), secret.New(text[:len(text)-1]), secret.New(text + "A"), foreign.Refresh, set.Session, secret.New("rt_x"),
	}
	w.choose(t, token.RefreshToken, junk)
	w.choose(t, token.RefreshToken, append(junk, set.Refresh), set.Refresh)
	w.choose(t, token.SessionToken, append(junk, set.Refresh), set.Session)
	w.choose(t, token.SessionToken, nil)
	if got, err := w.Choose(w.ctx, foreign.Row.Project, []secret.Text{set.Refresh}, token.RefreshToken); err != nil || len(got) != 0 {
		t.Errorf("%d chosen, %v", len(got), err)
	}
}

func TestChooseTheFreshestSessionToken(t *testing.T) {
	w := newWorld(t, `{}`)
	set := w.signIn(t)
	w.clock.Move(time.Minute)
	next, _, err := w.Refresh(w.ctx, token.Presentation{Project: w.project, Token: set.Refresh}, false)
	must(t, err)
	w.choose(t, token.SessionToken, []secret.Text{set.Session, next.Session}, next.Session)
	w.choose(t, token.SessionToken, []secret.Text{next.Session, set.Session}, next.Session)
}

// A store that can't tell is no reason to present the wrong one.
func TestChooseWhileTheStoreFails(t *testing.T) {
	w := newWorld(t, `{}`)
	all := w.chain(t, 1)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if got, err := w.Choose(ctx, w.project, all, token.RefreshToken); !errors.Is(err, context.Canceled) {
		t.Errorf("%d chosen, %v", len(got), err)
	}
	// One token of a session needs no store.
	w.ctx = ctx
	w.choose(t, token.RefreshToken, all[1:], all[1])
}
