package session_test

import "github.com/latchkey-dev/latchkey/internal/session"

// action is one step of the model: what happens, and to which packet or token.
type action uint8

const (
	tick    action = iota + 1 // time passes
	compose                   // the holder asks for a refresh with what is in the jar
	see                       // the server sees a session token of N
	vouch                     // the holder acknowledges what is in the jar
	seeOld                    // the server sees a session token of P
	revoke                    // the session is ended
	bump                      // the user's epoch grows: all sessions are ended
	crash                     // the server stops and starts; what was on its way may get lost, see lose
	steal                     // the thief copies the jar
	deliver action = 16       // + place: a request reaches the server, which commits its decision
	arrive  action = 20       // + place: an answer reaches the holder, who keeps the token in it
	lose    action = 24       // + place: a request or an answer is lost
	delay   action = 28       // + place: an answer will be late
	present action = 32       // + role: the thief presents a token and gets the answer
)

// actions calls yield for everything that can happen in a world.
func (m *model) actions(w *world, yield func(action)) {
	yield(crash)
	if !w.is(over) || !m.thief {
		yield(tick)
	}
	if !w.is(over) {
		switch {
		case !m.serial && w.is(known):
			yield(see)
		case m.serial && m.idle(w):
			yield(vouch)
		}
		yield(seeOld)
		yield(revoke)
		yield(bump)
		if m.thief && !w.is(copied) {
			yield(steal)
		}
	}
	for i := range m.flight {
		a, p := action(i), w.flight[i]
		switch {
		case p == 0 && m.serial && !m.idle(w):
			continue
		case p == 0:
			yield(compose)
			continue
		case p.kind() == asked || p.kind() == vouching:
			yield(deliver + a)
		default:
			yield(arrive + a)
			if m.late > 0 && !w.is(delayed) {
				yield(delay + a)
			}
		}
		yield(lose + a)
	}
	for t := newest; t < unborn; t++ {
		if w.hoard>>t&1 != 0 {
			yield(present + action(t))
		}
	}
}

// idle reports whether the holder waits for nothing.
func (m *model) idle(w *world) bool {
	for _, p := range w.flight {
		if p != 0 && p.kind() != tardy {
			return false
		}
	}
	return true
}

// step returns the world after an action, and the invariant that it broke, if any.
func (m *model) step(w world, a action, tell *story) (world, broken) {
	var b broken
	if t := a - present; a >= present {
		b = m.stolen(&w, role(t), tell)
	} else if i := a & 3; a >= deliver {
		switch a - i {
		case deliver:
			b = m.delivered(&w, int(i), tell)
		case arrive:
			m.taken(&w, int(i), tell)
		case lose:
			tell.say("%s is lost", tell.packet(&w, int(i)))
			w.flight[i] = 0
		case delay:
			tell.say("%s is late", tell.packet(&w, int(i)))
			w.flight[i] = pack(tardy, w.flight[i].age(), w.flight[i].token())
			w.set(delayed, true)
		}
	} else {
		m.happen(&w, a, tell)
	}
	w.settle(m.bounds)
	tell.move(w.order())
	return w, b
}

func (m *model) happen(w *world, a action, tell *story) {
	switch a {
	case tick:
		tell.tick()
		m.pass(w)
	case compose:
		w.send(asked, tell)
	case vouch:
		w.send(vouching, tell)
	case see:
		tell.say("the server sees the session token of %s", tell.name(newest))
		m.shown(w, newest, tell)
	case seeOld:
		tell.say("the server sees the session token of %s", tell.name(parent))
		m.shown(w, parent, tell)
	case revoke:
		tell.say("the session is ended")
		w.set(ended|over, true)
	case bump:
		tell.say("all sessions of the user are ended")
		w.set(outdated|over, true)
	case crash:
		tell.say("the server stops and starts again")
		if m.restart != nil {
			tell.move(m.store(w, m.restart(m.state(w))))
		}
	case steal:
		tell.say("the thief copies the jar: %s", tell.name(w.jar))
		w.hoard = 1 << w.jar &^ (1 << dead)
		w.set(copied, true)
		w.set(common, w.jar == newest)
	}
}

