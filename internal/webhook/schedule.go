package webhook

import (
	"math/rand/v2"
	"time"
)

// schedule is how long after each failed attempt the next one comes. It ends a day and a
// half after the first one.
var schedule = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 8 * time.Hour, 24 * time.Hour,
}

const (
	// longestWish is the longest that is believed of Retry-After.
	longestWish = 24 * time.Hour

	// jitter is the part of a delay that is added at most, so that what failed
	// together doesn't come back together.
	jitter = 5 // a fifth
)

// next returns how long to wait after an attempt that failed, which was the nth, and
// whether there is another one at all. The receiver's wish can only make it longer.
func next(attempts int, wish time.Duration) (time.Duration, bool) {
	if attempts > len(schedule) {
		return 0, false
	}
	d := schedule[max(attempts, 1)-1]
	d += rand.N(d / jitter)
	return max(d, min(wish, longestWish)), true
}

// Attempts is how often a delivery is tried before it is dead.
const Attempts = len(schedule) + 1
