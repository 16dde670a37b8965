package latchkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	cookieKeyLen  = 32
	maxCookieKeys = 8 // each costs a try at every cookie that isn't ours
	keysRedacted  = "[cookie keys]"
)

// CookieKeys are AES-256 keys for cookies: the first encrypts, all decrypt. To change
// the key, put the new one first and take the old one away when the longest session
// since then has ended. CookieKeys are immutable, safe for concurrent use, and print as
// a redaction in every format.
//
// Values are sealed with XAES-256-GCM (C2SP): AES-256-GCM under a key that is derived
// for each value from half of a random nonce of 192 bits. With the 96 bits of plain GCM
// a key would have to be replaced after 2^32 cookies, which a large site writes in
// weeks; here the bound is out of reach (2^80). The name of the cookie, without prefix,
// is bound to the value, so one can't stand in for another.
type CookieKeys struct {
	// Functions, because fmt prints what it can't call methods on, such as keys in an
	// unexported field of somebody's struct, and follows even pointers there.
	ring []deriveGCM
}

// ParseCookieKeys reads keys of 32 bytes each, in hexadecimal or base64, with commas or
// white space between them; openssl rand -hex 32 makes one. Keys that are repeated or
// that were plainly not drawn at random are refused. So is text without any key: an
// environment variable with a wrong name must not switch encryption off. Errors name
// the position of a key, never its text.
func ParseCookieKeys(text string) (CookieKeys, error) {
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) })
	if len(words) == 0 {
		return CookieKeys{}, errors.New("cookie keys: there is none")
	}
	if len(words) > maxCookieKeys {
		return CookieKeys{}, fmt.Errorf("cookie keys: %d are too many, %d are the most", len(words), maxCookieKeys)
	}
	var keys CookieKeys
	var flaws []error
	seen := make([][]byte, 0, len(words))
	for i, word := range words {
		b := decodeCookieKey(word)
		flaw := cookieKeyFlaw(b)
		for _, other := range seen {
			if flaw == "" && subtle.ConstantTimeCompare(b, other) == 1 {
				flaw = "it repeats an earlier one"
			}
		}
		if flaw != "" {
			flaws = append(flaws, fmt.Errorf("cookie key %d of %d: %s", i+1, len(words), flaw))
			continue
		}
		k, err := newCookieKey(b)
		if err != nil {
			return CookieKeys{}, err
		}
		keys.ring, seen = append(keys.ring, k), append(seen, b)
	}
	if len(flaws) > 0 {
		return CookieKeys{}, errors.Join(flaws...)
	}
	return keys, nil
}

// decodeCookieKey returns nil for text that isn't 32 bytes. The lengths of 32 bytes in
// hexadecimal and in base64 differ, so no text has two meanings.
func decodeCookieKey(word string) []byte {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		if b, err := decode(word); err == nil && len(b) == cookieKeyLen {
			return b
		}
	}
	return nil
}

// cookieKeyFlaw finds keys that a person made up. One of 10^10 random keys or fewer
// would be refused.
func cookieKeyFlaw(b []byte) string {
	if len(b) != cookieKeyLen {
		return "32 bytes in hexadecimal or base64 are wanted"
	}
	const lowEffort = "it wasn't drawn at random; openssl rand -hex 32 makes one"
	values, steps := map[byte]bool{}, map[byte]bool{}
	printable := true
	for i, c := range b {
		values[c] = true
		steps[c-b[(i+len(b)-1)%len(b)]] = true
		printable = printable && c >= ' ' && c < 0x7f
	}
	// 32 random bytes have about 30 different values, and as many differences.
	const few = cookieKeyLen / 2
	halves := string(b[:len(b)/2]) == string(b[len(b)/2:])
	if len(values) < few || len(steps) < few || printable || halves {
		return lowEffort
	}
	return ""
}

// Len is the number of keys.
func (k CookieKeys) Len() int { return len(k.ring) }

// String redacts the keys.
func (k CookieKeys) String() string { return keysRedacted }

// Format redacts the keys under every verb.
func (k CookieKeys) Format(f fmt.State, _ rune) { io.WriteString(f, keysRedacted) }

// MarshalText redacts the keys in JSON and the like.
func (k CookieKeys) MarshalText() ([]byte, error) { return []byte(keysRedacted), nil }

