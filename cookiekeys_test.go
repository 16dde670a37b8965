package latchkey

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// cookieKeyText is a key as a person would paste it; n makes different ones.
func cookieKeyText(n int) string {
	b := make([]byte, cookieKeyLen)
	for i := range b {
		b[i] = byte((i+1)*(i+3)*37 + n*101 + i*i*i*11)
	}
	return hex.EncodeToString(b)
}

func cookieKeys(t testing.TB, text string) CookieKeys {
	t.Helper()
	keys, err := ParseCookieKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// someJWT is shaped like a token; nobody verifies it here.
func someJWT(claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)) + "." + e([]byte(claims)) + "." + e(bytes.Repeat([]byte{0xa5, 7}, 32))
}

func TestParseCookieKeys(t *testing.T) {
	one, two := cookieKeyText(1), cookieKeyText(2)
	raw, _ := hex.DecodeString(two)
	ascending := make([]byte, 32)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name, text string
		keys       int
		want       string
	}{
		{"hex", one, 1, ""},
		{"capitals", strings.ToUpper(one), 1, ""},
		{"base64", b64(raw), 1, ""},
		{"base64 without padding", base64.RawStdEncoding.EncodeToString(raw), 1, ""},
		{"base64url", base64.URLEncoding.EncodeToString(raw), 1, ""},
		{"base64url without padding", base64.RawURLEncoding.EncodeToString(raw), 1, ""},
		{"comma", one + "," + two, 2, ""},
		{"lines and blanks", "\n " + one + " ,\t\r\n" + b64(raw) + "\n", 2, ""},
		{"empty", "", 0, "there is none"},
		{"blank", " ,\n", 0, "there is none"},
		{"short", one[:62], 0, "cookie key 1 of 1: 32 bytes"},
		{"long", one + "00", 0, "cookie key 1 of 1: 32 bytes"},
		{"second is short", one + " " + two[2:], 0, "cookie key 2 of 2: 32 bytes"},
		{"no hex", strings.Replace(one, one[:1], "g", 1), 0, "32 bytes"},
		{"repeated", one + " " + two + " " + one, 0, "cookie key 3 of 3: it repeats"},
		{"repeated in another form", two + " " + b64(raw), 0, "cookie key 2 of 2: it repeats"},
		{"zeros", strings.Repeat("00", 32), 0, "drawn at random"},
		{"counting", hex.EncodeToString(ascending), 0, "drawn at random"},
		{"a pattern", strings.Repeat("deadbeef", 8), 0, "drawn at random"},
		{"twice the same half", one[:32] + one[:32], 0, "drawn at random"},
		{"a passphrase", b64([]byte("correct-horse-battery-staple-42!")), 0, "drawn at random"},
		{"two flaws at once", "x " + strings.Repeat("00", 32), 0, "cookie key 1 of 2: 32 bytes in hexadecimal or base64 are wanted\ncookie key 2 of 2: it wasn't"},
		{"too many", strings.Repeat(one+" ", 9), 0, "9 are too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParseCookieKeys(c.text)
			if keys.Len() != c.keys {
				t.Errorf("%d keys, want %d (%v)", keys.Len(), c.keys, err)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			for _, word := range strings.FieldsFunc(c.text, func(r rune) bool { return strings.ContainsRune(", \n\t\r", r) }) {
				if err != nil && len(word) > 8 && strings.Contains(err.Error(), word) {
					t.Errorf("the error shows a key: %v", err)
				}
			}
		})
	}
}

