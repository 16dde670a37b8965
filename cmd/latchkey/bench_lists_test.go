package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestListsPlan(t *testing.T) {
	good := listsPlan{sessions: 1, users: 1, clients: 1, refreshes: 1, lasts: time.Second}
	for want, change := range map[string]func(*listsPlan){
		"":              func(*listsPlan) {},
		"--sessions is": func(p *listsPlan) { p.sessions = 0 }, "--sessions": func(p *listsPlan) { p.sessions = 100_000_001 },
		"--users is": func(p *listsPlan) { p.users = 0 }, "--users": func(p *listsPlan) { p.users = 10_000_001 },
		"--clients is": func(p *listsPlan) { p.clients = 0 }, "--clients": func(p *listsPlan) { p.clients = 1001 },
		"--refreshes is": func(p *listsPlan) { p.refreshes = 0 }, "--refreshes": func(p *listsPlan) { p.refreshes = 1001 },
		"--duration is": func(p *listsPlan) { p.lasts = time.Second - 1 }, "--duration": func(p *listsPlan) { p.lasts = time.Hour + 1 },
	} {
		p := good
		change(&p)
		if err := p.check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

// Every kind is chosen about as often as its weight says.
func TestChooseKinds(t *testing.T) {
	kinds := []listKind{{name: "a", weight: 1}, {name: "b", weight: 3}, {name: "c", weight: 0}}
	var got [3]int
	for range 8000 {
		got[choose(kinds)]++
	}
	if got[0] < 1700 || got[0] > 2300 || got[0]+got[1] != 8000 {
		t.Errorf("chosen %v times", got)
	}
	names := map[string]bool{}
	for _, k := range listKinds() {
		if names[k.name] || k.weight < 1 || k.path == nil {
			t.Errorf("kind %+v", k.name)
		}
		names[k.name] = true
	}
}

func TestSummarizeLists(t *testing.T) {
	kinds := []listKind{{name: trivial}, {name: "some"}, {name: "never asked"}}
	results := [][]asked{make([]asked, 3), make([]asked, 3)}
	for i := range 4 {
		results[i%2][0].add([]byte("ok"), time.Millisecond, nil)
		results[i%2][1].add([]byte(`{"id":"ses_1"},{"id":"ses_2"},{"id":"usr_1","tenants":[{"tenant":"ten_1"}]}`), time.Duration(i+1)*time.Millisecond, nil)
	}
	var out listsAnswer
	if err := summarize(kinds, results, &out); err != nil {
		t.Fatal(err)
	}
	if out.Trivial.Requests != 4 || len(out.Lists) != 1 || out.Lists[0].Kind != "some" || out.Lists[0].Entries != 3 || out.Lists[0].Requests != 4 || out.Lists[0].Max != 4 || out.All.Requests != 4 {
		t.Errorf("%+v", out)
	}
	results[1][1].add(nil, 0, errors.New("boom"))
	if err := summarize(kinds, results, &out); err == nil || !strings.Contains(err.Error(), "some: boom") {
		t.Errorf("%v after a failure", err)
	}
	if err := summarize(kinds, [][]asked{make([]asked, 3)}, &out); err == nil {
		t.Error("nothing was asked, and that is no error")
	}
}

// A refresh counts for an interval when any part of it was inside.
func TestWithinIntervals(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(1000 + ms)) }
	load := &generator{ran: []*client{
		{began: []time.Time{at(0), at(10)}, times: []time.Duration{5 * time.Millisecond, 7 * time.Millisecond}},
		{began: []time.Time{at(8), at(40)}, times: []time.Duration{30 * time.Millisecond, 2 * time.Millisecond}},
	}}
	for name, c := range map[string]struct {
		during   []interval
		requests int
		longest  float64
	}{
		"before":         {[]interval{{at(-5), at(0)}}, 0, 0},
		"first":          {[]interval{{at(-5), at(1)}}, 1, 5},
		"in the middle":  {[]interval{{at(20), at(21)}}, 1, 30},
		"at the end":     {[]interval{{at(42), at(43)}}, 0, 0},
		"two of them":    {[]interval{{at(0), at(1)}, {at(41), at(42)}}, 2, 5},
		"counted singly": {[]interval{{at(9), at(11)}, {at(11), at(12)}}, 2, 30},
	} {
		f := within(load, c.during...)
		if f.Requests != c.requests || f.Max != c.longest {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
