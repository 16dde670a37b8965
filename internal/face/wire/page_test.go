package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestPageToken(t *testing.T) {
	cursors := [][]byte{{0}, []byte("ses_7zzzzzzzzzzzzzzzzzzzzzzzzz"), bytes.Repeat([]byte{0xff}, 700)}
	for _, cursor := range cursors {
		token := EncodePage(cursor)
		got, err := Page{Token: token}.Cursor()
		if err != nil || !bytes.Equal(got, cursor) {
			t.Errorf("%q: %q %v", cursor, got, err)
		}
		if strings.ContainsAny(token, "+/=&?#% ") {
			t.Errorf("%s needs escaping in a URL", token)
		}
	}
	if EncodePage(nil) != "" {
		t.Error("the end of a list has a token")
	}
	if got, err := DecodePage(""); got != nil || err != nil {
		t.Error("the first page:", got, err)
	}
}

// Attacks 17 and 39: cut, flip or invent any part of a page token, and the list isn't
// asked.
func TestPageTokenAltered(t *testing.T) {
	token := EncodePage([]byte("ses_7zzzzzzzzzzzzzzzzzzzzzzzzz"))
	bad := []string{"x", "AQ", token + "A", token + "=", " " + token, strings.Repeat("A", 5000), "' OR 1=1 --", EncodePage(bytes.Repeat([]byte{1}, 2000))}
	for i := range token {
		if i > 0 {
			bad = append(bad, token[:i])
		}
		for bit := range 8 {
			b := []byte(token)
			b[i] ^= 1 << bit
			bad = append(bad, string(b))
		}
	}
	for _, text := range bad {
		if got, err := DecodePage(text); got != nil || fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(problems(t, err)[0], "?pageToken format ") {
			t.Errorf("%.60q: %q %v", text, got, err)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add("")
	f.Add("AQ")
	f.Add(EncodePage([]byte("x")))
	f.Add(EncodePage([]byte("ses_7zzzzzzzzzzzzzzzzzzzzzzzzz")))
	f.Fuzz(func(t *testing.T, token string) {
		if cursor, err := DecodePage(token); err == nil && EncodePage(cursor) != token {
			t.Errorf("%q has another spelling", token)
		}
	})
}
