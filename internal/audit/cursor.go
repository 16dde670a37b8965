package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Cursor is a follower's place in the log: behind the entry with this Seq, whose
// identifier ends with Tag. Tag is 0 when there is no such entry any more. The zero value
// is the beginning.
type Cursor struct {
	Seq int64
	Tag uint32
}

// Cursor returns the place behind the entry.
func (e Entry) Cursor() Cursor { return Cursor{e.Seq, binary.BigEndian.Uint32(e.ID[12:])} }

// String returns the text form, opaque to clients: the number, a dot, the tag in eight
// hexadecimal digits.
func (c Cursor) String() string { return fmt.Sprintf("%d.%08x", c.Seq, c.Tag) }

// maxCursor is the length of the longest text form.
const maxCursor = 19 + 1 + 8

// ParseCursor reads the text form, and nothing but what String makes.
func ParseCursor(s string) (c Cursor, ok bool) {
	number, tag, found := strings.Cut(s, ".")
	if !found || len(s) > maxCursor {
		return Cursor{}, false
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	bits, notHex := strconv.ParseUint(tag, 16, 32)
	if err != nil || notHex != nil || seq < 0 {
		return Cursor{}, false
	}
	c = Cursor{seq, uint32(bits)}
	return c, c.String() == s
}

// End returns the place behind the newest entry.
func End(ctx context.Context, s Store) (Cursor, error) {
	last, err := s.Last(ctx)
	if err != nil {
		return Cursor{}, err
	}
	return Place(ctx, s, last)
}

// Place returns the place behind the entry with a Seq.
func Place(ctx context.Context, s Store, seq int64) (Cursor, error) {
	e, err := s.At(ctx, seq)
	if fault.KindOf(err) == fault.NotFound {
		return Cursor{Seq: seq}, nil
	}
	return e.Cursor(), err
}

// Known reports whether a cursor is a place in this log. One of a log that was replaced by
// an older copy has a number that wasn't given yet, or another entry's. An entry that was
// swept is taken for the one that was meant.
func Known(ctx context.Context, s Store, c Cursor) (bool, error) {
	last, err := s.Last(ctx)
	if err != nil || c.Seq > last {
		return false, err
	}
	now, err := Place(ctx, s, c.Seq)
	return err == nil && (now.Tag == 0 || c.Tag == 0 || now.Tag == c.Tag), err
}
