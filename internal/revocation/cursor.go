package revocation

import (
	"fmt"
	"strconv"
	"strings"
)

// Cursor is a place in the feed: behind the entry with this Seq and Tag. The zero value
// is the beginning.
type Cursor struct {
	Seq int64
	Tag uint32
}

// Cursor returns the place behind the entry.
func (e Entry) Cursor() Cursor { return Cursor{e.Seq, e.Tag} }

// String returns the text form, opaque to clients: the number, a dot, the tag in eight
// hexadecimal digits.
func (c Cursor) String() string { return fmt.Sprintf("%d.%08x", c.Seq, c.Tag) }

// maxCursor is the length of the longest text form.
const maxCursor = 19 + 1 + 8

// ParseCursor reads the text form, and nothing but what String makes.
func ParseCursor(s string) (c Cursor, ok bool) {
	if len(s) > maxCursor {
		return Cursor{}, false
	}
	number, tag, found := strings.Cut(s, ".")
	if !found {
		return Cursor{}, false
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 0 {
		return Cursor{}, false
	}
	bits, err := strconv.ParseUint(tag, 16, 32)
	if err != nil {
		return Cursor{}, false
	}
	c = Cursor{seq, uint32(bits)}
	return c, c.String() == s
}
