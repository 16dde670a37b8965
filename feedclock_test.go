package latchkey

import (
	"testing"
	"time"
)

func TestFeedClock(t *testing.T) {
	type step struct{ ours, server, reached time.Duration } // since feedEpoch
	for name, steps := range map[string][]step{
		"in step":                    {{0, 0, 0}, {10 * time.Second, 10 * time.Second, 10 * time.Second}, {20 * time.Second, 20 * time.Second, 20 * time.Second}},
		"ours an hour ahead":         {{time.Hour, 0, 0}, {time.Hour + 10*time.Second, 10 * time.Second, 10 * time.Second}},
		"ours steps an hour ahead":   {{0, 0, 0}, {time.Hour, 10 * time.Second, 10 * time.Second}},
		"ours steps an hour back":    {{time.Hour, time.Hour, time.Hour}, {0, time.Hour + 10*time.Second, time.Hour}, {time.Minute, time.Hour + 70*time.Second, time.Hour + 61*time.Second}},
		"server steps an hour ahead": {{0, 0, 0}, {10 * time.Second, time.Hour, 10*time.Second + 10*time.Second/60}, {70 * time.Second, 2 * time.Hour, 71*time.Second + 10*time.Second/60}},
		"server goes back":           {{0, time.Hour, time.Hour}, {10 * time.Second, 10 * time.Second, 10 * time.Second}},
		"late answer":                {{0, 0, 0}, {10 * time.Second, 5 * time.Second, 5 * time.Second}, {60 * time.Second, 60 * time.Second, 55*time.Second + 50*time.Second/60}, {600 * time.Second, 600 * time.Second, 600 * time.Second}},
	} {
		var c feedClock
		for i, s := range steps {
			c.learn(feedEpoch.Add(s.server), feedEpoch.Add(s.ours))
			if got, want := c.reached, feedEpoch.Add(s.reached).UnixMilli(); got-want > 1 || want-got > 1 {
				t.Errorf("%s, step %d: %v, want %v", name, i, time.UnixMilli(got).UTC(), time.UnixMilli(want).UTC())
			}
		}
	}
	var c feedClock
	for _, server := range []time.Time{{}, time.Unix(-1, 0)} {
		c.learn(server, feedEpoch)
		if c != (feedClock{}) {
			t.Errorf("%v was believed", server)
		}
	}
}

func TestFeedClockSince(t *testing.T) {
	var c feedClock
	if got := c.since(feedEpoch, feedEpoch.Add(time.Hour)); got != 0 {
		t.Errorf("before anything is known: %v", got)
	}
	// The server is 5 s ahead. One answer was held up for 3 s, another for none.
	c.learn(feedEpoch.Add(5*time.Second), feedEpoch.Add(3*time.Second))
	c.learn(feedEpoch.Add(15*time.Second), feedEpoch.Add(10*time.Second))
	c.learn(feedEpoch.Add(20*time.Second), feedEpoch.Add(19*time.Second))
	if got := c.since(feedEpoch.Add(25*time.Second), feedEpoch.Add(20*time.Second+250*time.Millisecond)); got != 250*time.Millisecond {
		t.Errorf("an entry of a quarter of a second ago: %v", got)
	}
	if got := c.since(feedEpoch.Add(time.Minute), feedEpoch.Add(20*time.Second)); got != 0 {
		t.Errorf("an entry from the future: %v", got)
	}
	// Once our clock was set, the old difference is forgotten within a minute or two.
	for i := range 12 {
		at := feedEpoch.Add(time.Hour + time.Duration(i)*10*time.Second)
		c.learn(at, at)
	}
	now := feedEpoch.Add(time.Hour + 2*time.Minute)
	if got := c.since(now.Add(-time.Second), now); got != time.Second {
		t.Errorf("after our clock was set: %v", got)
	}
}

func TestFeedLag(t *testing.T) {
	var l feedLag
	if l.most(feedEpoch) != 0 {
		t.Error("lag before the first entry")
	}
	at := func(seconds int) time.Time { return feedEpoch.Add(time.Duration(seconds) * time.Second) }
	l.add(300*time.Millisecond, at(0))
	l.add(100*time.Millisecond, at(1))
	l.add(200*time.Millisecond, at(30))
	for seconds, want := range map[int]time.Duration{31: 300, 49: 300, 60: 200, 84: 200, 90: 0, 3600: 0, -60: 0} {
		if got := l.most(at(seconds)); got != want*time.Millisecond {
			t.Errorf("after %d s: %v, want %v", seconds, got, want*time.Millisecond)
		}
	}
	if l.last != 200*time.Millisecond {
		t.Errorf("last %v", l.last)
	}
	var early feedLag
	early.add(time.Second, time.Unix(-7, 0))
	if early.most(time.Unix(-1, 0)) != time.Second {
		t.Error("a clock before 1970 is a clock, too")
	}
}
