package latchkey

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// keyring is a set of keys at one moment. The keys never change, so that its address
// tells one state of a key set from another.
type keyring struct {
	keys map[string]*publicKey // by kid

	// The header segments of tokens that were good, so that they needn't be parsed again.
	mu      sync.Mutex
	headers atomic.Pointer[map[string]*publicKey]
}

// maxHeaders bounds the header segments that are remembered: one per key is all that a
// server writes.
const maxHeaders = 64

func newKeyring(keys map[string]*publicKey) *keyring {
	r := &keyring{keys: keys}
	r.headers.Store(&map[string]*publicKey{})
	return r
}

// byHeader returns the key of a header segment that was seen on a good token, or nil.
func (r *keyring) byHeader(segment string) *publicKey { return (*r.headers.Load())[segment] }

// remember keeps the header segment of a token that k has verified.
func (r *keyring) remember(segment string, k *publicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	headers := *r.headers.Load()
	if _, known := headers[segment]; known || len(headers) >= maxHeaders {
		return
	}
	headers = maps.Clone(headers)
	headers[strings.Clone(segment)] = k
	r.headers.Store(&headers)
}
