package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Attacks 11 and 12: what isn't exactly one JSON text in UTF-8.
func TestDecodeSyntax(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"cut", `{"user":`, " format byte 8: unexpected end of JSON input"},
		{"missing value", `{"user":}`, " format byte 8: invalid character '}' looking for beginning of value"},
		{"trailing data", `{} {}`, " format byte 3: invalid character '{' after top-level value"},
		{"trailing comma", `{"a":1,}`, " format byte 7: invalid character '}' looking for beginning of object key string"},
		{"only white space", " \n", " format byte 2: unexpected end of JSON input"},
		{"byte order mark", "\xef\xbb\xbf{}", " format byte 0: a byte order mark isn't allowed"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", " format byte 6: not valid UTF-8"},
		{"invalid UTF-8 after U+FFFD", "{\"\ufffd\":\"\xc3\x28\"}", " format byte 8: not valid UTF-8"},
		{"lone high surrogate", `{"name":"a\ud800"}`, " format byte 10: half of a surrogate pair"},
		{"lone low surrogate", `{"name":"\\\udc00"}`, " format byte 11: half of a surrogate pair"},
		{"two high surrogates", `{"\ud800\ud800":1}`, " format byte 2: half of a surrogate pair"},
		{"high surrogate, then text", `{"\ud800xxxxxx":1}`, " format byte 2: half of a surrogate pair"},
		{"high surrogate at the end", `"\ud800"`, " format byte 1: half of a surrogate pair"},
		{"control character", "{\"a\":\"\x00\"}", " format byte 6: invalid character '\\x00' in string literal"},
		{"not a number", `{"count":NaN}`, " format byte 9: invalid character 'N' looking for beginning of value"},
		{"comment", `{/**/}`, " format byte 1: invalid character '/' looking for beginning of object key string"},
		{"deeper than the decoder goes", strings.Repeat("[", 20_000), " format byte 10000: invalid character '[' exceeded max depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := problems(t, Decode(post(tt.body), MaxBody, new(signIn))); len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, text := range []string{`"\\ud800"`, `"\ud83d\ude00\u0041"`, `"\u00e4\n"`} {
		var raw json.RawMessage
		if err := Decode(post(`{"a":`+text+`}`), MaxBody, &raw); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecodeSize(t *testing.T) {
	body := `{"refreshToken":"` + strings.Repeat("x", 5000) + `"}`
	type refresh struct {
		Token string `json:"refreshToken"`
	}
	chunked := func(limit int64) error {
		r := post("")
		r.Body, r.ContentLength = io.NopCloser(iotest.OneByteReader(strings.NewReader(body))), -1
		return Decode(r, limit, new(refresh))
	}
	size := int64(len(body))
	for name, check := range map[string]func(limit int64) error{
		"announced": func(limit int64) error { return Decode(post(body), limit, new(refresh)) },
		"chunked":   chunked,
	} {
		if err := check(size); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		if err := check(size - 1); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%s: over the limit: %v", name, err)
		}
	}
	r := post("")
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(body)), 10)
	r.ContentLength = -1
	if err := Decode(r, MaxBody, new(refresh)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("over the server's own limit: %v", err)
	}
}

func TestDecodeBrokenBody(t *testing.T) {
	r := post("")
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), 10
	if err := Decode(r, MaxBody, new(signIn)); fault.KindOf(err) != fault.Invalid || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Decode(r.WithContext(ctx), MaxBody, new(signIn)); !errors.Is(err, context.Canceled) {
		t.Error("a client that went away is blamed for its body:", err)
	}
}

func TestDecodeContentType(t *testing.T) {
	tests := []struct {
		name string
		set  func(http.Header)
		ok   bool
	}{
		{"absent", func(h http.Header) { h.Del("Content-Type") }, true},
		{"plain", func(h http.Header) { h.Set("Content-Type", "application/json") }, true},
		{"in capitals", func(h http.Header) { h.Set("Content-Type", "Application/JSON") }, true},
		{"form", func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, false},
		{"text, which needs no preflight", func(h http.Header) { h.Set("Content-Type", "text/plain; application/json") }, false},
		{"empty", func(h http.Header) { h.Set("Content-Type", "") }, false},
		{"broken", func(h http.Header) { h.Set("Content-Type", "application/json;;=") }, false},
		{"two", func(h http.Header) { h.Add("Content-Type", "text/plain") }, false},
		{"compressed", func(h http.Header) { h.Set("Content-Encoding", "gzip") }, false},
		{"not compressed", func(h http.Header) { h.Set("Content-Encoding", "identity") }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := post(`{"name":"x"}`)
			tt.set(r.Header)
			err := Decode(r, MaxBody, new(struct {
				Name string `json:"name"`
			}))
			if tt.ok && err != nil || !tt.ok && !strings.Contains(strings.Join(problems(t, err), ""), " format ") {
				t.Error(err)
			}
		})
	}
	r := post("")
	r.Header.Set("Content-Type", "text/plain")
	if err := Decode(r, MaxBody, new(signInDevice)); problems(t, err)[0] != "/ip required the member is required" {
		t.Error("the type of no body matters:", err)
	}
}
