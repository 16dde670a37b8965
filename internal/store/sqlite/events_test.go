package sqlite

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/storetest"
)

// logged writes n events of a project, one a second, and returns them newest first.
func logged(t testing.TB, s *Store, p id.Project, n int, change func(i int, e audit.Event) audit.Event) []audit.Event {
	t.Helper()
	now := storetest.NewClock().Now()
	events := make([]audit.Event, n)
	for i := range events {
		events[n-1-i] = change(i, audit.New(p, now.Add(time.Duration(i)*time.Second), audit.SessionCreated, audit.Origin{Actor: audit.System}))
	}
	if err := s.write(t.Context(), func(tx *transaction) error { return tx.log(events...) }); err != nil {
		t.Fatal(err)
	}
	return events
}

// A walk ends where it has looked at enough, goes on there, and misses nothing.
func TestWalkLooksAtSoMany(t *testing.T) {
	s, _ := fresh(t, Options{})
	p, ses, usr := id.NewProject(epoch), id.NewSession(epoch), id.NewUser(epoch)
	all := logged(t, s, p, 23, func(i int, e audit.Event) audit.Event {
		e = e.Of(ses, usr)
		if i%9 == 0 {
			e.Type = audit.KeyRevoked
		}
		return e
	})
	for name, q := range map[string]audit.Query{
		"of a project": {}, "of a session": {Session: ses}, "of a user": {User: usr}, "of another user": {User: id.NewUser(epoch)},
		"from": {From: all[20].At}, "to": {To: all[2].At}, "between": {From: all[20].At, To: all[2].At, User: usr},
	} {
		t.Run(name, func(t *testing.T) {
			q.Project, q.Types, q.Limit = p, []audit.Type{audit.KeyRevoked}, 99
			want, err := s.Events().List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var got []audit.Event
			pages := 0
			for more := true; more; pages++ {
				page, next, err := events{s}.walk(t.Context(), q, 5)
				if err != nil || len(page) > 5 {
					t.Fatalf("%d events: %v", len(page), err)
				}
				got = append(got, page...)
				q.Before, more = next, !next.IsZero()
			}
			same := func(a, b audit.Event) bool { return a.ID == b.ID }
			if !slices.EqualFunc(got, want, same) {
				t.Errorf("%d events, want %d", len(got), len(want))
			}
			if wanted := 3; len(want) > 0 && pages < wanted {
				t.Errorf("%d pages, want at least %d", pages, wanted)
			}
		})
	}
}

// BenchmarkWalk is the page that costs most: one that selects nothing.
func BenchmarkWalk(b *testing.B) {
	s, _ := fresh(b, Options{})
	p := id.NewProject(epoch)
	for range 5 {
		logged(b, s, p, audit.Look, func(_ int, e audit.Event) audit.Event {
			return e.Of(id.NewSession(e.At), id.NewUser(e.At)).With("amr", []string{"pwd"})
		})
	}
	for name, q := range map[string]audit.Query{
		"rare type": {Types: []audit.Type{audit.KeyRevoked}}, "ip": {IP: "192.0.2.1"}, "tenant": {Tenant: id.NewTenant(epoch)}, "page": {},
	} {
		b.Run(name, func(b *testing.B) {
			q.Project, q.Limit = p, 50
			for b.Loop() {
				if _, _, err := s.Events().Walk(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
