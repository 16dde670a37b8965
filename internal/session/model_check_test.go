package session_test

import "github.com/latchkey-dev/latchkey/internal/session"

// The invariants. P, N and W as in Decide; A is how long a client waits for an answer
// before it drops the request and any answer to it.
//
//   - I1: with one holder, A < W/2, and requests that reach the server within A, or that
//     carry composedAt and reach it whenever they like: no refresh is ever refused,
//     whatever is lost, late by less than A, or out of order, until the session is ended.
//     A request that its client has given up may be called stale, and changes nothing.
//   - I2: count from the last moment at which both holders had the same refresh token (the
//     copy, or a replay inside W of what the other one's refresh had made). Write down
//     who got a new refresh token, and strike out repetitions. The longest lists are
//     "thief, holder, thief, holder" and "holder, thief, holder": the thief is never
//     served again, and the next token that he presents is called theft. A thief who
//     presents a copied token twice gets the longer list. Besides: a token that makes
//     another one becomes P, so all before it and beside it are dead; once N was seen at
//     work after W, P and the older children of P are dead; and no use of a token puts
//     off the next rotation beyond 2 W.
//   - I3: at most one change of lineage in W.
//   - I4: after a revocation or a proven theft, no refresh gets a token or moves the
//     lineage.
//   - I6: inside W, whoever presents P, N or an older child of P gets N; so the same
//     request gets the same answer.
//   - J: a read is allowed exactly when a refresh is, and changes nothing.
//
// I5 (constant size) is a property of the types, see TestSizeIsBounded. I7 (crashes) is
// that the others hold though the server may stop and start at any moment. If that was
// before the commit, the request is lost, if it was after it, the answer; both happen in
// the model at any moment anyway, so a crash is what the server finds when it comes
// back: what it has committed.
type broken struct{ invariant, how string }

// check looks at one decision, for a token in a role and a request of an age.
func (m *model) check(w *world, t role, age uint8, by turns, s session.State, v session.Verdict) broken {
	old := m.state(w)
	moved := s.Parent != old.Parent || s.Newest != old.Newest
	live := t >= newest && t < siblingEnd
	inside := int(w.mint) < m.window
	settled := int(w.mint) == 2*m.window
	beaten := w.is(proven) && t != newest
	switch {
	case w.is(over):
		if v.Issues() || moved {
			return broken{"I4", "a refresh after the end of the session"}
		}
		return broken{}
	case v.Rule == session.Stale:
		if s != old {
			return broken{"I1", "a stale request changed something"}
		}
		if int(age) <= m.patience {
			return broken{"I1", "a request was called stale whose client still waits"}
		}
		return broken{}
	case inside && moved:
		return broken{"I3", "two rotations in one reuse window"}
	case inside && live && v.Rule != session.Replay:
		return broken{"I6", "a repeated refresh got another answer"}
	case by == honest && !m.thief && !v.Issues():
		return broken{"I1", "the only holder was refused"}
	case v.Made() && s.Parent != rid(t):
		return broken{"I2", "what came before a used token lives on"}
	case settled && live && beaten && v.Rule != session.Theft:
		return broken{"I2", "a token was accepted though its successor is at work"}
	case settled && live && !beaten && !v.Made():
		return broken{"I2", "a rotation was put off"}
	}
	return m.checkRead(w, t, age, old, v)
}

// checkRead asks the same question for a session token only.
func (m *model) checkRead(w *world, t role, age uint8, old session.State, v session.Verdict) broken {
	s, r := m.refresh(w, t, age, true)
	switch {
	case r.Issues() != v.Issues():
		return broken{"J", "a read is judged unlike a refresh"}
	case r.Issues() && (s != old || r.Rule != session.Read):
		return broken{"J", "a read changed something"}
	}
	return broken{}
}
