package session

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// The stored form is binary, because it is written with every decision: a version
// byte, Dropped, then each entry as it differs from those before it, so that a rotation
// takes no more than its time and the id of the new token.
// Agents are kept to agentLimit bytes.
const (
	traceVersion = 1
	agentLimit   = 40

	// typicalEntry is a little more than what a rotation takes, of which most traces
	// consist: room is made for as many entries at once.
	typicalEntry = 20
)

const (
	hasToken uint16 = 1 << iota
	hasIssued
	hasNetwork
	hasAgent
	isForeign
	isRepeated
	sameContext // as the last one that isn't empty
	isChained   // the token is the last one that was handed out

	ruleBits = 0x3f // of the second byte

	sameToken  uint16 = 1 << 14 // as the last one that was presented
	sameIssued uint16 = 1 << 15 // as the last one that was handed out
)

var errTrace = errors.New("stored trace is damaged")

// told is what the entries before one have said.
type told struct {
	at            int64
	token, issued id.Refresh
	context       Context
}

func (b told) and(e Entry) told {
	b.at = e.At.UnixMilli()
	if !e.Token.IsZero() {
		b.token = e.Token
	}
	if !e.Issued.IsZero() {
		b.issued = e.Issued
	}
	if e.Context != (Context{}) {
		b.context = e.Context
	}
	return b
}

// size is the length of the stored form.
func (t Trace) size() int {
	var room [2 * TraceBytes]byte
	b, _ := t.AppendBinary(room[:0])
	return len(b)
}

// AppendBinary appends the stored form to b. It never fails.
func (t Trace) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, traceVersion)
	b = binary.AppendUvarint(b, uint64(t.Dropped))
	var before told
	for _, e := range t.Entries {
		b = e.append(b, before)
		before = before.and(e)
	}
	return b, nil
}

// flags are the first two bytes of an entry, with its rule.
func (e Entry) flags(before told) uint16 {
	flags := uint16(e.Rule) & ruleBits << 8
	set := func(on bool, flag uint16) {
		if on {
			flags |= flag
		}
	}
	switch {
	case e.Token.IsZero():
	case e.Token == before.issued:
		set(true, isChained)
	case e.Token == before.token:
		set(true, sameToken)
	default:
		set(true, hasToken)
	}
	known := e.Issued == before.issued && !e.Issued.IsZero()
	set(known, sameIssued)
	set(!known && !e.Issued.IsZero(), hasIssued)
	same := e.Context == before.context && e.Context != (Context{})
	set(same, sameContext)
	set(!same && e.Context.Network.IsValid(), hasNetwork)
	set(!same && e.Context.Agent != "", hasAgent)
	set(e.Foreign, isForeign)
	set(e.Count > 1, isRepeated)
	return flags
}

func (e Entry) append(b []byte, before told) []byte {
	flags := e.flags(before)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.AppendVarint(b, e.At.UnixMilli()-before.at)
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
	if len(r.b) > 0 {
		t.Entries = make([]Entry, 0, min(max(1, len(r.b)/typicalEntry), TraceLimit))
	}
	var before told
	for len(r.b) > 0 && !r.bad && len(t.Entries) < TraceLimit {
		e := r.entry(before)
		before = before.and(e)
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

func (r *reader) entry(before told) Entry {
	flags := binary.LittleEndian.Uint16(r.take(2))
	e := Entry{Rule: Rule(flags >> 8 & ruleBits), Foreign: flags&isForeign != 0, Count: 1}
	at := before.at + r.varint()
	e.At = time.UnixMilli(at).UTC()
	e.Last = e.At
	if flags&isRepeated != 0 {
		e.Count = int(r.uvarint())
		r.bad = r.bad || e.Count < 2
		e.Last = time.UnixMilli(at + r.varint()).UTC()
	}
	switch {
	case flags&isChained != 0:
		e.Token = before.issued
	case flags&sameToken != 0:
		e.Token = before.token
	}
	if flags&hasToken != 0 {
		e.Token = id.Refresh(r.take(len(e.Token)))
	}
	if flags&sameIssued != 0 {
		e.Issued = before.issued
	}
	if flags&hasIssued != 0 {
		e.Issued = id.Refresh(r.take(len(e.Issued)))
	}
	if flags&sameContext != 0 {
		e.Context = before.context
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
