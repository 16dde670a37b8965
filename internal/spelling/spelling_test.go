package spelling

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"addr", "store", "log-level", "log-format", "a"}
	for given, want := range map[string]string{
		"adr": "addr", "addr": "addr", "addrs": "addr", "adress": "", "loglevel": "log-level", "log-fromat": "log-format", "sotre": "",
		"": "a", "b": "a", "bc": "", "colour": "", "strore": "store",
	} {
		if got := Nearest(given, names...); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
	if got := Nearest("x"); got != "" {
		t.Errorf("%q of no names", got)
	}
	if got := Nearest("ac", "ab", "ad"); got != "ab" {
		t.Errorf("of two that are as near it is %q, want the first", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
