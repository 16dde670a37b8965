package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "canary-5d1f"

func TestTextRedactsEverywhere(t *testing.T) {
	s := New(canary)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", struct{ Token Text }{s})
		fmt.Fprintf(&out, verb+"\n", struct{ hidden Text }{s})
		fmt.Fprintf(&out, verb+"\n", []any{map[string]any{"a": struct{ hidden []Text }{[]Text{s}}}})
	}
	fmt.Fprintln(&out, s, s.String(), s.GoString())
	if err := json.NewEncoder(&out).Encode(map[string]any{"a": s, "b": []Text{s}}); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "in", struct{ T Text }{s})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "in", struct{ T Text }{s})
	ring, err := ParseRing(NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %#v %s", ring, ring, ring)
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "aead"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q came out:\n%s", leak, out.String())
		}
	}
	if s.Reveal() != canary || len(s.Short()) != 8 {
		t.Error("Reveal or Short is wrong")
	}
}

func TestEqual(t *testing.T) {
	a, b := New("one"), New("two")
	if !a.Equal(New("one")) || a.Equal(b) || a.Equal(New("one ")) {
		t.Error("Equal")
	}
	if !a.Digest().Equal(New("one").Digest()) || a.Digest().Equal(b.Digest()) {
		t.Error("Digest.Equal")
	}
	if a.IsZero() || !New("").IsZero() {
		t.Error("IsZero")
	}
}

// Attack 17: cut or flip any part of a key, and it must fail before any store is asked.
func TestAPIKeyAltered(t *testing.T) {
	for _, kind := range []KeyKind{Management, Verify, Access} {
		key := NewKey(kind).Reveal()
		if got, err := ParseKey(New(key)); err != nil || got != kind {
			t.Fatalf("%q: %v %v", key, got, err)
		}
		for i := range len(key) {
			if _, err := ParseKey(New(key[:i])); err == nil {
				t.Errorf("cut to %d characters it still parses", i)
			}
			for bit := range 8 {
				b := []byte(key)
				b[i] ^= 1 << bit
				if _, err := ParseKey(New(string(b))); err == nil {
					t.Errorf("bit %d of byte %d flipped, and it still parses", bit, i)
				}
			}
		}
		if _, err := ParseKey(New(key + "0")); err == nil {
			t.Error("a longer key parses")
		}
	}
	// A verify key renamed to a management key must not parse either.
	renamed := strings.Replace(NewKey(Verify).Reveal(), "verify", "mgmt", 1)
	if _, err := ParseKey(New(renamed)); err == nil {
		t.Error("a key of one kind was renamed to another")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("lk_mgmt_0")
	f.Add(NewKey(Verify).Reveal())
	f.Fuzz(func(t *testing.T, s string) {
		if kind, err := ParseKey(New(s)); err == nil && !strings.HasPrefix(s, "lk_"+string(kind)+"_") {
			t.Errorf("%q parsed as %s", s, kind)
		}
	})
}

func TestRing(t *testing.T) {
	first, second := NewMasterKey(), NewMasterKey()
	old, err := ParseRing(first)
	if err != nil {
		t.Fatal(err)
	}
	sealed := old.Seal([]byte("private"), "key_1")
	rotated, err := ParseRing(New("# new\n" + second.Reveal() + "\n\n" + first.Reveal() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := rotated.Open(sealed, "key_1"); err != nil || string(plain) != "private" {
		t.Fatalf("%q %v", plain, err)
	}
	if _, err := rotated.Open(sealed, "key_2"); err == nil {
		t.Error("opened under another context")
	}
	if _, err := old.Open(rotated.Seal([]byte("x"), "c"), "c"); err == nil {
		t.Error("opened without its key")
	}
	for i := range sealed {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		if _, err := old.Open(b, "key_1"); err == nil {
			t.Fatalf("opened with byte %d altered", i)
		}
		if _, err := old.Open(sealed[:i], "key_1"); err == nil {
			t.Fatalf("opened when cut to %d bytes", i)
		}
	}
	hexKey := strings.Repeat("0a", 32)
	if _, err := ParseRing(New(hexKey)); err != nil {
		t.Error("hexadecimal refused:", err)
	}
	for _, bad := range []string{"", "# only a comment", canary, hexKey[2:], strings.Repeat("a", 100_000)} {
		_, err := ParseRing(New(bad))
		if err == nil {
			t.Errorf("%.20q accepted", bad)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// After Reseal, the key that sealed before isn't needed any more.
func TestReseal(t *testing.T) {
	first, second := NewMasterKey(), NewMasterKey()
	ring := func(keys ...Text) *Ring {
		t.Helper()
		var lines []string
		for _, k := range keys {
			lines = append(lines, k.Reveal())
		}
		r, err := ParseRing(New(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old, both, fresh := ring(first), ring(second, first), ring(second)
	sealed := old.Seal([]byte("private"), "key_1")
	if !old.Current(sealed) || both.Current(sealed) || fresh.Current(sealed) {
		t.Error("Current takes the first key for another one")
	}
	for n := range 4 {
		if both.Current(sealed[:n]) || old.Current(sealed[:n]) {
			t.Errorf("%d bytes are current", n)
		}
	}
	before := bytes.Clone(sealed)
	resealed, err := both.Reseal(sealed, "key_1")
	if err != nil || !both.Current(resealed) || !fresh.Current(resealed) || old.Current(resealed) {
		t.Fatalf("not resealed under the first key: %v", err)
	}
	if !bytes.Equal(sealed, before) {
		t.Error("the old sealing was overwritten")
	}
	if plain, err := fresh.Open(resealed, "key_1"); err != nil || string(plain) != "private" {
		t.Errorf("the new key alone opens %q, %v", plain, err)
	}
	if _, err := fresh.Open(resealed, "key_2"); err == nil {
		t.Error("the context was lost")
	}
	for what, refused := range map[string]func() ([]byte, error){
		"another context": func() ([]byte, error) { return both.Reseal(sealed, "key_2") },
		"no key for it":   func() ([]byte, error) { return fresh.Reseal(sealed, "key_1") },
		"nothing":         func() ([]byte, error) { return both.Reseal(nil, "key_1") },
	} {
		if got, err := refused(); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
}
