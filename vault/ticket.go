package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/latchkey-dev/latchkey"
)

// ticket is what the cookie holds: 256 random bits that name an entry and, with a key of
// the application, open it. It redacts itself.
type ticket struct{ bits [ticketLen]byte }

const (
	ticketLen  = 32
	ticketText = 43 // in base64url without padding
)

var ticketEncoding = base64.RawURLEncoding.Strict()

func newTicket() ticket {
	var t ticket
	rand.Read(t.bits[:])
	return t
}

func (t ticket) reveal() string { return ticketEncoding.EncodeToString(t.bits[:]) }

// Format redacts the ticket under every verb.
func (t ticket) Format(f fmt.State, _ rune) { io.WriteString(f, "[ticket]") }

func parseTicket(text string) (ticket, bool) {
	var t ticket
	if len(text) != ticketText {
		return t, false
	}
	// The encoder would skip line breaks, but a cookie's value can't hold any; the
	// length tells what was skipped.
	n, err := ticketEncoding.Decode(t.bits[:], []byte(text))
	return t, err == nil && n == ticketLen
}

// key is where the entry of the ticket is found. A digest, so that who reads the store
// can't make cookies of it.
func (t ticket) key() string {
	sum := sha256.Sum256(append([]byte("latchkey vault entry\x00"), t.bits[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ring are the application's keys: the first seals, all open.
type ring [][]byte

const (
	keyLen  = 32
	maxKeys = 8 // each costs a try at every entry that isn't ours
)

func parseKeys(texts []string) (ring, error) {
	if len(texts) == 0 || len(texts) > maxKeys {
		return nil, fmt.Errorf("vault: 1 to %d keys are wanted; openssl rand -hex 32 makes one", maxKeys)
	}
	var k ring
	var problems []error
	for i, text := range texts {
		b := decodeKey(text)
		if b == nil {
			problems = append(problems, fmt.Errorf("vault: key %d of %d: 32 bytes in hexadecimal or base64 are wanted; openssl rand -hex 32 makes some", i+1, len(texts)))
			continue
		}
		k = append(k, b)
	}
	if len(problems) == 0 {
		// The same keys that cookies refuse: repeated ones, and such as a person made up.
		_, err := latchkey.ParseCookieKeys(strings.Join(texts, ","))
		problems = append(problems, err)
	}
	return k, errors.Join(problems...)
}

// decodeKey returns nil for text that isn't 32 bytes. Their lengths in hexadecimal and
// in base64 differ, so no text has two meanings.
func decodeKey(text string) []byte {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		if b, err := decode(text); err == nil && len(b) == keyLen {
			return b
		}
	}
	return nil
}

// cipherFor derives the key of one entry from a key of the application and the ticket
// (HKDF, RFC 5869). An entry is written some thousand times at most, far from the 2^32
// up to which random nonces of 96 bits are safe under one key (NIST SP 800-38D, 8.3).
func cipherFor(key []byte, t ticket) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, t.bits[:], "latchkey vault 1", keyLen)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedVersion is the first byte of every sealed entry.
const sealedVersion = 1

func (k ring) seal(t ticket, e entry) ([]byte, error) {
	plain, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	aead, err := cipherFor(k[0], t)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{sealedVersion}, nil, plain, []byte{sealedVersion}), nil
}

// open reports false for what none of the keys opens with this ticket.
func (k ring) open(t ticket, sealed []byte) (entry, bool) {
	var e entry
	if len(sealed) == 0 || sealed[0] != sealedVersion {
		return e, false
	}
	for _, key := range k {
		aead, err := cipherFor(key, t)
		if err != nil {
			return e, false
		}
		plain, err := aead.Open(nil, nil, sealed[1:], []byte{sealedVersion})
		if err == nil {
			return e, json.Unmarshal(plain, &e) == nil
		}
	}
	return e, false
}
