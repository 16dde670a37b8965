package latchkey

import (
	"encoding/json"
	"strings"
	"time"
)

// leastCustom is room for the custom claims that most tokens have.
const leastCustom = 8

// latestSecond is the end of the year 9999 in Unix seconds. Beyond it times can't be written.
const latestSecond = 253402300799

// claimsReader reads the claims of a session token.
type claimsReader struct {
	jsonReader
	*Claims

	scope string
	bound bool // there is a cnf
}

// parseClaims reads the payload of a token whose signature is right. A claim of another
// type than it should have fails the whole token: guessing what was meant is how a list
// of one is taken for all.
func parseClaims(payload string) (c *Claims, bound, ok bool) {
	p := claimsReader{jsonReader: jsonReader{text: payload}, Claims: &Claims{}}
	var names [32]string
	o := jsonObject{jsonReader: &p.jsonReader, names: names[:0]}
	for name, more := o.member(); more; name, more = o.member() {
		p.claim(name)
	}
	p.end()
	if p.bad {
		return nil, false, false
	}
	if p.Scopes == nil {
		p.Scopes = strings.Fields(p.scope)
	}
	p.weigh(payload)
	return p.Claims, p.bound, true
}

func (p *claimsReader) claim(name string) {
	if into := p.stringClaim(name); into != nil {
		*into = p.str()
		return
	}
	if into := p.timeClaim(name); into != nil {
		*into = time.Unix(p.natural(latestSecond), 0).UTC()
		return
	}
	if into := p.listClaim(name); into != nil {
		*into = p.strings()
		return
	}
	p.other(name)
}

func (p *claimsReader) stringClaim(name string) *string {
	switch name {
	case "iss":
		return &p.Issuer
	case "sub":
		return &p.Subject
	case "dsub":
		return &p.DirectorySubject
	case "jti":
		return &p.TokenID
	case "sid":
		return &p.SessionID
	case "rid":
		return &p.RefreshID
	case "dct":
		return &p.CurrentTenant
	case "client_id":
		return &p.ClientID
	case "scope":
		return &p.scope
	}
	return nil
}

func (p *claimsReader) timeClaim(name string) *time.Time {
	switch name {
	case "iat":
		return &p.IssuedAt
	case "nbf":
		return &p.NotBefore
	case "exp":
		return &p.ExpiresAt
	case "auth_time":
		return &p.AuthTime
	}
	return nil
}

func (p *claimsReader) listClaim(name string) *[]string {
	switch name {
	case "amr":
		return &p.AMR
	case "roles":
		return &p.Roles
	case "permissions":
		return &p.Permissions
	case "scopes":
		return &p.Scopes
	}
	return nil
}

func (p *claimsReader) other(name string) {
	switch name {
	case "aud":
		p.audience()
	case "rexp":
		p.refreshExpiry()
	case "epc":
		p.Epoch = p.natural(latestSecond*1000 + 999)
	case "su":
		p.SteppedUp = p.boolean()
	case "tenants":
		p.tenants()
	case "nsec":
		p.client = p.members()
	case "act":
		p.Actor = json.RawMessage(p.object())
	case "cnf":
		p.bound = true
		p.custom = append(p.custom, claimMember{name, p.object()})
	default:
		if p.custom == nil {
			p.custom = make([]claimMember, 0, leastCustom)
		}
		p.custom = append(p.custom, claimMember{name, p.value()})
	}
}

// audience reads both forms that RFC 7519 section 4.1.3 has.
func (p *claimsReader) audience() {
	if p.peek() == '"' {
		p.Audience = []string{p.str()}
		return
	}
	p.Audience = p.strings()
}

func (p *claimsReader) refreshExpiry() {
	t, err := time.Parse(time.RFC3339, p.str())
	if err != nil {
		p.fail()
		return
	}
	p.RefreshExpiresAt = t.UTC()
}

func (p *claimsReader) boolean() bool {
	if p.peek() == 't' {
		p.literal("true")
		return true
	}
	p.literal("false")
	return false
}

// object reads over an object and returns it as it is written.
func (p *claimsReader) object() string {
	if p.peek() != '{' {
		p.fail()
	}
	return p.value()
}

func (p *claimsReader) members() []claimMember {
	var names [8]string
	o := jsonObject{jsonReader: &p.jsonReader, names: names[:0]}
	var list []claimMember
	for name, more := o.member(); more; name, more = o.member() {
		list = append(list, claimMember{name, p.value()})
	}
	return list
}

func (p *claimsReader) tenants() {
	var names [8]string
	o := jsonObject{jsonReader: &p.jsonReader, names: names[:0]}
	for tenant, more := o.member(); more; tenant, more = o.member() {
		if p.Tenants == nil {
			p.Tenants = make(map[string]TenantGrants)
		}
		p.Tenants[tenant] = p.grants()
	}
}

func (p *claimsReader) grants() TenantGrants {
	var names [8]string
	o := jsonObject{jsonReader: &p.jsonReader, names: names[:0]}
	var g TenantGrants
	for name, more := o.member(); more; name, more = o.member() {
		switch name {
		case "roles":
			g.Roles = p.strings()
		case "permissions":
			g.Permissions = p.strings()
		default:
			p.value()
		}
	}
	return g
}

// Bytes that parts of Claims take on a 64-bit machine, allocator's rounding included.
const (
	weightClaims = 640 // the struct
	weightString = 16  // a string's header
	weightMember = 32
	weightMap    = 512 // of up to 8 tenants: one group of the map
	weightTenant = 80  // one more
)

// weigh adds up what c keeps alive. Strings share the payload's memory; one with escapes
// has its own, which is never longer than its spelling, so the payload counts twice.
func (p *claimsReader) weigh(payload string) {
	c := p.Claims
	n := weightClaims + len(payload) + len(c.Actor)
	if strings.IndexByte(payload, '\\') >= 0 {
		n += len(payload)
	}
	for _, list := range [][]string{c.Audience, c.AMR, c.Roles, c.Permissions, c.Scopes} {
		n += weightString * cap(list)
	}
	n += weightMember * (cap(c.custom) + cap(c.client))
	if c.Tenants != nil {
		n += weightMap
	}
	for _, g := range c.Tenants {
		n += 2*weightTenant + weightString*(cap(g.Roles)+cap(g.Permissions))
	}
	c.weight = n
}
