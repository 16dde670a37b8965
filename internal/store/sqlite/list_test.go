package sqlite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// listed loads n sessions, one of each user, and returns their ids, newest first.
func listed(t testing.TB, s *Store, n int) (p id.Project, want []id.Session) {
	t.Helper()
	made, _ := populate(t, s, 0)
	users := make([]id.User, n)
	for i := range users {
		users[i] = id.NewUser(epoch)
	}
	addUsers(t, s, made.ID, users)
	rows := slices.Collect(typical(made.ID, users, epoch))
	if loaded, err := s.Load(t.Context(), slices.Values(rows)); loaded != n || err != nil {
		t.Fatal(loaded, err)
	}
	for _, row := range slices.Backward(rows) {
		want = append(want, row.ID)
	}
	return made.ID, want
}

// A list makes room in two steps; pages of every size around them are whole, and each
// session has its own subject.
func TestPagesOfEverySize(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, want := listed(t, s, 250)
	_, err := s.Sessions().End(t.Context(), p, want[len(want)/2], session.Ending{Reason: session.Logout})
	must(t, err)
	for _, size := range []int{1, few - 1, few, few + 1, many - 1, many, many + 1, 249, 250, 251, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var got []id.Session
			f := session.Filter{Project: p, Limit: size}
			for first := true; first || !f.After.IsZero(); first = false {
				rows, subjects, next, err := s.Bulk().List(t.Context(), f)
				must(t, err)
				if len(rows) > size || len(subjects) != len(rows) {
					t.Fatalf("%d sessions with %d subjects", len(rows), len(subjects))
				}
				for i, row := range rows {
					got = append(got, row.ID)
					status, _ := row.Status(subjects[i], epoch.Add(time.Hour))
					if over := row.ID == want[len(want)/2]; over != (status == session.Over) || !subjects[i].UserKnown {
						t.Errorf("session %d is %s, %+v", len(got), status, subjects[i])
					}
				}
				f.After = next
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d sessions in another order, want %d", len(got), len(want))
			}
		})
	}
}

// BenchmarkList is a large page, which is what costs most of a list.
func BenchmarkList(b *testing.B) {
	s, _ := fresh(b, Options{})
	p, _ := listed(b, s, 1000)
	b.ReportAllocs()
	for b.Loop() {
		rows, _, _, err := s.Bulk().List(b.Context(), session.Filter{Project: p, Limit: many})
		if len(rows) != many || err != nil {
			b.Fatal(len(rows), err)
		}
	}
}
