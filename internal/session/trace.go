package session

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// TraceLimit is how many entries a session keeps. A row must not grow with every
// refresh; equal decisions in a row share an entry, and the oldest entries go first.
const TraceLimit = 24

// Trace is what was decided about a session, oldest first. A value is never changed in
// place.
type Trace struct {
	Entries []Entry
	Dropped int // older entries that are no longer kept
}

// Entry is one decision, or Count equal ones in a row.
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
func (t Trace) Add(e Entry) Trace {
	e.Count, e.Last = 1, e.At
	e.Context.Agent = clip(e.Context.Agent)
	n := len(t.Entries)
	if n > 0 && t.Entries[n-1].equal(e) {
		e.At, e.Count = t.Entries[n-1].At, t.Entries[n-1].Count+1
		n--
	}
	from := 0
	if n+1 > TraceLimit {
		from = n + 1 - TraceLimit
		t.Dropped += from
	}
	entries := make([]Entry, 0, n+1-from)
	entries = append(entries, t.Entries[from:n]...)
	return Trace{Entries: append(entries, e), Dropped: t.Dropped}
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

func (e Entry) equal(f Entry) bool {
	return e.Rule == f.Rule && e.Foreign == f.Foreign && e.Token == f.Token && e.Issued == f.Issued && e.Context == f.Context
}

// The stored form is binary, because it is written with every decision: a version
// byte, Dropped, then each entry as it differs from the one before: a session that has
// refreshed for years must fit into a few hundred bytes.
// Agents are kept to agentLimit bytes.
const (
	traceVersion = 1
	agentLimit   = 40
)

const (
	hasToken byte = 1 << iota
	hasIssued
	hasNetwork
	hasAgent
	isForeign
	isRepeated
	sameContext // as the entry before
	isChained   // the token is the one that the entry before handed out
)

var errTrace = errors.New("stored trace is damaged")

// beforeFirst is what the first entry is told apart from.
func beforeFirst() Entry { return Entry{At: time.UnixMilli(0)} }

// AppendBinary appends the stored form to b. It never fails.
func (t Trace) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, traceVersion)
	b = binary.AppendUvarint(b, uint64(t.Dropped))
	before := beforeFirst()
	for _, e := range t.Entries {
		b = e.append(b, before)
		before = e
	}
	return b, nil
}

func (e Entry) append(b []byte, before Entry) []byte {
	var flags byte
	set := func(on bool, flag byte) {
		if on {
			flags |= flag
		}
	}
	same, chained := e.Context == before.Context, e.Token == before.Issued && !e.Token.IsZero()
	set(same, sameContext)
	set(chained, isChained)
	set(!chained && !e.Token.IsZero(), hasToken)
	set(!e.Issued.IsZero(), hasIssued)
	set(!same && e.Context.Network.IsValid(), hasNetwork)
	set(!same && e.Context.Agent != "", hasAgent)
	set(e.Foreign, isForeign)
	set(e.Count > 1, isRepeated)
	b = append(b, flags, byte(e.Rule))
	b = binary.AppendVarint(b, e.At.UnixMilli()-before.At.UnixMilli())
	if flags&isRepeated != 0 {
		b = binary.AppendUvarint(b, uint64(e.Count))
		b = binary.AppendVarint(b, e.Last.UnixMilli()-e.At.UnixMilli())
	}
	if flags&hasToken != 0 {
		b = append(b, e.Token[:]...)
	}
	if flags&hasIssued != 0 {
		b = append(b, e.Issued[:]...)
	}
	if flags&hasNetwork != 0 {
		address := e.Context.Network.Addr().AsSlice()
		b = append(b, byte(len(address)), byte(e.Context.Network.Bits()))
		b = append(b, address...)
	}
	if flags&hasAgent != 0 {
		b = append(b, byte(len(e.Context.Agent)))
		b = append(b, e.Context.Agent...)
	}
	return b
}

// UnmarshalBinary reads the stored form; nothing at all is an empty trace.
func (t *Trace) UnmarshalBinary(b []byte) error {
	*t = Trace{}
	if len(b) == 0 {
		return nil
	}
	r := reader{b: b}
	if r.byte() != traceVersion {
		return errTrace
	}
	t.Dropped = int(r.uvarint())
	before := beforeFirst()
	for len(r.b) > 0 && !r.bad && len(t.Entries) < TraceLimit {
		e := r.entry(before)
		before = e
		t.Entries = append(t.Entries, e)
	}
	if r.bad || len(r.b) > 0 || t.Dropped < 0 {
		*t = Trace{}
		return errTrace
	}
	return nil
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		r.b = nil
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.take(max(n, 0))
	r.bad = r.bad || n <= 0 || v > 1<<40
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.take(max(n, 0))
	r.bad = r.bad || n <= 0 || v > 1<<50 || v < -1<<50
	return v
}

func (r *reader) entry(before Entry) Entry {
	flags := r.byte()
	e := Entry{Rule: Rule(r.byte()), Foreign: flags&isForeign != 0, Count: 1}
	at := before.At.UnixMilli() + r.varint()
	e.At = time.UnixMilli(at).UTC()
	e.Last = e.At
	if flags&isRepeated != 0 {
		e.Count = int(r.uvarint())
		r.bad = r.bad || e.Count < 2
		e.Last = time.UnixMilli(at + r.varint()).UTC()
	}
	if flags&isChained != 0 {
		e.Token = before.Issued
	}
	if flags&hasToken != 0 {
		e.Token = id.Refresh(r.take(len(e.Token)))
	}
	if flags&hasIssued != 0 {
		e.Issued = id.Refresh(r.take(len(e.Issued)))
	}
	if flags&sameContext != 0 {
		e.Context = before.Context
	}
	if flags&hasNetwork != 0 {
		e.Context.Network = r.network()
	}
	if flags&hasAgent != 0 {
		e.Context.Agent = string(r.take(int(r.byte())))
	}
	return e
}

func (r *reader) network() netip.Prefix {
	size, bits := int(r.byte()), int(r.byte())
	address, ok := netip.AddrFromSlice(r.take(size))
	p := netip.PrefixFrom(address, bits)
	r.bad = r.bad || !ok || !p.IsValid()
	return p
}
