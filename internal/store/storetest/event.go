package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func eventChecks() []check {
	return []check{
		{"come back as they went in", eventData},
		{"are selected and listed newest first", eventQueries},
		{"are listed page by page", eventPages},
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
	var all []audit.Event
	for i, kind := range []audit.Type{audit.KeyCreated, audit.SessionCreated, audit.SessionEnded, audit.UserCreated, audit.SessionEnded} {
		w.clock.Move(time.Second)
		e := w.event(w.project.ID, kind)
		if i > 0 {
			e = e.Of(ses, usr)
		}
		if i == 4 {
			e = e.Of(id.NewSession(start), usr)
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
