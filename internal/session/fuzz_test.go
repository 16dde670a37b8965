package session_test

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// refresh runs a request and checks what must hold.
func (l *life) refresh(r session.Request, age time.Duration, by turns) (session.Verdict, token, string) {
	l.serial++
	r.Next, r.Policy = id.Refresh{0: 2, 1: l.serial, 11: byte(l.now.UnixMilli())}, l.policy
	before := l.row.State
	var v session.Verdict
	l.row, v, _, _ = session.Apply(l.row, l.subject, session.Refresh{Request: r}, l.now)
	l.rules[v.Rule]++
	how := l.check(r, v, before, age, by)
	if v.Rule == session.Theft {
		l.over = true
	}
	if v.Made() {
		if r.Token != before.Parent {
			l.alive = map[id.Refresh]bool{r.Token: true}
		}
		l.alive[r.Next], l.owner[r.Next] = true, by
		l.mintedAt, l.given = l.now, map[id.Refresh]id.Refresh{}
	}
	issued := token{}
	if v.Issues() && v.Rule != session.Read {
		issued = token{l.row.Newest, l.row.Parent}
		l.given[r.Token] = issued.rid
	}
	return v, issued, how
}

func (l *life) check(r session.Request, v session.Verdict, before session.State, age time.Duration, by turns) string {
	after := l.row.State
	moved := after.Newest != before.Newest || after.Parent != before.Parent
	told, asked := l.given[r.Token]
	inside := l.now.Sub(l.mintedAt) < window
	stale := v.Rule == session.Stale && age > patience
	switch {
	case l.over && (v.Issues() || moved):
		return "I4: a refresh after the end"
	case l.over:
		return ""
	case stale && after != before:
		return "I1: a stale request changed something"
	case stale:
		return ""
	case !l.stolen && !v.Issues():
		return fmt.Sprintf("I1: the only holder was refused: %s", v.Rule)
	case moved && inside:
		return "I3: two rotations in one window"
	case moved != v.Made():
		return fmt.Sprintf("%s moved the lineage, or didn't", v.Rule)
	case r.ReadOnly && v.Rule != session.Theft && (v.Rule != session.Read || after != before):
		return "J: a read changed something"
	case asked && inside && !r.ReadOnly && (v.Rule != session.Replay || after.Newest != told):
		return "I6: a repeated refresh got another answer"
	case !l.alive[r.Token] && v.Rule != session.Theft:
		return fmt.Sprintf("I2: a dead token got %s", v.Rule)
	case l.alive[r.Token] && v.Rule == session.Theft && !(before.Confirmed && r.Token != before.Newest):
		return "I2: a live token was called theft"
	case !r.ReadOnly && r.Token == before.Newest && l.now.Sub(l.mintedAt) >= 2*window && !v.Made():
		return "I2: a rotation was put off"
	}
	return ""
}

// lives are random ones that tend to go on for long.
func lives(n, steps int) [][]byte {
	r := rand.New(rand.NewSource(3))
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, 2*steps)
		r.Read(out[i])
		for j := 0; j < len(out[i]); j += 2 {
			if op := out[i][j] % 16; op >= 14 && (i%2 == 0 || j < steps/2) {
				out[i][j] -= 7 // half of the lives never see the thief or an end, the others only later
			}
		}
	}
	return out
}

func FuzzDecide(f *testing.F) {
	for _, b := range lives(20, 100) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if how := newLife().run(b[:min(len(b), 4000)]); how != "" {
			t.Fatal(how)
		}
	})
}

// Random lives are long enough to see what a few steps don't show, and they see enough.
func TestLives(t *testing.T) {
	rules := map[session.Rule]int{}
	for i, b := range lives(200, 1000) {
		l := newLife()
		if how := l.run(b); how != "" {
			t.Fatalf("life %d: %s", i, how)
		}
		for r, n := range l.rules {
			rules[r] += n
		}
	}
	t.Logf("rules %v", rules)
	for _, r := range []session.Rule{
		session.Replay, session.Rotate, session.Recover, session.Adopt, session.Theft, session.Stale, session.Revoked, session.Read,
	} {
		if rules[r] == 0 {
			t.Errorf("rule %s never decided anything", r)
		}
	}
}

// The lives find a broken rule too; the model finds the shortest way to it.
func TestLivesFindMutants(t *testing.T) {
	for _, b := range lives(400, 1000) {
		l := newLife()
		for ; len(b) >= 2; b = b[2:] {
			l.row.ReplayedAt = time.Time{} // no quiet time
			if how := l.step(b[0]%16, int(b[1])); how != "" {
				if how[:2] != "I1" {
					t.Error(how)
				}
				return
			}
		}
	}
	t.Error("not found")
}
