package sqlite

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
)

// sessionBytes is how many bytes of the file are sessions and their indexes.
func sessionBytes(t *testing.T, s *Store) int64 {
	t.Helper()
	n, err := number(s.queue.conn, `SELECT sum(pgsize) FROM dbstat WHERE name IN
(SELECT name FROM sqlite_schema WHERE tbl_name = 'sessions')`)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refreshAll refreshes every session once, in an order that isn't theirs.
func refreshAll(t *testing.T, s *Store, rows []session.Row) {
	t.Helper()
	const together = 500
	step := len(rows)*618/1000 | 1
	for gcd(step, len(rows)) != 1 {
		step += 2
	}
	for from := 0; from < len(rows); from += together {
		err := s.write(t.Context(), func(tx *transaction) error {
			for i := from; i < min(from+together, len(rows)); i++ {
				row := &rows[i*step%len(rows)]
				f := refresh(*row, 1, unlimited())
				found, err := findSession(tx.Conn, f.Project, f.Session)
				if err != nil {
					return err
				}
				var v session.Verdict
				if found.row, v, _, _ = session.Apply(found.row, found.subject, f, tx.now); v.Rule != session.Rotate {
					t.Errorf("decided as %v", v.Rule)
				}
				*row = session.Row{ID: row.ID, Project: row.Project, State: found.row.State}
				if err := tx.save(found); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// TestSize measures what a session takes on disk with its indexes, fresh and after
// refreshes, which make its trace longer and its page fuller.
func TestSize(t *testing.T) {
	n, times := 2_000, 40
	if slow {
		n, times = 500, 25
	}
	if long() {
		n = 20_000
	}
	s := volatile(t, Options{Now: newTick().Now})
	_, rows := populate(t, s, n)
	limits := map[int]int64{0: 500, 5: 700}
	// Far more refreshes than a trace keeps: what a session takes for the rest of its life.
	for refreshes := range times + 1 {
		if refreshes > 0 {
			refreshAll(t, s, rows)
		}
		each, limit := sessionBytes(t, s)/int64(n), int64(800)
		if l, special := limits[refreshes]; special {
			limit = l
		}
		if refreshes%10 == 0 {
			t.Logf("%d refreshes: %d bytes a session", refreshes, each)
		}
		if each >= limit {
			t.Errorf("a session with %d refreshes takes %d bytes, want less than %d", refreshes, each, limit)
		}
	}
}

// TestOpening measures how long a large store takes to open: as long as a small one,
// since nothing is loaded. LATCHKEY_LONG makes it a million sessions.
func TestOpening(t *testing.T) {
	n := 100_000
	if slow {
		n = 3_000
	}
	if long() {
		n = 1_000_000
	}
	s, path := fresh(t, Options{})
	p, rows := populate(t, s, n)
	if each := sessionBytes(t, s) / int64(n); each >= 800 {
		t.Errorf("a session takes %d bytes, want less than 800", each)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s = open(t, path, Options{})
	if _, _, err := s.Sessions().Find(t.Context(), p.ID, rows[n/2].ID); err != nil {
		t.Error(err)
	}
	took := time.Since(start)
	t.Logf("%d sessions: opened, and one of them found, in %v", n, took)
	if took > time.Second {
		t.Errorf("opening took %v", took)
	}
}
