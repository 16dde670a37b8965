package document

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

func TestTransitions(t *testing.T) {
	saved := func(percent int) func(State) (State, error) {
		return func(s State) (State, error) { return s.Saved(percent), nil }
	}
	out := func(percent int) func(State) (State, error) {
		return func(s State) (State, error) { return s.RolledOut(percent) }
	}
	for name, c := range map[string]struct {
		from    State
		move    func(State) (State, error)
		want    State
		refused bool
	}{
		"first":                      {State{}, saved(100), State{Stable: 1, Last: 1}, false},
		"first as candidate":         {State{}, saved(10), State{Candidate: 1, Percent: 10, Last: 1}, false},
		"first for nobody":           {State{}, saved(0), State{Candidate: 1, Last: 1}, false},
		"second":                     {State{Stable: 1, Last: 1}, saved(100), State{Stable: 2, Previous: 1, Last: 2}, false},
		"candidate":                  {State{Stable: 2, Previous: 1, Last: 2}, saved(50), State{Stable: 2, Candidate: 3, Percent: 50, Previous: 1, Last: 3}, false},
		"another candidate":          {State{Stable: 2, Candidate: 3, Percent: 50, Previous: 1, Last: 3}, saved(5), State{Stable: 2, Candidate: 4, Percent: 5, Previous: 1, Last: 4}, false},
		"all at once":                {State{Stable: 2, Candidate: 3, Percent: 50, Last: 3}, saved(100), State{Stable: 4, Previous: 2, Last: 4}, false},
		"more":                       {State{Stable: 2, Candidate: 3, Percent: 50, Last: 3}, out(80), State{Stable: 2, Candidate: 3, Percent: 80, Last: 3}, false},
		"fewer":                      {State{Stable: 2, Candidate: 3, Percent: 50, Last: 3}, out(0), State{Stable: 2, Candidate: 3, Last: 3}, false},
		"everybody":                  {State{Stable: 2, Candidate: 3, Percent: 50, Previous: 1, Last: 3}, out(100), State{Stable: 3, Previous: 2, Last: 3}, false},
		"no candidate":               {State{Stable: 2, Previous: 1, Last: 2}, out(50), State{Stable: 2, Previous: 1, Last: 2}, true},
		"candidate is dropped":       {State{Stable: 2, Candidate: 3, Percent: 50, Previous: 1, Last: 3}, State.RolledBack, State{Stable: 2, Previous: 1, Last: 3}, false},
		"only candidate is dropped":  {State{Candidate: 1, Percent: 50, Last: 1}, State.RolledBack, State{Last: 1}, false},
		"back":                       {State{Stable: 2, Previous: 1, Last: 3}, State.RolledBack, State{Stable: 1, Last: 3}, false},
		"one step only":              {State{Stable: 1, Last: 3}, State.RolledBack, State{Stable: 1, Last: 3}, true},
		"nothing to go back to":      {State{}, State.RolledBack, State{}, true},
		"numbers never come again":   {State{Last: 7}, saved(100), State{Stable: 8, Last: 8}, false},
		"a new version after a step": {State{Stable: 1, Last: 3}, saved(100), State{Stable: 4, Previous: 1, Last: 4}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.move(c.from)
			if got != c.want || (err != nil) != c.refused || c.refused && fault.KindOf(err) != fault.Conflict {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	if got := (State{Stable: 2, Candidate: 3, Percent: 4, Previous: 1, Last: 9}).Deleted(); got != (State{Last: 9}) {
		t.Errorf("%+v", got)
	}
}

func TestConcerned(t *testing.T) {
	for name, c := range map[string]struct {
		before, after State
		want          [][2]int
	}{
		"nobody":     {State{Stable: 1}, State{Stable: 1, Previous: 7}, nil},
		"everybody":  {State{Stable: 1}, State{Stable: 2}, [][2]int{{0, 100}}},
		"first":      {State{}, State{Stable: 1}, [][2]int{{0, 100}}},
		"a share":    {State{Stable: 1}, State{Stable: 1, Candidate: 2, Percent: 10}, [][2]int{{0, 10}}},
		"no share":   {State{Stable: 1}, State{Stable: 1, Candidate: 2}, nil},
		"more":       {State{Stable: 1, Candidate: 2, Percent: 10}, State{Stable: 1, Candidate: 2, Percent: 50}, [][2]int{{10, 50}}},
		"fewer":      {State{Stable: 1, Candidate: 2, Percent: 50}, State{Stable: 1, Candidate: 2, Percent: 10}, [][2]int{{10, 50}}},
		"the rest":   {State{Stable: 1, Candidate: 2, Percent: 50}, State{Stable: 2, Previous: 1}, [][2]int{{50, 100}}},
		"dropped":    {State{Stable: 1, Candidate: 2, Percent: 50}, State{Stable: 1}, [][2]int{{0, 50}}},
		"another":    {State{Stable: 1, Candidate: 2, Percent: 50}, State{Stable: 1, Candidate: 3, Percent: 60}, [][2]int{{0, 60}}},
		"both":       {State{Stable: 1, Candidate: 2, Percent: 50}, State{Stable: 3, Candidate: 4, Percent: 20}, [][2]int{{0, 100}}},
		"the middle": {State{Stable: 1, Candidate: 2, Percent: 30}, State{Stable: 2, Candidate: 1, Percent: 70}, [][2]int{{0, 30}, {70, 100}}},
	} {
		if got := Concerned(c.before, c.after); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// However documents are saved, rolled out, rolled back and deleted, a state uses only
// versions that were saved and not deleted, and the ranges that are told are exactly the
// sessions that get another version.
func TestTransitionsKeepTheirWord(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	for range 300 {
		var s State
		kept := map[int]bool{}
		for range 40 {
			before := s
			switch percent := rng.IntN(101); rng.IntN(8) {
			case 0, 1, 2:
				s = s.Saved(percent)
				kept[s.Last] = true
			case 3, 4:
				s, _ = s.RolledOut(percent)
			case 5, 6:
				s, _ = s.RolledBack()
			default:
				s, kept = s.Deleted(), map[int]bool{}
			}
			if s.Last < before.Last || s.Percent < 0 || s.Percent > 99 || s.Candidate == 0 && s.Percent != 0 || s.Candidate == s.Stable && s.Stable != 0 {
				t.Fatalf("%+v became %+v", before, s)
			}
			for _, n := range []int{s.Stable, s.Candidate, s.Previous} {
				if n != 0 && !kept[n] {
					t.Fatalf("%+v uses version %d, which isn't there", s, n)
				}
			}
			told := map[int]bool{}
			for _, r := range Concerned(before, s) {
				for share := r[0]; share < r[1]; share++ {
					told[share] = true
				}
			}
			for share := range Shares {
				if told[share] != (before.For(share) != s.For(share)) {
					t.Fatalf("%+v became %+v, and share %d is told %v", before, s, share, told[share])
				}
			}
		}
	}
}

// What an entry names is what a session is found by.
func TestEntriesNameShares(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000).UTC()
	p := id.NewProject(now)
	life := revocation.Life{TTL: 10 * time.Minute}
	before, after := State{Stable: 1}, State{Stable: 1, Candidate: 2, Percent: 30}
	got := Entries(p, User, before, after, life, now)
	if len(got) != 1 || got[0].Kind != revocation.Share || got[0].ID != latchkey.ShareMark(0, 30) || got[0].Project != p || !got[0].At.Equal(now) {
		t.Errorf("%+v", got)
	}
	for _, k := range []Kind{AccessKey, SignIn} {
		if got := Entries(p, k, before, after, life, now); got != nil {
			t.Errorf("%s: %+v", k, got)
		}
	}
}

func TestUses(t *testing.T) {
	s := State{Stable: 3, Candidate: 5, Previous: 2, Last: 6}
	for n, want := range map[int]bool{0: false, 2: true, 3: true, 5: true, 6: false, 1: false} {
		if s.Uses(n) != want {
			t.Errorf("version %d: %v", n, !want)
		}
	}
	if (State{}).Uses(0) {
		t.Error("no version is none to be kept")
	}
}
