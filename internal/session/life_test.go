package session_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// life is one session with its holder, its network and perhaps a thief, driven by
// bytes. It shares nothing with the model: tokens are whole, time is in milliseconds,
// and what must hold is derived from the history of the tokens, not from roles.
type life struct {
	row     session.Row
	subject session.Subject
	policy  policy.Policy
	now     time.Time
	serial  byte

	jar    token
	flight []*trip
	hoard  []token // the thief's
	seen   []id.Refresh
	over   bool
	stolen bool

	mintedAt time.Time
	rules    map[session.Rule]int
	given    map[id.Refresh]id.Refresh // what was presented since, and what was handed out for it
	alive    map[id.Refresh]bool       // the last token that was replaced, and its children
	tally
}

type token struct{ rid, prt id.Refresh }

// trip is one request and its answer.
type trip struct {
	token
	composedAt time.Time
	says, read bool
	back       bool  // the answer is on its way
	brings     token // zero rid: no refresh token
	names      id.Refresh
}

// tally is the count of I2.
type tally struct {
	owner  map[id.Refresh]turns // for whom a token was made
	common map[id.Refresh]bool  // both have it
	turns  turns
}

const patience = window/2 - ms

func newLife() *life {
	first := id.Refresh{0: 1}
	return &life{
		row: session.Row{State: session.State{
			Newest: first, RotatedAt: rotatedAt, CreatedAt: rotatedAt, AbsoluteAt: rotatedAt.Add(10_000 * day), Context: home,
		}},
		subject: session.Subject{UserKnown: true, UserEnabled: true},
		policy: policy.Policy{
			AbsoluteTimeout: 10_000 * day, ReuseWindow: window, RotationLimit: 1e6, ForeignReplay: policy.AlertForeign, Rotate: true,
		},
		now: rotatedAt, serial: 1, jar: token{rid: first}, seen: []id.Refresh{first},
		mintedAt: rotatedAt, rules: map[session.Rule]int{}, given: map[id.Refresh]id.Refresh{}, alive: map[id.Refresh]bool{first: true},
		tally: tally{owner: map[id.Refresh]turns{first: honest}, common: map[id.Refresh]bool{}},
	}
}

// run makes two bytes a step. It returns how an invariant broke, or "".
func (l *life) run(b []byte) string {
	for ; len(b) >= 2; b = b[2:] {
		if how := l.step(b[0]%16, int(b[1])); how != "" {
			return how
		}
	}
	return ""
}

func (l *life) step(op byte, n int) string {
	switch op {
	case 0:
		l.wait(time.Duration(n*n) * ms / 8) // to 8 s
	case 1:
		l.wait(time.Duration(n) * 80 * ms) // to W
	case 2:
		if n&7 == 0 {
			l.wait(time.Duration(n) * time.Second)
		}
	case 3, 4, 5:
		if len(l.flight) < 6 {
			l.flight = append(l.flight, &trip{token: l.jar, composedAt: l.now, says: n&1 != 0, read: n&14 == 0})
		}
	case 6, 7, 8:
		return l.deliver(n)
	case 9, 10:
		l.arrive(n)
	case 11:
		if len(l.flight) > 0 {
			l.flight = slices.Delete(l.flight, n%len(l.flight), n%len(l.flight)+1)
		}
	case 12:
		if s, ok := session.Arrived(l.row.State, l.seen[n%len(l.seen)], window, l.now); ok {
			l.row.State = s
		}
	case 13:
		return l.crash()
	case 14:
		if n < 3 {
			l.end(n)
		} else if n > 128 && !l.stolen {
			l.stolen, l.hoard = true, []token{l.jar}
			l.common[l.jar.rid], l.turns = true, 0
		}
	case 15:
		return l.steal(n)
	}
	return ""
}

// wait lets time pass. Requests that don't say when they were composed, and answers,
// don't outlive the holder's patience.
func (l *life) wait(d time.Duration) {
	l.now = l.now.Add(d)
	l.flight = slices.DeleteFunc(l.flight, func(t *trip) bool {
		return l.now.Sub(t.composedAt) > patience && (t.back || !t.says)
	})
}

func (l *life) end(n int) {
	l.over = true
	switch n {
	case 0:
		if l.row.EndedAt.IsZero() {
			l.row.EndedAt, l.row.EndReason = l.now, session.Ended
		}
	case 1:
		l.subject.UserEpoch++
	default:
		l.subject.ProjectEpoch++
	}
}

// crash leaves what is stored.
func (l *life) crash() string {
	b, _ := l.row.Trace.AppendBinary(nil)
	if len(b) > session.TraceBytes {
		return fmt.Sprintf("I5: the trace takes %d bytes", len(b))
	}
	if err := l.row.Trace.UnmarshalBinary(b); err != nil {
		return fmt.Sprint("I7: the trace can't be read again: ", err)
	}
	return ""
}

func (l *life) deliver(n int) string {
	waiting := slices.DeleteFunc(slices.Clone(l.flight), func(t *trip) bool { return t.back })
	if len(waiting) == 0 {
		return ""
	}
	t := waiting[n%len(waiting)]
	r := session.Request{Token: t.rid, Parent: t.prt, Context: home, ReadOnly: t.read}
	if t.says {
		r.ComposedAt = t.composedAt
	}
	v, issued, how := l.refresh(r, l.now.Sub(t.composedAt), honest)
	if !v.Issues() || l.now.Sub(t.composedAt) > patience {
		l.flight = slices.DeleteFunc(l.flight, func(other *trip) bool { return other == t })
		return how
	}
	t.back, t.brings, t.names = true, issued, t.rid
	if v.Rule != session.Read {
		t.names = issued.rid
	}
	return how
}

func (l *life) arrive(n int) {
	back := slices.DeleteFunc(slices.Clone(l.flight), func(t *trip) bool { return !t.back })
	if len(back) == 0 {
		return
	}
	t := back[n%len(back)]
	l.flight = slices.DeleteFunc(l.flight, func(other *trip) bool { return other == t })
	l.seen = append(l.seen, t.names)
	if !t.brings.rid.IsZero() {
		l.jar = t.brings
		l.took(t.brings.rid, honest)
	}
}

func (l *life) steal(n int) string {
	if len(l.hoard) == 0 {
		return ""
	}
	t := l.hoard[n%len(l.hoard)]
	v, issued, how := l.refresh(session.Request{Token: t.rid, Parent: t.prt, Context: abroad}, 0, thief)
	if v.Issues() && v.Rule != session.Read {
		l.hoard = append(l.hoard, issued)
		l.seen = append(l.seen, issued.rid)
		l.took(issued.rid, thief)
	}
	if how == "" && l.turns.runs() > thiefTurns && l.turns&3 == thief {
		how = "I2: the thief was served once too often"
	}
	return how
}

// took counts who got a new token. From the moment at which both have the same, the
// count begins anew.
func (t *tally) took(rid id.Refresh, by turns) {
	switch {
	case t.common[rid]:
	case t.owner[rid] != by:
		t.common[rid], t.turns = true, 0
	default:
		t.turns = t.turns.took(by)
	}
}
