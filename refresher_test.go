package latchkey

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

func anyAnswer(TokenSet) bool { return true }

// scripted is a refresher whose server gives one answer.
type scripted struct {
	*refresher
	asked int
	clock time.Time
	set   TokenSet
	err   error
	takes time.Duration
}

func newScripted() *scripted {
	s := &scripted{clock: time.Unix(1e9, 0)}
	s.refresher = newRefresher(func(context.Context, RefreshRequest) (TokenSet, error) {
		s.asked++
		s.clock = s.clock.Add(s.takes)
		return s.set, s.err
	}, false, func() time.Time { return s.clock })
	return s
}

func (s *scripted) get(t *testing.T, token string) (TokenSet, error) {
	set, _, err := s.refresh(t.Context(), token, nil, true, anyAnswer)
	return set, err
}

// How long each kind of answer serves others.
func TestRefresherMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		takes time.Duration
		holds time.Duration
	}{
		{"tokens", nil, 0, refreshBound},
		{"tokens that took their time", nil, 4 * time.Second, refreshBound - 4*time.Second},
		{"the end", terminal(CodeSessionRevoked), 0, refreshBound},
		{"junk", transient(CodeUnauthenticated, 401, 0), 0, refreshBound},
		{"come back later", transient(CodeRateLimited, 429, 3*time.Second), 0, 3 * time.Second},
		{"come back much later", transient(CodeUnavailable, 503, time.Hour), 0, refreshBound},
		{"conflict", transient(CodeConflict, 409, 0), 0, 0},
		{"lost", errors.New("connection reset"), 0, 0},
		{"late", nil, refreshBound, 0},
		{"a clock that is set back", nil, -time.Hour, 0},
	} {
		bubbletest.Run(t, func(t *testing.T) {
			s := newScripted()
			s.err, s.takes = c.err, c.takes
			s.set.RefreshToken = "r2"
			_, err := s.get(t, "r1")
			want := c.err
			if c.err == nil && c.holds == 0 {
				want = errRefreshLate
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", c.name, err, want)
			}
			s.takes = 0
			if c.holds > 0 {
				s.clock = s.clock.Add(c.holds - 1)
				if set, again := s.get(t, "r1"); s.asked != 1 || again != err || set.RefreshToken != "r2" {
					t.Errorf("%s: forgotten too soon: %v", c.name, again)
				}
				s.clock = s.clock.Add(1)
			}
			s.get(t, "r1")
			if s.asked != 2 {
				t.Errorf("%s: asked %d times", c.name, s.asked)
			}
		})
	}
}

// Who joins in at the last moment doesn't get the answer either when it comes late.
func TestRefresherDropsLateAnswers(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := newRefresher(func(context.Context, RefreshRequest) (TokenSet, error) {
			<-time.After(refreshBound + time.Second)
			return TokenSet{RefreshToken: "r2"}, nil
		}, false, time.Now)
		go f.refresh(t.Context(), "r1", nil, true, anyAnswer)
		<-time.After(refreshBound - time.Second)
		if set, asked, err := f.refresh(t.Context(), "r1", nil, true, anyAnswer); asked || set.RefreshToken != "" || !errors.Is(err, errRefreshLate) {
			t.Errorf("%t %v %v", asked, set.RefreshToken, err)
		}
	})
}

// A clock that is set back doesn't make an answer last longer.
func TestAttack41ClockSetBack(t *testing.T) {
	s := newScripted()
	s.get(t, "r1")
	s.clock = s.clock.Add(-time.Hour)
	s.get(t, "r1")
	if s.asked != 2 {
		t.Errorf("asked %d times", s.asked)
	}
}

// Answers leave memory by themselves, also when nobody comes any more.
func TestRefresherForgets(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		f := newRefresher(func(context.Context, RefreshRequest) (TokenSet, error) {
			return TokenSet{RefreshToken: "r2"}, nil
		}, false, time.Now)
		f.refresh(t.Context(), "r1", nil, true, anyAnswer)
		if f.find(digestOf("r1")) == nil {
			t.Fatal("not remembered")
		}
		<-time.After(refreshBound)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.flights) != 0 {
			t.Error("tokens stay in memory")
		}
	})
}

func TestRefresherForgetsSignedOut(t *testing.T) {
	s := newScripted()
	s.set.RefreshToken = "r2"
	s.get(t, "r1")
	s.set.RefreshToken = "r9"
	s.get(t, "r8")
	s.forget([]string{"r2"}) // what the jar holds by now
	s.get(t, "r8")
	if s.asked != 2 {
		t.Error("forgot another session")
	}
	if s.get(t, "r1"); s.asked != 3 {
		t.Error("an ended session comes back from memory")
	}
	s.forget([]string{"r8"})
	if s.get(t, "r8"); s.asked != 4 {
		t.Error("an ended session comes back from memory")
	}
}

// Strangers who send ever new tokens fill no memory and wait for nothing.
func TestRefresherIsBounded(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		blocked := make(chan struct{})
		f := newRefresher(func(context.Context, RefreshRequest) (TokenSet, error) {
			<-blocked
			return TokenSet{}, nil
		}, false, time.Now)
		gone, leave := context.WithCancel(t.Context())
		leave()
		for i := range maxFlights {
			if _, asked, err := f.refresh(gone, fmt.Sprint(i), nil, true, anyAnswer); !asked || !errors.Is(err, errRefreshGivenUp) {
				t.Fatalf("%d: %t %v", i, asked, err)
			}
		}
		if _, asked, err := f.refresh(t.Context(), "one more", nil, true, anyAnswer); asked || !errors.Is(err, errRefreshBusy) {
			t.Errorf("%t %v", asked, err)
		}
		close(blocked)
		synctest.Wait()
		if _, asked, err := f.refresh(t.Context(), "one more", nil, true, anyAnswer); !asked || err != nil {
			t.Errorf("answers aren't dropped for new questions: %t %v", asked, err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.flights) != maxFlights {
			t.Errorf("%d flights", len(f.flights))
		}
	})
}

func TestRefresherMayNotAsk(t *testing.T) {
	s := newScripted()
	if _, asked, err := s.refresh(t.Context(), "r1", nil, false, anyAnswer); asked || !errors.Is(err, errRefreshUnasked) || s.asked != 0 {
		t.Errorf("%t %v", asked, err)
	}
	s.get(t, "r1")
	if _, asked, err := s.refresh(t.Context(), "r1", nil, false, anyAnswer); asked || err != nil {
		t.Errorf("memory needs no question: %t %v", asked, err)
	}
}
