package webhook

import (
	"slices"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Places bound the messages that are on their way at the same time. There are some for
// webhooks whose receivers answer in time, and some for those that didn't last time, so that
// these don't keep the others waiting. A message that takes longer than patience gives its
// quick place to another one and counts among the slow ones, of which fewer are begun then:
// who becomes slow holds up others for no longer than that.
const (
	quickPlaces = 64
	slowPlaces  = 64

	// allPlaces bounds both, with those that only turned out to be slow.
	allPlaces = 256

	// What one project has of them at most: of each kind, and in all.
	projectPlaces    = 32
	projectAllPlaces = 64

	// perHook is how many messages are on their way to one webhook; one that failed last
	// time gets one at a time.
	perHook = 4

	patience = time.Second
)

// pace says which places a webhook wants.
type pace int

const (
	quick pace = iota
	slow
	paces // how many there are
)

// places gives out places: to projects in turn, and in turn to the webhooks of each. It is
// safe for concurrent use.
type places struct {
	start func(*stay) // called when it is a webhook's turn, with mu held

	mu     sync.Mutex
	open   bool
	all    int
	taken  [paces]int
	of     map[id.Project]*[paces]int
	queues [paces]queue
}

// queue is who waits for places of a pace, the next one first. It has identifiers only, so
// that it stays small however much there is to be sent.
type queue struct {
	turns []*turn
	of    map[id.Project]*turn
}

type turn struct {
	project id.Project
	hooks   []id.Webhook
}

// newPlaces returns places that are closed.
func newPlaces(start func(*stay)) *places {
	a := &places{start: start, of: map[id.Project]*[paces]int{}}
	for at := range a.queues {
		a.queues[at].of = map[id.Project]*turn{}
	}
	return a
}

// reopen lets webhooks wait for places again.
func (a *places) reopen() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = true
}

// close forgets who waits, and returns them. From then on nobody's turn comes, until the
// places are opened again.
func (a *places) close() (waited []id.Webhook) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = false
	for at := range a.queues {
		for _, t := range a.queues[at].turns {
			waited = append(waited, t.hooks...)
		}
		a.queues[at] = queue{of: map[id.Project]*turn{}}
	}
	return waited
}

// ask lets a webhook wait for its turn. It is false when the places are closed. Nobody asks
// twice before the turn has come.
func (a *places) ask(p id.Project, w id.Webhook, at pace) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open {
		return false
	}
	q := &a.queues[at]
	t, waits := q.of[p]
	if !waits {
		t = &turn{project: p}
		q.of[p] = t
		q.turns = append(q.turns, t)
	}
	t.hooks = append(t.hooks, w)
	a.fill()
	return true
}

// fill begins what there are places for.
func (a *places) fill() {
	for at := range paces {
		for a.next(at) {
		}
	}
}

// next begins the service of the webhook whose turn it is, and reports whether there was
// one.
func (a *places) next(at pace) bool {
	if a.room(at) <= 0 {
		return false
	}
	q := &a.queues[at]
	// Few are passed over: no more projects than have all their places.
	i := slices.IndexFunc(q.turns, func(t *turn) bool { return a.roomOf(t.project, at) > 0 })
	if i < 0 {
		return false
	}
	t := q.turns[i]
	q.turns = slices.Delete(q.turns, i, i+1)
	w := t.hooks[0]
	if t.hooks = t.hooks[1:]; len(t.hooks) > 0 {
		q.turns = append(q.turns, t)
	} else {
		delete(q.of, t.project)
	}
	a.move(t.project, at, 1)
	a.start(&stay{in: a, project: t.project, hook: w, pace: at, held: 1})
	return true
}

// room returns how many more messages may begin, which is none or less when there are
// too many already.
func (a *places) room(at pace) int {
	size := quickPlaces
	if at == slow {
		size = slowPlaces
	}
	return min(size-a.taken[at], allPlaces-a.all)
}

// roomOf is room for one project.
func (a *places) roomOf(p id.Project, at pace) int {
	var has [paces]int
	if of, some := a.of[p]; some {
		has = *of
	}
	return min(a.room(at), projectPlaces-has[at], projectAllPlaces-has[quick]-has[slow])
}

// move counts n places more, or fewer.
func (a *places) move(p id.Project, at pace, n int) {
	of, some := a.of[p]
	if !some {
		of = new([paces]int)
		a.of[p] = of
	}
	a.all += n
	a.taken[at] += n
	if of[at] += n; *of == [paces]int{} {
		delete(a.of, p)
	}
}

// stay is a webhook that has places, one at least until it leaves.
type stay struct {
	in      *places
	project id.Project
	hook    id.Webhook

	// Guarded by in.mu.
	pace pace
	held int
}

// widen takes more places, up to n, when nobody else waits for them, and returns how many
// it has.
func (s *stay) widen(n int) int {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if len(s.in.queues[s.pace].turns) == 0 {
		more := max(0, min(n-s.held, s.in.roomOf(s.project, s.pace)))
		s.in.move(s.project, s.pace, more)
		s.held += more
	}
	return min(n, s.held)
}

// narrow gives all places back but n.
func (s *stay) narrow(n int) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.held > n {
		s.in.move(s.project, s.pace, n-s.held)
		s.held = n
		s.in.fill()
	}
}

// leave gives all places back.
func (s *stay) leave() { s.narrow(0) }

// late makes the places slow ones.
func (s *stay) late() {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.pace == slow || s.held == 0 {
		return
	}
	s.in.move(s.project, quick, -s.held)
	s.in.move(s.project, slow, s.held)
	s.pace = slow
	s.in.fill()
}
