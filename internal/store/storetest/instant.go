package storetest

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func clockChecks() []check {
	return []check{
		{"one reading decides one verb", clockOnce},
		{"times are kept in whole milliseconds of UTC", clockInstant},
		{"an hour back logs nobody out (attack 41)", clockBack},
		{"an hour forward revives nobody (attack 41)", clockForward},
	}
}

// A clock that moves with every reading shows up as two times in one change.
func clockOnce(t *testing.T, w *world) {
	u := w.newUser(t)
	var rows []session.Row
	for range 4 {
		rows = append(rows, w.signIn(t, u.ID))
		w.clock.Move(window)
	}
	refresh, forged := w.newest(t, rows[0]), w.refresh(t, rows[1].ID, id.NewRefresh(), id.NewRefresh())
	w.clock.Tick(time.Second)
	rotated, v, err := w.Sessions().Rotate(w.ctx, refresh)
	ok(t, err)
	last := rotated.Trace.Entries[len(rotated.Trace.Entries)-1]
	same(t, "the time of rotation", v.At, rotated.RotatedAt)
	same(t, "the time in the trace", v.At, last.At)
	stolen, v, err := w.Sessions().Rotate(w.ctx, forged)
	ok(t, err)
	same(t, "the rule", session.Theft, v.Rule)
	same(t, "the time of the end", v.At, stolen.EndedAt)
	for _, e := range w.news(t) {
		same(t, "the time of "+string(e.Type), v.At, e.At)
	}
	_, err = w.Sessions().End(w.ctx, w.project.ID, rows[2].ID, w.ending())
	ok(t, err)
	w.endedOnce(t, rows[2])
	_, err = w.Sessions().Insert(w.ctx, w.row(u.ID), 1, session.Admission{Max: 2}, w.created(rows[0]))
	ok(t, err)
	w.endedOnce(t, rows[0])
	_, _, err = w.Bulk().EndMatching(w.ctx, session.Filter{Project: w.project.ID, Limit: 99}, w.ending())
	ok(t, err)
	w.endedOnce(t, rows[3])
}

// endedOnce fails unless the end of a session has one time, in row, trace and event.
func (w *world) endedOnce(t testing.TB, row session.Row) {
	t.Helper()
	got, _ := w.find(t, row.ID)
	same(t, "the time in the trace", got.EndedAt, got.Trace.Entries[len(got.Trace.Entries)-1].At)
	for _, e := range w.news(t) {
		if e.Type != audit.SessionCreated { // the caller's
			same(t, "the time of "+string(e.Type), got.EndedAt, e.At)
		}
	}
}

func clockInstant(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	odd := w.clock.Now().Add(window + 999_999*time.Nanosecond).In(time.FixedZone("odd", 3600))
	w.clock.Set(odd)
	want := session.Instant(odd)
	rotated := w.decided(t, w.newest(t, row), session.Rotate)
	found, _ := w.find(t, row.ID)
	for _, got := range []session.Row{rotated, found} {
		if got.State != rotated.State || got.RotatedAt != want {
			t.Fatalf("rotated at %#v, want %#v", got.RotatedAt, want)
		}
	}
	_, err := w.Sessions().End(w.ctx, w.project.ID, row.ID, w.ending())
	ok(t, err)
	if found, _ = w.find(t, row.ID); found.EndedAt != want {
		t.Fatalf("ended at %#v, want %#v", found.EndedAt, want)
	}
	// What callers put in is kept the same way.
	e := audit.New(w.project.ID, odd, audit.SettingsChanged, origin)
	w.news(t)
	w.write(t, e)
	e.At = want
	w.told(t, e)
	odder := w.user()
	odder.UpdatedAt = odd
	ok(t, w.Users().Insert(w.ctx, odder, w.event(u.Project, audit.UserCreated)))
	got, err := w.Users().Find(w.ctx, u.Project, odder.ID)
	ok(t, err)
	same(t, "the time of a change", want, got.UpdatedAt)
}

func clockBack(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	w.clock.Move(window)
	row = w.decided(t, w.newest(t, row), session.Rotate)
	w.clock.Move(-time.Hour)
	same(t, "the status", "active", w.status(t, row.ID))
	// Before its rotation is inside the window: the same token again.
	again, _ := w.decide(t, w.newest(t, row))
	same(t, "the token", row.Newest, again.Newest)
	younger := w.signIn(t, u.ID) // in the past
	w.clock.Move(time.Hour + window)
	w.statuses(t, "active", row, younger)
	// An ended session stays ended, and one that was ended stays so after a restart
	// of time before its end.
	_, err := w.Sessions().End(w.ctx, w.project.ID, row.ID, w.ending())
	ok(t, err)
	_, err = w.Bulk().EndAll(w.ctx, w.project.ID, younger.User, id.Session{}, w.ending())
	ok(t, err)
	w.clock.Move(-2 * time.Hour)
	w.statuses(t, "revoked", row)
	w.statuses(t, "superseded", younger)
}

func clockForward(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.row(u.ID)
	row.AbsoluteAt = w.clock.Now().Add(30 * time.Minute)
	row, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	living, ended := w.signIn(t, u.ID), w.signIn(t, u.ID)
	_, err = w.Sessions().End(w.ctx, w.project.ID, ended.ID, w.ending())
	ok(t, err)
	w.news(t)
	w.clock.Move(time.Hour)
	_, v := w.decide(t, w.newest(t, row))
	same(t, "the rule", session.RanOut, v.Rule)
	w.statuses(t, "revoked", ended)
	w.statuses(t, "active", living)
	w.clock.Move(-time.Hour - 2*window)
	// The clock was wrong: what had run out by it lives again, what was ended doesn't.
	same(t, "the status", "active", w.status(t, row.ID))
	same(t, "the status", "revoked", w.status(t, ended.ID))
}
