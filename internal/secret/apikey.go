package secret

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// ErrMalformed is returned for text that can't be an API key: truncated, altered, or
// of no known kind. Such text must not reach a store.
var ErrMalformed = errors.New("not an API key")

// KeyKind tells what an API key is for; it is the visible part of its prefix.
type KeyKind string

// The kinds of API keys.
const (
	Management KeyKind = "mgmt"   // lk_mgmt_…: the management API
	Verify     KeyKind = "verify" // lk_verify_…: verifiers; reads what they need, changes nothing
	Access     KeyKind = "ak"     // lk_ak_…: a machine; is exchanged for session tokens and opens nothing else
)

// keyEntropy is the number of random bytes of an API key. 28 bytes with the checksum
// are 44.8 base32 digits; the spare bits of the last digit must be zero (keyText).
const keyEntropy = 24

var keyText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewKey returns a fresh API key: "lk_", the kind, "_", then 24 random bytes and a
// CRC-32 of everything before it. The checksum protects nothing: it tells a mistyped
// or truncated key from a wrong one without asking the store, and lets scanners
// recognise a leaked key.
func NewKey(kind KeyKind) Text {
	prefix := "lk_" + string(kind) + "_"
	b := make([]byte, keyEntropy, keyEntropy+4)
	rand.Read(b)
	return New(prefix + keyText.EncodeToString(checksummed(prefix, b)))
}

func checksummed(prefix string, b []byte) []byte {
	sum := crc32.ChecksumIEEE(append([]byte(prefix), b...))
	return binary.BigEndian.AppendUint32(b, sum)
}

// ParseKey returns the kind of a well-formed API key.
func ParseKey(t Text) (KeyKind, error) {
	for _, kind := range []KeyKind{Management, Verify, Access} {
		prefix := "lk_" + string(kind) + "_"
		text, ok := strings.CutPrefix(t.Reveal(), prefix)
		if !ok {
			continue
		}
		b, err := keyText.DecodeString(text)
		if err != nil || len(b) != keyEntropy+4 || keyText.EncodeToString(b) != text {
			return "", ErrMalformed
		}
		want := checksummed(prefix, b[:keyEntropy:keyEntropy])
		if string(want) != string(b) {
			return "", ErrMalformed
		}
		return kind, nil
	}
	return "", ErrMalformed
}

// LooksLikeKey reports whether t is meant as an API key, be it whole or not.
func LooksLikeKey(t Text) bool { return strings.HasPrefix(t.Reveal(), "lk_") }
