package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// A page may be short or empty although more follow.
func TestFollowPages(t *testing.T) {
	made := make([]session.Found, 6)
	for i := range made {
		made[i].ID = id.NewSession(time.UnixMilli(int64(1_000_000 - i)))
	}
	failure := errors.New("failure")
	for name, tt := range map[string]struct {
		pages []int // how many sessions each holds
		limit int
		want  int
		calls int
		err   error
	}{
		"one page":        {pages: []int{3}, limit: 9, want: 3, calls: 1},
		"short and empty": {pages: []int{2, 0, 0, 3, 0}, limit: 9, want: 5, calls: 5},
		"enough":          {pages: []int{2, 2, 2}, limit: 4, want: 4, calls: 2},
		"less than asked": {pages: []int{2, 2}, limit: 3, want: 3, calls: 2},
		"nothing":         {pages: []int{0}, limit: 3, want: 0, calls: 1},
		"failure":         {pages: []int{1, -1}, limit: 9, want: 1, calls: 2, err: failure},
	} {
		calls, given, place := 0, 0, id.Session{}
		got, err := followPages(t.Context(), func(_ context.Context, f session.Filter) ([]session.Found, id.Session, error) {
			size := tt.pages[calls]
			if calls++; size < 0 {
				return nil, id.Session{}, failure
			}
			if f.After != place || f.Limit != tt.limit-given {
				t.Errorf("%s: call %d asks for %d after %v", name, calls, f.Limit, f.After)
			}
			page := made[given:min(given+size, given+f.Limit)]
			given += len(page)
			if place = id.NewSession(time.UnixMilli(int64(500_000 - calls))); calls == len(tt.pages) {
				place = id.Session{}
			}
			return page, place, nil
		}, session.Filter{Limit: tt.limit})
		same := slices.EqualFunc(got, made[:tt.want], func(a, b session.Found) bool { return a.ID == b.ID })
		if !same || calls != tt.calls || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d sessions by %d calls, %v", name, len(got), calls, err)
		}
	}
}

func TestTraceLine(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	replay := session.Entry{At: at, Last: at, Rule: session.Replay, Count: 1}
	foreign, many := replay, replay
	foreign.Foreign = true
	many.Foreign, many.Count, many.Last = true, 3, at.Add(time.Second)
	for _, tt := range []struct {
		entry  session.Entry
		cell   string
		says   bool
		lastAt any
	}{
		{replay, "replay", false, nil},
		{foreign, "replay (foreign)", true, nil},
		{many, "replay (foreign) x3", true, "2026-03-01T12:00:01Z"},
	} {
		l := traceLine(tt.entry)
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		says, _ := got["foreign"].(bool)
		if ruleCell(l) != tt.cell || says != tt.says || got["lastAt"] != tt.lastAt {
			t.Errorf("%s: %s", ruleCell(l), b)
		}
	}
}
