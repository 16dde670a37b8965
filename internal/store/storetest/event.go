package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func eventChecks() []check {
	return []check{
		{"come back as they went in", eventData},
		{"are selected and listed newest first", eventQueries},
		{"are listed page by page", eventPages},
		{"are walked along page by page", eventWalk},
		{"come in the order of commit", eventOrder},
		{"are given no place twice", eventPlaces},
		{"are complete for who follows them", eventFollowers},
		{"old ones are swept in steps", eventSweep},
	}
}

// write adds events by the shortest way there is: a change that changes nothing.
func (w *world) write(t *testing.T, events ...audit.Event) {
	t.Helper()
	for _, e := range events {
		version, err := w.Projects().Version(w.ctx, e.Project)
		ok(t, err)
		ok(t, w.Projects().ChangeSettings(w.ctx, e.Project, version, w.project.Settings, e))
	}
}

func eventData(t *testing.T, w *world) {
	now := w.clock.Now()
	for _, e := range []audit.Event{
		{ID: id.NewEvent(now), Project: w.project.ID, At: now, Type: audit.SettingsChanged},
		w.event(w.project.ID, audit.TokenReuse).Of(id.NewSession(now), id.NewUser(now)).
			With("text", "Ω \x00 \" ' <&>").With("number", 1.5).With("big", 1e15).With("yes", true).With("none", nil).
			With("list", []any{"a", 2.0, false, nil, []any{}}).With("map", map[string]any{"deep": map[string]any{"er": "x"}}),
	} {
		w.write(t, e)
		got, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Types: []audit.Type{e.Type}, Limit: 2})
		ok(t, err)
		same(t, "the event", []audit.Event{e}, got)
	}
}

func eventQueries(t *testing.T, w *world) {
	start := w.clock.Now()
	ses, usr := id.NewSession(start), id.NewUser(start)
	ten := id.NewTenant(start)
	var all []audit.Event
	for i, kind := range []audit.Type{audit.KeyCreated, audit.SessionCreated, audit.SessionEnded, audit.UserCreated, audit.SessionEnded} {
		w.clock.Move(time.Second)
		e := w.event(w.project.ID, kind)
		if i > 0 {
			e = e.Of(ses, usr)
		}
		switch i {
		case 2:
			e.Actor, e.IP, e.RequestID = audit.System, "2001:db8::7", "req-2"
		case 3:
			e = e.With("tenant", ten.String())
		case 4:
			e = e.Of(id.NewSession(start), usr).With("tenant", id.NewTenant(start).String())
		}
		all = append([]audit.Event{e}, all...)
		w.write(t, e)
	}
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		q    audit.Query
		want []int // of all, newest first
	}{
		"limit":     {audit.Query{Limit: 2}, []int{0, 1}},
		"type":      {audit.Query{Types: []audit.Type{audit.SessionEnded}}, []int{0, 2}},
		"types":     {audit.Query{Types: []audit.Type{audit.UserCreated, audit.SessionCreated}}, []int{1, 3}},
		"no type":   {audit.Query{Types: []audit.Type{audit.KeyRevoked}}, nil},
		"session":   {audit.Query{Session: ses}, []int{1, 2, 3}},
		"user":      {audit.Query{User: usr}, []int{0, 1, 2, 3}},
		"tenant":    {audit.Query{Tenant: ten}, []int{1}},
		"actor":     {audit.Query{Actor: audit.System}, []int{2}},
		"ip":        {audit.Query{IP: "2001:db8::7"}, []int{2}},
		"request":   {audit.Query{RequestID: "req-2"}, []int{2}},
		"mixed":     {audit.Query{RequestID: "req-2", IP: "192.0.2.7"}, nil},
		"from":      {audit.Query{From: at(3)}, []int{0, 1, 2}},
		"to":        {audit.Query{From: at(1), To: at(3)}, []int{3, 4}},
		"before":    {audit.Query{Before: all[2].ID, From: at(1)}, []int{3, 4}},
		"all":       {audit.Query{Types: []audit.Type{audit.SessionEnded}, Session: ses, User: usr, From: at(3), To: at(4), Before: all[0].ID}, []int{2}},
		"elsewhere": {audit.Query{Project: w.newProject(t).ID, Types: []audit.Type{audit.SessionEnded}}, nil},
		"nowhere":   {audit.Query{Project: id.NewProject(start)}, nil},
	} {
		if c.q.Project.IsZero() {
			c.q.Project = w.project.ID
		}
		if c.q.Limit == 0 {
			c.q.Limit = 99
		}
		got, err := w.Events().List(w.ctx, c.q)
		ok(t, err)
		want := []audit.Event{}
		for _, i := range c.want {
			want = append(want, all[i])
		}
		same(t, "query "+name, want, got)
		walked, next, err := w.Events().Walk(w.ctx, c.q)
		ok(t, err)
		same(t, "walk "+name, want, walked)
		same(t, "the next page of walk "+name, len(want) == c.q.Limit, !next.IsZero())
		for _, e := range all {
			c.q.Before = id.Event{} // a place in a list, which no single event knows
			if selected := slices.ContainsFunc(got, func(g audit.Event) bool { return g.ID == e.ID }); name != "before" && name != "limit" && name != "all" && c.q.Selects(e) != selected {
				t.Errorf("%s: an event of type %s is selected: %v", name, e.Type, !selected)
			}
		}
	}
}