// LogValue redacts the keys in logs.
func (k CookieKeys) LogValue() slog.Value { return slog.StringValue(keysRedacted) }

// deriveGCM makes the cipher of one value from its nonce, of which it reads the first
// sealDerive bytes.
type deriveGCM func(nonce []byte) (cipher.AEAD, error)

// newCookieKey prepares a key: two CMACs of one block each, in the counter mode of NIST
// SP 800-108r1 with the label "X", derive the keys of values (C2SP, XAES-256-GCM).
func newCookieKey(b []byte) (deriveGCM, error) {
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, err
	}
	var k1 [aes.BlockSize]byte // the first subkey of CMAC (NIST SP 800-38B, 6.1)
	block.Encrypt(k1[:], k1[:])
	carry := byte(0)
	for i := len(k1) - 1; i >= 0; i-- {
		carry, k1[i] = k1[i]>>7, k1[i]<<1|carry
	}
	// The reduction in GF(2^128), without a branch on key material.
	k1[len(k1)-1] ^= carry * 0x87
	return func(nonce []byte) (cipher.AEAD, error) {
		var derived [cookieKeyLen]byte
		for i := range 2 {
			half := derived[i*aes.BlockSize:][:aes.BlockSize]
			copy(half, []byte{0, byte(i + 1), 'X', 0})
			copy(half[4:], nonce[:sealDerive])
			subtle.XORBytes(half, half, k1[:])
			block.Encrypt(half, half)
		}
		block, err := aes.NewCipher(derived[:])
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	}, nil
}

const (
	sealNonce    = 24
	sealTag      = 16
	sealDerive   = 12 // the part of the nonce that derives the key; the rest is GCM's nonce
	sealVersion  = "e1."
	sealOverhead = sealNonce + sealTag
)

// seal encrypts token for the cookie of this name.
func (k CookieKeys) seal(name, token string) (string, error) {
	plain := packToken(token)
	out := make([]byte, sealNonce, sealOverhead+len(plain))
	rand.Read(out)
	aead, err := k.ring[0](out)
	if err != nil {
		return "", err
	}
	out = aead.Seal(out, out[sealDerive:], plain, []byte(name))
	return sealVersion + base64.RawURLEncoding.EncodeToString(out), nil
}

// open decrypts a value, if it is one of this name and of one of the keys.
func (k CookieKeys) open(name, value string) (token string, ok bool) {
	text, ok := strings.CutPrefix(value, sealVersion)
	// The decoder would skip line breaks: a second way to write the same value.
	if !ok || len(value) > maxCookie || strings.ContainsAny(text, "\r\n") {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < sealOverhead {
		return "", false
	}
	for _, derive := range k.ring {
		aead, err := derive(b)
		if err != nil {
			return "", false
		}
		if plain, err := aead.Open(nil, b[sealDerive:sealNonce], b[sealNonce:], []byte(name)); err == nil {
			return unpackToken(plain)
		}
	}
	return "", false
}

// The forms of a sealed token. A JWT is base64 already: sealing the bytes behind it
// spares the third that encoding them twice would cost of the 4096 bytes of a cookie.
const (
	packedText = 0
	packedJWT  = 1 // two lengths of 16 bits, header, payload, signature
)

func packToken(token string) []byte {
	parts := strings.Split(token, ".")
	text := append([]byte{packedText}, token...)
	if len(parts) != 3 || len(token) > 1<<16 {
		return text
	}
	out := make([]byte, 5, 5+len(token))
	out[0] = packedJWT
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(b) != part {
			return text // the very same text must come back
		}
		if i < 2 {
			binary.BigEndian.PutUint16(out[1+2*i:], uint16(len(b)))
		}
		out = append(out, b...)
	}
	return out
}

func unpackToken(b []byte) (token string, ok bool) {
	if len(b) > 0 && b[0] == packedText {
		return string(b[1:]), true
	}
	if len(b) < 5 || b[0] != packedJWT {
		return "", false
	}
	header, payload := int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	b = b[5:]
	if header+payload > len(b) {
		return "", false
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(b[:header]) + "." + encode(b[header:header+payload]) + "." + encode(b[header+payload:]), true
}
