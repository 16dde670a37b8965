package session_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// rules is what a trace says, in short.
func rules(t session.Trace) []string {
	out := make([]string, len(t.Entries))
	for i, e := range t.Entries {
		out[i] = e.Rule.Word()
		if e.Foreign {
			out[i] += " (foreign)"
		}
		if e.Count > 1 {
			out[i] += fmt.Sprint(" x", e.Count)
		}
	}
	return out
}

// stranger is a context that a client can choose: no two alike, and as long as can be.
func stranger(n int) session.Context {
	return session.Context{
		Network: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 5: byte(n)}), 48),
		Agent:   fmt.Sprintf("%08d%s", n, strings.Repeat("x", 300)),
	}
}

// lived is the trace of a session with a sign-in and some rotations.
func lived(rotations int) session.Trace {
	var tr session.Trace
	for n := range rotations + 1 {
		e := entry(n)
		if n == 0 {
			e.Rule, e.Token = session.Create, id.Refresh{}
		}
		tr = tr.Add(e)
	}
	return tr
}

// flood adds many decisions of a rule, each from elsewhere.
func flood(tr session.Trace, rule session.Rule, foreign bool) session.Trace {
	for n := range 50 {
		e := session.Entry{At: rotatedAt.Add(time.Duration(100+n) * time.Minute), Rule: rule, Foreign: foreign, Token: id.Refresh{0: 9}, Context: stranger(n)}
		if rule == session.Replay {
			e.Issued = id.Refresh{0: 1, 11: 4}
		}
		tr = tr.Add(e)
	}
	return tr
}

// Whoever asks again and again, under many names, gets one entry.
func TestTraceFlood(t *testing.T) {
	for _, tt := range []struct {
		rule    session.Rule
		foreign bool
		want    string
	}{
		{session.Read, false, "read x50"},
		{session.Stale, false, "stale x50"},
		{session.Limited, false, "limited x50"},
		{session.Replay, false, "replay x50"},
		{session.Replay, true, "replay (foreign) x50"},
		{session.Revoked, false, "revoked x50"},
		{session.RanOut, false, "expired x50"},
	} {
		tr := flood(lived(3), tt.rule, tt.foreign)
		if got := rules(tr); tr.Dropped != 0 || !slices.Equal(got, []string{"create", "rotate", "rotate", "rotate", tt.want}) {
			t.Errorf("%s: %v, %d dropped", tt.rule, got, tr.Dropped)
			continue
		}
		e := tr.Entries[4]
		if e.At != rotatedAt.Add(100*time.Minute) || e.Last != rotatedAt.Add(149*time.Minute) || !strings.HasPrefix(e.Context.Agent, "00000049") {
			t.Errorf("%s: %+v", tt.rule, e)
		}
	}
}

// After the end: the sign-in and the verdict stay for good.
func TestTraceKeepsTheEnd(t *testing.T) {
	for _, end := range []session.Rule{session.Theft, session.End, session.Revoked, session.RanOut} {
		tr := lived(40)
		tr = tr.Add(session.Entry{At: rotatedAt.Add(time.Hour), Rule: end, Token: id.Refresh{0: 7}, Context: stranger(200)})
		refusal := session.Revoked
		if end == session.RanOut {
			refusal = end
		}
		tr = flood(tr, refusal, false)
		want := []string{end.Word(), refusal.Word() + " x50"}
		if end == refusal {
			want = []string{end.Word() + " x51"}
		}
		if got := rules(tr); got[0] != "create" || !slices.Equal(got[len(got)-len(want):], want) {
			t.Errorf("%s: %v", end, got)
		}
	}
	// A session that had run out and was then ended shows both.
	tr := flood(flood(lived(40), session.RanOut, false), session.Revoked, false)
	if got := rules(tr); got[0] != "create" || !slices.Equal(got[len(got)-2:], []string{"expired x50", "revoked x50"}) {
		t.Errorf("%v", got)
	}
}

