package storetest

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func raceChecks() []check {
	return []check{
		{"64 refreshes give one rotation and one token (attack 21)", raceRefresh},
		{"one parent presented at once has one child (attack 21)", raceParent},
		{"nothing older than a revocation refreshes after it (attack 24)", raceRevoke},
		{"nothing refreshes after its user was disabled (attack 24)", raceDisable},
		{"what is decided together is decided each for itself", raceMany},
		{"steps of ending many let refreshes through", raceEndMatching},
		{"a rotation and a change of settings never mix", raceVersion},
	}
}

type outcome struct {
	row     session.Row
	verdict session.Verdict
	err     error
}

func (w *world) rotate(f session.Refresh) outcome {
	row, v, err := w.Sessions().Rotate(w.ctx, f)
	return outcome{row, v, err}
}

func raceRefresh(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	for range 5 {
		w.clock.Move(window)
		f := w.newest(t, row)
		outcomes := together(64, func(int) outcome {
			mine := f
			mine.Request.Next, mine.SigningKey = id.NewRefresh(), id.NewKey(w.clock.Now())
			return w.rotate(mine)
		})
		row = converged(t, outcomes, session.Rotate)
		w.told(t)
	}
	same(t, "the rotations by the limit", 5, row.LimitCount)
}

// converged fails unless one call was decided by rule and all others replay what it
// made.
func converged(t *testing.T, outcomes []outcome, rule session.Rule) session.Row {
	t.Helper()
	rotations := 0
	for _, o := range outcomes {
		ok(t, o.err)
		first := outcomes[0].row
		if o.row.Newest != first.Newest || o.row.Parent != first.Parent || o.row.SigningKey != first.SigningKey || !o.row.RotatedAt.Equal(first.RotatedAt) {
			t.Fatalf("two tokens: %v of %v and %v of %v", o.row.Newest, o.row.Parent, first.Newest, first.Parent)
		}
		switch o.verdict.Rule {
		case rule:
			rotations++
		case session.Replay:
		default:
			t.Fatalf("a refresh was decided as %q", o.verdict.Rule)
		}
	}
	same(t, "the number of rotations", 1, rotations)
	return outcomes[0].row
}

// A lost answer, and the client tries again many times at once.
func raceParent(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	w.decided(t, f, session.Rotate)
	w.clock.Move(window)
	row = converged(t, together(32, func(int) outcome {
		mine := f
		mine.Request.Next = id.NewRefresh()
		return w.rotate(mine)
	}), session.Recover)
	same(t, "the recoveries", 1, row.Recoveries)
	same(t, "the number of events", 1, len(w.news(t)))
}

// raceEnd lets sign-ins and refreshes race with end, and fails if one that was issued
// after end had returned belongs to a session that end was to stop.
func (w *world) raceEnd(t *testing.T, u directory.User, end func() error) {
	t.Helper()
	var rows []session.Row
	for range 8 {
		rows = append(rows, w.signIn(t, u.ID))
	}
	w.clock.Move(window)
	version := w.version(t)
	refreshes := make([]session.Refresh, len(rows))
	for i, row := range rows {
		refreshes[i] = w.newest(t, row)
	}
	done := make(chan struct{})
	type attempt struct {
		outcome
		after bool // begun after end had returned
	}
	attempts := together(25, func(i int) []attempt {
		if i == 24 {
			defer close(done)
			return []attempt{{outcome: outcome{err: end()}}}
		}
		var all []attempt
		for after := false; ; {
			if i < 8 {
				row := w.row(u.ID)
				row, err := w.Sessions().Insert(w.ctx, row, version, session.Admission{}, w.created(row))
				all = append(all, attempt{outcome{row: row, err: err}, after})
			} else {
				all = append(all, attempt{w.rotate(refreshes[i%8]), after})
			}
			if after {
				return all
			}
			select {
			case <-done:
				after = true
			default:
			}
		}
	})
	ok(t, attempts[24][0].err)
	for i, mine := range attempts[:24] {
		for _, a := range mine {
			if i >= 8 && a.after && (a.err != nil || a.verdict.Rule != session.Revoked) {
				t.Errorf("a refresh after the end was decided as %q: %v", a.verdict.Rule, a.err)
			}
		}
	}
	for _, mine := range attempts[:8] {
		for _, a := range mine {
			if a.err == nil {
				rows = append(rows, a.row)
			}
		}
	}
	w.judge(t, u, rows)
}

