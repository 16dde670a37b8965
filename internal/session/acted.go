package session

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Acted names what sign-in actions have added to a session.
type Acted struct {
	Claims   []string // names of members of Profile.Claims
	Audience []string // entries of Profile.Audience
}

// Given returns the row of a session to which somebody else than its sign-in actions gives
// claims. Those that change are no longer the actions': a change of tenant leaves them
// alone, unless the actions want them again.
func (r Row) Given(claims, nsec json.RawMessage) Row {
	if len(r.Acted.Claims) > 0 {
		old, given := membersOf(r.Claims), membersOf(claims)
		r.Acted.Claims = slices.DeleteFunc(slices.Clone(r.Acted.Claims), func(name string) bool { return !bytes.Equal(old[name], given[name]) })
		if len(r.Acted.Claims) == 0 {
			r.Acted.Claims = nil
		}
	}
	r.Claims, r.NSec = slices.Clone(claims), slices.Clone(nsec)
	r.ClaimsEpoch++
	return r
}

// membersOf reads claims, which were written by us.
func membersOf(claims json.RawMessage) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if claims != nil {
		_ = json.Unmarshal(claims, &members)
	}
	return members
}

// Without returns claims, in canonical form, and audience without what is named.
func (a Acted) Without(claims json.RawMessage, audience []string) (json.RawMessage, []string) {
	if len(a.Audience) > 0 {
		audience = slices.DeleteFunc(slices.Clone(audience), func(s string) bool { return slices.Contains(a.Audience, s) })
	}
	if len(a.Claims) == 0 || claims == nil {
		return claims, audience
	}
	members := membersOf(claims)
	for _, name := range a.Claims {
		delete(members, name)
	}
	if len(members) == 0 {
		return nil, audience
	}
	var out bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(members)) {
		out.WriteByte("{,"[min(i, 1)])
		quoted, _ := json.Marshal(name)
		out.Write(quoted)
		out.WriteByte(':')
		out.Write(members[name])
	}
	out.WriteByte('}')
	return out.Bytes(), audience
}
