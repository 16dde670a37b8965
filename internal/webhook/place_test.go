package webhook

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// waiting is places whose turns a test sees.
type waiting struct {
	*places
	turns []*stay
	asked int
}

func newWaiting() *waiting {
	w := &waiting{}
	w.places = newPlaces(func(s *stay) { w.turns = append(w.turns, s) })
	w.reopen()
	return w
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// asks lets n webhooks of a project wait.
func (w *waiting) asks(t *testing.T, p id.Project, n int, at pace) {
	t.Helper()
	for range n {
		w.asked++
		if !w.ask(p, id.NewWebhook(epoch.Add(time.Duration(w.asked)*time.Second)), at) {
			t.Fatal("the places are closed")
		}
	}
}

// begun returns how many turns of a project have come.
func (w *waiting) begun(p id.Project) (n int) {
	for _, s := range w.turns {
		if s.project == p {
			n++
		}
	}
	return n
}

func projects(n int) (list []id.Project) {
	for range n {
		list = append(list, id.NewProject(epoch))
	}
	return list
}

// Places that become free go to projects in turn, however much one of them wants.
func TestPlacesGoInTurn(t *testing.T) {
	for _, at := range []pace{quick, slow} {
		w := newWaiting()
		full, p := projects(2), projects(3)
		w.asks(t, full[0], projectPlaces, at)
		w.asks(t, full[1], projectPlaces, at)
		w.asks(t, p[0], 1000, at)
		w.asks(t, p[1], 2, at)
		w.asks(t, p[2], 1, at)
		if len(w.turns) != quickPlaces {
			t.Fatalf("%d turns, want %d", len(w.turns), quickPlaces)
		}
		for _, s := range w.turns[:7] {
			s.leave()
		}
		var got []id.Project
		for _, s := range w.turns[quickPlaces:] {
			got = append(got, s.project)
		}
		if want := []id.Project{p[0], p[1], p[2], p[0], p[1], p[0], p[0]}; !slices.Equal(got, want) {
			t.Errorf("the turns are of %v, want %v", got, want)
		}
		// Within a project whoever waited longest is first.
		mine := slices.DeleteFunc(slices.Clone(w.turns), func(s *stay) bool { return s.project != p[0] })
		if !slices.IsSortedFunc(mine, func(a, b *stay) int { return a.hook.Compare(b.hook) }) {
			t.Error("a webhook overtook another one of its project")
		}
	}
}

// A project that has its places keeps nobody of another one waiting, and goes on when it
// gives one back.
func TestPlacesOfAProject(t *testing.T) {
	w := newWaiting()
	p := projects(2)
	w.asks(t, p[0], projectPlaces+5, quick)
	w.asks(t, p[1], 1, quick)
	if w.begun(p[0]) != projectPlaces || w.begun(p[1]) != 1 {
		t.Errorf("%d and %d turns", w.begun(p[0]), w.begun(p[1]))
	}
	// The slow places are apart, but all of one project's have a bound, too.
	w.asks(t, p[0], projectPlaces+5, slow)
	if n := w.begun(p[0]); n != projectAllPlaces {
		t.Errorf("%d turns, want %d", n, projectAllPlaces)
	}
	for _, s := range w.turns[:projectPlaces] {
		s.late()
	}
	if n := w.begun(p[0]); n != projectAllPlaces {
		t.Errorf("%d turns after some were late, want %d", n, projectAllPlaces)
	}
	for _, s := range slices.Clone(w.turns) {
		s.leave()
	}
	if n := w.begun(p[0]); n != 2*projectPlaces+10 {
		t.Errorf("%d turns in the end", n)
	}
}

// Who is late makes room for one that isn't, and for none that is slow.
func TestLateMakesRoom(t *testing.T) {
	w := newWaiting()
	for _, p := range projects(allPlaces + 10) {
		w.asks(t, p, 1, quick)
	}
	last := id.NewProject(epoch)
	w.asks(t, last, 1, slow)
	for n := quickPlaces; n < allPlaces; n++ {
		if len(w.turns) != n+1 { // that of last, too
			t.Fatalf("%d turns, want %d", len(w.turns), n+1)
		}
		s := w.turns[slices.IndexFunc(w.turns, func(s *stay) bool { return s.pace == quick })]
		s.late()
		s.late()
	}
	if w.all != allPlaces || w.begun(last) != 1 {
		t.Errorf("%d places are taken", w.all)
	}
	w.asks(t, last, 1, slow)
	for _, s := range slices.Clone(w.turns) {
		if w.taken[slow] <= slowPlaces {
			break
		}
		if s.late(); w.begun(last) != 1 {
			t.Fatal("one more is slow although so many are")
		}
		s.leave()
	}
	for _, s := range slices.Clone(w.turns) {
		s.leave()
	}
	if w.begun(last) != 2 {
		t.Error("the slow one waits although there is room")
	}
}

func TestWiden(t *testing.T) {
	w := newWaiting()
	p := projects(3)
	w.asks(t, p[0], 1, quick)
	s := w.turns[0]
	if n := s.widen(4); n != 4 || w.all != 4 {
		t.Errorf("it has %d places of %d", n, w.all)
	}
	if n := s.widen(2); n != 2 || s.held != 4 {
		t.Errorf("for two messages it uses %d and has %d", n, s.held)
	}
	s.narrow(1)
	w.asks(t, p[1], projectPlaces, quick)
	w.asks(t, p[2], quickPlaces-projectPlaces-3, quick)
	if n := s.widen(4); n != 3 {
		t.Errorf("it has %d places, want the three that are left", n)
	}
	s.narrow(1)
	w.asks(t, p[1], 1, quick) // which waits, since its project has no more
	if n := s.widen(4); n != 1 {
		t.Errorf("it has %d places although others wait", n)
	}
	for _, s := range slices.Clone(w.turns) {
		s.leave()
		s.late()
	}
	w.turns[len(w.turns)-1].leave()
	if w.all != 0 || len(w.of) != 0 || w.taken != [paces]int{} {
		t.Errorf("%d places are taken in the end, of %d projects", w.all, len(w.of))
	}
}

// Closed places forget who waits, and let nobody in.
func TestClosedPlaces(t *testing.T) {
	w := newWaiting()
	p := projects(2)
	w.asks(t, p[0], projectPlaces+3, quick)
	w.asks(t, p[1], projectPlaces+4, slow)
	if waited := w.close(); len(waited) != 7 {
		t.Errorf("%d waited, want 7", len(waited))
	}
	if w.ask(p[0], id.NewWebhook(epoch), quick) {
		t.Error("one may wait at closed places")
	}
	for _, s := range slices.Clone(w.turns) {
		s.leave()
	}
	if len(w.turns) != 2*projectPlaces || w.all != 0 {
		t.Errorf("%d turns, %d places are taken", len(w.turns), w.all)
	}
	w.reopen()
	if w.asks(t, p[0], 1, quick); len(w.turns) != 2*projectPlaces+1 {
		t.Error("nobody's turn comes after they were opened again")
	}
}

// Whatever happens, the bounds hold, no place is kept empty while somebody may have it, and
// all places come back.
func TestPlacesAddUp(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWaiting()
		list := projects(12)
		for range 3000 {
			if len(w.turns) == 0 || r.IntN(3) == 0 {
				w.asks(t, list[r.IntN(1+r.IntN(len(list)))], 1, pace(r.IntN(int(paces))))
			} else if s := w.turns[r.IntN(len(w.turns))]; s.held > 0 {
				switch r.IntN(6) {
				case 0, 1:
					s.leave()
				case 2:
					s.late()
				case 3:
					s.narrow(1)
				default:
					s.widen(perHook)
				}
			}
			w.check(t, list)
		}
		for i := 0; i < len(w.turns); i++ {
			w.turns[i].leave()
		}
		if len(w.turns) != w.asked || w.all != 0 || len(w.of) != 0 || w.taken != [paces]int{} {
			t.Fatalf("seed %d: %d of %d turns have come, %d places are taken", seed, len(w.turns), w.asked, w.all)
		}
	}
}

func (w *waiting) check(t *testing.T, list []id.Project) {
	t.Helper()
	held, of := 0, map[id.Project]int{}
	for _, s := range w.turns {
		held += s.held
		of[s.project] += s.held
	}
	if held != w.all || held > allPlaces || w.taken[quick] > quickPlaces {
		t.Fatalf("%d places are held, %d are taken", held, w.all)
	}
	for _, p := range list {
		if of[p] > projectAllPlaces {
			t.Fatalf("%d places of one project", of[p])
		}
		for at := range paces {
			if _, waits := w.queues[at].of[p]; waits && w.roomOf(p, at) > 0 {
				t.Fatalf("somebody waits although there are %d places", w.roomOf(p, at))
			}
		}
	}
}
