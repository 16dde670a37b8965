package latchkey

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The kinds of entries.
const (
	kindSession = "session"
	kindUser    = "user"
	kindTenant  = "tenant"
	kindProject = "project"
	kindEpoch   = "epoch"
	kindKey     = "key"
	kindRole    = "role"
	kindShare   = "share"
)

// Bounds of what is kept, against a server that has gone wrong.
const (
	maxRevoked      = 1_000_000
	maxRevokedKeys  = 10_000
	maxRevokedRoles = 10_000
)

// outcome is what became of an entry.
type outcome uint8

const (
	entryAdded     outcome = iota // tokens are refused now that weren't before
	entryKnown                    // says nothing new
	entryOver                     // its time is over
	entryUnknown                  // of a kind that this version doesn't know
	entryMalformed                // can't be what the server meant
	entryCrowded                  // there is no room: see revokedIndex.crowd
)

// revokedIndex knows which tokens are revoked or outdated. Judging takes a read lock and
// allocates nothing. Changes are made one after the other (change) and hold the write
// lock for a moment only, whatever the size.
type revokedIndex struct {
	project string
	limit   int

	change sync.Mutex    // held over a change, and while everything is read
	edits  atomic.Uint64 // how many changes refused more tokens

	mu       sync.RWMutex
	sessions map[ident]int64 // until, Unix milliseconds
	keys     map[ident]int64 // until
	users    map[ident]marks
	tenants  map[ident]marks
	epochs   map[ident]marks // of sessions, users and access keys
	tenures  map[ident]marks // epochs of tenants
	roles    map[uint64]marks
	portions *[shares]marks // of sessions, by share; never changed, nil: none
	whole    marks          // the project's tokens are revoked
	changed  marks          // the project's tokens are outdated

	// crowd stands for the entries that there was no room for: all tokens minted until
	// the latest of them are outdated. So none of them is accepted, and a refresh, which
	// the server refuses when the session has ended, gives the others a token that is.
	crowd marks
}

func newRevokedIndex(project string) *revokedIndex {
	return &revokedIndex{
		project: project, limit: maxRevoked,
		sessions: map[ident]int64{}, keys: map[ident]int64{},
		users: map[ident]marks{}, tenants: map[ident]marks{}, epochs: map[ident]marks{}, tenures: map[ident]marks{},
		roles: map[uint64]marks{},
	}
}

// judge returns ReasonRevoked, ReasonOutdated or "".
func (x *revokedIndex) judge(c *Claims) Reason {
	if x.edits.Load() == 0 {
		return ""
	}
	session, user, tenant := identOf(c.SessionID), identOf(c.Principal()), identOf(c.CurrentTenant)
	key := identOf(c.KeyID)
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.revokes(c.Epoch, session, user, tenant, key) {
		return ReasonRevoked
	}
	if x.outdates(c, session, user, tenant) {
		return ReasonOutdated
	}
	return ""
}

func (x *revokedIndex) revokes(epoch int64, session, user, tenant, key ident) bool {
	if _, ok := x.sessions[session]; ok {
		return true
	}
	if _, ok := x.keys[key]; ok {
		return true
	}
	return x.whole.concern(epoch, session) || concern(x.users, user, epoch, session) || concern(x.tenants, tenant, epoch, session)
}

func (x *revokedIndex) outdates(c *Claims, session, user, tenant ident) bool {
	if x.crowd.concern(c.Epoch, session) || x.changed.concern(c.Epoch, session) ||
		concern(x.epochs, session, c.Epoch, session) || concern(x.epochs, user, c.Epoch, session) ||
		x.outdatesRoles(c, session) || x.outdatesShare(c, session) {
		return true
	}
	if len(x.tenures) == 0 {
		return false
	}
	if concern(x.tenures, tenant, c.Epoch, session) {
		return true
	}
	// A token shows what its user may do in every one of its tenants, so a change there
	// outdates it even while another is the current one.
	for id := range c.Tenants {
		if concern(x.tenures, identOf(id), c.Epoch, session) {
			return true
		}
	}
	return false
}

func concern(m map[ident]marks, id ident, epoch int64, session ident) bool {
	if len(m) == 0 {
		return false
	}
	k, ok := m[id]
	return ok && k.concern(epoch, session)
}

// add takes in an entry. now is the instant up to which entries are over, in Unix
// milliseconds.
func (x *revokedIndex) add(e *Revocation, now int64) outcome {
	until, ok := checkEntry(e)
	if !ok {
		return entryMalformed
	}
	if until <= now {
		return entryOver
	}
	m := mark{at: e.At.UnixMilli()}
	// Text that isn't an identifier spares nobody, as no session has it.
	if isID(e.Except) {
		except := identOf(e.Except)
		m.except = &except
	}
	x.change.Lock()
	defer x.change.Unlock()
	return x.put(e.Kind, e.ID, m, until)
}

// checkEntry returns when an entry is over, in Unix milliseconds.
func checkEntry(e *Revocation) (until int64, ok bool) {
	at, until := e.At.UnixMilli(), e.Until.UnixMilli()
	return until, isID(e.ID) && at > 0 && until >= at && e.Until.Year() <= 9999
}

