package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
)

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
