package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func termChecks() []check {
	return []check{
		{"hold what decides about lifetimes", termMembers},
		{"are of active sessions, step by step", termSteps},
		{"name the tenants of their users when asked", termTenants},
		{"belong to their project alone", termIsolation},
	}
}

// terms collects all terms in steps, and returns them with the number of steps.
func (w *world) terms(t testing.TB, q session.TermQuery) ([]session.Term, int) {
	t.Helper()
	var all []session.Term
	q.Project = w.project.ID
	for step := 1; ; step++ {
		got, next, err := w.Bulk().Terms(w.ctx, q)
		ok(t, err)
		if len(got) > q.Limit {
			t.Fatalf("a step of %d returned %d", q.Limit, len(got))
		}
		if all = append(all, got...); next.IsZero() {
			return all, step
		}
		if next.Compare(q.After) <= 0 {
			t.Fatalf("after %v it goes on at %v", q.After, next)
		}
		q.After = next
	}
}

func termMembers(t *testing.T, w *world) {
	u := w.newUser(t)
	row := w.row(u.ID)
	row.IdleAt, row.IdleLimit = w.clock.Now().Add(time.Hour), 90*time.Minute
	row, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	w.clock.Move(time.Minute)
	row = w.decided(t, w.newest(t, row), session.Rotate)
	w.clock.Move(time.Second)
	row = w.decided(t, w.newest(t, row), session.Replay)
	got, _ := w.terms(t, session.TermQuery{Limit: 9})
	same(t, "the terms", []session.Term{row.Term(nil)}, got)
	if got[0].ReplayedAt.IsZero() || got[0].IdleLimit != 90*time.Minute || got[0].IdleAt.IsZero() || !got[0].RunsOut(rules()).Equal(row.RunsOut(rules())) {
		t.Errorf("%+v", got[0])
	}
}

func termSteps(t *testing.T, w *world) {
	u := w.newUser(t)
	none, steps := w.terms(t, session.TermQuery{Limit: 5})
	same(t, "the terms of nothing", 0, len(none))
	same(t, "its steps", 1, steps)
	var want []session.Term
	for i := range 7 {
		w.clock.Move(time.Second)
		row := w.row(u.ID)
		if i == 5 {
			row.AbsoluteAt = w.clock.Now().Add(10 * time.Second)
		}
		row, err := w.insert(t, row, session.Admission{})
		ok(t, err)
		if i == 1 || i == 2 {
			_, err := w.Sessions().End(w.ctx, w.project.ID, row.ID, w.ending())
			ok(t, err)
			continue
		}
		want = append(want, row.Term(nil))
	}
	for limit, steps := range map[int]int{1: 7, 2: 4, 3: 3, 6: 2, 7: 1, 99: 1} {
		got, took := w.terms(t, session.TermQuery{Limit: limit})
		name := fmt.Sprintf("in steps of %d: ", limit)
		same(t, name+"terms", want, got)
		same(t, name+"number of steps", steps, took)
	}
	w.clock.Move(time.Minute)
	got, _ := w.terms(t, session.TermQuery{Limit: 9})
	same(t, "without the one that has run out", len(want)-1, len(got))
	w.change(t, u.ID, func(u *directory.User) { u.Status = directory.Disabled })
	got, _ = w.terms(t, session.TermQuery{Limit: 9})
	same(t, "of a disabled user", 0, len(got))
}

func termTenants(t *testing.T, w *world) {
	one, two := w.newTenant(t), w.newTenant(t)
	in := func(tenants ...directory.Tenant) session.Row {
		var g directory.Grants
		for _, tenant := range tenants {
			g.Memberships = append(g.Memberships, directory.Membership{Tenant: tenant.ID})
		}
		w.clock.Move(time.Second)
		return w.signIn(t, w.granted(t, g).ID)
	}
	rows := []session.Row{in(), in(one), in(two, one), in(one)}
	tenants := [][]id.Tenant{nil, {one.ID}, {two.ID, one.ID}, {one.ID}}
	var with, without []session.Term
	for i, row := range rows {
		with, without = append(with, row.Term(tenants[i])), append(without, row.Term(nil))
	}
	got, _ := w.terms(t, session.TermQuery{Limit: 3, Tenants: true})
	same(t, "with tenants", with, got)
	got, _ = w.terms(t, session.TermQuery{Limit: 3})
	same(t, "without tenants", without, got)
}

func termIsolation(t *testing.T, w *world) {
	w.signIn(t, w.newUser(t).ID)
	for _, p := range []id.Project{w.newProject(t).ID, id.NewProject(w.clock.Now())} {
		got, next, err := w.Bulk().Terms(w.ctx, session.TermQuery{Project: p, Limit: 9, Tenants: true})
		ok(t, err)
		if len(got) != 0 || !next.IsZero() {
			t.Errorf("%d terms of another project, go on at %v", len(got), next)
		}
	}
}
