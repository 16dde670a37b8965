package session_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

var (
	theProject       = id.NewProject(rotatedAt)
	theUser          = id.NewUser(rotatedAt)
	theSession       = id.NewSession(rotatedAt)
	oldKey, freshKey = id.NewKey(rotatedAt), id.NewKey(rotatedAt.Add(time.Hour))
	origin           = audit.Origin{Actor: audit.UserActor(theUser), IP: "192.0.2.7", RequestID: "req-1"}
)

// apply runs Apply on an ordinary exchange with changes.
func apply(given ...change) (exchange, session.Row, session.Verdict, []audit.Event) {
	e := ordinary()
	for _, c := range given {
		c(&e)
	}
	row := session.Row{
		ID: theSession, Project: theProject, User: theUser, State: e.State,
		Profile: session.Profile{AMR: []string{"pwd"}, SigningKey: oldKey},
	}
	f := session.Refresh{Project: theProject, Session: theSession, SigningKey: freshKey, Request: e.Request, Origin: origin}
	next, v, events, _ := session.Apply(row, e.Subject, f, e.now)
	return e, next, v, events
}

func TestApply(t *testing.T) {
	was := func(e *exchange) { e.EndedAt, e.EndReason = rotatedAt, session.Logout }
	second := func(e *exchange) { e.ForeignReplays = 1 }
	tests := []struct {
		name   string
		given  []change
		rule   session.Rule
		issued id.Refresh
		key    id.Key
		events []audit.Type
	}{
		{"rotate", do(), session.Rotate, tokenNext, freshKey, nil},
		{"replay", do(after(time.Second)), session.Replay, tokenN, oldKey, nil},
		{"read", do(readOnly), session.Read, id.Refresh{}, oldKey, nil},
		{"quiet", do(after(window), replayed(time.Second)), session.Read, id.Refresh{}, oldKey, nil},
		{"recover", do(presentP), session.Recover, tokenNext, freshKey, []audit.Type{audit.RefreshRecovered}},
		{"adopt", do(presentSibling), session.Adopt, tokenNext, freshKey, nil},
		{"theft", do(presentGrand), session.Theft, id.Refresh{}, oldKey, []audit.Type{audit.TokenReuse, audit.SessionEnded}},
		{"stale", do(composed(time.Hour)), session.Stale, id.Refresh{}, oldKey, nil},
		{"limited", do(full), session.Limited, id.Refresh{}, oldKey, nil},
		{"ran out", do(after(27 * day)), session.RanOut, id.Refresh{}, oldKey, nil},
		{"revoked", do(was), session.Revoked, id.Refresh{}, oldKey, nil},
		{
			"foreign", do(after(time.Second), from(abroad, policy.AlertForeign)), session.Replay, tokenN, oldKey,
			[]audit.Type{audit.ReplayForeign},
		},
		{
			"foreign, the second", do(after(time.Second), from(abroad, policy.EndForeign), second), session.Theft, id.Refresh{}, oldKey,
			[]audit.Type{audit.ReplayForeign, audit.TokenReuse, audit.SessionEnded},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, row, v, events := apply(tt.given...)
			s, want := session.Decide(e.State, e.Subject, e.Request, e.now)
			if row.State != s || v != want || v.Rule != tt.rule {
				t.Errorf("%+v, %+v", v, row.State)
			}
			if row.SigningKey != tt.key {
				t.Error("a token must be signed again with the key that signed it, and a new one with the new key")
			}
			var types []audit.Type
			for _, ev := range events {
				types = append(types, ev.Type)
				if ev.Project != theProject || ev.Session != theSession || ev.User != theUser || ev.Origin != origin || ev.At != e.now {
					t.Errorf("%+v", ev)
				}
			}
			if !slices.Equal(types, tt.events) {
				t.Errorf("events %v", types)
			}
			entry := session.Entry{
				At: e.now, Last: e.now, Rule: tt.rule, Foreign: v.Foreign, Count: 1,
				Token: e.Token, Issued: tt.issued, Context: e.Request.Context,
			}
			if got := row.Trace.Entries; len(got) != 1 || got[0] != entry {
				t.Errorf("trace %+v", got)
			}
		})
	}
}

// What an event says must be enough to tell the two holders apart.
func TestApplyEventData(t *testing.T) {
	tests := []struct {
		name  string
		given []change
		event audit.Type
		want  map[string]any
	}{
		{"recover", do(presentP, func(e *exchange) { e.Recoveries = 1 }), audit.RefreshRecovered, map[string]any{
			"presented": tokenP.String(), "network": "192.0.2.0/24", "agent": "Firefox on Linux",
			"ageSeconds": 600.0, "recoveries": 2.0,
		}},
		{"theft", do(presentGrand, from(phone, policy.AlertForeign)), audit.TokenReuse, map[string]any{
			"presented": tokenGrand.String(), "network": "192.0.2.0/24", "agent": "Safari on iOS",
			"newest": tokenN.String(), "rotatedAt": "2026-03-01T12:00:00Z",
			"rotatedFromNetwork": "192.0.2.0/24", "rotatedFromAgent": "Firefox on Linux",
		}},
		{"theft from nowhere", do(presentGrand, from(session.Context{}, policy.AlertForeign)), audit.TokenReuse, map[string]any{
			"presented": tokenGrand.String(), "network": "", "agent": "",
			"newest": tokenN.String(), "rotatedAt": "2026-03-01T12:00:00Z",
			"rotatedFromNetwork": "192.0.2.0/24", "rotatedFromAgent": "Firefox on Linux",
		}},
		{"foreign", do(after(time.Second), from(abroad, policy.AlertForeign)), audit.ReplayForeign, map[string]any{
			"presented": tokenN.String(), "network": "198.51.100.0/24", "agent": "Firefox on Linux",
			"rotatedFromNetwork": "192.0.2.0/24", "rotatedFromAgent": "Firefox on Linux",
		}},
		{"ended", do(presentGrand), audit.SessionEnded, map[string]any{
			"presented": tokenGrand.String(), "network": "192.0.2.0/24", "agent": "Firefox on Linux", "reason": "token_reuse",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, events := apply(tt.given...)
			i := slices.IndexFunc(events, func(e audit.Event) bool { return e.Type == tt.event })
			if i < 0 {
				t.Fatalf("events %v", events)
			}
			if !maps.Equal(events[i].Data, tt.want) {
				t.Errorf("%v", events[i].Data)
			}
		})
	}
}

