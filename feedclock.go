package latchkey

import "time"

// feedClock is what the feed has told of the server's clock. It isn't safe for
// concurrent use. The zero value knows nothing.
type feedClock struct {
	// reached is an instant, in Unix milliseconds, that the server's clock has surely
	// passed; 0 when nothing is known. No entry is dropped before it (see over). It
	// takes two clocks to move it: the server's word, and as much time as has passed
	// here. So neither a step of our clock nor one of the server's, such as a failover to
	// a machine whose clock is an hour ahead, makes a revocation be forgotten early.
	reached int64
	at      time.Time // our time then

	ahead   time.Duration // by how much the server's clock is ahead of ours, at least
	aheadAt time.Time     // our time when that was learnt; zero when it wasn't
}

// over is the instant, in Unix milliseconds, up to which entries can be dropped: the
// server's clock has passed it, and ours too. A token is refused as expired by our clock,
// so where that is behind, what was revoked would come back to life before it expires.
func (c *feedClock) over(now time.Time) int64 { return min(c.reached, now.UnixMilli()) }

// catchUp is the part of an hour by which reached may run faster than our clock. A
// machine that slept, and whose clock didn't count that, would otherwise keep every
// entry longer for good.
const catchUp = 60

// learn takes in the server's time, as an answer says that is being read at now.
func (c *feedClock) learn(server, now time.Time) {
	ms := server.UnixMilli()
	if ms <= 0 {
		return
	}
	if c.reached != 0 && !c.at.IsZero() {
		passed := max(now.Sub(c.at), 0)
		// One that goes back is followed at once: entries are dated by it.
		ms = min(ms, c.reached+(passed+passed/catchUp).Milliseconds())
	}
	c.reached, c.at = ms, now

	// An answer that was held up makes the server's clock look late, so the best of a
	// minute counts.
	age := now.Sub(c.aheadAt)
	if ahead := server.Sub(now); c.aheadAt.IsZero() || ahead > c.ahead || age > time.Minute || age < 0 {
		c.ahead, c.aheadAt = ahead, now
	}
}

// since returns how long ago by the server's clock an instant of that clock was; 0 when
// the clock isn't known.
func (c *feedClock) since(at, now time.Time) time.Duration {
	if c.aheadAt.IsZero() {
		return 0
	}
	return max(now.Add(c.ahead).Sub(at), 0)
}

// feedLag keeps how long entries took from the server's store to this process: the last,
// and the greatest of the last minute, in steps of ten seconds. It isn't safe for
// concurrent use.
type feedLag struct {
	last  time.Duration
	steps [6]struct {
		step int64 // Unix time in tens of seconds
		most time.Duration
	}
}

func (l *feedLag) add(d time.Duration, now time.Time) {
	l.last = d
	step := now.Unix() / 10
	at := &l.steps[((step%6)+6)%6]
	if at.step != step {
		at.step, at.most = step, 0
	}
	at.most = max(at.most, d)
}

// most returns the greatest of the last minute, 0 when there was none.
func (l *feedLag) most(now time.Time) time.Duration {
	var most time.Duration
	step := now.Unix() / 10
	for _, s := range l.steps {
		if s.step <= step && step-s.step < int64(len(l.steps)) {
			most = max(most, s.most)
		}
	}
	return most
}