// What may be had at will goes before what moved the lineage.
func TestTraceDropsNoiseFirst(t *testing.T) {
	for _, noise := range []session.Rule{session.Read, session.Stale, session.Limited} {
		quiet, loud := lived(0), lived(0)
		for n := 1; n < 100; n++ {
			quiet = quiet.Add(entry(n))
			loud = loud.Add(session.Entry{At: entry(n).At, Rule: noise, Token: id.Refresh{0: 9}, Context: home}).Add(entry(n))
		}
		if q, l := rules(quiet), rules(loud); len(q) < 10 || q[0] != "create" || !slices.Equal(l, q) {
			t.Errorf("%s: %v, but without them %v", noise, l, q)
		}
		// The newest decision is never the one that goes.
		loud = loud.Add(session.Entry{At: entry(100).At, Rule: noise, Context: stranger(1)})
		if last := loud.Entries[len(loud.Entries)-1]; last.Rule != noise {
			t.Errorf("%s: %v", noise, rules(loud))
		}
	}
}

// An entry that was joined in the middle of the trace stays too.
func TestTraceKeepsWhatWasJoined(t *testing.T) {
	read := session.Entry{At: entry(41).At, Rule: session.Read, Context: home}
	tr := lived(10).Add(read).Add(session.Entry{At: entry(42).At, Rule: session.Replay, Context: home})
	if tr.Dropped != 0 {
		t.Fatal(rules(tr))
	}
	read.At, read.Context = entry(43).At, stranger(3)
	tr = tr.Add(read)
	if got := rules(tr); tr.Dropped == 0 || !slices.Equal(got[len(got)-2:], []string{"read x2", "replay"}) {
		t.Errorf("%v", got)
	}
}

// A life that ran out goes on when its project allows for longer sessions again. Then
// that was no end, and goes like anything else.
func TestTraceForgetsWhatWasNoEnd(t *testing.T) {
	var tr session.Trace
	for n := range 200 {
		tr = tr.Add(session.Entry{At: entry(n).At, Rule: session.RanOut, Context: stranger(n)}).Add(entry(n))
	}
	if b, _ := tr.AppendBinary(nil); len(b) > session.TraceBytes || tr.Dropped < 300 {
		t.Errorf("%v: %d bytes", rules(tr), len(b))
	}
}

// What is stored is bounded, whatever a stranger sends and however often. The beginning
// and the end alone may take a few bytes more than TraceBytes.
func TestTraceSize(t *testing.T) {
	worst := session.Trace{}.Add(session.Entry{At: rotatedAt, Rule: session.Create, Issued: id.Refresh{0: 1}, Context: stranger(99)})
	worst = flood(flood(flood(flood(worst, session.Replay, true), session.Read, false), session.Stale, false), session.Limited, false)
	if b, _ := worst.AppendBinary(nil); len(b) > session.TraceBytes {
		t.Errorf("%v take %d bytes", rules(worst), len(b))
	}
	worst = worst.Add(session.Entry{At: rotatedAt.Add(10_000 * day), Rule: session.Theft, Token: id.Refresh{0: 5}, Context: stranger(100)})
	worst = flood(worst, session.Revoked, false)
	if b, _ := worst.AppendBinary(nil); len(b) > session.TraceBytes+20 || !slices.Equal(rules(worst), []string{"create", "theft", "revoked x50"}) {
		t.Errorf("%v take %d bytes", rules(worst), len(b))
	}
}

// Everything that says itself by what was before isn't written: this is how much of a
// life a trace holds.
func TestTraceIsDense(t *testing.T) {
	for name, life := range map[string]struct {
		rules []session.Rule
		most  int // bytes
	}{
		"rotations":             {[]session.Rule{session.Rotate}, 18},
		"with acknowledgements": {[]session.Rule{session.Rotate, session.Confirm}, 24},
		"with a repetition":     {[]session.Rule{session.Rotate, session.Replay}, 24},
	} {
		var tr session.Trace
		sizes := map[int]int{}
		for n := range 8 {
			for _, rule := range life.rules {
				e := entry(n)
				switch e.Rule = rule; rule {
				case session.Confirm:
					e.Token, e.Issued, e.Context = e.Issued, id.Refresh{}, session.Context{}
				case session.Replay:
					e.At = e.At.Add(5 * time.Second)
				}
				tr = tr.Add(e)
			}
			b, _ := tr.AppendBinary(nil)
			sizes[n] = len(b)
		}
		if each := sizes[7] - sizes[6]; each > life.most || tr.Dropped > 0 {
			t.Errorf("%s: %d bytes each", name, each)
		}
	}
}
