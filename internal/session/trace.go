package session

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// A row must not grow with every refresh. So a trace is bounded, by its stored form and
// by its entries; see Add for what goes first.
const (
	TraceBytes = 256
	TraceLimit = 24
)

// Trace is what was decided about a session, oldest first. A value is never changed in
// place.
type Trace struct {
	Entries []Entry
	Dropped int // entries that are no longer kept
}

// Entry is one decision, or Count of a kind. Then Token, Issued and Context are those
// of the last one.
type Entry struct {
	At      time.Time
	Last    time.Time // of the last one, when Count > 1; else At
	Rule    Rule
	Foreign bool
	Count   int
	Token   id.Refresh // presented
	Issued  id.Refresh // handed out
	Context Context
}

// Add returns the trace with one more decision. Count and Last of e are set here.
//
// Whoever holds a token, be it a dead one, can ask as often as he likes and under any
// name. What he asks must not push out how the session began, lived and ended:
//
//   - Equal decisions in a row share an entry. So do, between two steps of the lineage,
//     all reads, all stale and all limited requests, and all replays of one token that
//     are equally foreign; and, after the end, all refusals.
//   - A trace over its bounds loses reads, stale and limited requests first, then the
//     oldest of the others. The sign-in, the decision that ended the session and the
//     refusals after it stay, even if they alone are over TraceBytes, and so does e.
func (t Trace) Add(e Entry) Trace {
	e.Count, e.Last = 1, e.At
	e.Context.Agent = clip(e.Context.Agent)
	t.Entries = append(make([]Entry, 0, len(t.Entries)+1), t.Entries...)
	place := t.shared(e)
	if place < 0 {
		place = len(t.Entries)
		t.Entries = append(t.Entries, e)
	} else {
		e.At, e.Count = t.Entries[place].At, t.Entries[place].Count+1
		t.Entries[place] = e
	}
	for len(t.Entries) > TraceLimit || t.size() > TraceBytes {
		i := t.leastNeeded(place)
		if i < 0 {
			break
		}
		if i < place {
			place--
		}
		t.Entries = slices.Delete(t.Entries, i, i+1)
		t.Dropped++
	}
	return t
}

// shared returns the place of the entry that e shares, or -1.
func (t Trace) shared(e Entry) int {
	for i := len(t.Entries) - 1; i >= 0; i-- {
		f := t.Entries[i]
		if i == len(t.Entries)-1 && f.equal(e) || f.like(e) {
			return i
		}
		if f.Rule.step() {
			return -1
		}
	}
	return -1
}

// step reports whether a rule begins another part of a session's life. Entries before
// and after it are never joined.
func (r Rule) step() bool {
	switch r {
	case Create, Rotate, Recover, Adopt, Theft, End:
		return true
	}
	return false
}

// noise reports whether a rule leaves the session as it was and may be had at will.
func (r Rule) noise() bool { return r == Read || r == Stale || r == Limited }

// like reports whether f tells little that e doesn't.
func (e Entry) like(f Entry) bool {
	switch {
	case e.Rule != f.Rule:
		return false
	case e.Rule == Replay:
		return e.Foreign == f.Foreign && e.Token == f.Token
	}
	return e.Rule.noise() || e.Rule == Revoked || e.Rule == RanOut
}

func (e Entry) equal(f Entry) bool {
	return e.Rule == f.Rule && e.Foreign == f.Foreign && e.Token == f.Token && e.Issued == f.Issued && e.Context == f.Context
}

// leastNeeded returns the place of the entry to be dropped next, or -1 if all that is
// left has to stay; the one at keep does.
func (t Trace) leastNeeded(keep int) int {
	noise, oldest := -1, -1
	over, ended := true, false // all entries behind i are refusals after an end; one of them is the end
	for i := len(t.Entries) - 1; i >= 0; i-- {
		r := t.Entries[i].Rule
		stays := i == keep
		switch r {
		case Revoked, RanOut:
			stays = stays || over
		case Theft, End:
			stays = stays || over && !ended
			ended = true
		case Create:
			stays = stays || i == 0
			over = false
		default:
			over = false
		}
		switch {
		case stays:
		case r.noise():
			noise = i
		default:
			oldest = i
		}
	}
	if noise >= 0 {
		return noise
	}
	return oldest
}

// toldForeign reports whether a foreign replay of the newest token is in the trace.
func (t Trace) toldForeign() bool {
	for i := len(t.Entries) - 1; i >= 0; i-- {
		switch e := t.Entries[i]; {
		case e.Rule == Replay && e.Foreign:
			return true
		case e.Rule.step():
			return false
		}
	}
	return false
}

// clip cuts an agent to agentLimit bytes, and no character in two.
func clip(agent string) string {
	if len(agent) <= agentLimit {
		return agent
	}
	n := agentLimit
	for n > 0 && !utf8.RuneStart(agent[n]) {
		n--
	}
	return agent[:n]
}
