package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// rowsIn counts the rows of a table.
func rowsIn(t *testing.T, s *Store, table string) int64 {
	t.Helper()
	n, err := number(s.queue.conn, "SELECT count(*) FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A refresh that moves the idle timeout leaves reap_at where it was, so Sweep meets
// sessions that aren't over: more of them than it may look at in a step.
func TestSweepPassesSessionsThatWereRefreshed(t *testing.T) {
	clock := storetest.NewClock()
	s, _ := fresh(t, Options{Now: clock.Now})
	n := 2*sweepStep + 10
	p, rows := populate(t, s, n)
	if err := s.queue.conn.Run(fmt.Sprintf("UPDATE sessions SET idle_at = %[1]d, reap_at = %[1]d", epoch.Add(time.Hour).UnixMilli())); err != nil {
		t.Fatal(err)
	}
	clock.Set(epoch.Add(50 * time.Minute))
	policy := unlimited()
	policy.IdleTimeout = time.Hour
	const idle = 7 // are not refreshed; the last ones by reap_at and n
	for _, row := range rows[:n-idle] {
		if _, v, err := s.Sessions().Rotate(t.Context(), refresh(row, 1, policy)); err != nil || v.Rule != session.Rotate {
			t.Fatal(v.Rule, err)
		}
	}
	if late, err := number(s.queue.conn, fmt.Sprintf("SELECT count(*) FROM sessions WHERE reap_at <> %d", epoch.Add(time.Hour).UnixMilli())); late != 0 || err != nil {
		t.Errorf("%d refreshes moved reap_at: %v", late, err)
	}
	clock.Set(epoch.Add(90 * time.Minute))
	for _, want := range []int{5, 2, 0} {
		if got, err := s.Bulk().Sweep(t.Context(), clock.Now(), 5); got != want || err != nil {
			t.Fatalf("%d removed, %v, want %d", got, err, want)
		}
	}
	if left, err := s.Bulk().Count(t.Context(), session.Filter{Project: p.ID, Status: session.Active}); left != n-idle || err != nil {
		t.Errorf("%d left, %v, want %d", left, err, n-idle)
	}
	clock.Set(epoch.Add(3 * time.Hour))
	if got, err := s.Bulk().Sweep(t.Context(), clock.Now(), n); got != n-idle || err != nil {
		t.Errorf("%d removed, %v, want %d", got, err, n-idle)
	}
}

// A shorter idle timeout makes a session end earlier than reap_at says.
func TestSweepMeetsSessionsThatEndEarlier(t *testing.T) {
	clock := storetest.NewClock()
	s, _ := fresh(t, Options{Now: clock.Now})
	_, rows := populate(t, s, 2)
	clock.Move(time.Minute)
	policy := unlimited()
	policy.IdleTimeout = time.Hour
	if _, _, err := s.Sessions().Rotate(t.Context(), refresh(rows[0], 1, policy)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sessions().End(t.Context(), rows[1].Project, rows[1].ID, session.Ending{Reason: session.Logout}); err != nil {
		t.Fatal(err)
	}
	clock.Move(2 * time.Hour)
	if n, err := s.Bulk().Sweep(t.Context(), clock.Now(), 9); n != 2 || err != nil {
		t.Errorf("%d removed, %v, want 2", n, err)
	}
}

// A deleted user leaves nothing personal, and nothing at all after the last session.
func TestDeletedUserLeavesNothing(t *testing.T) {
	clock := storetest.NewClock()
	s, _ := fresh(t, Options{Now: clock.Now})
	p, _ := populate(t, s, 0)
	user := func(name string) directory.User {
		u := directory.User{
			ID: id.NewUser(clock.Now()), Project: p.ID, LoginIDs: []string{name}, Name: name, Email: name, Phone: name,
			Status: directory.Enabled, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
		}
		if err := s.Users().Insert(t.Context(), u, audit.New(p.ID, clock.Now(), audit.UserCreated, audit.Origin{})); err != nil {
			t.Fatal(err)
		}
		return u
	}
	alone, busy := user("alone@example.org"), user("busy@example.org")
	for row := range typical(p.ID, []id.User{busy.ID, busy.ID}, clock.Now()) {
		if _, err := s.Sessions().Insert(t.Context(), row, 1, session.Admission{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range []directory.User{alone, busy} {
		if err := s.Users().Delete(t.Context(), p.ID, u.ID, audit.New(p.ID, clock.Now(), audit.UserDeleted, audit.Origin{})); err != nil {
			t.Fatal(err)
		}
	}
	if n := rowsIn(t, s, "users"); n != 1 {
		t.Errorf("%d users are left, want the one with sessions", n)
	}
	if n := rowsIn(t, s, "users WHERE login_ids IS NOT NULL OR name || email || phone <> '' OR created_at IS NOT NULL"); n != 0 {
		t.Error("the deleted user's data is still there")
	}
	if n := rowsIn(t, s, "login_ids"); n != 0 {
		t.Errorf("%d login ids are left", n)
	}
	clock.Move(200 * 365 * 24 * time.Hour)
	for _, left := range []int64{1, 0} {
		if n, err := s.Bulk().Sweep(t.Context(), clock.Now(), 1); n != 1 || err != nil {
			t.Fatalf("%d removed, %v, want 1", n, err)
		}
		if n := rowsIn(t, s, "users"); n != left {
			t.Errorf("%d users are left, want %d", n, left)
		}
	}
}

// A sweep goes in small steps, leaves as much time between them as they take, and tells
// what it has removed when it is cut off.
func TestSweepsInSteps(t *testing.T) {
	const took = 7 * time.Millisecond
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		limit, there int // rows to remove at most, and rows to be removed
		fails, ends  int // the step that fails, and the one during which the context ends
		asked        []int
		removed      int
		err          error
		lasts        time.Duration
	}{
		"nothing to do":   {limit: 200, there: 0, asked: []int{50}, lasts: took},
		"all at once":     {limit: 200, there: 30, asked: []int{50}, removed: 30, lasts: took},
		"some steps":      {limit: 200, there: 120, asked: []int{50, 50, 50}, removed: 120, lasts: 5 * took},
		"up to the limit": {limit: 120, there: 999, asked: []int{50, 50, 20}, removed: 120, lasts: 6 * took},
		"a failure":       {limit: 200, there: 999, fails: 2, asked: []int{50, 50}, removed: 50, err: broken, lasts: 3 * took},
		"cut off":         {limit: 200, there: 999, ends: 2, asked: []int{50, 50}, removed: 100, err: context.Canceled, lasts: 3 * took},
	} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start, left, asked := time.Now(), c.there, []int(nil)
				removed, err := inSteps(ctx, c.limit, func(n int) (int, bool, error) {
					time.Sleep(took) // the step's work, on the bubble's clock
					asked = append(asked, n)
					switch len(asked) {
					case c.fails:
						return 0, false, broken
					case c.ends:
						cancel()
					}
					some := min(n, left)
					left -= some
					return some, some == n, nil
				})
				if removed != c.removed || !errors.Is(err, c.err) || !slices.Equal(asked, c.asked) || time.Since(start) != c.lasts {
					t.Errorf("%d removed, %v, by %v in %v, want %+v", removed, err, asked, time.Since(start), c)
				}
			})
		})
	}
}
