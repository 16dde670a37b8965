package latchkey

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Who reads the version and then judges may keep the verdict for that version: with the
// version of an entry's addition, it is refused.
func TestVersionNeverRunsAhead(t *testing.T) {
	for range 200 {
		x := newRevokedIndex(feedProject)
		var work sync.WaitGroup
		work.Go(func() {
			e := feedEntry("session", "ses_1", 0)
			x.add(&e, 0)
		})
		for range 2 {
			work.Go(func() {
				for range 50 {
					version := x.edits.Load()
					if got := x.judge(feedClaims(0)); version == 1 && got != ReasonRevoked {
						t.Errorf("judged %q at version 1", got)
					}
				}
			})
		}
		work.Wait()
	}
}

func TestConcurrentJudgeAndChange(t *testing.T) {
	x := newRevokedIndex(feedProject)
	fixed := feedEntry("session", "ses_1", 1_000_000)
	x.add(&fixed, 0)
	r := rand.New(rand.NewPCG(3, 4))
	entries := make([]Revocation, 2000)
	for i := range entries {
		entries[i] = randomFeedEntry(r)
		if kind := entries[i].Kind; kind != kindRole && kind != kindShare { // those are read, others are text
			entries[i].ID += fmt.Sprint(i % 50)
		}
	}
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for i := range entries {
				x.add(&entries[i], 0)
				if i%100 == 0 {
					x.sweep(feedEpoch.Add(time.Hour).UnixMilli())
					x.save(new(feedState))
				}
			}
		})
		work.Go(func() {
			for range entries {
				if x.judge(feedClaims(5)) != ReasonRevoked {
					t.Error("the session that is never over was forgotten")
					return
				}
				x.size()
			}
		})
	}
	work.Wait()
}

func TestJudgeAllocatesNothing(t *testing.T) {
	x := newRevokedIndex(feedProject)
	c := feedClaims(100)
	for _, e := range []Revocation{feedEntry("session", "ses_2", 1), feedEntry("user", "usr_1", 1), feedEntry("tenant", "ten_1", 1), feedEntry("epoch", "ten_2", 1), feedEntry("epoch", "usr_1", 1)} {
		x.add(&e, 0)
	}
	if n := testing.AllocsPerRun(100, func() { x.judge(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