// judge fails unless exactly those sessions live that know the user's epoch of now.
func (w *world) judge(t *testing.T, u directory.User, rows []session.Row) {
	t.Helper()
	u, err := w.Users().Find(w.ctx, u.Project, u.ID)
	ok(t, err)
	w.clock.Move(window)
	for _, row := range rows {
		stored, _ := w.find(t, row.ID)
		want := session.Revoked
		if u.Status == directory.Enabled && stored.EndedAt.IsZero() && stored.UserEpoch == u.Epoch {
			want = session.Rotate
		}
		w.decided(t, w.newest(t, stored), want)
	}
}

func raceRevoke(t *testing.T, w *world) {
	for range 3 {
		u := w.newUser(t)
		w.raceEnd(t, u, func() error {
			_, err := w.Bulk().EndAll(w.ctx, u.Project, u.ID, id.Session{}, w.ending())
			return err
		})
	}
}

func raceDisable(t *testing.T, w *world) {
	u := w.newUser(t)
	w.raceEnd(t, u, func() error {
		_, err := w.Users().Change(w.ctx, u.Project, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Status = directory.Disabled
			return u, nil, nil
		})
		return err
	})
	n, err := w.Bulk().Count(w.ctx, session.Filter{Project: u.Project, User: u.ID, Status: session.Active})
	ok(t, err)
	same(t, "the number of live sessions", 0, n)
}

// What stands in one transaction with others is decided for itself: a thief's refresh
// and a stale version in the same batch touch nobody else.
func raceMany(t *testing.T, w *world) {
	u := w.newUser(t)
	var rows []session.Row
	for range 48 {
		rows = append(rows, w.signIn(t, u.ID))
	}
	w.clock.Move(window)
	version := w.version(t)
	outcomes := together(len(rows), func(i int) outcome {
		f := session.Refresh{Project: w.project.ID, Session: rows[i].ID, Version: version, Origin: origin, Request: session.Request{
			Token: rows[i].Newest, Next: id.NewRefresh(), Context: home, Policy: rules(),
		}}
		switch i % 6 {
		case 1:
			f.Request.Token = id.NewRefresh()
		case 2:
			f.Version--
		case 3:
			f.Session = id.NewSession(w.clock.Now())
		case 4:
			if _, err := w.Sessions().End(w.ctx, f.Project, f.Session, w.ending()); err != nil {
				return outcome{err: err}
			}
		}
		return w.rotate(f)
	})
	for i, o := range outcomes {
		want := []session.Rule{session.Rotate, session.Theft, 0, 0, session.Revoked, session.Rotate}[i%6]
		stored, _ := w.find(t, rows[i].ID)
		switch i % 6 {
		case 2:
			isErrVersion(t, o.err)
			same(t, "the session", rows[i], stored)
		case 3:
			refused(t, o.err, fault.NotFound)
			same(t, "the session", rows[i], stored)
		default:
			ok(t, o.err)
			same(t, "the rule", want, o.verdict.Rule)
			same(t, "the session", o.row, stored)
		}
	}
	same(t, "the number of events", 8*(2+1), len(w.news(t)))
}

func raceEndMatching(t *testing.T, w *world) {
	u, v := w.newUser(t), w.newUser(t)
	for range 40 {
		w.signIn(t, u.ID)
	}
	row := w.signIn(t, v.ID)
	w.clock.Move(window)
	f := w.newest(t, row)
	out := together(2, func(i int) outcome {
		if i == 0 {
			after := id.Session{}
			for range 100 {
				_, next, err := w.Bulk().EndMatching(w.ctx, session.Filter{Project: u.Project, User: u.ID, After: after, Limit: 3}, w.ending())
				if err != nil || next.IsZero() {
					return outcome{err: err}
				}
				after = next
			}
		}
		var last outcome
		for range 20 {
			if last = w.rotate(f); last.err != nil {
				break
			}
		}
		return last
	})
	ok(t, out[0].err)
	ok(t, out[1].err)
	same(t, "the rule", session.Replay, out[1].verdict.Rule)
	w.hasSessions(t, u, 0, 40)
	w.hasSessions(t, v, 1, 1)
}

func raceVersion(t *testing.T, w *world) {
	row := w.signIn(t, w.newUser(t).ID)
	for range 10 {
		w.clock.Move(window)
		f := w.newest(t, row)
		out := together(9, func(i int) outcome {
			if i == 0 {
				return outcome{err: w.Projects().ChangeSettings(w.ctx, f.Project, f.Version, w.project.Settings, w.event(f.Project, audit.SettingsChanged))}
			}
			return w.rotate(f)
		})
		ok(t, out[0].err)
		stored, _ := w.find(t, row.ID)
		decided := 0
		for _, o := range out[1:] {
			if o.err != nil {
				isErrVersion(t, o.err)
				continue
			}
			decided++
			same(t, "the token", stored.Newest, o.row.Newest)
		}
		same(t, "whether the session moved on", decided > 0, stored.Newest != row.Newest)
		row = stored
	}
}
