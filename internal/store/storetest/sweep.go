package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func sweepChecks() []check {
	return []check{
		{"removes what was over before the cutoff", sweepCutoff},
		{"removes in steps, of all projects", sweepSteps},
		{"never removes a session that lives", sweepLiving},
	}
}

func (w *world) sweep(t testing.TB, cutoff time.Time, limit, want int) {
	t.Helper()
	n, err := w.Bulk().Sweep(w.ctx, cutoff, limit)
	ok(t, err)
	same(t, "the number of removed sessions", want, n)
}

// gone fails unless the session was removed.
func (w *world) gone(t testing.TB, row session.Row) {
	t.Helper()
	_, _, err := w.Sessions().Find(w.ctx, row.Project, row.ID)
	refused(t, err, fault.NotFound)
}

func sweepCutoff(t *testing.T, w *world) {
	u := w.newUser(t)
	start := w.clock.Now()
	absolute, idle, ended, late := w.row(u.ID), w.row(u.ID), w.row(u.ID), w.row(u.ID)
	absolute.AbsoluteAt = start.Add(time.Hour)
	idle.IdleAt = start.Add(2 * time.Hour)
	late.AbsoluteAt = start.Add(time.Hour) // ran out before it was ended
	for _, row := range []session.Row{absolute, idle, ended, late} {
		_, err := w.insert(t, row, session.Admission{})
		ok(t, err)
	}
	living := w.signIn(t, u.ID)
	w.clock.Move(3 * time.Hour)
	for _, row := range []session.Row{ended, late} {
		_, err := w.Sessions().End(w.ctx, row.Project, row.ID, w.ending())
		ok(t, err)
	}
	w.news(t)
	w.clock.Move(time.Hour)
	w.sweep(t, start.Add(time.Hour), 9, 0) // not before: at the very instant
	w.sweep(t, start.Add(time.Hour+time.Millisecond), 9, 2)
	w.gone(t, absolute)
	w.gone(t, late)
	w.sweep(t, start.Add(2*time.Hour+time.Millisecond), 9, 1)
	w.gone(t, idle)
	w.sweep(t, start.Add(3*time.Hour), 9, 0)
	w.sweep(t, w.clock.Now(), 9, 1)
	w.gone(t, ended)
	got, _ := w.find(t, living.ID)
	same(t, "the session that lives", living, got)
	n, err := w.Bulk().Count(w.ctx, session.Filter{Project: w.project.ID})
	ok(t, err)
	same(t, "the number of sessions", 1, n)
	w.told(t)
}

func sweepSteps(t *testing.T, w *world) {
	mine := w.project
	for _, p := range []directory.Project{mine, w.newProject(t)} {
		w.project = p
		u := w.newUser(t)
		for range 5 {
			w.signIn(t, u.ID)
		}
	}
	w.clock.Move(29 * 24 * time.Hour)
	w.project = mine
	living := w.signIn(t, w.newUser(t).ID)
	for _, want := range []int{4, 4, 2, 0} {
		w.sweep(t, w.clock.Now(), 4, want)
	}
	w.statuses(t, "active", living)
}

// Whatever cutoff it is asked for, and however often the session was refreshed since.
func sweepLiving(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.row(u.ID)
	row.IdleAt = w.clock.Now().Add(time.Hour)
	_, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	w.news(t)
	kept := w.signIn(t, u.ID)
	w.endAll(t, u.ID, row.ID, session.Ended)
	for range 5 {
		w.clock.Move(50 * time.Minute)
		f := w.newest(t, row)
		f.Request.Policy.IdleTimeout = time.Hour
		row = w.decided(t, f, session.Rotate)
		for _, cutoff := range []time.Duration{0, time.Hour, 1000 * 24 * time.Hour} {
			w.sweep(t, w.clock.Now().Add(cutoff), 9, 0)
		}
	}
	same(t, "the session", "active", w.status(t, row.ID))
	// One that an epoch ended is still shown until it would have run out.
	same(t, "the superseded session", "superseded", w.status(t, kept.ID))
	w.clock.Set(row.ExpiresAt().Add(time.Millisecond))
	w.sweep(t, w.clock.Now(), 9, 1)
	w.gone(t, row)
}