// send puts a request with the jar's token on its way, if there is room for one.
func (w *world) send(k kind, tell *story) {
	for i, p := range w.flight {
		if p == 0 {
			w.flight[i] = pack(k, 0, w.jar)
			tell.composed(w, i)
			return
		}
	}
}

// shown runs the server on a proof that the token in a role has arrived.
func (m *model) shown(w *world, t role, tell *story) {
	s, _ := m.arrived(m.state(w), rid(t), m.policy.ReuseWindow, modelNow)
	tell.move(m.store(w, s))
	w.set(proven, w.is(proven) || t == newest && int(w.mint) >= m.window)
}

// pass lets a tick pass. What the holder has given up is gone, except what the bounds
// let the network keep.
func (m *model) pass(w *world) {
	w.mint, w.rotate, w.replay = w.mint+1, w.rotate+1, w.replay+1
	for i, p := range w.flight {
		limit := m.patience
		switch {
		case p == 0:
			continue
		case p.kind() == asked:
			limit = max(limit, m.linger)
		case p.kind() == tardy:
			limit = m.late
		}
		if w.flight[i] = 0; int(p.age()) < limit {
			w.flight[i] = pack(p.kind(), p.age()+1, p.token())
		}
	}
}

// delivered runs the server on a request of the honest holder.
func (m *model) delivered(w *world, i int, tell *story) broken {
	p := w.flight[i]
	if p.kind() == vouching {
		tell.say("%s reaches the server", tell.packet(w, i))
		w.flight[i] = 0
		m.shown(w, p.token(), tell)
		return broken{}
	}
	before := *w
	w.flight[i] = 0
	v, to, b := m.judge(w, p.token(), p.age(), honest)
	tell.decided(&before, i, v)
	tell.move(to)
	if !v.Issues() || int(p.age()) > m.patience {
		return b
	}
	switch {
	case v.Rule == session.Read && m.readNewest:
		w.flight[i] = pack(bare, p.age(), newest)
	case v.Rule == session.Read:
		w.flight[i] = pack(bare, p.age(), to.roles[p.token()])
	case w.is(common):
		w.flight[i] = pack(answered, p.age(), newest)
	case w.is(byThief):
		w.flight[i] = pack(shared, p.age(), newest)
	default:
		w.flight[i] = pack(made, p.age(), newest)
	}
	return b
}

// stolen runs the server on a token that the thief presents; the thief's network is
// perfect.
func (m *model) stolen(w *world, t role, tell *story) broken {
	before := *w
	v, to, b := m.judge(w, t, 0, thief)
	tell.presented(&before, t, v)
	tell.move(to)
	switch {
	case !v.Issues(), v.Rule == session.Read:
		return b
	case v.Made():
		w.turns = w.turns.took(thief)
	case !w.is(byThief):
		// Both have the same token again: the counting starts anew.
		w.turns = 0
		w.set(common, true)
		for i, p := range w.flight {
			if p.kind() == made && p.token() == newest {
				w.flight[i] = pack(answered, p.age(), newest)
			}
		}
	}
	w.hoard |= 1 << newest
	w.set(known, true)
	if w.turns.runs() > m.turns {
		return broken{"I2", "the thief was served once too often"}
	}
	return b
}

// judge lets the server decide, stores what it decided and checks the invariants.
func (m *model) judge(w *world, t role, age uint8, by turns) (session.Verdict, moves, broken) {
	s, v := m.refresh(w, t, age, false)
	b := m.check(w, t, age, by, s, v)
	m.rules[v.Rule]++
	to := m.store(w, s)
	if v.Made() {
		w.set(byThief, by == thief)
		w.set(common, false)
	}
	if v.Rule == session.Theft {
		w.set(over, true)
	}
	return v, to, b
}

// taken gives an answer to the honest holder: the jar keeps whatever came last.
func (m *model) taken(w *world, i int, tell *story) {
	p := w.flight[i]
	tell.say("%s arrives", tell.packet(w, i))
	w.flight[i] = 0
	if p.token() == newest {
		w.set(known, true)
	}
	switch p.kind() {
	case bare:
		return
	case made:
		w.turns = w.turns.took(honest)
	case shared:
		w.turns = 0
		w.set(common, w.is(common) || p.token() == newest)
	}
	w.jar = p.token()
}
