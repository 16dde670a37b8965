package token

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// shape is what a session token says of its user, and what a template makes of it. The
// zero value says that nothing is granted. It isn't in refresh tokens: a replay has to
// make the same bytes again, whatever has become of the user.
type shape struct {
	nsec          json.RawMessage // what the client asked for; nil: nothing
	authorization directory.Authorization
	claims        json.RawMessage // canonical; the session's own claims go before them
	audience      []string        // to be added
	subject       string          // instead of the user's id, which dsub holds then; "" for none
	document      compiled        // the template
	failures      []template.Failure
	leftOut       string // why grants are missing; "": none is
}

// describes reports whether tokens show more of a user than what is granted.
func (p *project) describes() bool { return p.documents.asks(document.User) }

// shape returns what a token that is minted at at shows of its user.
func (p *project) shape(b bearer, at time.Time) shape {
	if len(p.documents) == 0 {
		return shape{nsec: b.row.NSec, authorization: b.authorization()}
	}
	return p.shapedBy(p.documents.of(document.User, b.row.ID.String()), b, at)
}

// shapedBy is shape with a template that needn't be the session's.
func (p *project) shapedBy(c compiled, b bearer, at time.Time) shape {
	s := c.shape(b.authorization(), b.row.Tenant, func() template.Input { return p.input(b, at) })
	s.nsec = b.row.NSec
	return s
}

// shape returns what a template makes of somebody who may do this and is in a tenant.
func (c compiled) shape(a directory.Authorization, tenant id.Tenant, input func() template.Input) shape {
	s := shape{authorization: a, document: c}
	if c.template == nil {
		return s
	}
	var in template.Input
	if !c.template.Constant() {
		in = input()
	}
	out := c.template.Evaluate(in)
	s.claims, s.audience, s.subject, s.failures = out.Claims, out.Audience, out.Subject, out.Failures
	switch out.Authorization {
	case template.None:
		s.authorization = directory.Authorization{}
	case template.CurrentTenant:
		current, open := s.authorization.In(tenant)
		if s.authorization.Tenants = nil; open {
			s.authorization.Tenants = []directory.TenantAuthorization{current}
		}
	}
	return s
}

// shorter is the shape for tokens that would be too long: without what the client asked
// for; if that is gone, without what a template has added; if that is gone, with the current tenant as the only one; then without any
// tenant; then without any grant. What is left of the tenants never depends on how many there are, so the tokens
// of a user who is in very many of them stay good for the one that is in use. It is false
// when nothing can be left out.
func (s shape) shorter(current id.Tenant) (shape, bool) {
	switch {
	case s.nsec != nil:
		s.nsec = nil
		return s, true
	case s.claims != nil || s.audience != nil:
		return s.leaner(), true
	case len(s.authorization.Tenants) > 1:
		open, ok := s.authorization.In(current)
		if s.authorization.Tenants = nil; ok {
			s.authorization.Tenants = []directory.TenantAuthorization{open}
		}
		s.leftOut = "What is granted in other tenants than the current one made the token too long, so it was left out."
		return s, true
	case len(s.authorization.Tenants) == 1:
		s.authorization.Tenants = nil
		s.leftOut = "What is granted in tenants made the token too long, so it was left out."
		return s, true
	case s.authorization.Roles != nil || s.authorization.Permissions != nil:
		s.authorization.Roles, s.authorization.Permissions = nil, nil
		s.leftOut = "What is granted made the token too long, so all of it was left out."
		return s, true
	}
	return s, false
}

// leaner is the shape without what a template has added.
func (s shape) leaner() shape {
	s.claims, s.audience = nil, nil
	s.failures = append(slices.Clip(s.failures), template.Failure{Path: "/claims", Reason: "They made the token too long, so all of them were left out."})
	return s
}

// failed is what of the project's documents, and of the grants, the shape lacks.
func (s shape) failed() []failed {
	list := s.document.failed(s.failures)
	if s.leftOut != "" {
		list = append(list, failed{Failure: template.Failure{Path: "/tenants", Reason: s.leftOut}})
	}
	return list
}

// grants writes the claims tenants, roles and permissions. They are always present:
// clients that exist read them without looking first.
func (w *writer) grants(a directory.Authorization) {
	w.name("tenants")
	w.WriteByte('{')
	for i, t := range a.Tenants {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteByte('"')
		w.WriteString(t.ID.String())
		w.WriteString(`":{"roles":`)
		w.list(t.Roles)
		w.WriteString(`,"permissions":`)
		w.list(t.Permissions)
		w.WriteByte('}')
	}
	w.WriteByte('}')
	w.strings("roles", a.Roles)
	w.strings("permissions", a.Permissions)
}

// overlay returns the members of two canonical objects in canonical form; of two with one
// name, that of the first.
func overlay(first, second json.RawMessage) json.RawMessage {
	switch {
	case second == nil:
		return first
	case first == nil:
		return second
	}
	members := map[string]json.RawMessage{}
	// They were written by us.
	_ = json.Unmarshal(second, &members)
	_ = json.Unmarshal(first, &members)
	var out bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(members)) {
		out.WriteByte("{,"[min(i, 1)])
		out.Write(quote(name))
		out.WriteByte(':')
		out.Write(members[name])
	}
	out.WriteByte('}')
	return out.Bytes()
}
