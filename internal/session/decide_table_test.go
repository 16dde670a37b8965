package session_test

import (
	"time"

	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/session"
)

const ms = time.Millisecond

// decisions is every rule, with both sides of every boundary.
func decisions() []row {
	var all []row
	for _, part := range [][]row{lineageRows(), quietRows(), readRows(), foreignRows(), endRows(), ageRows(), limitRows(), policyRows()} {
		all = append(all, part...)
	}
	return all
}

func do(c ...change) []change { return c }

func lineageRows() []row {
	return []row{
		{"a: N inside the window", do(after(time.Second)), verdict(session.Replay), again},
		{"a: N at the instant of its making", do(after(0)), verdict(session.Replay), again},
		{"a: N in the last millisecond", do(after(window - ms)), verdict(session.Replay), again},
		{"a: N again", do(after(9*time.Second), replayed(5*time.Second)), verdict(session.Replay), again},
		{"a: P inside the window", do(after(time.Second), presentP), verdict(session.Replay), again},
		{"a: P in the last millisecond", do(after(window-ms), presentP), verdict(session.Replay), again},
		{"a: P inside the window, though confirmed", do(after(time.Second), presentP, confirm), verdict(session.Replay), again},
		{"a: an older sibling inside the window", do(after(window-ms), presentSibling), verdict(session.Replay), again},
		{"a: a clock set back by an hour", do(after(-time.Hour)), verdict(session.Replay), again},
		{"a: a clock set back by an hour, P", do(after(-time.Hour), presentP), verdict(session.Replay), again},
		{"b: N at the end of the window", do(after(window)), verdict(session.Rotate), rotated},
		{"b: N long after", do(), verdict(session.Rotate), rotated},
		{"b: N, confirmed", do(confirm), verdict(session.Rotate), rotated},
		{"b: the first token of a session", do(presentFirst), verdict(session.Rotate), rotated},
		{"b: a clock an hour ahead", do(after(time.Hour)), verdict(session.Rotate), rotated},
		{"b: no window", do(noWindow, after(0)), verdict(session.Rotate), rotated},
		{"c: P at the end of the window", do(after(window), presentP), verdict(session.Recover), recovered},
		{"c: P long after", do(presentP), verdict(session.Recover), recovered},
		{"c: P for the hundredth time", do(presentP, func(e *exchange) { e.Recoveries = 99 }), verdict(session.Recover), recovered},
		{"c: no window", do(presentP, noWindow, after(ms)), verdict(session.Recover), recovered},
		{"d: an older sibling at the end of the window", do(after(window), presentSibling), verdict(session.Adopt), rotated},
		{"d: an older sibling long after", do(presentSibling), verdict(session.Adopt), rotated},
		{"e: the parent of P", do(presentGrand), verdict(session.Theft), caught},
		{"e: the parent of P inside the window", do(after(time.Second), presentGrand), verdict(session.Theft), caught},
		{"e: an older sibling of P", do(func(e *exchange) { e.present(tokenOther, tokenGrand) }), verdict(session.Theft), caught},
		{"e: a child of N that isn't known", do(func(e *exchange) { e.present(tokenOther, tokenN) }), verdict(session.Theft), caught},
		{"e: a first token when there is no P", do(presentFirst, func(e *exchange) { e.Token = tokenOther }), verdict(session.Theft), caught},
		{"g: P after N was confirmed", do(after(window), presentP, confirm), verdict(session.Theft), caught},
		{"g: an older sibling after N was confirmed", do(after(window), presentSibling, confirm), verdict(session.Theft), caught},
	}
}

// After a replay the next rotation waits until the replay is one window old.
func quietRows() []row {
	late := replayed(15 * time.Second)
	return []row{
		{"quiet: N", do(after(window), late), verdict(session.Read), kept},
		{"quiet: P", do(after(window), late, presentP), verdict(session.Read), kept},
		{"quiet: P, though confirmed", do(after(window), late, presentP, confirm), verdict(session.Read), kept},
		{"quiet: an older sibling", do(after(window), late, presentSibling), verdict(session.Read), kept},
		{"quiet: the parent of P", do(after(window), late, presentGrand), verdict(session.Theft), caught},
		{"quiet: the last millisecond", do(after(window+15*time.Second-ms), late), verdict(session.Read), kept},
		{"quiet is over", do(after(window+15*time.Second), late), verdict(session.Rotate), rotated},
		{"quiet is over: P", do(after(window+15*time.Second), late, presentP), verdict(session.Recover), recovered},
		{"quiet is over: P, confirmed", do(after(window+15*time.Second), late, presentP, confirm), verdict(session.Theft), caught},
		{"quiet: the longest", do(after(2*window-2*ms), replayed(window-ms)), verdict(session.Read), kept},
		{"quiet is over at the longest", do(after(2*window-ms), replayed(window-ms)), verdict(session.Rotate), rotated},
		{"quiet: the limit isn't counted", do(after(window), late, full), verdict(session.Read), kept},
		{"quiet: without rotation N is handed out", do(after(window), late, neverRotate), verdict(session.Replay), func(e *exchange) { again(e); e.LimitFrom, e.LimitCount = e.now, 1 }},
	}
}

