package key

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// MaxToken is the greatest length of a token in bytes. Mint makes no longer one and
// Open looks at no longer one.
const MaxToken = 16 << 10

// Type is the typ of a token's header (RFC 8725 section 3.11). A token of one type is
// never accepted as another.
type Type string

// The types that Mint makes and Open accepts.
const (
	AccessToken  Type = "at+jwt" // RFC 9068
	RefreshToken Type = "rt+jwt"
)

// What a Ring refuses. Each is returned as it is; none holds any part of a token.
var (
	ErrMalformed = errors.New("not a compact JWS")
	ErrTooLong   = fmt.Errorf("a token is at most %d bytes", MaxToken)
	ErrUnknown   = errors.New("signed by no key of this project, or with a header that it doesn't use")
	ErrType      = errors.New("a token of another type is wanted here")
	ErrSignature = errors.New("the signature doesn't fit: the token was altered or cut")
	ErrRevoked   = errors.New("the signing key was revoked")
	ErrNotYet    = errors.New("the signing key is published but doesn't sign yet")
)

// Ring is one project's keys at one moment, ready to sign and to check. It is
// immutable, safe for concurrent use, and prints as a redaction.
type Ring struct {
	active  *entry
	keys    map[id.Key]*entry
	headers map[string]header // by the exact first segment of a token
	jwks    []byte
	tag     string
}

// entry keeps its private key behind a function: package fmt walks unexported fields,
// through pointers even for some verbs, and can't be told there to redact.
type entry struct {
	id        id.Key
	state     State
	algorithm Algorithm
	signer    func() signer
	headers   map[Type]string
}

type header struct {
	key *entry
	typ Type
}

// OpenRing decrypts all keys of one project, as Store.List returns them. Exactly one
// must be active. One key that can't be opened, or isn't fit for its algorithm, fails
// the whole ring: a ring without it would refuse its tokens and log users out.
func OpenRing(master *secret.Ring, keys []Key) (*Ring, error) {
	r := &Ring{keys: make(map[id.Key]*entry, len(keys)), headers: make(map[string]header, 2*len(keys))}
	entries := make([]*entry, 0, len(keys))
	for _, k := range keys {
		if k.Project != keys[0].Project || r.keys[k.ID] != nil {
			return nil, fmt.Errorf("key %s: twice in the list, or of another project", k.ID)
		}
		e, err := openEntry(master, k)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		entries = append(entries, e)
		if err := r.add(e); err != nil {
			return nil, err
		}
	}
	if r.active == nil {
		return nil, errors.New("the project has no active signing key")
	}
	slices.SortFunc(entries, func(a, b *entry) int { return a.id.Compare(b.id) })
	return r, r.publish(entries)
}

func openEntry(master *secret.Ring, k Key) (*entry, error) {
	s, err := open(master, k)
	if err != nil {
		return nil, err
	}
	e := &entry{id: k.ID, state: k.State, algorithm: k.Algorithm, headers: make(map[Type]string, 2)}
	e.signer = func() signer { return s }
	for _, typ := range []Type{AccessToken, RefreshToken} {
		e.headers[typ] = head(k.Algorithm, k.ID, typ)
	}
	return e, nil
}

func (r *Ring) add(e *entry) error {
	switch e.state {
	case Active:
		if r.active != nil {
			return fmt.Errorf("keys %s and %s are both active", r.active.id, e.id)
		}
		r.active = e
	case Next, Retired, Revoked:
	default:
		return fmt.Errorf("key %s: unknown state %q", e.id, e.state)
	}
	r.keys[e.id] = e
	for typ, segment := range e.headers {
		r.headers[segment] = header{e, typ}
	}
	return nil
}

// Active returns the key that signs new tokens.
func (r *Ring) Active() id.Key { return r.active.id }

// Header returns the first segment of every token of the type that the key signs,
// "" for an unknown key or type.
func (r *Ring) Header(kid id.Key, typ Type) string {
	e := r.keys[kid]
	if e == nil {
		return ""
	}
	return e.headers[typ]
}

