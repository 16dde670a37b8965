package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func endingChecks() []check {
	return []check{
		{"of a user, without one to keep", endAllOfUser},
		{"of a user, but one", endAllButOne},
		{"one that doesn't live isn't kept", endAllKeepsTheLiving},
		{"of a project", endAllOfProject},
		{"of a project, but one", endAllOfProjectButOne},
		{"of someone unknown", endAllUnknown},
		{"of a disabled user", endAllDisabled},
		{"that match, in steps", endMatchingSteps},
		{"that match, by every filter", endMatchingFilters},
	}
}

func (w *world) endAll(t testing.TB, u id.User, keep id.Session, why session.Reason) int {
	t.Helper()
	n, err := w.Bulk().EndAll(w.ctx, w.project.ID, u, keep, session.Ending{Reason: why, Origin: origin})
	ok(t, err)
	w.told(t, w.endedMany(u, why, n))
	return n
}

func (w *world) statuses(t testing.TB, want string, rows ...session.Row) {
	t.Helper()
	for _, row := range rows {
		same(t, "the status", want, w.status(t, row.ID))
		rule := session.Revoked
		if want == "active" {
			rule = session.Rotate
		}
		w.clock.Move(window)
		w.decided(t, w.newest(t, row), rule)
	}
	w.news(t)
}

func endAllOfUser(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	rows := []session.Row{w.signIn(t, u.ID), w.signIn(t, u.ID), w.signIn(t, u.ID)}
	bystander := w.signIn(t, v.ID)
	_, err := w.Sessions().End(w.ctx, w.project.ID, rows[2].ID, w.ending())
	ok(t, err)
	w.news(t)
	same(t, "the number of ended sessions", 2, w.endAll(t, u.ID, id.Session{}, session.Ended))
	w.statuses(t, "superseded", rows[:2]...)
	same(t, "one that had ended before", "revoked", w.status(t, rows[2].ID))
	w.statuses(t, "active", bystander, w.signIn(t, u.ID))
	got, err := w.Users().Find(w.ctx, w.project.ID, u.ID)
	ok(t, err)
	u.Epoch = 1
	same(t, "the user", u, got)
	// Again: the one that came later.
	same(t, "the number of ended sessions", 1, w.endAll(t, u.ID, id.Session{}, session.Logout))
	same(t, "the number of ended sessions", 0, w.endAll(t, u.ID, id.Session{}, session.Logout))
}

func endAllButOne(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	keep, other := w.signIn(t, u.ID), w.signIn(t, u.ID)
	stranger := w.signIn(t, v.ID)
	same(t, "the number of ended sessions", 1, w.endAll(t, u.ID, keep.ID, session.Ended))
	same(t, "the session that is kept", "active", w.status(t, keep.ID))
	got, _ := w.find(t, keep.ID)
	keep.UserEpoch = 1
	same(t, "the session that is kept", keep, got)
	w.statuses(t, "superseded", other)
	// A session of someone else, or of nobody, can't be kept.
	for _, s := range []id.Session{stranger.ID, id.NewSession(w.clock.Now())} {
		row := w.signIn(t, u.ID)
		w.endAll(t, u.ID, s, session.Ended)
		w.statuses(t, "superseded", row)
	}
	got, _ = w.find(t, stranger.ID)
	same(t, "the stranger's session", stranger, got)
}

func endAllKeepsTheLiving(t *testing.T, w *world) {
	for name, kill := range w.deaths(t) {
		for _, of := range []string{"user", "project"} {
			row := w.signIn(t, w.newUser(t).ID)
			kill(row)
			u := row.User
			if of == "project" || name == "user_deleted" {
				u = id.User{}
			}
			_, err := w.Bulk().EndAll(w.ctx, w.project.ID, u, row.ID, w.ending())
			ok(t, err)
			_, v, err := w.Sessions().Rotate(w.ctx, w.newest(t, row))
			ok(t, err)
			if v.Issues() {
				t.Errorf("%s, then all of the %s: refreshed after its end", name, of)
			}
		}
	}
}

func endAllOfProject(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	rows := []session.Row{w.signIn(t, u.ID), w.signIn(t, v.ID)}
	mine, other := w.project, w.newProject(t)
	w.project = other
	stranger := w.signIn(t, w.newUser(t).ID)
	w.project = mine
	same(t, "the count, which isn't made", 0, w.endAll(t, id.User{}, id.Session{}, session.KeyRevoked))
	w.statuses(t, "superseded", rows...)
	w.statuses(t, "active", w.signIn(t, u.ID))
	got, err := w.Projects().Find(w.ctx, mine.ID)
	ok(t, err)
	mine.Epoch = 1
	same(t, "the project, whose version stays", mine, got)
	w.project = other
	w.statuses(t, "active", stranger)
}

func endAllOfProjectButOne(t *testing.T, w *world) {
	u := w.newUser(t)
	w.endAll(t, u.ID, id.Session{}, session.Ended) // epochs of user and project differ
	keep, other := w.signIn(t, u.ID), w.signIn(t, u.ID)
	w.endAll(t, id.User{}, keep.ID, session.Ended)
	got, _ := w.find(t, keep.ID)
	keep.ProjectEpoch = 1
	same(t, "the session that is kept", keep, got)
	w.statuses(t, "active", keep)
	w.statuses(t, "superseded", other)
}