func readRows() []row {
	return []row{
		{"j: N", do(readOnly), verdict(session.Read), kept},
		{"j: N inside the window", do(readOnly, after(time.Second)), verdict(session.Read), kept},
		{"j: P", do(readOnly, presentP), verdict(session.Read), kept},
		{"j: an older sibling", do(readOnly, presentSibling), verdict(session.Read), kept},
		{"j: P, confirmed, inside the window", do(readOnly, presentP, confirm, after(window-ms)), verdict(session.Read), kept},
		{"j: P, confirmed", do(readOnly, presentP, confirm), verdict(session.Theft), caught},
		{"j: an older sibling, N confirmed", do(readOnly, presentSibling, confirm), verdict(session.Theft), caught},
		{"j: the parent of P", do(readOnly, presentGrand), verdict(session.Theft), caught},
		{"j: over the limit", do(readOnly, full), verdict(session.Read), kept},
		{"j: from abroad", do(readOnly, after(time.Second), from(abroad, policy.EndForeign)), verdict(session.Read), kept},
		{"j: with an idle timeout", do(readOnly, idle), verdict(session.Read), kept},
		{"j: without rotation", do(readOnly, neverRotate, idle), verdict(session.Read), kept},
	}
}

func foreignRows() []row {
	replay := func(c session.Context, p policy.ForeignReplay, more ...change) []change {
		return append(do(after(time.Second), from(c, p)), more...)
	}
	seen := session.Verdict{Rule: session.Replay, Foreign: true}
	second := func(e *exchange) { e.ForeignReplays = 1 }
	unknown := func(e *exchange) { e.State.Context = session.Context{} }
	return []row{
		{"k: allowed", replay(abroad, policy.AllowForeign), verdict(session.Replay), again},
		{"k: another network", replay(abroad, policy.AlertForeign), seen, foreign},
		{"k: another agent", replay(phone, policy.AlertForeign), seen, foreign},
		{"k: P", replay(abroad, policy.AlertForeign, presentP), seen, foreign},
		{"k: the second", replay(abroad, policy.AlertForeign, second), seen, foreign},
		{"k: the first ends nothing", replay(abroad, policy.EndForeign), seen, foreign},
		{
			"k: the second ends", replay(abroad, policy.EndForeign, second), session.Verdict{Rule: session.Theft, Foreign: true},
			func(e *exchange) { foreign(e); caught(e) },
		},
		{"k: at home", replay(home, policy.EndForeign, second), verdict(session.Replay), again},
		{"k: a context that isn't known", replay(session.Context{}, policy.EndForeign, second), verdict(session.Replay), again},
		{"k: an agent that isn't known", replay(session.Context{Network: home.Network}, policy.EndForeign, second), verdict(session.Replay), again},
		{"k: a network that isn't known", replay(session.Context{Agent: home.Agent}, policy.EndForeign, second), verdict(session.Replay), again},
		{"k: a rotation from nowhere", replay(abroad, policy.EndForeign, second, unknown), verdict(session.Replay), again},
		{"k: after the window", do(from(abroad, policy.EndForeign), second), verdict(session.Rotate), rotated},
	}
}

func endRows() []row {
	was := func(e *exchange) { e.EndedAt, e.EndReason = rotatedAt.Add(time.Second), session.Logout }
	subject := func(c func(*session.Subject)) change { return func(e *exchange) { c(&e.Subject) } }
	gone := subject(func(u *session.Subject) { u.UserKnown = false })
	disabled := subject(func(u *session.Subject) { u.UserEnabled = false })
	user := subject(func(u *session.Subject) { u.UserEpoch = 4 })
	project := subject(func(u *session.Subject) { u.ProjectEpoch = 5 })
	return []row{
		{"i: ended", do(was), verdict(session.Revoked), kept},
		{"i: ended, inside the window", do(was, after(time.Second)), verdict(session.Revoked), kept},
		{"i: ended, P", do(was, presentP), verdict(session.Revoked), kept},
		{"i: ended, the parent of P", do(was, presentGrand), verdict(session.Revoked), kept},
		{"i: ended, read", do(was, readOnly), verdict(session.Revoked), kept},
		{"i: ended, without rotation", do(was, neverRotate), verdict(session.Revoked), kept},
		{"i: ended, then the user was deleted", do(was, gone), verdict(session.Revoked), kept},
		{"i: ended, a stale request", do(was, composed(time.Hour)), verdict(session.Revoked), kept},
		{"i: user deleted", do(gone), verdict(session.Revoked), closed(session.UserDeleted)},
		{"i: user disabled", do(disabled), verdict(session.Revoked), closed(session.UserDisabled)},
		{"i: user disabled, inside the window", do(disabled, after(time.Second)), verdict(session.Revoked), closed(session.UserDisabled)},
		{"i: epoch of the user", do(user), verdict(session.Revoked), closed(session.Superseded)},
		{"i: epoch of the user, inside the window", do(user, after(time.Second)), verdict(session.Revoked), closed(session.Superseded)},
		{"i: epoch of the project", do(project), verdict(session.Revoked), closed(session.Superseded)},
		{"i: epoch, read", do(project, readOnly), verdict(session.Revoked), closed(session.Superseded)},
		{"i: epoch, the parent of P", do(user, presentGrand), verdict(session.Revoked), closed(session.Superseded)},
	}
}
