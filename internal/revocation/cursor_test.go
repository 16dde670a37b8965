package revocation_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/revocation"
)

func TestCursorText(t *testing.T) {
	t.Parallel()
	for _, c := range []revocation.Cursor{{}, {Seq: 1, Tag: 0xab}, {Seq: 1<<63 - 1, Tag: 1<<32 - 1}} {
		if got, ok := revocation.ParseCursor(c.String()); !ok || got != c {
			t.Errorf("%q became %+v, %v", c, got, ok)
		}
	}
}

// A cursor has one spelling, and what isn't one is never taken for one.
func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{
		"", ".", "0.00000000", "1.000000ab", "1.000000AB", "01.000000ab", "+1.000000ab", "-1.000000ab", "1.ab", "1", "1.000000ab.", " 1.000000ab",
		"9223372036854775807.ffffffff", "9223372036854775808.ffffffff", "1.0x0000ab", "1_0.000000ab", "1.00000_ab",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := revocation.ParseCursor(s)
		if ok && (c.String() != s || c.Seq < 0) {
			t.Errorf("%q was taken for %+v", s, c)
		}
	})
}
