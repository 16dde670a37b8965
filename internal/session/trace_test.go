package session_test

import (
	"bytes"
	"math/rand"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func entry(n int) session.Entry {
	return session.Entry{
		At: rotatedAt.Add(time.Duration(n) * time.Minute), Rule: session.Rotate,
		Token: id.Refresh{0: 1, 11: byte(n)}, Issued: id.Refresh{0: 1, 11: byte(n + 1)}, Context: home,
	}
}

func TestTraceAdd(t *testing.T) {
	var tr session.Trace
	const all = 100
	for n := range all {
		before := tr
		tr = tr.Add(entry(n))
		if len(before.Entries) > 0 && &before.Entries[0] == &tr.Entries[0] {
			t.Fatal("Add changes the trace it was given")
		}
	}
	kept := len(tr.Entries)
	if kept < 10 || kept+tr.Dropped != all {
		t.Fatalf("%d entries, %d dropped", kept, tr.Dropped)
	}
	for i, e := range tr.Entries {
		want := entry(all - kept + i)
		want.Count, want.Last = 1, want.At
		if e != want {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	b, _ := tr.AppendBinary(nil)
	if next := len(b) + 20; len(b) > session.TraceBytes || next < session.TraceBytes {
		t.Errorf("%d bytes are kept", len(b))
	}
}

// Entries that take few bytes are bounded by their number.
func TestTraceLimit(t *testing.T) {
	var tr session.Trace
	for n := range 2 * session.TraceLimit {
		tr = tr.Add(session.Entry{At: rotatedAt, Rule: session.Confirm, Foreign: n%2 == 0})
	}
	if len(tr.Entries) != session.TraceLimit || tr.Dropped != session.TraceLimit {
		t.Errorf("%d entries, %d dropped", len(tr.Entries), tr.Dropped)
	}
}

func TestTraceJoinsEqualDecisions(t *testing.T) {
	e := entry(0)
	later := e
	later.At = e.At.Add(time.Hour)
	latest := e
	latest.At = e.At.Add(2 * time.Hour)
	tr := session.Trace{}.Add(e).Add(later).Add(latest)
	if len(tr.Entries) != 1 {
		t.Fatalf("%d entries", len(tr.Entries))
	}
	if got := tr.Entries[0]; got.Count != 3 || got.At != e.At || got.Last != latest.At {
		t.Errorf("%+v", got)
	}
	for name, change := range map[string]func(*session.Entry){
		"rule":    func(e *session.Entry) { e.Rule = session.Replay },
		"foreign": func(e *session.Entry) { e.Foreign = true },
		"token":   func(e *session.Entry) { e.Token[3]++ },
		"issued":  func(e *session.Entry) { e.Issued[3]++ },
		"network": func(e *session.Entry) { e.Context.Network = abroad.Network },
		"agent":   func(e *session.Entry) { e.Context.Agent = "" },
	} {
		other := later
		change(&other)
		if tr := tr.Add(other); len(tr.Entries) != 2 {
			t.Errorf("entries that differ in %s were joined", name)
		}
		// A decision in between: the order of what happened must not get lost.
		if tr := tr.Add(other).Add(later); len(tr.Entries) != 3 {
			t.Errorf("decisions with another one between them were joined")
		}
	}
}

// A full trace loses nothing when its last entry is joined.
func TestTraceJoinsAtTheLimit(t *testing.T) {
	var tr session.Trace
	for n := range session.TraceLimit {
		tr = tr.Add(session.Entry{At: rotatedAt, Rule: session.Confirm, Foreign: n%2 == 0})
	}
	tr = tr.Add(tr.Entries[session.TraceLimit-1])
	if len(tr.Entries) != session.TraceLimit || tr.Dropped != 0 || tr.Entries[session.TraceLimit-1].Count != 2 {
		t.Errorf("%d entries, %d dropped", len(tr.Entries), tr.Dropped)
	}
}

func TestTraceCutsAgents(t *testing.T) {
	for agent, want := range map[string]string{
		strings.Repeat("a", 40):       strings.Repeat("a", 40),
		strings.Repeat("a", 300):      strings.Repeat("a", 40),
		strings.Repeat("ä", 30):       strings.Repeat("ä", 20),
		"a" + strings.Repeat("ä", 30): "a" + strings.Repeat("ä", 19),
		strings.Repeat("\x80", 60):    "",
	} {
		e := entry(0)
		e.Context.Agent = agent
		got := session.Trace{}.Add(e).Entries[0].Context.Agent
		if got != want || utf8.ValidString(agent) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", agent, got)
		}
	}
}

// anyTrace is a trace that Add could have made of what strangers send.
type anyTrace session.Trace

func (anyTrace) Generate(r *rand.Rand, size int) reflect.Value {
	var tr session.Trace
	at := time.UnixMilli(r.Int63n(4e12)).UTC()
	tokens := []id.Refresh{{}, {0: 1}, {0: 2}}
	for range r.Intn(2 * session.TraceLimit) {
		at = at.Add(time.Duration(r.Int63n(2e10)-1e9) * time.Millisecond)
		agent := make([]byte, r.Intn(60))
		r.Read(agent)
		contexts := []session.Context{
			{}, home, {Network: netip.MustParsePrefix("2001:db8:1::/48")}, {Agent: string(agent)},
			{Network: netip.MustParsePrefix("::ffff:192.0.2.0/120"), Agent: "curl"},
		}
		e := session.Entry{
			At: at, Rule: session.Rule(r.Intn(int(session.End) + 1)), Foreign: r.Intn(5) == 0,
			Token: tokens[r.Intn(3)], Issued: tokens[r.Intn(3)], Context: contexts[r.Intn(len(contexts))],
		}
		for range 1 + r.Intn(2)*r.Intn(3) {
			tr = tr.Add(e)
			e.At = e.At.Add(time.Duration(r.Intn(5000)) * time.Millisecond)
		}
	}
	return reflect.ValueOf(anyTrace(tr))
}

func TestTraceRoundTrip(t *testing.T) {
	same := func(a anyTrace) bool {
		tr := session.Trace(a)
		b, err := tr.AppendBinary([]byte("kept"))
		var got session.Trace
		return err == nil && bytes.HasPrefix(b, []byte("kept")) && got.UnmarshalBinary(b[4:]) == nil && reflect.DeepEqual(got, tr)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 500, Rand: rand.New(rand.NewSource(1))}); err != nil {
		t.Error(err)
	}
	var got session.Trace
	if err := got.UnmarshalBinary(nil); err != nil || !reflect.DeepEqual(got, session.Trace{}) {
		t.Errorf("nothing stored: %+v, %v", got, err)
	}
}

func TestTraceRefusesDamage(t *testing.T) {
	var tr session.Trace
	for n := range 3 {
		tr = tr.Add(entry(n))
	}
	good, _ := tr.AppendBinary(nil)
	tests := map[string][]byte{
		"another version":   append([]byte{2}, good[1:]...),
		"a version only":    {1},
		"dropped too often": {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"an endless number": {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"repeated once":     {1, 0, 1 << 5, 1, 0, 1, 0},
		"no network":        {1, 0, 1 << 2, 1, 0, 3, 8, 1, 2, 3},
		"too long a mask":   {1, 0, 1 << 2, 1, 0, 4, 33, 1, 2, 3, 4},
		"too many entries":  append([]byte{1, 0}, bytes.Repeat([]byte{0, 1, 0}, session.TraceLimit+1)...),
		"something after":   append(bytes.Clone(good), 0),
	}
	for name, b := range tests {
		got := session.Trace{Dropped: 7}
		if err := got.UnmarshalBinary(b); err == nil || !reflect.DeepEqual(got, session.Trace{}) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	// A cut between two entries can't be told from a shorter trace; any other can.
	whole := 0
	for n := 1; n < len(good); n++ {
		var got session.Trace
		if got.UnmarshalBinary(good[:n]) == nil {
			whole++
			if !reflect.DeepEqual(got.Entries, append([]session.Entry(nil), tr.Entries[:len(got.Entries)]...)) {
				t.Errorf("cut at %d: %+v", n, got)
			}
		}
	}
	if whole != len(tr.Entries) {
		t.Errorf("%d cuts went unnoticed", whole)
	}
}

func FuzzTraceUnmarshal(f *testing.F) {
	r := rand.New(rand.NewSource(2))
	for range 20 {
		tr := session.Trace(anyTrace{}.Generate(r, 0).Interface().(anyTrace))
		b, _ := tr.AppendBinary(nil)
		f.Add(b)
	}
	f.Add([]byte{1, 0, 1 << 6, 1, 0, 1<<6 | 1<<2, 1, 0, 4, 24, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		var tr session.Trace
		if tr.UnmarshalBinary(b) != nil {
			return
		}
		if len(tr.Entries) > session.TraceLimit {
			t.Fatalf("%d entries", len(tr.Entries))
		}
		again, _ := tr.AppendBinary(nil)
		var got session.Trace
		if err := got.UnmarshalBinary(again); err != nil || !reflect.DeepEqual(got, tr) {
			t.Fatalf("%x reads as\n%+v, written as %x, which reads as\n%+v (%v)", b, tr, again, got, err)
		}
	})
}
