package latchkey

// ident is an identifier as a key of maps: its bytes and, in the last one, its length.
// It has no pointer, so that the garbage collector passes over a million of them. The
// zero value is no identifier.
type ident [32]byte

// identOf returns the key of an identifier, and the zero value for text that can't be
// one.
func identOf(id string) (key ident) {
	if len(id) < len(key) {
		key[len(key)-1] = byte(copy(key[:], id))
	}
	return key
}

// text returns the identifier.
func (k ident) text() string { return string(k[:k[len(k)-1]]) }

// mark says that tokens minted until an instant are concerned, except those of one
// session.
type mark struct {
	at     int64  // Unix milliseconds; 0 is no mark
	except *ident // nil: no exception
}

func (m mark) concerns(epoch int64, session ident) bool {
	return m.at != 0 && epoch <= m.at && (m.except == nil || *m.except != session)
}

func (m mark) sparesAs(n mark) bool {
	return m.except == n.except || m.except != nil && n.except != nil && *m.except == *n.except
}

// marks are what is known of one user, tenant or project. Any number of entries comes
// down to two: the latest, and the latest of those with another exception. For a session
// that the first spares, only the others count, and the second is the latest of them;
// for every other session the first counts, being the latest of all.
type marks struct {
	latest, other mark
	until         int64 // Unix milliseconds: when the last of all entries is over
}

func (k *marks) concern(epoch int64, session ident) bool {
	return k.latest.concerns(epoch, session) || k.other.concerns(epoch, session)
}

// with returns the marks with one more, and whether they concern tokens now that they
// didn't concern before. They last as long as the longest of their entries: that keeps
// an entry that was folded into a later one for as long as it matters.
func (k marks) with(m mark, until int64) (marks, bool) {
	k.until = max(k.until, until)
	switch {
	case m.at <= k.latest.at && (k.latest.except == nil || m.sparesAs(k.latest)):
		return k, false
	case m.at > k.latest.at:
		if !m.sparesAs(k.latest) {
			k.other = k.latest
		}
		k.latest = m
	case m.at > k.other.at:
		k.other = m
	default:
		return k, false
	}
	if k.latest.except == nil {
		k.other = mark{} // the first counts for every session
	}
	return k, true
}
