package secret

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrSealed is returned when sealed bytes can't be opened: no master key of the ring
// fits, or the bytes or their context were altered.
var ErrSealed = errors.New("can't be decrypted: the master key is missing, or the stored bytes were altered")

// masterLen is the length of a master key: AES-256.
const masterLen = 32

// Ring is the master keys of a deployment: the first seals, all open. Rotating the
// master key is putting a new one first, and resealing what the old one sealed. A Ring is immutable and safe for concurrent
// use. It prints as a redaction.
type Ring struct {
	keys []masterKey
}

type masterKey struct {
	id   [4]byte
	aead cipher.AEAD
}

// NewMasterKey returns the text of a fresh master key, as ParseRing reads it.
func NewMasterKey() Text {
	b := make([]byte, masterLen)
	rand.Read(b)
	return New(base64.StdEncoding.EncodeToString(b))
}

// ParseRing reads master keys, one a line: 32 bytes in base64 or hexadecimal. Empty
// lines and lines that start with '#' are skipped. Errors name the line, never its
// content.
func ParseRing(text Text) (*Ring, error) {
	ring := new(Ring)
	lines := bufio.NewScanner(strings.NewReader(text.Reveal()))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := decodeMaster(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: a master key is 32 bytes in base64 or hexadecimal", n)
		}
		k, err := newMasterKey(b)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		ring.keys = append(ring.keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("a line is too long to be a master key")
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("no master key found")
	}
	return ring, nil
}

func decodeMaster(line string) ([]byte, error) {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(line); err == nil && len(b) == masterLen {
			return b, nil
		}
	}
	return nil, ErrMalformed
}

func newMasterKey(b []byte) (masterKey, error) {
	block, err := aes.NewCipher(b)
	if err != nil {
		return masterKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return masterKey{}, err
	}
	// The id is a digest of the key under a label of its own, so that it tells
	// nothing about the key and can be stored beside what the key sealed.
	sum := sha256.Sum256(append([]byte("latchkey master key id\x00"), b...))
	return masterKey{id: [4]byte(sum[:4]), aead: aead}, nil
}

// Seal encrypts plain (AES-256-GCM, random nonce) and binds it to context, which Open
// must be given again: a sealed value moved to another row doesn't open. The result
// starts with the master key's id.
func (r *Ring) Seal(plain []byte, context string) []byte {
	k := r.keys[0]
	return k.aead.Seal(bytes.Clone(k.id[:]), nil, plain, []byte(context))
}

// Open decrypts what Seal returned, with whichever key of the ring sealed it.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	for _, k := range r.keys {
		if len(sealed) < len(k.id) || !bytes.Equal(sealed[:len(k.id)], k.id[:]) {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, sealed[len(k.id):], []byte(context)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// Current reports whether sealed says of itself that the first key of the ring sealed
// it. It isn't opened.
func (r *Ring) Current(sealed []byte) bool {
	return bytes.HasPrefix(sealed, r.keys[0].id[:])
}

// Reseal returns what is inside sealed, sealed by the first key of the ring under the
// same context. Errors are those of Open.
func (r *Ring) Reseal(sealed []byte, context string) ([]byte, error) {
	plain, err := r.Open(sealed, context)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return r.Seal(plain, context), nil
}

// String redacts.
func (r *Ring) String() string { return redacted }

// GoString redacts %#v.
func (r *Ring) GoString() string { return redacted }

// LogValue redacts structured logs.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(redacted) }
