package audit_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
)

func TestCursor(t *testing.T) {
	for _, c := range []audit.Cursor{{}, {Seq: 1}, {Seq: 1<<63 - 1, Tag: 1<<32 - 1}, {Seq: 42, Tag: 7}} {
		if got, ok := audit.ParseCursor(c.String()); !ok || got != c {
			t.Errorf("%s is read as %v, %v", c, got, ok)
		}
	}
	for _, bad := range []string{"", ".", "1", "1.", ".00000000", "1.0", "01.00000000", "+1.00000000", "-1.00000000", "1.0000000G", "1.0000000A", " 1.00000000", "9223372036854775808.00000000", "1.00000000.00000000"} {
		if got, ok := audit.ParseCursor(bad); ok {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

// FuzzCursor: what is read is what is written, and nothing else is read.
func FuzzCursor(f *testing.F) {
	f.Add("1.00000000")
	f.Add("12345678901234567890.ffffffff")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := audit.ParseCursor(s); ok && (c.String() != s || c.Seq < 0) {
			t.Errorf("%q is read as %v", s, c)
		}
	})
}
