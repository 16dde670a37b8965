package session_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

const (
	window = 20 * time.Second
	day    = 24 * time.Hour
)

var (
	tokenP, tokenN  = id.Refresh{0: 1}, id.Refresh{0: 2}
	tokenOldSibling = id.Refresh{0: 3} // child of P, like N
	tokenGrand      = id.Refresh{0: 4} // parent of P
	tokenNext       = id.Refresh{0: 5} // what a decision may make
	tokenOther      = id.Refresh{0: 6}

	rotatedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	home      = session.Context{Network: netip.MustParsePrefix("192.0.2.0/24"), Agent: "Firefox on Linux"}
	abroad    = session.Context{Network: netip.MustParsePrefix("198.51.100.0/24"), Agent: "Firefox on Linux"}
	phone     = session.Context{Network: home.Network, Agent: "Safari on iOS"}
)

// exchange is one refresh: what the server knows and what comes in.
type exchange struct {
	session.State
	session.Subject
	session.Request
	now time.Time
}

// ordinary is a session in mid-life whose N is presented long after the window.
func ordinary() exchange {
	return exchange{
		session.State{
			Parent: tokenP, Newest: tokenN, RotatedAt: rotatedAt,
			CreatedAt: rotatedAt.Add(-day), AbsoluteAt: rotatedAt.Add(27 * day),
			UserEpoch: 3, ProjectEpoch: 4, Context: home,
		},
		session.Subject{UserKnown: true, UserEnabled: true, UserEpoch: 3, ProjectEpoch: 4},
		session.Request{
			Token: tokenN, Parent: tokenP, Next: tokenNext, Context: home,
			Policy: policy.Policy{
				AbsoluteTimeout: 28 * day, ReuseWindow: window, RotationLimit: 5, ForeignReplay: policy.AlertForeign, Rotate: true,
			},
		},
		rotatedAt.Add(10 * time.Minute),
	}
}

// What a row of the table changes in an ordinary exchange.
type change func(*exchange)

func (e *exchange) present(token, parent id.Refresh) { e.Token, e.Request.Parent = token, parent }

func presentP(e *exchange)       { e.present(tokenP, tokenGrand) }
func presentSibling(e *exchange) { e.present(tokenOldSibling, tokenP) }
func presentGrand(e *exchange)   { e.present(tokenGrand, tokenOther) }
func presentFirst(e *exchange)   { e.State.Parent = id.Refresh{}; e.Request.Parent = id.Refresh{} }
func confirm(e *exchange)        { e.Confirmed = true }
func readOnly(e *exchange)       { e.ReadOnly = true }
func idle(e *exchange)           { e.Policy.IdleTimeout = time.Hour }
func noWindow(e *exchange)       { e.Policy.ReuseWindow = 0 }
func neverRotate(e *exchange)    { e.Policy.Rotate = false }

func after(age time.Duration) change { return func(e *exchange) { e.now = rotatedAt.Add(age) } }

func replayed(age time.Duration) change {
	return func(e *exchange) { e.ReplayedAt = rotatedAt.Add(age) }
}

func composed(age time.Duration) change {
	return func(e *exchange) { e.ComposedAt = e.now.Add(-age) }
}

func from(c session.Context, p policy.ForeignReplay) change {
	return func(e *exchange) { e.Request.Context, e.Policy.ForeignReplay = c, p }
}

// What a row wants of the state: changes to the one before.

func kept(*exchange) {}

func replaced(e *exchange) {
	e.ReplayedAt = time.Time{}
	e.Newest, e.RotatedAt, e.Confirmed, e.State.Context = tokenNext, e.now, false, e.Request.Context
	if e.LimitFrom.IsZero() {
		e.LimitFrom, e.LimitCount = e.now, 1
	}
}

func rotated(e *exchange)   { replaced(e); e.State.Parent = e.Token }
func recovered(e *exchange) { replaced(e); e.Recoveries++ }
func again(e *exchange)     { e.ReplayedAt = e.now }
func caught(e *exchange)    { e.EndedAt, e.EndReason = e.now, session.Reused }
func foreign(e *exchange)   { again(e); e.ForeignReplays++ }
func moved(e *exchange)     { rotated(e); e.IdleAt = e.now.Add(e.Policy.IdleTimeout) }

func closed(why session.Reason) change {
	return func(e *exchange) { e.EndedAt, e.EndReason = e.now, why }
}

type row struct {
	name    string
	given   []change
	want    session.Verdict // At and Age are the same everywhere and filled in
	wantNew change
}

func verdict(r session.Rule) session.Verdict { return session.Verdict{Rule: r} }

// failures runs the table against a Decide and returns the rows that fail.
func failures(p protocol) []string {
	var out []string
	for _, r := range decisions() {
		e := ordinary()
		for _, c := range r.given {
			c(&e)
		}
		want := e
		r.wantNew(&want)
		r.want.At, r.want.Age = e.now, e.now.Sub(e.RotatedAt)
		s, v := p.decide(e.State, e.Subject, e.Request, e.now)
		if s != want.State || v != r.want {
			out = append(out, fmt.Sprintf("%s:\n got %+v\n     %+v\nwant %+v\n     %+v", r.name, v, s, r.want, want.State))
		}
	}
	return out
}

func TestDecide(t *testing.T) {
	for _, f := range failures(genuine()) {
		t.Error(f)
	}
}

// The figures of a verdict that isn't about the rule.
func TestVerdict(t *testing.T) {
	issues := map[session.Rule]bool{session.Replay: true, session.Rotate: true, session.Recover: true, session.Adopt: true, session.Read: true}
	makes := map[session.Rule]bool{session.Rotate: true, session.Recover: true, session.Adopt: true}
	for r := session.Create; r <= session.End; r++ {
		v := verdict(r)
		if v.Issues() != issues[r] || v.Made() != makes[r] {
			t.Errorf("%s: Issues %v, Made %v", r, v.Issues(), v.Made())
		}
		if err := v.Err(session.State{}); (err == nil) != (issues[r] || r == session.Create || r == session.Confirm || r == session.End) {
			t.Errorf("%s: Err %v", r, err)
		}
	}
}
