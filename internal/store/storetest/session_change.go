package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// confirm confirms and fails unless the session is then what Arrived makes of it.
func (w *world) confirm(t testing.TB, s id.Session, token id.Refresh) bool {
	t.Helper()
	want, subject := w.find(t, s)
	now := session.Instant(w.clock.Now())
	if status, _ := want.Status(subject, now); status == session.Active {
		if state, changed := session.Arrived(want.State, token, window, now); changed {
			want.State = state
			want.Trace = want.Trace.Add(session.Entry{At: now, Rule: session.Confirm, Token: token})
		}
	}
	got, err := w.Sessions().Confirm(w.ctx, w.project.ID, s, token, window)
	ok(t, err)
	same(t, "whether the newest token is confirmed", want.Confirmed, got)
	row, _ := w.find(t, s)
	same(t, "the confirmed session", want, row)
	same(t, "the events", []audit.Event{}, w.newsOf(t, s))
	return got
}

func sessionConfirm(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	for _, step := range []struct {
		wait  time.Duration
		token id.Refresh
		want  bool
	}{
		{0, row.Newest, false},
		{window - time.Millisecond, row.Newest, false},
		{time.Millisecond, id.NewRefresh(), false},
		{0, id.Refresh{}, false},
		{0, row.Newest, true},
		{time.Hour, row.Newest, true},
		{0, id.NewRefresh(), true}, // it stays confirmed
	} {
		w.clock.Move(step.wait)
		same(t, "whether the newest token is confirmed", step.want, w.confirm(t, row.ID, step.token))
	}
	row = w.decided(t, w.newest(t, row), session.Rotate)
	same(t, "whether the next token is confirmed", false, row.Confirmed)
}

func sessionConfirmOver(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		row := w.signIn(t, w.newUser(t).ID)
		w.clock.Move(window)
		kill(row)
		w.news(t)
		if w.confirm(t, row.ID, row.Newest) {
			t.Errorf("%s: confirmed", name)
		}
	}
}

// deaths are the ways in which a session stops to live.
func (w *world) deaths(t testing.TB) map[string]func(session.Row) {
	endAll := func(u id.User) {
		_, err := w.Bulk().EndAll(w.ctx, w.project.ID, u, id.Session{}, w.ending())
		ok(t, err)
	}
	return map[string]func(session.Row){
		"revoked": func(r session.Row) {
			_, err := w.Sessions().End(w.ctx, r.Project, r.ID, w.ending())
			ok(t, err)
		},
		"token_reuse":   func(r session.Row) { w.decided(t, w.refresh(t, r.ID, id.NewRefresh(), id.NewRefresh()), session.Theft) },
		"superseded":    func(r session.Row) { endAll(r.User) },
		"superseded ":   func(session.Row) { endAll(id.User{}) },
		"user_disabled": func(r session.Row) { w.change(t, r.User, func(u *directory.User) { u.Status = directory.Disabled }) },
		"user_deleted": func(r session.Row) {
			ok(t, w.Users().Delete(w.ctx, r.Project, r.User, w.event(r.Project, audit.UserDeleted)))
		},
		"expired": func(r session.Row) { w.clock.Set(r.ExpiresAt()) },
	}
}

func sessionClaims(t *testing.T, w *world) {
	want := w.signIn(t, w.newUser(t).ID)
	for epoch, c := range []struct{ claims, nsec json.RawMessage }{
		{json.RawMessage(`{"b": 1, "a":"\u00e4 <>&", "n":12345678901234567890.1e3}`), json.RawMessage(`{"x":null}`)},
		{nil, json.RawMessage(`{}`)},
		{json.RawMessage(`{"plan":"free"}`), nil},
		{nil, nil},
	} {
		for _, wrong := range []int64{int64(epoch) - 1, int64(epoch) + 1} {
			_, err := w.Sessions().SetClaims(w.ctx, want.Project, want.ID, wrong, json.RawMessage(`{"lost":1}`), nil, w.event(want.Project, audit.SessionClaims))
			refused(t, err, fault.Conflict)
		}
		e := w.event(want.Project, audit.SessionClaims).Of(want.ID, want.User)
		flagged := w.event(want.Project, audit.ClaimsFlagged).Of(want.ID, want.User).
			With("findings", []any{map[string]any{"pointer": "/claims/a", "kind": "email"}})
		got, err := w.Sessions().SetClaims(w.ctx, want.Project, want.ID, int64(epoch), c.claims, c.nsec, e, flagged)
		ok(t, err)
		want.Claims, want.NSec, want.ClaimsEpoch = c.claims, c.nsec, int64(epoch)+1
		same(t, "the returned session", want, got)
		got, _ = w.find(t, want.ID)
		same(t, "the stored session", want, got)
		w.told(t, e, flagged)
	}
	// A refresh keeps them.
	w.clock.Move(window)
	row := w.decided(t, w.newest(t, want), session.Rotate)
	same(t, "the claims' epoch", want.ClaimsEpoch, row.ClaimsEpoch)
}

func sessionClaimsOver(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		row := w.signIn(t, w.newUser(t).ID)
		kill(row)
		w.news(t)
		before, _ := w.find(t, row.ID)
		_, err := w.Sessions().SetClaims(w.ctx, row.Project, row.ID, 0, nil, nil, w.event(row.Project, audit.SessionClaims))
		if name == "expired" {
			refused(t, err, fault.SessionExpired)
		} else {
			refused(t, err, fault.SessionRevoked)
		}
		after, _ := w.find(t, row.ID)
		same(t, "the session", before, after)
		w.told(t)
	}
}

func sessionEnd(t *testing.T, w *world) {
	u := w.newUser(t)
	row, bystander := w.signIn(t, u.ID), w.signIn(t, u.ID)
	w.clock.Move(time.Minute)
	active, err := w.Sessions().End(w.ctx, row.Project, row.ID, session.Ending{Reason: session.Logout, Origin: origin})
	ok(t, err)
	same(t, "whether it was active", true, active)
	w.told(t, w.ended(row, session.Logout))
	got, _ := w.find(t, row.ID)
	same(t, "the session", endedAt(row, session.Logout, w.clock.Now()), got)
	w.decided(t, w.newest(t, row), session.Revoked)
	got, _ = w.find(t, bystander.ID)
	same(t, "the other session", bystander, got)
}

func sessionEndOver(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		row := w.signIn(t, w.newUser(t).ID)
		kill(row)
		w.news(t)
		before, _ := w.find(t, row.ID)
		w.clock.Move(time.Second)
		active, err := w.Sessions().End(w.ctx, row.Project, row.ID, session.Ending{Reason: session.Logout, Origin: origin})
		ok(t, err)
		same(t, name+": whether it was active", false, active)
		after, _ := w.find(t, row.ID)
		same(t, name+": the session", before, after)
		w.told(t)
	}
}