// put adds to the maps; the caller holds change.
func (x *revokedIndex) put(kind, id string, m mark, until int64) outcome {
	key := identOf(id)
	switch kind {
	case kindSession:
		return putUntil(x, x.sessions, key, m, until, x.limit-x.sizeWithoutKeys())
	case kindKey:
		return putUntil(x, x.keys, key, m, until, maxRevokedKeys-len(x.keys))
	case kindUser:
		return x.putMark(x.users, key, m, until)
	case kindTenant:
		return x.putMark(x.tenants, key, m, until)
	case kindProject:
		return x.putProject(&x.whole, id, m, until)
	case kindEpoch:
		switch {
		case strings.HasPrefix(id, "prj_"):
			return x.putProject(&x.changed, id, m, until)
		case strings.HasPrefix(id, "ten_"):
			return x.putMark(x.tenures, key, m, until)
		}
		return x.putMark(x.epochs, key, m, until)
	case kindRole:
		return x.putRole(id, m, until)
	case kindShare:
		return x.putShare(id, m, until)
	}
	return entryUnknown
}

func putUntil(x *revokedIndex, in map[ident]int64, key ident, m mark, until int64, room int) outcome {
	known, ok := in[key]
	if !ok && room <= 0 {
		return x.putCrowd(m, until)
	}
	if until > known {
		x.edit(!ok, func() { in[key] = until })
	}
	if ok {
		return entryKnown
	}
	return entryAdded
}

func (x *revokedIndex) putMark(in map[ident]marks, key ident, m mark, until int64) outcome {
	known, ok := in[key]
	if !ok && x.sizeWithoutKeys() >= x.limit {
		return x.putCrowd(m, until)
	}
	next, grown := known.with(m, until)
	x.edit(grown, func() { in[key] = next })
	if grown {
		return entryAdded
	}
	return entryKnown
}

// putProject refuses what concerns another project: the feed is that of one.
func (x *revokedIndex) putProject(in *marks, id string, m mark, until int64) outcome {
	if id != x.project {
		return entryMalformed
	}
	next, grown := in.with(m, until)
	x.edit(grown, func() { *in = next })
	if grown {
		return entryAdded
	}
	return entryKnown
}

func (x *revokedIndex) putCrowd(m mark, until int64) outcome {
	next, grown := x.crowd.with(mark{at: m.at}, until)
	x.edit(grown, func() { x.crowd = next })
	return entryCrowded
}

// edit changes the maps. The number of edits grows while the lock is still held: who
// reads the number first and judges then can't miss the entry and still hold the number
// that stands for it.
func (x *revokedIndex) edit(refusesMore bool, do func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	do()
	if refusesMore {
		x.edits.Add(1)
	}
}

// sizeWithoutKeys returns how many entries there are but those of keys, roles and shares,
// which are few and have limits of their own. The caller holds change.
func (x *revokedIndex) sizeWithoutKeys() int {
	return len(x.sessions) + len(x.users) + len(x.tenants) + len(x.epochs) + len(x.tenures)
}

// size returns how many sessions, users and so on there are entries of.
func (x *revokedIndex) size() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.sizeWithoutKeys() + len(x.keys) + len(x.roles) + x.changedShares()
	for _, k := range []marks{x.whole, x.changed} {
		if k.until != 0 {
			n++
		}
	}
	return n
}

// crowded reports whether there was no room for entries that still matter.
func (x *revokedIndex) crowded() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.crowd.until != 0
}

// sweep drops what is over at now, in Unix milliseconds.
func (x *revokedIndex) sweep(now int64) {
	x.change.Lock()
	defer x.change.Unlock()
	byUntil := func(until int64) int64 { return until }
	byMarks := func(k marks) int64 { return k.until }
	sweepMap(x, &x.sessions, now, byUntil)
	sweepMap(x, &x.keys, now, byUntil)
	sweepMap(x, &x.users, now, byMarks)
	sweepMap(x, &x.tenants, now, byMarks)
	sweepMap(x, &x.epochs, now, byMarks)
	sweepMap(x, &x.tenures, now, byMarks)
	sweepMap(x, &x.roles, now, byMarks)
	x.sweepShares(now)
	for _, k := range []*marks{&x.whole, &x.changed, &x.crowd} {
		if k.until <= now {
			x.edit(false, func() { *k = marks{} })
		}
	}
}

// sweepMap drops in small steps, so that nobody who judges waits long. Maps never get
// smaller, so one that has become nearly empty is replaced.
func sweepMap[K comparable, V any](x *revokedIndex, m *map[K]V, now int64, until func(V) int64) {
	var over []K
	for id, v := range *m {
		if until(v) <= now {
			over = append(over, id)
		}
	}
	if rest := len(*m) - len(over); len(over) > 1000 && rest < len(over)/4 {
		kept := make(map[K]V, rest)
		for id, v := range *m {
			if until(v) > now {
				kept[id] = v
			}
		}
		x.edit(false, func() { *m = kept })
		return
	}
	for step := range slices.Chunk(over, 1000) {
		x.edit(false, func() {
			for _, id := range step {
				delete(*m, id)
			}
		})
	}
}
