package latchkey

import (
	"sync"
	"time"
)

// serverClock knows the server's time as well as its answers have told it. Clients'
// clocks are often wrong by more than a refresh may be old, and a wrong one would make
// every refresh look stale. The zero value knows nothing yet.
type serverClock struct {
	mu     sync.Mutex
	known  bool
	server time.Time     // the server's time
	local  time.Time     // our time at that moment, with its monotonic reading
	off    time.Duration // how far server may be off
}

// dateOff is how far the middle of a second may be off the true time: the Date header
// says seconds.
const dateOff = 500 * time.Millisecond

// drift is by how much an estimate gets worse, per second of its age.
const drift = time.Millisecond

// learn takes in what an answer said, which was asked for at sent and came at received.
// off is how exact the server's word itself is. An estimate that is likely to be worse
// than the one there is, such as that of an answer that took seconds, is left out.
func (s *serverClock) learn(server, sent, received time.Time, off time.Duration) {
	if server.IsZero() {
		return
	}
	took := max(received.Sub(sent), 0)
	off += took / 2
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := received.Sub(s.local); s.known && age >= 0 && off > s.off+time.Duration(age.Seconds()*float64(drift)) {
		return
	}
	s.known, s.server, s.local, s.off = true, server, sent.Add(took/2), off
}

// forget drops the estimate, because the server didn't agree with it.
func (s *serverClock) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// at returns the server's time at our time local; local itself when nothing is known.
// Where both have monotonic readings, a step of our clock in between does no harm.
func (s *serverClock) at(local time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return local
	}
	return s.server.Add(local.Sub(s.local))
}
