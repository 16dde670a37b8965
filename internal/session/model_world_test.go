package session_test

import "time"

// The model is one session's server state, one honest holder with one jar, a network
// that does its worst, and at most one thief. Time comes in ticks.
//
// The search is exhaustive without a bound on the number of refreshes: tokens are named
// by their role (newest, parent, sibling, dead), ages stop growing where they stop
// mattering, and so there are finitely many worlds.

// role is what a token is at the moment, seen from the server's state. A role stands
// for one token, except that tokens which will be treated alike for ever share one.
type role uint8

const (
	nothing    role = iota
	dead            // neither P nor N nor a child of P
	newest          // N
	parent          // P
	stray           // any older child of P that only the thief has
	sibling         // the first of the older children of P that the honest holder may have
	siblingEnd role = 10
	grand      role = 10 // P before it was replaced: dead, but some mutants remember
	elder      role = 11 // as grand: the other tokens that were live then
	unborn     role = 12 // what the decision may make
	roleCount  role = 13
)

// bounds say which worlds are explored.
type bounds struct {
	window   int           // W in ticks
	patience int           // A in ticks: older answers are dropped, older requests given up
	tick     time.Duration // how long a tick is
	flight   int           // requests in flight at once, at most 3
	thief    bool          // somebody copies the jar, once
	late     int           // one answer may be taken until so many ticks after its request was composed
	linger   int           // requests carry composedAt, and the network delivers them until that age
	serial   bool          // one refresh or acknowledgement at a time, both of the jar's token
	old      bool          // tell grand and elder from dead
	turns    int           // runs of one holder among which the thief's may be, see check
}

// world is one state of everything. It is small and comparable: very many are kept.
type world struct {
	flight [3]packet
	flags  flag
	hoard  uint16 // the thief's tokens: bits by role
	jar    role
	mint   uint8 // ticks since N was made: the truth, not the server's memory
	rotate uint8 // ticks since State.RotatedAt
	replay uint8 // ticks since State.ReplayedAt
	turns  turns
}

type flag uint16

const (
	orphan    flag = 1 << iota // the session has no P yet
	confirmed                  // State.Confirmed
	ended                      // State.EndedAt is set
	outdated                   // the user's epoch is ahead of the session's
	over                       // the truth: it was revoked, or theft was proven
	known                      // somebody has a session token of N
	proven                     // the truth: N was seen at work after its window
	copied                     // the thief came
	delayed                    // the one late answer was late
	byThief                    // the thief's refresh made N
	common                     // both have N
)

func (w *world) is(f flag) bool { return w.flags&f != 0 }

func (w *world) set(f flag, on bool) {
	w.flags &^= f
	if on {
		w.flags |= f
	}
}

// packet is a request or an answer on its way: kind, age since the request was
// composed, and the token that it carries. Zero is none.
type packet uint16

type kind uint16

const (
	asked    kind = iota + 1 // a request; carries what was in the jar
	answered                 // carries N of its time
	made                     // as answered, after the copy: this N was made for the honest holder
	shared                   // as answered, after the copy: this N was made for the thief
	bare                     // no refresh token; its session token names the one it carries
	tardy                    // as answered, and accepted until bounds.late
	vouching                 // an acknowledgement of what was in the jar
)

func pack(k kind, age uint8, t role) packet {
	return packet(k)<<8 | packet(age)<<4 | packet(t)
}

func (p packet) kind() kind  { return kind(p >> 8) }
func (p packet) age() uint8  { return uint8(p>>4) & 15 }
func (p packet) token() role { return role(p & 15) }

// turns counts how often the session changed hands since both held the same token: who
// got a new refresh token last, and how many runs of one holder there were.
type turns uint8

const (
	honest turns = 1
	thief  turns = 2
)

func (h turns) runs() int { return int(h >> 2) }

func (h turns) took(by turns) turns {
	if h&3 == by {
		return h
	}
	return (h>>2+1)<<2 | by
}

// start is the world right after a sign-in whose answer arrived.
func (b bounds) start() world {
	w := world{jar: newest, flags: orphan | known, replay: uint8(b.window)}
	w.settle(b)
	return w
}

// settle makes equal what can't differ any more, so that equal worlds are ==.
func (w *world) settle(b bounds) {
	full := uint8(b.window)
	w.rotate, w.replay, w.mint = min(w.rotate, full), min(w.replay, full), min(w.mint, 2*full)
	if w.rotate == full && w.replay == full && w.mint >= full {
		w.mint = 2 * full
	}
	if w.is(over) {
		w.turns = 0
		w.set(known|proven|delayed|byThief|common, false)
		if b.thief {
			// Worlds without a thief show that the time makes no difference here.
			w.mint, w.rotate, w.replay = 2*full, full, full
		}
	}
	if !w.is(copied) {
		w.turns = 0
		w.set(byThief|common, false)
	}
	for i, p := range w.flight {
		switch k := p.kind(); {
		case p == 0 || k == asked || k == vouching && !w.is(over):
		case w.is(over): // answers don't matter any more
			w.flight[i] = 0
		case k == bare && (w.is(known) || p.token() != newest): // tells nothing
			w.flight[i] = 0
		case (k == made || k == shared) && !w.is(copied):
			w.flight[i] = pack(answered, p.age(), p.token())
		}
	}
}

// moves says where order put roles and packets.
type moves struct {
	roles  [roleCount]role
	places [3]int
}

// order sorts the packets and numbers the siblings.
func (w *world) order() moves {
	var m moves
	m.places = w.sort()
	for i := range m.roles {
		m.roles[i] = role(i)
	}
	if !w.hasSiblings() {
		return m
	}
	next := sibling
	for t := sibling; t < siblingEnd; t++ {
		m.roles[t] = stray
	}
	seen := func(t role) {
		if t >= sibling && t < siblingEnd && m.roles[t] == stray {
			m.roles[t] = next
			next++
		}
	}
	seen(w.jar)
	for _, p := range w.flight {
		seen(p.token())
	}
	w.rename(m.roles)
	again := w.sort()
	for i, at := range m.places {
		m.places[i] = again[at]
	}
	return m
}

func (w *world) hasSiblings() bool {
	const hoarded = 1<<siblingEnd - 1<<sibling
	is := func(t role) bool { return t >= sibling && t < siblingEnd }
	return w.hoard&hoarded != 0 || is(w.jar) ||
		is(w.flight[0].token()) || is(w.flight[1].token()) || is(w.flight[2].token())
}

// sort sorts the packets and returns where each went.
func (w *world) sort() [3]int {
	from := [3]int{0, 1, 2}
	for _, i := range [...]int{0, 1, 0} {
		if w.flight[i] < w.flight[i+1] {
			w.flight[i], w.flight[i+1] = w.flight[i+1], w.flight[i]
			from[i], from[i+1] = from[i+1], from[i]
		}
	}
	to := [3]int{}
	for i, at := range from {
		to[at] = i
	}
	return to
}

// rename gives every token its new role.
func (w *world) rename(to [roleCount]role) {
	w.jar = to[w.jar]
	for i, p := range w.flight {
		if p != 0 {
			w.flight[i] = pack(p.kind(), p.age(), to[p.token()])
		}
	}
	hoard := uint16(0)
	for t := newest; t < unborn; t++ {
		if w.hoard>>t&1 != 0 {
			hoard |= 1 << to[t]
		}
	}
	w.hoard = hoard &^ (1<<dead | 1<<nothing) // good for nothing but to be caught
}
