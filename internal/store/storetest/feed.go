package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func feedChecks() []check {
	return []check{
		{"is read in steps, of one project or all", feedSteps},
		{"is complete up to what was read, whoever writes", feedOrder},
		{"numbers and tags tell entries apart for good", feedNumbers},
		{"is swept of what doesn't matter any more", feedSweep},
	}
}

// end ends a fresh session of the user, and returns its id.
func (w *world) end(t testing.TB, u id.User) id.Session {
	t.Helper()
	row := w.signIn(t, u)
	_, err := w.Sessions().End(w.ctx, row.Project, row.ID, w.ending())
	ok(t, err)
	return row.ID
}

func feedSteps(t *testing.T, w *world) {
	feed := w.Revocations()
	last, err := feed.Last(w.ctx)
	ok(t, err)
	same(t, "the last number", int64(0), last)
	mine, other := w.project, w.newProject(t)
	about := map[id.Project][]string{}
	var all []string
	for _, p := range []id.Project{mine.ID, mine.ID, other.ID, mine.ID, other.ID, mine.ID, mine.ID} {
		w.project = mine
		if p == other.ID {
			w.project = other
		}
		s := w.end(t, w.newUser(t).ID).String()
		about[p], all = append(about[p], s), append(all, s)
	}
	about[id.NewProject(w.clock.Now())] = nil
	walk := func(want []string, step func(seq int64, limit int) ([]revocation.Entry, error)) {
		t.Helper()
		for _, limit := range []int{1, 2, 3, len(want), 999} {
			var got []string
			for seq := int64(0); ; {
				list, err := step(seq, limit)
				ok(t, err)
				for _, e := range list {
					if e.Seq <= seq {
						t.Fatalf("an entry %d after %d", e.Seq, seq)
					}
					seq, got = e.Seq, append(got, e.ID)
				}
				if len(list) > limit {
					t.Fatalf("%d entries, at most %d", len(list), limit)
				}
				if len(list) < max(limit, 1) {
					break
				}
			}
			if limit > 0 {
				same(t, "the entries", want, got)
			}
		}
	}
	walk(all, func(seq int64, limit int) ([]revocation.Entry, error) { return feed.After(w.ctx, seq, limit) })
	for p, want := range about {
		walk(want, func(seq int64, limit int) ([]revocation.Entry, error) { return feed.Of(w.ctx, p, seq, limit) })
	}
	list, err := feed.After(w.ctx, 0, 999)
	ok(t, err)
	last, err = feed.Last(w.ctx)
	ok(t, err)
	same(t, "the last number", list[len(list)-1].Seq, last)
	for _, limit := range []int{0, -1} {
		list, err = feed.After(w.ctx, 0, limit)
		ok(t, err)
		same(t, "the entries within no limit", 0, len(list))
	}
}

// Many end sessions while others read: whoever has read up to a number never finds a
// smaller one that he hasn't seen.
func feedOrder(t *testing.T, w *world) {
	const writers, each, readers = 64, 6, 4
	u := w.newUser(t)
	var rows []session.Row
	for range writers * each {
		rows = append(rows, w.signIn(t, u.ID))
	}
	var done atomic.Int64
	type result struct {
		seen []revocation.Entry
		err  error
	}
	results := together(writers+readers, func(i int) result {
		var r result
		if i < writers {
			defer done.Add(1)
			for _, row := range rows[i*each:][:each] {
				if _, err := w.Sessions().End(w.ctx, row.Project, row.ID, w.ending()); err != nil {
					r.err = err
				}
			}
			return r
		}
		for seq, over := int64(0), false; r.err == nil; {
			last := over
			over = done.Load() == writers // before reading, so that the last time sees all
			list, err := w.Revocations().After(w.ctx, seq, 7)
			r.err, r.seen = err, append(r.seen, list...)
			if len(list) > 0 {
				seq = list[len(list)-1].Seq
			} else if last {
				return r
			}
		}
		return r
	})
	all, err := w.Revocations().After(w.ctx, 0, 9999)
	ok(t, err)
	same(t, "the number of entries", writers*each, len(all))
	for _, r := range results {
		ok(t, r.err)
	}
	for _, r := range results[writers:] {
		same(t, "what a reader has seen", all, r.seen)
	}
}

func feedNumbers(t *testing.T, w *world) {
	u := w.newUser(t)
	seqs, tags := map[int64]bool{}, map[uint32]bool{}
	for range 3 {
		for range 8 {
			w.end(t, u.ID)
		}
		list, err := w.Revocations().After(w.ctx, 0, 99)
		ok(t, err)
		same(t, "the number of entries", 8, len(list))
		for _, e := range list {
			if seqs[e.Seq] {
				t.Fatalf("the number %d came twice", e.Seq)
			}
			seqs[e.Seq], tags[e.Tag] = true, true
		}
		// Sweeping the last ones doesn't set their numbers free.
		w.clock.Move(time.Hour)
		n, err := w.Revocations().Sweep(w.ctx, w.clock.Now(), 99)
		ok(t, err)
		same(t, "the number of removed entries", 8, n)
		last, err := w.Revocations().Last(w.ctx)
		ok(t, err)
		same(t, "the last number", list[7].Seq, last)
	}
	if len(tags) < 22 { // two equal ones among 24 happen once in 15 million runs
		t.Errorf("%d different tags of 24", len(tags))
	}
}

func feedSweep(t *testing.T, w *world) {
	u := w.newUser(t)
	for range 5 {
		w.end(t, u.ID)
	}
	until := w.entries(t)[0].Until
	sweep := func(cutoff time.Time, limit, want int) {
		t.Helper()
		n, err := w.Revocations().Sweep(w.ctx, cutoff, limit)
		ok(t, err)
		same(t, "the number of removed entries", want, n)
	}
	sweep(until.Add(time.Hour), 99, 0) // not before its time has come
	w.clock.Set(until.Add(-time.Millisecond))
	late := w.end(t, u.ID)
	w.clock.Set(until)
	sweep(until, 99, 0) // not before: at the very instant
	w.clock.Move(time.Millisecond)
	sweep(until, 99, 0)
	sweep(until.Add(time.Microsecond), 2, 2)
	for _, want := range []int{2, 1, 0} {
		sweep(w.clock.Now(), 2, want)
	}
	list, err := w.Revocations().Of(w.ctx, w.project.ID, 0, 99)
	ok(t, err)
	same(t, "the number of entries left", 1, len(list))
	same(t, "what is left", late.String(), list[0].ID)
}
