package latchkey

import (
	"errors"
	"fmt"
)

// ignoredKey is an entry of a key set that isn't used.
type ignoredKey struct {
	id  string
	why error
}

var errKeySet = errors.New(`not a key set: an object with a member "keys" is wanted`)

// parseKeySet reads a key set (RFC 7517 section 5). Entries that aren't understood or
// aren't fit are left out, because a set may hold keys for others (RFC 7517 section 5);
// a text that isn't a key set, and one without any usable key, is an error.
func parseKeySet(text []byte) (*keyring, []ignoredKey, error) {
	if len(text) > maxKeySet {
		return nil, nil, fmt.Errorf("the key set is longer than %d bytes", maxKeySet)
	}
	r := jsonReader{text: string(text)}
	var entries []jwk
	found := false
	var names [8]string
	o := jsonObject{jsonReader: &r, names: names[:0]}
	for name, more := o.member(); more; name, more = o.member() {
		if name != "keys" {
			r.value()
			continue
		}
		found = true
		entries = readJWKs(&r)
	}
	if r.end(); r.bad || !found {
		return nil, nil, errKeySet
	}
	keys, ignored := usable(entries)
	if len(keys) == 0 {
		return nil, ignored, errors.New("the key set has no usable key")
	}
	return newKeyring(keys), ignored, nil
}

func readJWKs(r *jsonReader) []jwk {
	var entries []jwk
	r.take('[')
	for first := true; !r.bad && r.next(first, ']'); first = false {
		if len(entries) == maxKeys {
			r.fail()
			break
		}
		entries = append(entries, readJWK(r))
	}
	return entries
}

func usable(entries []jwk) (map[string]*publicKey, []ignoredKey) {
	times := make(map[string]int, len(entries))
	for _, e := range entries {
		times[e.Kid]++
	}
	keys := make(map[string]*publicKey, len(entries))
	var ignored []ignoredKey
	for _, e := range entries {
		k, err := e.key()
		switch {
		case err != nil:
		case e.Kid == "" || len(e.Kid) > maxKeyID:
			err = errNoKeyID
		case times[e.Kid] > 1:
			// One of them may have been put there by somebody who could add a key but not
			// take the right one away.
			err = errTwoKeys
		}
		if err != nil {
			ignored = append(ignored, ignoredKey{e.Kid[:min(len(e.Kid), 64)], err})
			continue
		}
		keys[e.Kid] = k
	}
	return keys, ignored
}