// Sign returns the JWS signature of input. The same key and input always give the
// same bytes. A retired key still signs, since a repeated refresh is answered with
// the token that it once signed; a revoked one is ErrRevoked, a next one ErrNotYet
// and one that the ring doesn't have ErrUnknown.
func (r *Ring) Sign(kid id.Key, input []byte) ([]byte, error) {
	e, err := r.signing(kid)
	if err != nil {
		return nil, err
	}
	sign := e.signer()
	return sign.appendSignature(make([]byte, 0, sign.size()), input)
}

func (r *Ring) signing(kid id.Key) (*entry, error) {
	e := r.keys[kid]
	switch {
	case e == nil:
		return nil, ErrUnknown
	case e.state == Revoked:
		return nil, ErrRevoked
	case e.state == Next:
		return nil, ErrNotYet
	}
	return e, nil
}

// Mint returns a compact JWS (RFC 7515 section 7.1) of claims, which must be a JSON
// object; it is not looked at. Errors are those of Sign, ErrType for an unknown type
// and ErrTooLong.
func (r *Ring) Mint(kid id.Key, typ Type, claims []byte) (string, error) {
	e, err := r.signing(kid)
	if err != nil {
		return "", err
	}
	head := e.headers[typ]
	if head == "" {
		return "", ErrType
	}
	enc := base64.RawURLEncoding
	sign := e.signer()
	size := sign.size()
	total := len(head) + 1 + enc.EncodedLen(len(claims)) + 1 + enc.EncodedLen(size)
	if total > MaxToken {
		return "", ErrTooLong
	}
	// The signature is put behind the token's own end first, so that one allocation
	// holds both.
	buf := make([]byte, 0, total+size)
	buf = append(append(buf, head...), '.')
	buf = enc.AppendEncode(buf, claims)
	sig, err := sign.appendSignature(buf[total:total], buf)
	if err != nil {
		return "", err
	}
	buf = enc.AppendEncode(append(buf, '.'), sig)
	return string(buf), nil
}

// Open checks a token that this project may have signed and returns its claims. It
// parses no header: the first segment must be, byte for byte, one that Mint writes, so
// no algorithm, key or extension is ever taken from a token. Every text but the exact
// token that Mint returned is refused; the errors are ErrTooLong, ErrMalformed,
// ErrUnknown, ErrType, ErrSignature and, for authentic tokens alone, ErrRevoked. With
// an error the other results are zero. Tokens of a next key are accepted: another
// server may have made it active already.
func (r *Ring) Open(token string, typ Type) ([]byte, id.Key, error) { return r.open(token, typ, false) }

// OpenMinted is Open for a token that is known to be, byte for byte, one that Mint of
// this project returned: its signature isn't computed again. Everything else is checked,
// the state of its key above all.
func (r *Ring) OpenMinted(token string, typ Type) ([]byte, id.Key, error) {
	return r.open(token, typ, true)
}

func (r *Ring) open(token string, typ Type, minted bool) ([]byte, id.Key, error) {
	if len(token) > MaxToken {
		return nil, id.Key{}, ErrTooLong
	}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first < 0 || last == first || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return nil, id.Key{}, ErrMalformed
	}
	h, ok := r.headers[token[:first]]
	if !ok {
		return nil, id.Key{}, ErrUnknown
	}
	if h.typ != typ {
		return nil, id.Key{}, ErrType
	}
	buf := []byte(token)
	// A length that can't be is refused before it costs a signature.
	signature, sign := buf[last+1:], h.key.signer()
	if len(signature) != base64.RawURLEncoding.EncodedLen(sign.size()) {
		return nil, id.Key{}, ErrSignature
	}
	if !minted && !sign.authentic(buf[:last], signature) {
		return nil, id.Key{}, ErrSignature
	}
	claims, ok := decode(buf[first+1 : last])
	switch {
	case !ok:
		return nil, id.Key{}, ErrMalformed
	case h.key.state == Revoked:
		return nil, id.Key{}, ErrRevoked
	}
	return claims, h.key.id, nil
}

// String redacts.
func (r Ring) String() string { return "[redacted]" }

// GoString redacts %#v.
func (r Ring) GoString() string { return r.String() }

// Format redacts every other verb.
func (r Ring) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// MarshalText redacts JSON and every other text encoding.
func (r Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue redacts structured logs.
func (r Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }
