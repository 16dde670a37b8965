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

// Without returns claims, in canonical form, and audience without what is named.
func (a Acted) Without(claims json.RawMessage, audience []string) (json.RawMessage, []string) {
	if len(a.Audience) > 0 {
		audience = slices.DeleteFunc(slices.Clone(audience), func(s string) bool { return slices.Contains(a.Audience, s) })
	}
	if len(a.Claims) == 0 || claims == nil {
		return claims, audience
	}
	var members map[string]json.RawMessage
	// They were written by us.
	_ = json.Unmarshal(claims, &members)
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
