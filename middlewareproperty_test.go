package latchkey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// universe is a server, a browser and its tabs for one run of the property test.
type universe struct {
	*rig
	dice     *rand.Rand
	minted   int
	family   map[string]int // of each refresh token, the session
	over     map[int]bool   // sessions that have ended
	condemns map[string]bool
	sessions int
	mood     int // what the server does next
	now      time.Time
	session  string // what the jar holds
	refresh  string
	stale    []string // what tabs of the same session still send
}

const (
	moodFine = iota
	moodLost // rotates, but the answer gets lost
	moodAway
	moodBusy
	moodQuiet // a session token only
	moodJunk  // can't read the token, maybe cut on its way
	moods
)

func newUniverse(t *testing.T, seed uint64) *universe {
	u := &universe{
		rig: newRig(t), dice: rand.New(rand.NewPCG(seed, 1)), family: map[string]int{}, over: map[int]bool{},
		condemns: map[string]bool{}, now: time.Unix(1e9, 0),
	}
	u.m.now = func() time.Time { return u.now }
	u.m.fill()
	u.answer = u.serverSays
	return u
}

func (u *universe) mint(session int) TokenSet {
	u.minted++
	set := TokenSet{SessionToken: fmt.Sprint("s", u.minted), RefreshToken: fmt.Sprint("r", u.minted)}
	u.family[set.RefreshToken] = session
	u.good(set.SessionToken, Claims{Subject: fmt.Sprint(session)})
	return set
}

func (u *universe) serverSays(_ context.Context, r RefreshRequest) (TokenSet, error) {
	session, known := u.family[r.Token]
	switch {
	case u.mood == moodAway:
		return TokenSet{}, errors.New("connection refused")
	case u.mood == moodBusy:
		return TokenSet{}, transient(CodeRateLimited, 429, time.Second)
	case u.mood == moodJunk || !known:
		return TokenSet{}, transient(CodeUnauthenticated, 401, 0)
	case u.over[session]:
		u.condemns[r.Token] = true
		return TokenSet{}, terminal(CodeSessionRevoked)
	}
	set := u.mint(session)
	switch u.mood {
	case moodLost:
		return TokenSet{}, context.DeadlineExceeded
	case moodQuiet:
		set.RefreshToken = ""
	}
	return set, nil
}

// step does one thing at random.
func (u *universe) step() {
	switch u.dice.IntN(10) {
	case 0:
		u.sessions++
		set := u.mint(u.sessions)
		w := httptest.NewRecorder()
		if err := u.m.SignIn(w, visitor("POST", "/"), set); err != nil {
			u.t.Fatal(err)
		}
		u.apply(w, u.refresh)
		u.stale = nil // pages that were loaded by the one before are gone
	case 1:
		if u.dice.IntN(3) == 0 {
			u.over[u.family[u.refresh]] = true
		}
	case 2:
		u.now = u.now.Add(time.Duration(u.dice.IntN(20)) * time.Second)
	case 3, 4:
		reasons := []Reason{ReasonExpired, ReasonOutdated, ReasonRevoked}
		u.bad(u.session, reasons[u.dice.IntN(len(reasons))])
	case 5:
		u.session = "" // its cookie has run out
	default:
		u.mood = u.dice.IntN(moods)
		u.request()
	}
}

// request is one of a tab, which may send cookies that were replaced since.
func (u *universe) request() {
	held := []string{u.session, u.refresh}
	if len(u.stale) > 0 && u.dice.IntN(3) == 0 {
		held = []string{"", u.stale[u.dice.IntN(len(u.stale))]}
	}
	var parts []string
	for _, token := range held {
		if token != "" {
			parts = append(parts, token)
		}
	}
	h := u.m.Required(seen)
	if u.dice.IntN(2) == 0 {
		h = u.m.Optional(seen)
	}
	before := u.questions()
	w := u.serve(h, visitor("GET", "/", parts...))
	if asked := u.questions() - before; asked > 1 {
		u.t.Fatalf("one request asked %d times", asked)
	}
	if w.Code == 401 && strings.Contains(w.Body.String(), `"terminal":true`) && !u.condemns[held[1]] {
		u.t.Fatalf("%v: called over without a verdict: %s", held, w.Body)
	}
	u.apply(w, held[1])
}

// apply does to the jar what a response says, and holds the property: cookies go only
// after a terminal verdict about the refresh token that the request presented, which is
// of the very session that the jar holds.
func (u *universe) apply(w *httptest.ResponseRecorder, presented string) {
	for change := range strings.SplitSeq(changes(w), ", ") {
		what, rest, _ := strings.Cut(change, " ")
		switch what {
		case "":
		case "save":
			session, refresh, _ := strings.Cut(rest, " ")
			u.session = session
			if refresh != "" && refresh != u.refresh {
				u.stale = append(u.stale, u.refresh)
				u.refresh = refresh
			}
		case "clear":
			if !u.condemns[presented] || !u.over[u.family[u.refresh]] {
				u.t.Fatalf("cleared %q after presenting %q", u.refresh, presented)
			}
			u.session, u.refresh, u.stale = "", "", nil
		default:
			u.t.Fatalf("unexpected: %s", change)
		}
	}
}

// Cookies are cleared only after a terminal verdict about what the jar holds, no request
// refreshes twice, and whatever went wrong, a session that lives goes on when the server
// answers again.
func TestOnlyTerminalVerdictsClear(t *testing.T) {
	cleared := 0
	for seed := range uint64(400) {
		u := newUniverse(t, seed)
		for range 120 {
			had := u.refresh != ""
			u.step()
			if had && u.refresh == "" {
				cleared++
			}
		}
		if u.refresh == "" {
			continue
		}
		alive := !u.over[u.family[u.refresh]]
		u.mood, u.now = moodFine, u.now.Add(time.Minute)
		u.bad(u.session, ReasonExpired)
		w := u.serve(u.m.Required(seen), visitor("GET", "/", "s-expired", u.refresh))
		if (w.Code == 200) != alive {
			t.Fatalf("seed %d: alive %t, but %d %s", seed, alive, w.Code, w.Body)
		}
	}
	if cleared < 50 {
		t.Errorf("only %d sessions ended: the test shows little", cleared)
	}
}