// A thief who repeats himself inside the window writes one event, not a log full of
// them; the trace counts on. The next rotation makes the next one worth telling.
func TestForeignReplaysAreToldOnce(t *testing.T) {
	e := ordinary()
	row := session.Row{ID: theSession, Project: theProject, User: theUser, State: e.State}
	f := session.Refresh{Project: theProject, Session: theSession, SigningKey: freshKey, Request: e.Request, Origin: origin}
	told := map[audit.Type]int{}
	do := func(now time.Time) session.Verdict {
		var v session.Verdict
		var events []audit.Event
		row, v, events, _ = session.Apply(row, e.Subject, f, now)
		for _, ev := range events {
			told[ev.Type]++
		}
		return v
	}
	for n := range 50 {
		f.Request.Context = stranger(n)
		f.Request.Token, f.Request.Parent = tokenN, tokenP
		if n%2 == 0 {
			f.Request.Token, f.Request.Parent = tokenP, tokenGrand
		}
		if v := do(rotatedAt.Add(time.Second)); v.Rule != session.Replay || !v.Foreign {
			t.Fatalf("%+v", v)
		}
	}
	if told[audit.ReplayForeign] != 1 || row.ForeignReplays != 50 || len(row.Trace.Entries) != 2 {
		t.Errorf("%v, %d counted, trace %v", told, row.ForeignReplays, rules(row.Trace))
	}
	f.Request.Token, f.Request.Parent, f.Request.Context = tokenN, tokenP, home
	if v := do(rotatedAt.Add(time.Hour)); v.Rule != session.Rotate {
		t.Fatal(v.Rule)
	}
	f.Request.Context = abroad
	if v := do(rotatedAt.Add(time.Hour + time.Second)); !v.Foreign || told[audit.ReplayForeign] != 2 {
		t.Errorf("%+v, %v", v, told)
	}
	f.Request.Policy.ForeignReplay = policy.EndForeign
	if v := do(rotatedAt.Add(time.Hour + 2*time.Second)); v.Rule != session.Theft || !maps.Equal(told, map[audit.Type]int{
		audit.ReplayForeign: 2, audit.TokenReuse: 1, audit.SessionEnded: 1,
	}) {
		t.Errorf("%+v, %v", v, told)
	}
}

// Equal states must be == after any store, so the clock is cut to what stores keep.
func TestApplyCutsTheClock(t *testing.T) {
	odd := time.Date(2026, 3, 1, 13, 30, 0, 123_456_789, time.FixedZone("", 3600))
	_, row, v, _ := apply(func(e *exchange) { e.now = odd })
	want := time.Date(2026, 3, 1, 12, 30, 0, 123_000_000, time.UTC)
	if row.RotatedAt != want || v.At != want || row.Trace.Entries[0].At != want {
		t.Errorf("%v, %v, %v", row.RotatedAt, v.At, row.Trace.Entries[0].At)
	}
}

func TestVerdictErr(t *testing.T) {
	tests := []struct {
		name  string
		given []change
		want  fault.Kind
		wait  time.Duration
	}{
		{"theft", do(presentGrand), fault.TokenReuse, 0},
		{"after theft", do(closed(session.Reused)), fault.TokenReuse, 0},
		{"after an end", do(closed(session.Ended)), fault.SessionRevoked, 0},
		{"epoch", do(func(e *exchange) { e.Subject.UserEpoch++ }), fault.SessionRevoked, 0},
		{"ran out", do(after(27 * day)), fault.SessionExpired, 0},
		{"stale", do(composed(time.Hour)), fault.RequestExpired, 0},
		{"limited", do(full), fault.RateLimited, 10 * time.Minute},
	}
	for _, tt := range tests {
		_, row, v, _ := apply(tt.given...)
		err := v.Err(row.State)
		var f *fault.Error
		if fault.KindOf(err) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if f, _ = err.(*fault.Error); f.RetryAfter != tt.wait {
			t.Errorf("%s: retry after %v", tt.name, f.RetryAfter)
		}
	}
	for _, given := range [][]change{do(), do(presentP), do(presentSibling), do(readOnly), do(after(time.Second))} {
		if _, row, v, _ := apply(given...); v.Err(row.State) != nil {
			t.Errorf("%s: %v", v.Rule, v.Err(row.State))
		}
	}
}

// Every rule has its word and its sentence, and no two share one.
func TestWords(t *testing.T) {
	seen := map[string]session.Rule{}
	for r := session.Create; r <= session.End; r++ {
		if r.Word() == "" || r.Why() == "" || r.String() != r.Word() {
			t.Errorf("rule %d: %q, %q", r, r.Word(), r.Why())
		}
		if other, ok := seen[r.Word()]; ok {
			t.Errorf("rules %d and %d are both %q", r, other, r.Word())
		}
		seen[r.Word()] = r
	}
	if r := session.End + 1; r.Word() != "unknown" || r.Why() != "" {
		t.Error(fmt.Sprint(r.Word(), r.Why()))
	}
}