func endAllUnknown(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	other := w.newProject(t)
	for _, at := range []struct {
		project id.Project
		user    id.User
	}{
		{w.project.ID, id.NewUser(w.clock.Now())},
		{other.ID, row.User},
		{id.NewProject(w.clock.Now()), row.User},
		{id.NewProject(w.clock.Now()), id.User{}},
	} {
		_, err := w.Bulk().EndAll(w.ctx, at.project, at.user, id.Session{}, w.ending())
		refused(t, err, fault.NotFound)
	}
	w.told(t)
	w.statuses(t, "active", row)
}

func endAllDisabled(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.change(t, row.User, func(u *directory.User) { u.Status = directory.Disabled })
	same(t, "the number of ended sessions", 0, w.endAll(t, row.User, id.Session{}, session.Ended))
	w.change(t, row.User, func(u *directory.User) { u.Status = directory.Enabled })
	w.statuses(t, "superseded", row)
}

// endMatching calls EndMatching until it has seen all, and returns how many ended.
func (w *world) endMatching(t testing.TB, f session.Filter) int {
	t.Helper()
	total := 0
	for range 1000 {
		n, next, err := w.Bulk().EndMatching(w.ctx, f, w.ending())
		ok(t, err)
		if n > f.Limit {
			t.Fatalf("%d ended in a step of %d", n, f.Limit)
		}
		total += n
		if next.IsZero() {
			return total
		}
		if next.Compare(f.After) <= 0 {
			t.Fatalf("after %v it goes on at %v", f.After, next)
		}
		f.After = next
	}
	t.Fatal("it doesn't come to an end")
	return 0
}

func endMatchingSteps(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	for _, limit := range []int{1, 2, 3, 7, 8, 9} {
		var rows []session.Row
		for i := range 8 {
			w.clock.Move(time.Millisecond)
			rows = append(rows, w.signIn(t, u.ID))
			if i%4 == 0 {
				rows = append(rows, w.signIn(t, v.ID))
			}
		}
		same(t, "the number of ended sessions", 10, w.endMatching(t, session.Filter{Project: w.project.ID, Limit: limit}))
		count := 0.0
		for _, e := range w.news(t) {
			same(t, "the event", audit.SessionsEnded, e.Type)
			same(t, "its origin", origin, e.Origin)
			same(t, "its reason", any("revoked"), e.Data["reason"])
			n, _ := e.Data["count"].(float64)
			if n < 1 || n > float64(limit) {
				t.Errorf("an event of %v ended sessions, at most %d at once", e.Data["count"], limit)
			}
			count += n
		}
		same(t, "the count of all events", 10.0, count)
		for _, row := range rows {
			got, _ := w.find(t, row.ID)
			same(t, "an ended session", endedAt(row, session.Ended, w.clock.Now()), got)
		}
		// Nothing is left, so nothing happens and nothing is told.
		same(t, "the number of ended sessions", 0, w.endMatching(t, session.Filter{Project: w.project.ID, Limit: limit}))
		w.told(t)
	}
}

func endMatchingFilters(t *testing.T, w *world) {
	filters := map[string]func(rows []session.Row) session.Filter{
		"all":    func([]session.Row) session.Filter { return session.Filter{} },
		"user":   func(r []session.Row) session.Filter { return session.Filter{User: r[1].User} },
		"nobody": func([]session.Row) session.Filter { return session.Filter{User: id.NewUser(w.clock.Now())} },
		"key":    func(r []session.Row) session.Filter { return session.Filter{SigningKey: r[2].SigningKey} },
		"after":  func(r []session.Row) session.Filter { return session.Filter{After: r[2].ID} },
		"from":   func(r []session.Row) session.Filter { return session.Filter{CreatedFrom: r[4].CreatedAt} },
		"to":     func(r []session.Row) session.Filter { return session.Filter{CreatedTo: r[4].CreatedAt} },
		"status": func([]session.Row) session.Filter { return session.Filter{Status: session.Expired} }, // ignored
	}
	for name, filter := range filters {
		rows := w.crowd(t)
		f := filter(rows)
		f.Project, f.Limit = w.project.ID, 2
		ended := 0
		var alive []session.Row
		for i, row := range rows {
			hit := (f.User.IsZero() || row.User == f.User) && (f.SigningKey.IsZero() || row.SigningKey == f.SigningKey) &&
				row.ID.Compare(f.After) > 0 && !row.CreatedAt.Before(f.CreatedFrom) &&
				(f.CreatedTo.IsZero() || row.CreatedAt.Before(f.CreatedTo))
			switch {
			case i == 1: // had ended before
			case hit:
				ended++
			default:
				alive = append(alive, row)
			}
		}
		same(t, name+": the number of ended sessions", ended, w.endMatching(t, f))
		for _, row := range rows {
			want := "revoked"
			if slices.ContainsFunc(alive, func(r session.Row) bool { return r.ID == row.ID }) {
				want = "active"
			}
			same(t, name+": the status", want, w.status(t, row.ID))
		}
		// The next filter starts with nothing alive.
		w.endMatching(t, session.Filter{Project: w.project.ID, Limit: 100})
		w.news(t)
	}
}
