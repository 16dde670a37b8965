package directory_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
)

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/24": "", "192.0.2.7/32": "", "0.0.0.0/0": "", "2001:db8::/32": "", "2001:db8::1/128": "",
		"10.0.0.1/8":          "10.0.0.0/8 is the whole network, 10.0.0.1/32 this one address.",
		"2001:db8::1/32":      "2001:db8::/32 is the whole network, 2001:db8::1/128 this one address.",
		"192.0.2.7":           "such as 192.0.2.0/24",
		"300.0.0.0/8":         "such as 192.0.2.0/24",
		"192.0.2.0/33":        "such as 192.0.2.0/24",
		"":                    "such as 192.0.2.0/24",
		"::ffff:10.0.0.0/104": "such as 192.0.2.0/24",
		"fe80::%eth0/64":      "such as 192.0.2.0/24",
	} {
		n, wrong := directory.ParseNetwork(text)
		if (wrong == "") != (want == "") || !strings.Contains(wrong, want) {
			t.Errorf("%q: %q, want %q", text, wrong, want)
		}
		if wrong == "" && n.String() != text {
			t.Errorf("%q is read as %s", text, n)
		}
	}
}
