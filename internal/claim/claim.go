// Package claim owns custom claims: their names, limits and size, and what in them had
// better not be there. It is pure. Which claims a token carries of its own is package
// token's business; this package only knows their names, because no custom claim may
// take one.
package claim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Limits of a set of custom claims.
const (
	MaxName  = 60  // characters of a name
	MaxValue = 500 // characters of a value, encoded
	MaxCount = 100 // claims in a set
)

// Limits of what carries them.
const (
	MaxToken  = 16 << 10 // bytes of any JOSE token
	MaxCookie = 4096     // bytes of a cookie's name and value: browsers drop it silently over that
)

// reserved are the names that tokens use themselves, now or by a standard that clients
// act upon. A custom claim of such a name could pass for what the server vouches for.
var reserved = strings.Fields(`
	iss sub aud exp nbf iat jti typ
	sid rid prt drn rexp auth_time amr acr azp nonce at_hash c_hash s_hash
	dct tenants roles permissions nsec su epc dsub act may_act cnf
	client_id scope scopes entitlements groups events sub_id txn toe`)

// Reserved reports whether a custom claim may not have this name. Names are compared
// under Unicode case folding: Go's encoding/json, for one, takes "SID" and "ſid" for
// "sid".
func Reserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// Parse checks a set of secure custom claims and returns it in canonical form: no
// insignificant space, members sorted. Empty, null and {} give nil. Every wrong claim
// is reported at once, under pointer.
func Parse(raw json.RawMessage, pointer string) (json.RawMessage, error) {
	return parse(raw, pointer, true)
}

// ParseUntrusted is Parse for claims that end up in nsec, where reserved names can do no
// harm.
func ParseUntrusted(raw json.RawMessage, pointer string) (json.RawMessage, error) {
	return parse(raw, pointer, false)
}

func parse(raw json.RawMessage, pointer string, secure bool) (json.RawMessage, error) {
	members, err := object(raw, pointer)
	if err != nil {
		return nil, err
	}
	return canonical(members, members, pointer, secure)
}

func object(raw json.RawMessage, pointer string) (map[string]json.RawMessage, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fault.New(fault.Invalid, "The claims can't be read.").
			WithFields(fault.Field{Pointer: pointer, Code: "type", Detail: "An object is wanted."})
	}
	return members, nil
}

// canonical checks members, of which fresh are those that a caller sets, and writes them.
func canonical(members, fresh map[string]json.RawMessage, pointer string, secure bool) (json.RawMessage, error) {
	if len(members) == 0 {
		return nil, nil
	}
	c := checker{pointer: pointer, secure: secure, kind: fault.Invalid}
	if len(members) > MaxCount {
		c.refuse(fault.ClaimsTooLarge, "", "size", fmt.Sprintf("At most %d claims are allowed, %d were given.", MaxCount, len(members)))
	}
	var out bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i >= MaxCount {
			break
		}
		out.WriteByte("{,"[min(i, 1)])
		quoted, _ := json.Marshal(name)
		out.Write(quoted)
		out.WriteByte(':')
		start := out.Len()
		if err := json.Compact(&out, members[name]); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "The claims can't be read.")
		}
		_, isFresh := fresh[name]
		c.claim(name, out.Bytes()[start:], isFresh)
	}
	if len(c.fields) > 0 {
		return nil, fault.New(c.kind, "Some custom claims are refused.").WithFields(c.fields...)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

type checker struct {
	pointer string
	secure  bool
	kind    fault.Kind
	fields  []fault.Field
	numbers int // of the fields, those that tell of a number
}

func (c *checker) refuse(kind fault.Kind, name, code, detail string) {
	if len(c.fields) == 0 {
		c.kind = kind
	}
	c.fields = append(c.fields, fault.Field{Pointer: c.at(name), Code: code, Detail: detail})
}

func (c *checker) at(name string) string {
	if name == "" {
		return c.pointer
	}
	return c.pointer + "/" + escapeName(clipped(name))
}

// claim checks one. Numbers only of what is fresh: a stored one must not keep anybody from
// changing something else.
func (c *checker) claim(name string, value []byte, fresh bool) {
	switch n := utf8.RuneCountInString(name); {
	case c.secure && Reserved(name):
		c.refuse(fault.ReservedClaim, name, "reserved", "This name is reserved for the server's own claims.")
	case n == 0, strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.refuse(fault.Invalid, name, "format", "A name is 1 to 60 characters without control characters.")
	case n > MaxName:
		c.refuse(fault.ClaimsTooLarge, name, "size", fmt.Sprintf("A name has at most %d characters, this one has %d.", MaxName, n))
	}
	if n := utf8.RuneCount(value); n > MaxValue {
		c.refuse(fault.ClaimsTooLarge, name, "size", fmt.Sprintf("A value has at most %d characters once encoded, this one has %d.", MaxValue, n))
	}
	if fresh && c.numbers < maxNumbers {
		found := Numbers(value, c.at(name))
		found = found[:min(len(found), maxNumbers-c.numbers)]
		c.numbers += len(found)
		c.fields = append(c.fields, found...) // of the kind Invalid, as c.kind is from the beginning
	}
}

// Merge applies a JSON merge patch (RFC 7396) to a set of claims at its top level: a
// null takes a claim out, everything else replaces it. The result is checked whole.
func Merge(base, patch json.RawMessage, pointer string, secure bool) (json.RawMessage, error) {
	members, err := object(base, pointer)
	if err != nil {
		return nil, err
	}
	changes, err := object(patch, pointer)
	if err != nil {
		return nil, err
	}
	merged := make(map[string]json.RawMessage, len(members)+len(changes))
	maps.Copy(merged, members)
	for name, value := range changes {
		if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
			delete(merged, name)
		} else {
			merged[name] = value
		}
	}
	return canonical(merged, changes, pointer, secure)
}

// Part is the size of one claim in a token.
type Part struct {
	Name  string
	Bytes int
}

// Fit refuses a token that is over its limit and says which claims take the room,
// largest first. what names the token for people.
func Fit(what string, size, limit int, claims ...json.RawMessage) error {
	if size <= limit {
		return nil
	}
	err := fault.New(fault.ClaimsTooLarge, "The %s would take %d bytes; %d are allowed.", what, size, limit)
	for _, p := range Parts(claims...) {
		err.Fields = append(err.Fields, fault.Field{
			Pointer: "/claims/" + p.Name, Code: "size", Detail: fmt.Sprintf("takes %d bytes", p.Bytes),
		})
	}
	return err
}

// Parts returns the size of each claim in the given sets, largest first.
func Parts(claims ...json.RawMessage) []Part {
	var parts []Part
	for _, set := range claims {
		members, err := object(set, "")
		if err != nil {
			continue
		}
		for name, value := range members {
			parts = append(parts, Part{name, len(name) + len(value) + 4})
		}
	}
	slices.SortFunc(parts, func(a, b Part) int {
		if a.Bytes != b.Bytes {
			return b.Bytes - a.Bytes
		}
		return strings.Compare(a.Name, b.Name)
	})
	return parts
}
