package sqlite

import (
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func TestLoadKeepsRowsAsTheyAre(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, _ := populate(t, s, 0)
	users := []id.User{id.NewUser(epoch), id.NewUser(epoch)}
	addUsers(t, s, p.ID, users)
	rows := slices.Collect(typical(p.ID, users, epoch))
	rows[0].UserEpoch, rows[1].ProjectEpoch = 3, 4
	if n, err := s.Load(t.Context(), slices.Values(rows)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for _, want := range rows {
		got, _, err := s.Sessions().Find(t.Context(), p.ID, want.ID)
		if err != nil || got.State != want.State {
			t.Errorf("stored %+v, %v, want %+v", got.State, err, want.State)
		}
	}
}

func TestLoadStopsAtTheFirstError(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, _ := populate(t, s, 0)
	user := id.NewUser(epoch)
	addUsers(t, s, p.ID, []id.User{user})
	rows := slices.Collect(typical(p.ID, slices.Repeat([]id.User{user}, loadStep+10), epoch))
	stranger, twice, elsewhere := rows[0], rows[0], rows[0]
	stranger.ID, stranger.User = id.NewSession(epoch), id.NewUser(epoch)
	elsewhere.ID, elsewhere.Project = id.NewSession(epoch), id.NewProject(epoch)
	if n, err := s.Load(t.Context(), slices.Values(append(rows, stranger))); n != loadStep || fault.KindOf(err) != fault.NotFound {
		t.Errorf("loaded %d, %v, want one full step and not found", n, err)
	}
	if n, err := s.Load(t.Context(), slices.Values([]session.Row{elsewhere})); n != 0 || fault.KindOf(err) != fault.NotFound {
		t.Errorf("loaded %d, %v, want not found", n, err)
	}
	if n, err := s.Load(t.Context(), slices.Values([]session.Row{twice})); n != 0 || fault.KindOf(err) != fault.Conflict {
		t.Errorf("loaded %d, %v, want a conflict", n, err)
	}
	if n, err := s.Bulk().Count(t.Context(), session.Filter{Project: p.ID}); n != loadStep || err != nil {
		t.Errorf("%d are there, %v, want %d", n, err, loadStep)
	}
}

func TestLoadUsersStopsAtTheFirstError(t *testing.T) {
	s, _ := fresh(t, Options{})
	c := employ(t, s, 3)
	for _, u := range c.people {
		got, err := s.Users().FindByLogin(t.Context(), c.project.ID, u.LoginIDs[1])
		if err != nil || !got.Equal(u) {
			t.Errorf("stored %+v, %v, want %+v", got, err, u)
		}
	}
	twice, nowhere := c.people[0], c.people[0]
	twice.ID = id.NewUser(epoch)
	nowhere.ID, nowhere.LoginIDs, nowhere.Roles = id.NewUser(epoch), []string{"x"}, []id.Role{id.NewRole(epoch)}
	for kind, u := range map[fault.Kind]directory.User{fault.Conflict: twice, fault.Invalid: nowhere} {
		if n, err := s.LoadUsers(t.Context(), slices.Values([]directory.User{u})); n != 0 || fault.KindOf(err) != kind {
			t.Errorf("loaded %d, %v, want %v", n, err, kind)
		}
	}
}