func eventPages(t *testing.T, w *world) {
	for range 9 { // several of one millisecond
		w.write(t, w.event(w.project.ID, audit.SettingsChanged))
	}
	types := []audit.Type{audit.SettingsChanged}
	all, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Types: types, Limit: 99})
	ok(t, err)
	if len(all) != 9 || !slices.IsSortedFunc(all, func(a, b audit.Event) int { return b.ID.Compare(a.ID) }) {
		t.Fatalf("%d events, want 9 with descending ids", len(all))
	}
	for _, limit := range []int{1, 2, 9} {
		var got []audit.Event
		q := audit.Query{Project: w.project.ID, Types: types, Limit: limit}
		for range 10 {
			page, err := w.Events().List(w.ctx, q)
			ok(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			q.Before = page[len(page)-1].ID
		}
		same(t, "the pages", all, got)
	}
}

// Walking leads to the end, whatever a page holds, and to each event once.
func eventWalk(t *testing.T, w *world) {
	for i := range 9 {
		kind := audit.SettingsChanged
		if i%3 == 0 {
			kind = audit.KeyRevoked
		}
		w.write(t, w.event(w.project.ID, kind))
	}
	for _, q := range []audit.Query{{Types: []audit.Type{audit.KeyRevoked}}, {}, {IP: "192.0.2.8"}} {
		q.Project, q.Limit = w.project.ID, 99
		all, err := w.Events().List(w.ctx, q)
		ok(t, err)
		for _, limit := range []int{1, 2, 3, 10} {
			got := []audit.Event{}
			q.Limit, q.Before = limit, id.Event{}
			for more := true; more; {
				page, next, err := w.Events().Walk(w.ctx, q)
				ok(t, err)
				got = append(got, page...)
				q.Before, more = next, !next.IsZero()
			}
			same(t, "what was walked along", append([]audit.Event{}, all...), got)
		}
	}
}

// follow returns what comes after a place, in steps of at most limit, and the place that
// it leads to.
func (w *world) follow(t testing.TB, p id.Project, seq int64, limit int) ([]audit.Entry, int64) {
	t.Helper()
	var all []audit.Entry
	for {
		list, reached, err := w.Events().After(w.ctx, p, seq, limit)
		ok(t, err)
		if reached == seq {
			same(t, "the number of entries behind the end", 0, len(list))
			return all, seq
		}
		for _, e := range list {
			if e.Seq <= seq || e.Seq > reached || len(list) > limit {
				t.Fatalf("an entry %d of %d between %d and %d", e.Seq, len(list), seq, reached)
			}
		}
		all, seq = append(all, list...), reached
	}
}

