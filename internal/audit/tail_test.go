package audit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

// written is a log in which events were written at these times after now, one each.
func written(t *testing.T, p id.Project, times ...time.Duration) audit.Store {
	t.Helper()
	events := memory.Open(func() time.Time { return now }).Events()
	write(t, events, p, times...)
	return events
}

func write(t *testing.T, events audit.Store, p id.Project, times ...time.Duration) {
	t.Helper()
	for _, d := range times {
		if err := events.Append(t.Context(), audit.New(p, now.Add(d), audit.UserCreated, audit.Origin{Actor: audit.CLI})); err != nil {
			t.Fatal(err)
		}
	}
}

func rest(t *testing.T, tail *audit.Tail, limit int) (seqs []int64) {
	t.Helper()
	for {
		list, done, err := tail.Next(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			seqs = append(seqs, e.Seq)
		}
		if done {
			return seqs
		}
	}
}

// A tail has every event that is wanted once, in the order of commit, however many it looks
// at in a step.
func TestTail(t *testing.T) {
	mine, other := id.NewProject(now), id.NewProject(now)
	for _, limit := range []int{1, 2, 3, 100} {
		events := written(t, mine, 0, time.Second, 2*time.Second)
		tail := audit.NewTail(events, audit.Query{Project: mine, From: now.Add(time.Second)}, audit.Cursor{})
		if got := rest(t, tail, limit); !slices.Equal(got, []int64{2, 3}) {
			t.Errorf("by %d: it has %v", limit, got)
		}
		if at := tail.At(); at.Seq != 3 || at.Tag == 0 {
			t.Errorf("by %d: its place is %v", limit, at)
		}
		write(t, events, other, 3*time.Second)
		write(t, events, mine, 4*time.Second, 0)
		write(t, events, other, 5*time.Second)
		if got := rest(t, tail, limit); !slices.Equal(got, []int64{5}) {
			t.Errorf("by %d: then it has %v", limit, got)
		}
		// The tag is that of the last entry, also when it is of another project.
		end, err := audit.End(t.Context(), events)
		if at := tail.At(); err != nil || at != end || at.Seq != 7 {
			t.Errorf("by %d: its place is %v, want %v (%v)", limit, at, end, err)
		}
		if got := rest(t, audit.NewTail(events, audit.Query{Project: mine}, end), limit); len(got) != 0 {
			t.Errorf("by %d: behind the end there is %v", limit, got)
		}
	}
}

// failing is a log that can't be read.
type failing struct{ audit.Store }

var errFailing = errors.New("failing")

func (failing) After(context.Context, id.Project, int64, int) ([]audit.Entry, int64, error) {
	return nil, 0, errFailing
}

func TestTailOfALogThatFails(t *testing.T) {
	p := id.NewProject(now)
	events := failing{written(t, p, 0)}
	if _, _, err := audit.NewTail(events, audit.Query{Project: p}, audit.Cursor{}).Next(t.Context(), 1); err != errFailing {
		t.Errorf("the error is %v", err)
	}
	if _, err := audit.Since(t.Context(), events, now); err != errFailing {
		t.Errorf("the error is %v", err)
	}
}

// From the place of a time on nothing is missing that happened then or later, and hardly
// anything is there that happened before: whatever is committed in another order, was swept
// or is of other projects.
func TestSince(t *testing.T) {
	p := id.NewProject(now)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		events := written(t, p)
		var times []time.Duration
		for i := range 300 {
			d := time.Duration(i)*10*time.Second - time.Duration(r.Int64N(int64(50*time.Second)))
			times = append(times, d)
			of := p
			if r.IntN(3) == 0 {
				of = id.NewProject(now)
			}
			write(t, events, of, d)
		}
		if _, err := events.Sweep(t.Context(), now.Add(5*time.Minute), 1000); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			since := 5*time.Minute + time.Duration(r.IntN(3000))*time.Second
			at, err := audit.Since(t.Context(), events, now.Add(since))
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range times {
				seq := int64(i + 1)
				if d >= since && seq <= at.Seq {
					t.Errorf("seed %d: of %v on, event %d of %v is before the place %v", seed, since, seq, d, at)
				}
				if d >= 5*time.Minute && d < since-3*time.Minute && seq > at.Seq {
					t.Errorf("seed %d: of %v on, event %d of %v is behind the place %v", seed, since, seq, d, at)
				}
			}
		}
	}
	for what, c := range map[string]struct {
		times []time.Duration
		want  int64
	}{
		"an empty log": {nil, 0}, "nothing that early": {[]time.Duration{time.Hour}, 0}, "nothing that late": {[]time.Duration{-2 * time.Hour, -time.Hour}, 2},
	} {
		if at, err := audit.Since(t.Context(), written(t, p, c.times...), now); err != nil || at.Seq != c.want {
			t.Errorf("%s: %v, %v, want %d", what, at, err, c.want)
		}
	}
}
