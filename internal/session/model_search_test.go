package session_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// model explores all worlds within bounds, breadth first.
type model struct {
	protocol
	bounds
	policy policy.Policy
	ago    [32]time.Time // modelNow minus so many ticks
	end    time.Time

	worlds []world
	from   []uint32 // index of the world before
	by     []action // what led here
	rules  [32]int  // how often each rule decided
	steps  int
}

func newModel(b bounds, p protocol) *model {
	m := &model{protocol: p, bounds: b, policy: b.policy(), end: modelNow.Add(1000 * time.Hour)}
	for i := range m.ago {
		m.ago[i] = modelNow.Add(-time.Duration(i) * b.tick)
	}
	return m
}

// explore visits every world. It returns the invariant that broke first, with a
// shortest schedule that breaks it.
func (m *model) explore() (broken, string) {
	first := m.start()
	index := map[world]struct{}{first: {}}
	m.worlds, m.from, m.by = []world{first}, []uint32{0}, []action{0}
	var found broken
	at, last := 0, action(0)
	for ; at < len(m.worlds) && found.invariant == ""; at++ {
		w := m.worlds[at]
		m.actions(&w, func(a action) {
			if found.invariant != "" {
				return
			}
			m.steps++
			next, b := m.step(w, a, nil)
			if b.invariant != "" {
				found, last = b, a
				return
			}
			if _, seen := index[next]; !seen {
				index[next] = struct{}{}
				m.worlds, m.from, m.by = append(m.worlds, next), append(m.from, uint32(at)), append(m.by, a)
			}
		})
	}
	if found.invariant == "" {
		return found, ""
	}
	return found, m.tell(at-1, last)
}

// tell repeats the way to a world and one more action, in words.
func (m *model) tell(at int, last action) string {
	way := []action{last}
	for ; at > 0; at = int(m.from[at]) {
		way = append(way, m.by[at])
	}
	tell := newStory()
	w := m.start()
	for i := len(way) - 1; i >= 0; i-- {
		w, _ = m.step(w, way[i], tell)
	}
	return strings.Join(tell.lines, "\n")
}

// story tells a schedule with names that stay: r0, r1 for tokens, numbers for requests.
// A nil story says nothing.
type story struct {
	names    [roleCount]string
	requests [3]int
	tokens   int
	count    int
	time     int
	lines    []string
}

func newStory() *story {
	s := &story{tokens: 1}
	s.names[newest], s.names[dead], s.names[stray] = "r0", "a dead token", "an older sibling"
	return s
}

func (s *story) say(format string, args ...any) {
	if s != nil {
		s.lines = append(s.lines, fmt.Sprintf("  t=%d  ", s.time)+fmt.Sprintf(format, args...))
	}
}

func (s *story) tick() {
	if s != nil {
		s.time++
	}
}

func (s *story) name(t role) string {
	if s == nil {
		return ""
	}
	return s.names[t]
}

func (s *story) packet(w *world, i int) string {
	if s == nil {
		return ""
	}
	p := w.flight[i]
	switch p.kind() {
	case asked:
		return fmt.Sprintf("request %d (%s)", s.requests[i], s.names[p.token()])
	case vouching:
		return fmt.Sprintf("acknowledgement %d (%s)", s.requests[i], s.names[p.token()])
	case bare:
		return fmt.Sprintf("answer %d (a session token of %s)", s.requests[i], s.names[p.token()])
	}
	return fmt.Sprintf("answer %d (%s)", s.requests[i], s.names[p.token()])
}

func (s *story) composed(w *world, i int) {
	if s != nil {
		s.count++
		s.requests[i] = s.count
		s.say("%s is composed", s.packet(w, i))
	}
}

func (s *story) decided(w *world, i int, v session.Verdict) {
	if s != nil {
		s.say("%s reaches the server: %s", s.packet(w, i), s.outcome(v))
	}
}

func (s *story) presented(w *world, t role, v session.Verdict) {
	if s != nil {
		s.say("the thief presents %s: %s", s.names[t], s.outcome(v))
	}
}

func (s *story) outcome(v session.Verdict) string {
	switch {
	case v.Made():
		s.names[unborn] = fmt.Sprintf("r%d", s.tokens)
		s.tokens++
		return fmt.Sprintf("%s, makes %s", v.Rule, s.names[unborn])
	case v.Rule == session.Replay:
		return fmt.Sprintf("%s of %s", v.Rule, s.names[newest])
	}
	return v.Rule.String()
}

func (s *story) move(m moves) {
	if s == nil {
		return
	}
	names, requests := s.names, s.requests
	for from, to := range m.roles {
		if names[from] != "" && role(to) > dead && role(to) != stray {
			s.names[to] = names[from]
		}
	}
	for from, to := range m.places {
		s.requests[to] = requests[from]
	}
}