// The order of commit isn't that of identifiers: one of a clock that was ahead comes when
// it was written.
func eventOrder(t *testing.T, w *world) {
	other := w.newProject(t)
	_, start := w.follow(t, id.Project{}, 0, 99)
	var mine, all []audit.Event
	for i := range 6 {
		p := w.project.ID
		if i%2 == 0 {
			p = other.ID
		}
		w.clock.Set(NewClock().Now().Add(time.Duration(6-i) * time.Minute))
		e := w.event(p, audit.SettingsChanged)
		w.write(t, e)
		if all = append(all, e); p == w.project.ID {
			mine = append(mine, e)
		}
	}
	for limit := range 4 {
		for _, c := range []struct {
			of   id.Project
			want []audit.Event
		}{{id.Project{}, all}, {w.project.ID, mine}} {
			entries, end := w.follow(t, c.of, start, limit+1)
			var got []audit.Event
			for _, e := range entries {
				got = append(got, e.Event)
				found, err := w.Events().At(w.ctx, e.Seq)
				ok(t, err)
				same(t, "the entry at its place", e, found)
			}
			same(t, "the events in the order of commit", c.want, got)
			last, err := w.Events().Last(w.ctx)
			ok(t, err)
			same(t, "the last place", last, end)
		}
	}
	_, err := w.Events().At(w.ctx, start+99)
	refused(t, err, fault.NotFound)
}

// What is swept leaves its place behind: who has read so far would miss what came there.
func eventPlaces(t *testing.T, w *world) {
	w.write(t, w.event(w.project.ID, audit.SettingsChanged))
	for range 3 {
		last, err := w.Events().Last(w.ctx)
		ok(t, err)
		w.clock.Move(time.Hour)
		_, err = w.Events().Sweep(w.ctx, w.clock.Now(), 99)
		ok(t, err)
		entries, _ := w.follow(t, id.Project{}, 0, 9)
		same(t, "the number of entries left", 0, len(entries))
		_, err = w.Events().At(w.ctx, last)
		refused(t, err, fault.NotFound)
		if now, err := w.Events().Last(w.ctx); err != nil || now < last {
			t.Fatalf("the last place is %d after %d: %v", now, last, err)
		}
		e := w.event(w.project.ID, audit.KeyCreated)
		w.write(t, e)
		entries, _ = w.follow(t, id.Project{}, last, 9)
		if len(entries) != 1 || entries[0].Seq <= last || entries[0].ID != e.ID {
			t.Fatalf("%+v came behind %d", entries, last)
		}
	}
}

// Who follows while many write gets everything, once.
func eventFollowers(t *testing.T, w *world) {
	const writers, each = 4, 25
	_, start := w.follow(t, id.Project{}, 0, 999)
	var writing sync.WaitGroup
	done := make(chan struct{})
	for range writers {
		writing.Go(func() {
			for range each {
				u := w.user()
				if err := w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { writing.Wait(); close(done) }()
	seen := map[id.Event]bool{}
	for ended := false; ; {
		entries, reached, err := w.Events().After(w.ctx, w.project.ID, start, 7)
		ok(t, err)
		for _, e := range entries {
			if seen[e.ID] {
				t.Fatal("an event came twice")
			}
			seen[e.ID] = true
		}
		if reached == start && ended {
			break
		}
		start = reached
		select {
		case <-done:
			ended = true
		default:
		}
	}
	same(t, "the number of events", writers*each, len(seen))
}

func eventSweep(t *testing.T, w *world) {
	other := w.newProject(t)
	for range 5 {
		w.clock.Move(time.Hour)
		w.write(t, w.event(w.project.ID, audit.SettingsChanged), w.event(other.ID, audit.SettingsChanged))
	}
	last := w.clock.Now()
	// 2 of the making of the projects and 2 each of the first 3 hours are before the
	// cutoff; that of the very instant isn't.
	for _, want := range []int{3, 3, 2, 0} {
		n, err := w.Events().Sweep(w.ctx, last.Add(-time.Hour), 3)
		ok(t, err)
		same(t, "the number of removed events", want, n)
	}
	for _, p := range []id.Project{w.project.ID, other.ID} {
		left, err := w.Events().List(w.ctx, audit.Query{Project: p, Limit: 99})
		ok(t, err)
		same(t, "the number of events left", 2, len(left))
		for _, e := range left {
			if e.At.Before(last.Add(-time.Hour)) {
				t.Errorf("an event of %v is still there", e.At)
			}
		}
	}
}