// The published vectors of C2SP's XAES-256-GCM.
func TestCookieKeyVectors(t *testing.T) {
	for _, c := range []struct {
		key      byte
		aad, out string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		k, err := newCookieKey(bytes.Repeat([]byte{c.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		aead, err := k(nonce)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(aead.Seal(nil, nonce[sealDerive:], []byte("XAES-256-GCM"), []byte(c.aad))); got != c.out {
			t.Errorf("key %d: %s, want %s", c.key, got, c.out)
		}
	}
}

func TestCookieKeysRedact(t *testing.T) {
	text := cookieKeyText(1)
	keys := cookieKeys(t, text)
	raw, _ := hex.DecodeString(text)
	c := CookieConfig{Keys: keys}
	hidden := struct{ c CookieConfig }{c} // fmt can't call methods in here
	js, err := json.Marshal(struct{ Keys CookieKeys }{keys})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("keys", "keys", keys, "config", c)
	shown := string(js) + logged.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{keys, &keys, c, &c, hidden, &hidden, keys.ring} {
			shown += fmt.Sprintf(verb+"\n", v)
		}
	}
	for _, secret := range []string{
		text, strings.ToUpper(text), string(raw), fmt.Sprint(raw[:4])[1:8], fmt.Sprintf("%#v", raw[:3])[7:20],
		"32 12 163 81", "200ca351", // the subkey
	} {
		if strings.Contains(shown, secret) {
			t.Errorf("shows key material %q in\n%s", secret, shown)
		}
	}
	if !strings.Contains(fmt.Sprintf("%v", keys), keysRedacted) || !strings.Contains(string(js), keysRedacted) {
		t.Errorf("no redaction in %v and %s", keys, js)
	}
}

func TestCookieSeal(t *testing.T) {
	old, both, other := cookieKeys(t, cookieKeyText(1)), cookieKeys(t, cookieKeyText(2)+" "+cookieKeyText(1)), cookieKeys(t, cookieKeyText(3))
	jwt := someJWT(`{"sub":"usr_1","iat":1700000000}`)
	for _, token := range []string{
		"", "rt_0123456789", jwt, ".", "..", "...", "a.b.c", "QQ.QQ.QQ", "QR.QQ.QQ", "QQ==.QQ.QQ", "QQ.QQ\n.QQ", jwt + ".x", strings.Repeat("x", 70000),
	} {
		sealed, err := old.seal("DS", token)
		if err != nil {
			t.Fatal(err)
		}
		again, err := old.seal("DS", token)
		if err != nil || again == sealed {
			t.Errorf("%.20q: sealing twice gives the same text (%v)", token, err)
		}
		if len(sealed) <= maxCookie {
			for _, keys := range []CookieKeys{old, both} {
				if got, ok := keys.open("DS", sealed); !ok || got != token {
					t.Errorf("%.20q comes back as %.20q (%v)", token, got, ok)
				}
			}
		}
		for _, c := range []struct {
			keys        CookieKeys
			name, value string
		}{{other, "DS", sealed}, {old, "DSR", sealed}, {old, "ds", sealed}, {CookieKeys{}, "DS", sealed}, {old, "DS", token}} {
			if got, ok := c.keys.open(c.name, c.value); ok {
				t.Errorf("%.20q opens under another key or name: %.20q", token, got)
			}
		}
	}
	sealed, _ := old.seal("DS", jwt)
	if plus := len(sealed) - len(jwt); plus > 70 {
		t.Errorf("sealing adds %d bytes to a JWT of %d", plus, len(jwt))
	}
}

// sealedEarlier is a value of an earlier run, under the first key, for the name DS.
const sealedEarlier = "e1.XWoEg-aKlvfsuoPZYIcrpfOZNXkfJF7-X7TdVqAjTJGSVhymZwRcHz143Wj7oa-fk3sYi49q74c0QGR2KjS8FztZsshPHfavEfkYot5EJUYTVkTGG0_Xu7NAvO1wE305BrtvEoI0HMXFHeGTUsBRQ2Cg7zRgwVVYOQ1wLOXCFumNFvjfYik06nmwAu8Bm8yZWlp68NQsv28Rnyhyxqgv3oPS82NQ"

// A new version reads the cookies of the one before it.
func TestCookieSealKeepsItsFormat(t *testing.T) {
	want := someJWT(`{"sub":"usr_1"}`)
	if got, ok := cookieKeys(t, cookieKeyText(1)).open("DS", sealedEarlier); !ok || got != want {
		t.Errorf("%q, %v", got, ok)
	}
}

// Attack 17: a value of which any byte was flipped, replaced or cut off is no cookie.
func TestAttack17SealedCookie(t *testing.T) {
	keys := cookieKeys(t, cookieKeyText(1))
	for _, token := range []string{"rt_0123456789abcdef", someJWT(`{"sub":"usr_1"}`)} {
		sealed, err := keys.seal("DS", token)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what, value string) {
			if got, ok := keys.open("DS", value); ok {
				t.Errorf("%s is accepted as %.20q", what, got)
			}
		}
		for i := range len(sealed) {
			refused(fmt.Sprintf("cut to %d", i), sealed[:i])
			refused(fmt.Sprintf("cut from %d", i), sealed[i:][min(1, i):][:max(0, len(sealed)-i-1)])
			refused(fmt.Sprintf("without byte %d", i), sealed[:i]+sealed[i+1:])
			for _, c := range []byte("A_-z0=.\n\x00 ") {
				if sealed[i] != c {
					refused(fmt.Sprintf("byte %d as %q", i, c), sealed[:i]+string(c)+sealed[i+1:])
				}
				refused(fmt.Sprintf("%q before byte %d", c, i), sealed[:i]+string(c)+sealed[i:])
			}
			for bit := range 8 {
				b := []byte(sealed)
				b[i] ^= 1 << bit
				refused(fmt.Sprintf("bit %d of byte %d", bit, i), string(b))
			}
		}
		refused("with more", sealed+"A")
		refused("with padding", sealed+"=")
		// Below base64, too: spare bits must not hide a change.
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(sealed, sealVersion))
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] ^= 0x80
			refused(fmt.Sprintf("raw byte %d", i), sealVersion+base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 0x80
		}
	}
}

func TestUnpackToken(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {2}, {1}, {1, 0, 0, 0}, {1, 0, 1, 0, 0}, {1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}} {
		if got, ok := unpackToken(b); ok {
			t.Errorf("%v is unpacked to %q", b, got)
		}
	}
}

func FuzzParseCookieKeys(f *testing.F) {
	for _, seed := range []string{"", " , ", cookieKeyText(1), cookieKeyText(1) + "," + cookieKeyText(2), strings.Repeat("00", 32), strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseCookieKeys(text)
		if (err == nil) != (keys.Len() > 0) || keys.Len() > maxCookieKeys {
			t.Fatalf("%d keys and %v", keys.Len(), err)
		}
		if err != nil {
			return
		}
		sealed, err := keys.seal("DS", "rt_x")
		if err != nil {
			t.Fatal(err)
		}
		if token, ok := keys.open("DS", sealed); !ok || token != "rt_x" {
			t.Fatalf("%q, %v", token, ok)
		}
	})
}

// No value opens but those that were sealed, and everything that is sealed opens.
func FuzzSealedCookie(f *testing.F) {
	keys, err := ParseCookieKeys(cookieKeyText(1))
	if err != nil {
		f.Fatal(err)
	}
	const sealed = sealedEarlier
	for _, seed := range []string{"", "e1.", "e1.AAAA", sealed, sealed + "A", "a.b.c", "QQ.QQ.QQ", "rt_1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, ok := keys.open("DS", text); ok && text != sealed {
			t.Fatalf("%q opens as %q", text, got)
		}
		value, err := keys.seal("DS", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := keys.open("DS", value); len(value) <= maxCookie && (!ok || got != text) {
			t.Fatalf("%q comes back as %q, %v", text, got, ok)
		}
		unpackToken([]byte(text))
	})
}
