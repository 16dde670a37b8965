package observe

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/secret"
)

const (
	jwt    = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c3JfY2FuYXJ5In0.c2lnbmF0dXJlLWNhbmFyeS1zaWduYXR1cmUtY2FuYXJ5LQ"
	opaque = "rt_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1"
)

// credentials returns one of each kind.
func credentials() map[string]string {
	return map[string]string{
		"JWT": jwt, "opaque": opaque,
		"management key": secret.NewKey(secret.Management).Reveal(),
		"verify key":     secret.NewKey(secret.Verify).Reveal(),
	}
}

// leaks reports whether any 12 characters of a credential, beyond its first 8, are in
// out. A JWT's header is in all of them and no secret.
func leaks(out, credential string) bool {
	from := 8
	if at := strings.IndexByte(credential, '.'); at > 0 {
		from = at + 1
	}
	for ; from+12 <= len(credential); from++ {
		if strings.Contains(out, credential[from:from+12]) {
			return true
		}
	}
	return false
}

func TestMask(t *testing.T) {
	t.Parallel()
	for name, c := range credentials() {
		short := "[redacted " + secret.New(c).Short() + "]"
		for in, want := range map[string]string{
			c:                                    short,
			"Bearer " + c:                        "Bearer " + short,
			"was " + c + ".":                     "was " + short + ".",
			"was " + c + "...":                   "was " + short + "...",
			`{"token":"` + c + `"}`:              `{"token":"` + short + `"}`,
			"a=" + c + "&b=" + c + "#x":          "a=" + short + "&b=" + short + "#x",
			"\n" + c + "\n" + c:                  "\n" + short + "\n" + short,
			`\n` + c:                             `\n` + short, // escaped once already
			"%22" + c + "%22":                    "%22" + short + "%22",
			"__Host-" + c[:0] + "x=" + c + "; x": "__Host-x=" + short + "; x",
			"/path/" + c + "/rest":               "/path/" + short + "/rest",
			"ä" + c + "ä":                        "ä" + short + "ä",
		} {
			if got := mask(in); got != want {
				t.Errorf("%s: %q\nbecame %q\nwant   %q", name, in, got, want)
			}
		}
		for _, in := range []string{
			base64.StdEncoding.EncodeToString([]byte(c)), base64.RawURLEncoding.EncodeToString([]byte(c)),
			url.QueryEscape(`{"t":"` + c + `"}`), c + c, c + opaque, c + "." + jwt, "x" + c, "9" + c,
		} {
			out := mask(in)
			if leaks(out, c) || leaks(out, base64.StdEncoding.EncodeToString([]byte(c))) || !strings.Contains(out, "[redacted ") {
				t.Errorf("%s: %q became %q", name, in, out)
			}
		}
		// What is left of a token that was cut is hidden too, while it is worth it.
		for n := 24; n < len(c); n++ {
			if out := mask("token " + c[:n]); !strings.HasPrefix(out, "token [redacted ") || leaks(out, c) {
				t.Errorf("%s cut to %d: %q", name, n, out)
			}
		}
	}
}

func TestMaskLeavesTheRest(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "e", "eyJ", "rt_", "lk_", "rt_1", "eyJ.x.y", "sort_ascending", "start_something", "talk_to_me", "report_rt_",
		"GET /prj_01k3v9zq2xnmtr/session/refresh", "usr_01k3v9zq2xnmtr8w4h5j6k7m8n", "ak_01k3v9zq2xnmtr8w4h5j6k7m8n",
		"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "2001:db8::1", "the sort_order_of_x is wrong",
		"github.com/latchkey-dev/latchkey/internal/session.(*Service).Refresh", "[redacted 1a2b3c4d]", "ZXlK", "a cnRfcnRf",
	} {
		if got := mask(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestMaskAllocatesOnlyWhenItMust(t *testing.T) {
	line := "the session was refreshed by sort_ascending eyJ rt_1 from 192.0.2.0/24"
	if n := testing.AllocsPerRun(100, func() { mask(line) }); n != 0 {
		t.Errorf("%v allocations for a line without a credential", n)
	}
}

// Wherever a credential stands in a line, it doesn't come out, and what is hidden
// stays hidden.
func FuzzMask(f *testing.F) {
	f.Add("token=", " was refused")
	f.Add("eyJ", "eyJ")
	f.Add("ZXlKAAAAAAAAAAAAAAAAAAAAAAAA", "=")
	f.Add("rt_", ".rt_")
	f.Add("lk_lk_", "%")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before, "canary") || strings.Contains(after, "canary") {
			return
		}
		for _, c := range []string{
			"eyJhbGciOiJFUzI1NiJ9.eyJjYW5hcnkiOiJ4In0.canary-canary-canary",
			"rt_canary-canary-canary-canary-canary",
			"lk_mgmt_canarycanarycanarycanarycanarycanary",
		} {
			out := mask(before + c + after)
			if strings.Contains(out, "canary") {
				t.Fatalf("%q became %q", before+c+after, out)
			}
			if again := mask(out); again != out {
				t.Fatalf("%q is masked once more: %q", out, again)
			}
		}
	})
}

func BenchmarkMask(b *testing.B) {
	line := "The presented refresh token had been replaced for good. Two holders are proven and the session was ended."
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		mask(line)
	}
}
