package session_test

import (
	"os"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/session"
)

// long makes the model explore more: minutes instead of seconds.
func long() bool { return os.Getenv("LATCHKEY_LONG") == "1" }

const thiefTurns = 3

// lone is one holder: three requests at once, and everything the network may do.
func lone() bounds {
	return bounds{window: 5, patience: 2, tick: 10 * time.Second, flight: 3}
}

// lingering is lone, with a network that delivers requests long after they were given
// up. Half the window is 2.5 ticks here: longer than the holder's patience, so that such
// requests are still judged.
func lingering() bounds {
	return bounds{window: 5, patience: 1, tick: 10 * time.Second, flight: 3, linger: 8}
}

// tardily is a holder who does one thing at a time, and whose jar once takes an answer
// that was given up long ago.
func tardily() bounds {
	return bounds{window: 5, patience: 2, tick: 10 * time.Second, flight: 3, late: 7, serial: true}
}

// robbed is lone or lingering, and a thief.
func robbed() bounds {
	b := lone()
	b.thief, b.turns = true, thiefTurns
	return b
}

func TestModel(t *testing.T) {
	stubborn := lingering()
	stubborn.thief, stubborn.turns, stubborn.linger, stubborn.flight = true, thiefTurns, 3, 2
	tests := []struct {
		name string
		bounds
		rules []session.Rule // that must have decided something, or the model sees too little
	}{
		{"one holder", lone(), []session.Rule{session.Replay, session.Rotate, session.Recover, session.Read, session.Revoked}},
		{"late requests", lingering(), []session.Rule{session.Recover, session.Stale, session.Revoked}},
		{"one late answer", tardily(), []session.Rule{session.Recover, session.Adopt}},
		{"a thief", robbed(), []session.Rule{session.Recover, session.Adopt, session.Theft, session.Revoked}},
		{"a thief and late requests", stubborn, []session.Rule{session.Adopt, session.Theft, session.Stale, session.Revoked}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if long() {
				tt.window, tt.patience, tt.flight = tt.window+2, tt.patience+1, 3
				tt.late, tt.linger = min(tt.late, 1)*(2*tt.window-tt.patience-1), min(tt.linger, 1)*(tt.window+3)
			}
			m := newModel(tt.bounds, genuine())
			began := time.Now()
			if b, schedule := m.explore(); b.invariant != "" {
				t.Fatalf("%s: %s\n%s", b.invariant, b.how, schedule)
			}
			t.Logf("%d worlds, %d steps, %.1f s", len(m.worlds), m.steps, time.Since(began).Seconds())
			for _, r := range tt.rules {
				if m.rules[r] == 0 {
					t.Errorf("rule %s never decided anything", r)
				}
			}
		})
	}
}

// However long a session lives, it stays in the worlds that were explored: so they stand
// for any number of refreshes, not for as many as the search was deep.
func TestModelHasNoEnd(t *testing.T) {
	m := newModel(lone(), genuine())
	if b, schedule := m.explore(); b.invariant != "" {
		t.Fatalf("%s\n%s", b.how, schedule)
	}
	seen := map[world]bool{}
	for _, w := range m.worlds {
		seen[w] = true
	}
	w, before := m.start(), m.rules
	go1 := func(a action) {
		t.Helper()
		var b broken
		if w, b = m.step(w, a, nil); b.invariant != "" || !seen[w] {
			t.Fatalf("an unknown world after %d rotations, or %q", m.rules[session.Rotate]-before[session.Rotate], b.how)
		}
	}
	for range 100 {
		for range 3 * m.window {
			go1(tick)
		}
		go1(compose)
		go1(compose)
		go1(deliver)
		go1(lose)
		go1(deliver)
		go1(arrive)
	}
	if n := m.rules[session.Rotate] - before[session.Rotate]; n != 100 {
		t.Errorf("%d rotations", n)
	}
}

// What the protocol doesn't promise. If one of these begins to hold, the documentation
// and the invariants say less than is true.
func TestModelLimits(t *testing.T) {
	for name, change := range map[string]func(*bounds){
		"A is half of W":                                          func(b *bounds) { b.window, b.patience = 4, 2 },
		"A is more than half of W":                                func(b *bounds) { b.window, b.patience = 5, 3 },
		"A is just less than W":                                   func(b *bounds) { b.window, b.patience = 5, 4 },
		"a late answer, many requests":                            func(b *bounds) { b.late = b.patience + 1 },
		"an answer that is 2 W - A old":                           func(b *bounds) { b.late, b.serial = 2*b.window-b.patience, true },
		"W is so short that requests from before it aren't stale": func(b *bounds) { b.tick, b.linger = session.MinStale/5, 5 },
	} {
		t.Run(name, func(t *testing.T) {
			b := lone()
			change(&b)
			broken, schedule := newModel(b, genuine()).explore()
			if broken.invariant != "I1" {
				t.Fatalf("it is sound; found %q", broken.how)
			}
			t.Logf("%s\n%s", broken.how, schedule)
		})
	}
	t.Run("the thief gets two turns", func(t *testing.T) {
		b := small(robbed())
		b.turns = thiefTurns - 1
		broken, schedule := newModel(b, genuine()).explore()
		if broken.invariant != "I2" {
			t.Fatal("he doesn't")
		}
		t.Logf("%s\n%s", broken.how, schedule)
	})
}
